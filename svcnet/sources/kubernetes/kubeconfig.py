"""Kubeconfig files to a server.

Source of the rules: k8s.io/client-go/tools/clientcmd/api/v1/types.go.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from svcnet import checks
from svcnet.errors import InputError
from svcnet.sources.fields import Fields, shown
from svcnet.sources.findings import Findings
from svcnet.sources.kubernetes.server import PEM, Server
from svcnet.sources.single import read_single

WHAT = "kubeconfig"
USER_REFUSED = {
    "exec": "svcnet starts no programs for credentials: use a token, tokenFile or certificate",
    "auth-provider": "is gone from Kubernetes: use a token, tokenFile or certificate",
    "username": "is gone from Kubernetes: use a token, tokenFile or certificate",
    "as": "svcnet does not impersonate",
}


def load_kubeconfig(paths: Sequence[str | os.PathLike[str]], context: str = "") -> Server:
    """Return the server that kubeconfig files name, as `context` or as their current context.

    Of two files that have an entry of one name the first counts, as with ``KUBECONFIG``. Paths
    in a file are relative to its folder.

    Raises :class:`svcnet.errors.InputError` with every error of what is used.
    """
    findings = Findings()
    files = [made for path in paths if (made := read_single(path, WHAT, findings)) is not None]
    if findings.has_errors():
        raise InputError(findings.diagnostics())
    server = _server(files, context)
    if server is None or findings.has_errors():
        raise InputError(findings.diagnostics())
    return server


def _server(files: list[Fields], context: str) -> Server | None:
    asker = files[0]
    if not context:
        asker = next((file for file in files if file.string("current-context")), asker)
        context = asker.string("current-context")
    if not context:
        asker.error(checks.REQUIRED, "current-context", "is required, unless a context is named")
        return None
    found = _named(files, "contexts", "context", context)
    if found is None:
        asker.error(checks.NO_ENTRY, "contexts", f"has no context {shown(context)}")
        return None
    cluster = _referred(files, found, "cluster", "clusters")
    user = _referred(files, found, "user", "users") if found.string("user") else None
    if cluster is None:
        return None
    return _made(cluster, user)


def _named(files: list[Fields], items: str, key: str, name: str) -> Fields | None:
    """Return what the first entry of a name holds."""
    for file in files:
        for entry in file.mappings(items):
            if entry.data.get("name") == name:
                return entry.mapping(key)
    return None


def _referred(files: list[Fields], context: Fields, key: str, items: str) -> Fields | None:
    name = context.string(key)
    if not name:
        context.error(checks.REQUIRED, key, "is required")
        return None
    found = _named(files, items, key, name)
    if found is None:
        context.error(checks.NO_ENTRY, key, f"there is no {key} {shown(name)}")
    return found


def _made(cluster: Fields, user: Fields | None) -> Server:
    token: PEM = ""
    certificate = key = None
    if user is not None:
        for field, message in USER_REFUSED.items():
            if user.data.get(field):
                user.error(checks.CREDENTIALS, field, message)
        token = _path(user, "tokenFile") or user.string("token")
        certificate = _pem(user, "client-certificate")
        key = _pem(user, "client-key")
        if (certificate is None) != (key is None):
            absent = "client-key" if key is None else "client-certificate"
            user.error(
                checks.CREDENTIALS, absent, "is required: a certificate and its key go together"
            )
    return Server(
        url=_url(cluster, "server", ("https", "http"), required=True),
        authority=_pem(cluster, "certificate-authority"),
        server_name=cluster.string("tls-server-name"),
        verify=not cluster.boolean("insecure-skip-tls-verify", False),
        token=token,
        certificate=certificate,
        key=key,
        proxy=_url(cluster, "proxy-url", ("http", "https"), required=False),
    )


def _url(cluster: Fields, key: str, schemes: tuple[str, ...], *, required: bool) -> str:
    text = cluster.string(key).rstrip("/")
    if not text:
        if required:
            cluster.error(checks.REQUIRED, key, "is required")
        return ""
    if "://" not in text:
        text = f"{schemes[0]}://{text}"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in schemes and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        cluster.error(
            checks.SERVER_URL,
            key,
            f"must be a URL such as https://192.0.2.1:6443, not {shown(text)}",
        )
    elif key == "server" and "@" in parts.netloc:
        # Not shown, for it has a password.
        cluster.error(
            checks.SERVER_URL,
            key,
            "must have no user and password: use a token, tokenFile or certificate",
        )
    return text


def _path(fields: Fields, key: str) -> Path | None:
    """Return a path, relative to the folder of the file that has it."""
    text = fields.string(key)
    return Path(fields.place.source.file).absolute().parent / text if text else None


def _pem(fields: Fields, key: str) -> PEM | None:
    """Return the content of ``KEY-data``, which counts more, or the path of ``KEY``."""
    encoded = fields.string(f"{key}-data")
    if not encoded:
        return _path(fields, key)
    try:
        return base64.b64decode("".join(encoded.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        fields.error(checks.CERTIFICATE, f"{key}-data", "must be PEM text in base64")
        return None
