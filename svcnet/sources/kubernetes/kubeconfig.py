"""Kubeconfig files to a server.

Source of the rules: k8s.io/client-go/tools/clientcmd (validation.go, client_config.go, loader.go)
and api/v1/types.go there.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from attrs import evolve

from svcnet import checks
from svcnet.errors import Diagnostic, InputError
from svcnet.files import Paths, names_of
from svcnet.sources.fields import Fields, quote_value
from svcnet.sources.findings import Findings
from svcnet.sources.kubernetes.credentials import Credentials
from svcnet.sources.kubernetes.problems import Problem
from svcnet.sources.kubernetes.server import PEM, APIServer
from svcnet.sources.single import read_single
from svcnet.sources.unknown import report_unknown

WHAT = "kubeconfig"
USE = "use a token, tokenFile or certificate"
USER_REFUSED = {
    "exec": f"svcnet starts no programs for credentials: {USE}",
    "auth-provider": f"is gone from Kubernetes: {USE}",
    "username": f"is gone from Kubernetes: {USE}",
    "password": f"is gone from Kubernetes: {USE}",
    "as": "svcnet does not impersonate",
    "as-uid": "svcnet does not impersonate",
    "as-groups": "svcnet does not impersonate",
    "as-user-extra": "svcnet does not impersonate",
}


def load_kubeconfig(
    paths: Paths,
    context: str = "",
    *,
    tell: Callable[[Iterable[Diagnostic]], None] = lambda _: None,
) -> APIServer:
    """Return the server that kubeconfig files name, as `context` or as their current context.

    Of two files that have an entry of one name the first counts, as with ``KUBECONFIG``. Paths
    in a file are relative to its folder. `tell` is given what is legal, and surely not meant.

    Raises :class:`svcnet.errors.InputError` with every error of what is used, credentials that
    cannot be used among them.
    """
    findings = Findings()
    files = [
        made for path in names_of(paths) if (made := read_single(path, WHAT, findings)) is not None
    ]
    if findings.has_errors():
        raise InputError(findings.diagnostics())
    server = _server(files, context)
    if server is None or findings.has_errors():
        raise findings.refusal()
    tell(findings.diagnostics())
    return server


def _server(files: list[Fields], context: str) -> APIServer | None:
    for file in files:
        _report_unknown("Kubeconfig", file)
    asker = files[0]
    if not context:
        asker = next((file for file in files if file.string("current-context")), asker)
        context = asker.string("current-context")
    if not context:
        asker.error(checks.REQUIRED, "current-context", "is required, unless a context is named")
        return None
    found = _find_entry(files, "contexts", "context", context)
    if found is None:
        asker.error(checks.NO_ENTRY, "contexts", f"has no context {quote_value(context)}")
        return None
    _report_unknown("KubeconfigContext", found)
    cluster = _find_reference(files, found, "cluster", "clusters")
    user = _find_reference(files, found, "user", "users") if found.string("user") else None
    if cluster is None:
        return None
    return _make_server(cluster, user)


def _find_entry(files: list[Fields], items: str, key: str, name: str) -> Fields | None:
    """Return what the entry of a name holds, in the first file that has one; two are an error."""
    for file in files:
        entries = [entry for entry in file.mappings(items) if entry.data.get("name") == name]
        if len(entries) > 1:
            message = f"{quote_value(name)} is the name of another entry too"
            entries[1].error(checks.REPEATED_MEMBER, "name", message)
        if entries:
            return entries[0].mapping(key)
    return None


def _find_reference(files: list[Fields], context: Fields, key: str, items: str) -> Fields | None:
    name = context.string(key)
    if not name:
        context.error(checks.REQUIRED, key, "is required")
        return None
    found = _find_entry(files, items, key, name)
    if found is None:
        context.error(checks.NO_ENTRY, key, f"there is no {key} {quote_value(name)}")
    return found


def _report_unknown(kind: str, fields: Fields) -> None:
    """Warn of fields that client-go does not know, of what is used."""
    place = evolve(fields.place, path=(*fields.place.path, *fields.path))
    report_unknown(kind, [(place, dict(fields.data))], fields.findings)


def _make_server(cluster: Fields, user: Fields | None) -> APIServer:
    _report_unknown("KubeconfigCluster", cluster)
    server = APIServer(
        url=_url(cluster),
        authority=_pem(cluster, "certificate-authority"),
        server_name=cluster.string("tls-server-name"),
        verify=not cluster.boolean("insecure-skip-tls-verify", False),
        proxy=_proxy(cluster),
    )
    # Without compression there is less to bound; that is how svcnet always asks.
    cluster.boolean("disable-compression", False)
    if user is not None:
        server = _with_credentials(server, user)
    if server.url.startswith("http:"):
        return _in_the_clear(server, cluster)
    _check_authority(server, cluster)
    return server


def _with_credentials(server: APIServer, user: Fields) -> APIServer:
    _report_unknown("KubeconfigUser", user)
    for field, message in USER_REFUSED.items():
        # An empty plugin is one; of the others, what is empty is as good as absent.
        value = user.data.get(field)
        if value or (type(value) is dict and field in ("exec", "auth-provider")):
            user.error(checks.CREDENTIALS, field, message)
    file, token = _path(user, "tokenFile"), user.string("token")
    if file and token:
        user.warning(checks.NO_EFFECT, "token", "has no effect beside tokenFile, which counts")
    certificate = _pem(user, "client-certificate")
    key = _pem(user, "client-key")
    if (certificate is None) != (key is None):
        absent = "client-key" if key is None else "client-certificate"
        message = "is required: a certificate and its key go together"
        user.error(checks.CREDENTIALS, absent, message)
    server = evolve(server, token=file or token, certificate=certificate, key=key)
    _try(user, "tokenFile" if file else "token", Credentials(server).headers)
    if certificate is not None and key is not None:
        alone = evolve(server, verify=False)
        _try(user, _written_key(user, "client-certificate"), Credentials(alone).tls)
    return server


def _in_the_clear(server: APIServer, cluster: Fields) -> APIServer:
    """Return a server that anybody on the way may read along with: it is not told who we are."""
    if server.token or server.certificate is not None:
        message = "is http: credentials are sent over https alone, and so this server gets none"
        cluster.warning(checks.CLEARTEXT, "server", message)
    return APIServer(server.url, proxy=server.proxy)


def _check_authority(server: APIServer, cluster: Fields) -> None:
    """Check what the server's certificate is to be verified with."""
    key = "insecure-skip-tls-verify"
    if server.verify and server.authority is not None:
        known = APIServer(server.url, server.authority)
        _try(cluster, _written_key(cluster, "certificate-authority"), Credentials(known).tls)
    elif not server.verify and server.authority is not None:
        cluster.error(checks.CREDENTIALS, key, "and a certificate authority exclude each other")
    elif not server.verify:
        message = "anybody may pose as this server: read the credentials, and make the rules"
        cluster.warning(checks.UNVERIFIED_SERVER, key, message)


