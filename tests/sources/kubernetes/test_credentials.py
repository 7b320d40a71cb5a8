"""Who the server is and who we are: TLS, tokens, and files that are replaced."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from svcnet.errors import UsageError
from svcnet.sources.kubernetes import APIServer, in_cluster
from svcnet.testing import FakeAPIServer
from tests.sources.kubernetes.following import following, service

ONE = ("Service",)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def pem(blob: trustme.Blob) -> str:
    return blob.bytes().decode()


def tls(ca: trustme.CA, name: str = "127.0.0.1", *, mutual: bool = False) -> ssl.SSLContext:
    """Return what a server needs that `ca` vouches for, and maybe asks the same of clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    if mutual:
        ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def refuse(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Refuse a client with OpenSSL's alert; asyncio's servers send none."""
    made = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    with made:
        with suppress(ssl.SSLError):
            made.do_handshake()
        # Closed before all was read, the connection would be reset, and the alert lost.
        while socket.socket.recv(made, 65536):
            pass


@contextmanager
def answering(context: ssl.SSLContext | None) -> Iterator[str]:
    """Serve a blunt 400 without TLS, or refuse with TLS's alert."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), connection:
                if context is None:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                else:
                    refuse(connection, context)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def statuses(fake: FakeAPIServer, to: Callable[[str], APIServer]) -> list[str]:
    """Follow a fake until something is told, and return what."""

    async def run() -> list[str]:
        async with fake as server:
            server.put(service())
            async with following(to(server.url), ONE) as found:
                await found.until(lambda: found.statuses)
                return found.statuses

    return asyncio.run(run())


def test_a_server_that_the_authority_vouches_for(ca: trustme.CA, tmp_path: Path) -> None:
    """The certificate of the authority may be given as text or as a file."""
    file = tmp_path / "ca.crt"
    file.write_text(pem(ca.cert_pem))
    for authority in (pem(ca.cert_pem), file):
        told = statuses(FakeAPIServer(tls=tls(ca)), partial(APIServer, authority=authority))
        assert told == ["Service: synced"]


def test_authorities_with_names_in_any_language(ca: trustme.CA) -> None:
    """What stands between the certificates of a bundle is not looked at."""
    bundle = f"# Autoridade de Certificação\n{pem(ca.cert_pem)}"
    told = statuses(FakeAPIServer(tls=tls(ca)), lambda url: APIServer(url, bundle))
    assert told == ["Service: synced"]


def test_a_key_of_another_certificate(ca: trustme.CA) -> None:
    """It is told in plain words that they do not belong together."""
    one, other = ca.issue_cert("one"), ca.issue_cert("other")
    mixed: dict[str, Any] = {
        "certificate": pem(one.cert_chain_pems[0]),
        "key": pem(other.private_key_pem),
    }
    told = statuses(
        FakeAPIServer(tls=tls(ca)), lambda url: APIServer(url, pem(ca.cert_pem), **mixed)
    )
    assert told == [
        "Service: TLS: a certificate or key cannot be used: they do not belong together"
    ]


def test_a_server_that_nobody_vouches_for(ca: trustme.CA) -> None:
    """Another authority's server is a matter of TLS, and not a refusal."""
    for authority in (pem(trustme.CA().cert_pem), None):
        told = statuses(FakeAPIServer(tls=tls(ca)), partial(APIServer, authority=authority))
        assert told[0].startswith("Service: TLS: the server's certificate: ")
        assert "certificate" in told[0].removeprefix("Service: TLS: the server's certificate: ")


def test_a_server_that_is_not_to_be_verified(ca: trustme.CA) -> None:
    """Any certificate will do if the user says so."""
    told = statuses(FakeAPIServer(tls=tls(ca)), lambda url: APIServer(url, verify=False))
    assert told == ["Service: synced"]


def test_the_name_in_the_certificate(ca: trustme.CA) -> None:
    """The address must be in the certificate, or the name that is given in its place."""
    authority = pem(ca.cert_pem)
    fake = FakeAPIServer(tls=tls(ca, "kubernetes.example"))
    told = statuses(fake, lambda url: APIServer(url, authority))
    assert "IP address mismatch" in told[0]
    fake = FakeAPIServer(tls=tls(ca, "kubernetes.example"))
    told = statuses(fake, lambda url: APIServer(url, authority, server_name="kubernetes.example"))
    assert told == ["Service: synced"]


def test_a_client_certificate(ca: trustme.CA, tmp_path: Path) -> None:
    """The server knows us by it; without it, its alert is a matter of TLS."""
    own = ca.issue_cert("node@example")
    certificate, key = pem(own.cert_chain_pems[0]), pem(own.private_key_pem)
    (tmp_path / "crt").write_text(certificate)
    (tmp_path / "key").write_text(key)
    authority = pem(ca.cert_pem)
    for pair in ((certificate, key), (tmp_path / "crt", tmp_path / "key")):
        told = statuses(
            FakeAPIServer(tls=tls(ca, mutual=True)),
            partial(APIServer, authority=authority, certificate=pair[0], key=pair[1]),
        )
        assert told == ["Service: synced"]


def test_a_client_certificate_that_is_missing(ca: trustme.CA) -> None:
    """The alert of a server that asks for one is a matter of TLS."""
    with answering(tls(ca, mutual=True)) as url:
        told = statuses(FakeAPIServer(), lambda _: APIServer(url, pem(ca.cert_pem)))
    assert told[0].startswith("Service: TLS: ")
    assert "wants a certificate" in told[0]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"authority": "rubbish"}, "TLS: a certificate or key cannot be used: it is not in PEM"),
        ({"authority": "Zertifizierungsstelle für alle"}, "TLS: a certificate or key cannot be"),
        ({"authority": Path("/nowhere/ca.crt")}, "refused: the authority /nowhere/ca.crt cannot"),
        ({"certificate": "x", "key": "y"}, "TLS: a certificate or key cannot be used: "),
        ({"token": Path("/nowhere/token")}, "refused: the token /nowhere/token cannot be read"),
        ({"token": "two words"}, "refused: the token is no token"),
        ({"token": "line\nbreak"}, "refused: the token is no token"),
        ({"token": "ünicode"}, "refused: the token is no token"),
    ],
)
def test_credentials_that_cannot_be_used(given: dict[str, Any], why: str) -> None:
    """What is wrong with our own files is told, and tried again."""
    told = statuses(
        FakeAPIServer(),
        lambda url: APIServer(**{"url": url.replace("http:", "https:"), **given}),
    )
    assert told[0].startswith(f"Service: {why}")


