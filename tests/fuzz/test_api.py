"""Answers of an API server: whatever comes, it is taken, refused or told, and nothing ends."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from attrs import define
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.errors import InputError
from svcnet.models import ClusterState
from svcnet.renderers.iptables import full
from svcnet.sources import load_bytes
from svcnet.sources.kubernetes import KINDS, APIServer, Patience, load_kubeconfig, watch
from svcnet.sources.kubernetes.client import _objects
from svcnet.sources.kubernetes.contact import Contact
from svcnet.sources.kubernetes.narrow import narrow
from svcnet.sources.kubernetes.problems import Problem
from svcnet.testing import FakeAPIServer, Fault, run_in_fake_time
from tests.fuzz import examples
from tests.fuzz.outcomes import FAMILIES
from tests.sources.kubernetes.following import endpoint_slice, node, service
from tests.strategies import Manifests, spelled_manifests

CORPUS = Path(__file__).with_name("corpus") / "api"
PYTHON = re.compile(r"Traceback|Error\b|Exception|object at 0x|<class")
EVERY_KIND = ("Service", "EndpointSlice", "Node", "Endpoints", "Pod", "ServiceCIDR")
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def tries(count: int) -> settings:
    return settings(max_examples=examples(count), deadline=None, suppress_health_check=SLOW)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["\ud800", "10.0.0.1", "fe80::1%eth0", "web", "x" * 5000, "\0", "9" * 400, ""]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["spec", "metadata", "ports"]), inner
        )
    ),
    max_leaves=12,
)
BENT = (b"", b"\n", b"\xff", b"[" * 2000, b'"a":1,"a":2,', b"\0", b"{}")
OBJECTS = (
    service(),
    {**endpoint_slice(), "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": True}}]},
    node(),
    {"kind": "Service", "metadata": {"resourceVersion": "7"}, "spec": {"ports": None}},
)


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """Return a document with something else at some places."""
    made = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(0, 3))):
        at, key = made, None
        holder: Any = None
        while isinstance(at, dict | list) and at and (key is None or draw(st.booleans())):
            keys = sorted(at) if isinstance(at, dict) else range(len(at))
            holder, key = at, draw(st.sampled_from(list(keys)))
            at = at[key]
        if holder is None or key is None:
            return draw(values)
        if isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(st.text(max_size=8))] = draw(values)
        else:
            holder[key] = draw(values)
    return made


def text(document: Any) -> bytes:
    """Return JSON as a bad server writes it: with NaN, and with halves of surrogate pairs."""
    return json.dumps(document).encode("ascii")


@st.composite
def bent(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return bytes with some cut out, doubled or put in."""
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(whole)))
        end = draw(st.integers(start, min(start + 40, len(whole))))
        put = draw(
            st.sampled_from([b"", b"\n", b"\xff", b"[" * 2000, b'"a":1,"a":2,', b"\0", b"{}"])
        )
        whole = whole[:start] + put + whole[end:]
    return whole


@st.composite
def lists(draw: st.DrawFn) -> bytes:
    items = draw(st.lists(st.sampled_from(OBJECTS), max_size=4))
    metadata = {"resourceVersion": draw(st.sampled_from(["105", "1", "", "x", "9" * 30]))}
    whole = {"kind": "ServiceList", "apiVersion": "v1", "metadata": metadata, "items": items}
    return draw(bent(text(draw(damaged(whole)))))


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    kinds = st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "", "added"])
    lines = []
    for item in draw(st.lists(st.sampled_from(OBJECTS), max_size=4)):
        version = {"resourceVersion": draw(st.sampled_from(["106", "200", "3", "", "x"]))}
        told = {**item, "metadata": {**item["metadata"], **version}}
        lines.append(text(draw(damaged({"type": draw(kinds), "object": told}))))
    return draw(bent(b"\n".join([*lines, b""])))


async def survive(*faults: Fault) -> None:
    """Follow a server that does this, and then is as it should be."""
    said: list[str] = []
    async with FakeAPIServer() as server:
        server.put(service(), endpoint_slice(), node())
        server.script(*faults)
        random = Random(1)
        steps = watch(
            APIServer(server.url), KINDS, random=random, tell=lambda s: said.append(str(s))
        )
        known: dict[tuple[str, str], Any] = {}
        async with aclosing(steps), asyncio.timeout(600):
            server.put(service("last", 4711))
            async for step in steps:
                for item in step.removed:
                    known.pop((type(item).__name__, item.name), None)
                for item in step.changed:
                    known[type(item).__name__, item.name] = item
                said += map(str, step.diagnostics)
                if ("Service", "last") in known and ("Node", "node-a") in known:
                    break
            while not all(f"{kind}: synced" in said for kind in KINDS):
                await asyncio.sleep(1)
    for line in said:
        assert "\n" not in line
        assert len(line) < 2500
        assert not PYTHON.search(line), line


@tries(30)
@given(body=lists(), times=st.integers(1, 3))
@example(body=b'{"kind":"ServiceList","metadata":{"resourceVersion":"1"},"items":[NaN]}', times=1)
@example(body=b"[" * 100_000, times=1)
def test_lists(body: bytes, times: int) -> None:
    """A list is taken or told of, and the next one is asked for."""
    run_in_fake_time(survive(*[Fault("raw", "list", "Service", body=body)] * times))


