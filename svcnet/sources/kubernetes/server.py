"""Where an API server is, how it is known to be the right one, and who we say we are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen

from svcnet.errors import UsageError

PEM: TypeAlias = Path | str
"""A certificate or key: a file, or its content."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@frozen
class APIServer:
    """An API server at ``url``, which has no ``/`` at the end.

    ``authority`` are the certificates that the server's must be signed by, the machine's own if
    it is None; ``server_name`` is the name in the server's certificate, if not that of the URL.
    With ``verify`` off any certificate will do. ``token`` and ``certificate`` with ``key`` say who
    we are. What is a path is read again when its file changes. ``proxy`` is the URL of an HTTP
    proxy, with its user and password if it wants them.
    """

    url: str
    authority: PEM | None = None
    server_name: str = ""
    verify: bool = True
    token: PEM = field(default="", repr=False)
    certificate: PEM | None = field(default=None, repr=False)
    key: PEM | None = field(default=None, repr=False)
    proxy: str = field(default="", repr=False)


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> APIServer:
    """Return the server of the cluster that this process is a Pod of.

    The address is in the variables that every container has, the credentials are files of the
    Pod's service account.

    Raises :class:`svcnet.errors.UsageError` where this is no Pod.
    """
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        missing = "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"
        raise UsageError(f"this is not a container of a cluster: {missing}")
    token, authority = folder / "token", folder / "ca.crt"
    if not token.exists():
        raise UsageError(f"this Pod has no service account: there is no {token}")
    shown = f"[{host}]" if ":" in host else host
    return APIServer(
        f"https://{shown}:{port}", authority if authority.exists() else None, token=token
    )