@pytest.mark.parametrize("url", ["http://nobody.invalid", "http://a..b", "http://127.0.0.1:1"])
def test_an_address_where_nobody_is(url: str) -> None:
    """Names that are none and ports that nobody has are told as what they are."""
    told = statuses(FakeAPIServer(), lambda _: APIServer(url))
    assert told[0].startswith("Service: unreachable: ")


def test_tls_where_there_is_none() -> None:
    """A server that speaks no TLS to us is told as that."""
    with answering(None) as url:
        told = statuses(FakeAPIServer(), lambda _: APIServer(url))
    assert told[0].startswith("Service: TLS: ")


@pytest.mark.parametrize(("tokens", "forbidden"), [({"right"}, set()), (None, {"Service"})])
def test_a_refusal_tells_its_status(tokens: set[str] | None, forbidden: set[str]) -> None:
    """401 and 403 come with the server's words."""
    told = statuses(
        FakeAPIServer(tokens=tokens, forbidden=forbidden), lambda url: APIServer(url, token="wrong")
    )
    code = "401 Unauthorized: the fake says 401" if tokens else "403 Forbidden: the fake says 403"
    assert told[0] == f"Service: refused: {code}"


def test_a_token_that_is_rotated(tmp_path: Path) -> None:
    """A token in a file is read anew for each request; meanwhile the objects stay."""
    token = tmp_path / "token"
    token.write_text("one\n")

    async def run() -> None:
        async with FakeAPIServer(tokens={"one"}) as server:
            server.put(service())
            async with following(APIServer(server.url, token=token), ONE) as found:
                await found.until(lambda: found.statuses == ["Service: synced"])
                server.tokens = {"two"}
                await server.disconnect()
                await found.until(lambda: "Service: refused: 401" in found.statuses[-1])
                assert found.names() == {"web"}
                token.write_text("two\n")
                server.put(service("mail"))
                await found.until(lambda: found.names() == {"web", "mail"})
                assert len(found.steps) == 2

    asyncio.run(run())


def test_an_authority_that_is_replaced(ca: trustme.CA, tmp_path: Path) -> None:
    """A file with certificates is read again once it is another."""
    file = tmp_path / "ca.crt"
    file.write_text(pem(trustme.CA().cert_pem))

    async def run() -> None:
        server = FakeAPIServer(tls=tls(ca))
        async with server, following(APIServer(server.url, file), ONE) as found:
            await found.until(lambda: any("TLS" in status for status in found.statuses))
            (tmp_path / "new").write_text(pem(ca.cert_pem))
            (tmp_path / "new").replace(file)
            await found.until(lambda: found.steps)

    asyncio.run(run())


def test_in_a_cluster(tmp_path: Path) -> None:
    """The address comes from the environment, the credentials from the service account."""
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(UsageError, match=r"there is no .*token"):
        in_cluster(environ, tmp_path)
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("c")
    server = in_cluster(environ, tmp_path)
    assert server == APIServer(
        "https://[fd00::1]:443", tmp_path / "ca.crt", token=tmp_path / "token"
    )
    with pytest.raises(UsageError, match="this is not a container of a cluster"):
        in_cluster({}, tmp_path)