def _try(fields: Fields, key: str, use: Callable[[], object]) -> None:
    """Report at `key` what keeps a credential from being used."""
    try:
        use()
    except Problem as problem:
        check = checks.CREDENTIALS if key.startswith("token") else checks.CERTIFICATE
        fields.error(check, key, problem.why)


def _url(cluster: Fields) -> str:
    written = cluster.string("server")
    if not written:
        if not cluster.data.get("server"):
            cluster.error(checks.REQUIRED, "server", "is required")
        return ""
    text = written.rstrip("/")
    parts = _split(text)
    if "@" in text:
        # Not shown, for it has a password.
        message = "must have no user and password: use a token, tokenFile or certificate"
    elif parts is None or parts.scheme not in ("https", "http"):
        message = f"must be a URL such as https://192.0.2.1:6443, not {quote_value(written)}"
    elif parts.query or parts.fragment:
        message = f"must have no query and no fragment, and is {quote_value(text)}"
    else:
        return text
    cluster.error(checks.SERVER_URL, "server", message)
    return ""


def _proxy(cluster: Fields) -> str:
    text = cluster.string("proxy-url").rstrip("/")
    parts = _split(text)
    if text and parts is not None and parts.scheme in ("http", "https"):
        return text
    if text:
        # It may have a password.
        message = "must be a URL such as http://192.0.2.1:3128"
        if parts is not None and parts.scheme.startswith("socks"):
            message = "must be an HTTP proxy: svcnet does not speak SOCKS"
        cluster.error(checks.SERVER_URL, "proxy-url", message)
    return ""


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL that names a host, and a port that there can be."""
    try:
        parts = urlsplit(text)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _path(fields: Fields, key: str) -> Path | None:
    """Return a path, relative to the folder of the file that has it; ``..`` is a word of the text.

    So it is for client-go, also where a folder on the way is a link.
    """
    text = fields.string(key)
    if not text:
        return None
    folder = Path(fields.place.source.file).absolute().parent
    return Path(os.path.normpath(folder / text))


def _written_key(fields: Fields, key: str) -> str:
    """Return under which of its two names a certificate or key stands."""
    return f"{key}-data" if fields.data.get(f"{key}-data") else key


def _pem(fields: Fields, key: str) -> PEM | None:
    """Return the content of ``KEY-data``, or the path of ``KEY``; both are an error."""
    encoded = fields.string(f"{key}-data")
    if not encoded:
        return _path(fields, key)
    if fields.string(key):
        message = f"is there beside {key}: only one of them may be"
        fields.error(checks.CREDENTIALS, f"{key}-data", message)
    try:
        return base64.b64decode("".join(encoded.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        fields.error(checks.CERTIFICATE, f"{key}-data", "must be PEM text in base64")
        return None
