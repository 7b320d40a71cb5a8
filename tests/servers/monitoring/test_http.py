"""Bytes to requests, and answers to bytes."""

from __future__ import annotations

from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.servers.monitoring.http import HTTPError, HTTPRequest, HTTPResponse, encode, parse

HOST = b"\r\nHost: node"


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: node", HTTPRequest("GET", "/healthz")),
        (b"HEAD /healthz HTTP/1.1\r\nhost:node:10256", HTTPRequest("HEAD", "/healthz")),
        (b"GET / HTTP/1.0", HTTPRequest("GET", "/")),
        (b"GET / HTTP/1.0\r\nHost: node", HTTPRequest("GET", "/")),
        (b"GET /a?b=c?d HTTP/1.1" + HOST, HTTPRequest("GET", "/a")),
        (b"GET /a%7A//b/../c HTTP/1.1" + HOST, HTTPRequest("GET", "/a%7A//b/../c")),
        (b"GET http://node:1/a?b HTTP/1.1" + HOST, HTTPRequest("GET", "/a")),
        (b"GET http://node HTTP/1.1" + HOST, HTTPRequest("GET", "/")),
        (b"GET http://node?a HTTP/1.1" + HOST, HTTPRequest("GET", "/")),
        (b"GET / HTTP/1.1\r\nHost:\r\nX: \xff\tb", HTTPRequest("GET", "/")),
    ],
)
def test_requests(head: bytes, request_: HTTPRequest) -> None:
    """What clients send in earnest is understood, absolute targets included."""
    assert parse(head) == request_


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b", 400),
        (b"GET  / HTTP/1.1" + HOST, 400),
        (b" GET / HTTP/1.1" + HOST, 400),
        (b"GET / HTTP/1.1 " + HOST, 400),
        (b"GET / http/1.1" + HOST, 400),
        (b"GET / HTTP/1.1\nHost: node", 400),
        (b"\r\nGET / HTTP/1.1" + HOST, 400),
        (b"GET healthz HTTP/1.1" + HOST, 400),
        (b"GET * HTTP/1.1" + HOST, 400),
        (b"GET /\xc3\xa9 HTTP/1.1" + HOST, 400),
        (b"GET /\x00 HTTP/1.1" + HOST, 400),
        (b"G@T / HTTP/1.1" + HOST, 400),
        (b"GET / HTTP/1.1\r\nHost : node", 400),
        (b"GET / HTTP/1.1\r\nHost: node\r\n folded", 400),
        (b"GET / HTTP/1.1\r\nHost: node\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\nHost: node\r\nX: a\x00b", 400),
        (b"GET / HTTP/1.1\r\nHost: node\r\nX: a\rb", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/2.0" + HOST, 505),
        (b"PRI * HTTP/2.0", 505),
        (b"POST / HTTP/1.1" + HOST, 405),
        (b"get / HTTP/1.1" + HOST, 405),
        (b"OPTIONS * HTTP/1.1" + HOST, 405),
        (b"CONNECT node:1 HTTP/1.1" + HOST, 405),
    ],
)
def test_refusals(head: bytes, status: int) -> None:
    """What is no request for us is refused, with the status that says why."""
    with pytest.raises(HTTPError) as refusal:
        parse(head)
    assert refusal.value.answer.status == status


def test_a_refused_method_is_told_the_others() -> None:
    """The answer to another method names those that there are."""
    with pytest.raises(HTTPError) as refusal:
        parse(b"DELETE / HTTP/1.1" + HOST)
    assert ("Allow", "GET, HEAD") in refusal.value.answer.headers


PIECES = st.sampled_from(
    [
        *(b"GET", b"HEAD", b"POST", b" ", b"/", b"*", b"http://node", b"?", b"HTTP/1.1"),
        *(b"HTTP/1.0", b"HTTP/9.9", b"\r\n", b"\n", b"\r", b"Host: node", b":", b"\t", b"\0"),
    ]
)


@given(st.one_of(st.binary(), st.lists(st.one_of(PIECES, st.binary(max_size=4))).map(b"".join)))
def test_any_bytes_are_a_request_or_a_refusal(head: bytes) -> None:
    """Nothing else comes of a head, whatever is in it."""
    try:
        request = parse(head)
    except HTTPError as refusal:
        found: object = refusal.answer.status
    else:
        found = request.method
        assert request.path.startswith("/")
        assert "?" not in request.path
    assert found in {"GET", "HEAD", 400, 405, 505}


def test_an_answer_as_bytes() -> None:
    """An answer has its length, its headers, and says that the connection ends."""
    answer = HTTPResponse(503, b"no\n", "text/plain", (("X-Load-Balancing-Endpoint-Weight", "0"),))
    status, _, rest = encode(answer).partition(b"\r\n")
    head, _, body = rest.partition(b"\r\n\r\n")
    headers = BytesParser().parsebytes(head)
    assert (status, body) == (b"HTTP/1.1 503 Service Unavailable", b"no\n")
    assert headers["Content-Length"] == "3"
    assert headers["Content-Type"] == "text/plain"
    assert headers["Connection"] == "close"
    assert headers["X-Load-Balancing-Endpoint-Weight"] == "0"
    assert headers["Date"].endswith(" GMT")


def test_the_head_alone() -> None:
    """To HEAD there is the same head, with the length of the body that is left out."""
    answer = HTTPResponse(200, b"body")
    assert encode(answer).removesuffix(b"body") == encode(answer, body=False)