@tries(30)
@given(body=streams(), kind=st.sampled_from(KINDS))
@example(body=b'{"type":"ADDED","object":{"metadata":{"name":"\\ud800"}}}\n', kind="Service")
@example(body=b'{"type":"BOOKMARK","object":null}\n' * 1000, kind="Node")
def test_streams(body: bytes, kind: str) -> None:
    """Events are taken or told of, and changes come afterwards."""
    run_in_fake_time(survive(Fault("raw", "watch", kind, body=body)))


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    """Inputs that are kept: each as a list, and as events of a watch."""
    body = path.read_bytes()
    run_in_fake_time(survive(Fault("raw", "list", "Service", body=body)))
    run_in_fake_time(survive(Fault("raw", "watch", "Service", body=body)))


@define
class Content:
    """An answer that comes in pieces."""

    pieces: list[bytes]
    content_type: str = "application/json"

    @property
    def content(self) -> Content:
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def objects_of(pieces: list[bytes]) -> list[Any]:
    """Return the objects that come of pieces, and why no more do."""
    found: list[Any] = []

    async def take() -> None:
        try:
            async for one in _objects(Content(pieces)):  # type: ignore[arg-type]
                found.append(one.data)  # noqa: PERF401  (those before an error count)
        except Problem as problem:
            found.append(problem.why)

    asyncio.run(take())
    return found


@tries(100)
@given(body=streams(), cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_pieces(body: bytes, cuts: list[int]) -> None:
    """Where a stream is cut into pieces makes no difference."""
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    pieces = [body[a:b] for a, b in pairwise(places)]
    assert repr(objects_of(pieces)) == repr(objects_of([body]))


@tries(200)
@given(kind=st.sampled_from(EVERY_KIND), item=st.one_of(values, *map(damaged, OBJECTS)))
def test_objects(kind: str, item: Any) -> None:
    """Of any value there is a model or a reason why not."""
    try:
        item = orjson.loads(text(item))
    except orjson.JSONDecodeError:
        return
    made = narrow(kind, item, "/api/v1/x")
    assert (made.model is None) == bool(made.errors) == bool(made.wrong)
    assert all("\n" not in str(error) for error in made.errors)


KUBECONFIG = {
    "current-context": "a",
    "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [
        {"name": "c", "cluster": {"server": "https://192.0.2.1:6443", "tls-server-name": "x"}}
    ],
    "users": [{"name": "u", "user": {"token": "t", "client-key-data": "eA=="}}],
}
ODD = (
    "https://[",
    "https://a:99999",
    "http://",
    "//",
    "https://user:pw@a",
    "https://\ud800",
    "a\0b",
    "https://" + "a" * 300,
)


@tries(100)
@given(document=damaged(KUBECONFIG), odd=st.sampled_from((*ODD, None)), bend=st.data())
def test_kubeconfigs(tmp_path: Path, document: Any, odd: str | None, bend: st.DataObject) -> None:
    """A kubeconfig is a server, whose credentials can be tried, or errors with the file's name."""
    if odd is not None and isinstance(document, dict):
        server = {"server": odd, "certificate-authority": odd, "proxy-url": odd}
        document["clusters"] = [{"name": "c", "cluster": server}]
    path = tmp_path / "kubeconfig"
    path.write_bytes(bend.draw(bent(text(document))))
    try:
        found = load_kubeconfig([path])
    except InputError as error:
        refused = error
    else:
        contact = Contact(found, Patience(), Random())
        said = [said_by(contact.credentials.headers), said_by(contact.credentials.tls)]
        assert not PYTHON.search(" ".join(said)), said
        return
    assert all(diagnostic.file == str(path) for diagnostic in refused.diagnostics)
    assert not PYTHON.search(str(refused))


@tries(100)
@example(text="ü")
@given(text=st.text(max_size=40))
def test_credentials(text: str) -> None:
    """Any text for a credential is used, or refused in words for people."""
    given = APIServer("https://a", authority=text, token=text, certificate=text, key=text)
    credentials = Contact(given, Patience(), Random()).credentials
    said = said_by(credentials.headers), said_by(credentials.tls)
    assert not PYTHON.search(" ".join(said)), said


def said_by(use: Callable[[], object]) -> str:
    try:
        use()
    except Problem as problem:
        return problem.why
    return ""


def followed(objects: list[dict[str, Any]]) -> ClusterState:
    """Return the state that a server's objects come to."""

    async def follow() -> ClusterState:
        async with FakeAPIServer() as server:
            server.put(*objects)
            steps = watch(APIServer(server.url), EVERY_KIND, random=Random(1), tell=lambda _: None)
            async with aclosing(steps), asyncio.timeout(600):
                async for step in steps:
                    assert not step.diagnostics
                    return ClusterState.of(step.changed)
        raise AssertionError("no step came")

    return run_in_fake_time(follow())


@tries(10)
@given(st.sampled_from(("IPv4", "IPv6")).flatmap(spelled_manifests))
def test_a_cluster_from_files_and_from_a_server(manifests: Manifests) -> None:
    """The same objects are the same cluster, and make the same rules."""
    given = load_bytes(json.dumps({"kind": "List", "items": manifests.objects}).encode()).state
    found = followed(manifests.objects)
    for family in FAMILIES:
        rules = {
            full(compile_state(state, node_view(state, family=family))).text
            for state in (given, found)
        }
        assert len(rules) == 1
