"""Endpoints are repacked before they are mirrored, whatever shape they were written in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import process_time
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.models import (
    ClusterState,
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    NamespacedName,
    TargetRef,
)
from svcnet.models.subsets import MAX_ADDRESSES, repack, slices_of_endpoints
from svcnet.renderers.iptables import full
from svcnet.testing import make_service
from tests.fuzz import examples

HTTP, METRICS, UNNAMED = (
    EndpointPort(8080, "http"),
    EndpointPort(9090, "metrics"),
    EndpointPort(8080),
)

Served = dict[tuple[str, str, EndpointPort | None], bool]


def subset(ready: str = "", others: str = "", *ports: EndpointPort) -> EndpointSubset:
    """Return a subset of addresses given as words."""
    here, gone = (tuple(map(EndpointAddress, words.split())) for words in (ready, others))
    return EndpointSubset(here, gone, ports)


def pod(ip: str, uid: str, name: str = "") -> EndpointAddress:
    return EndpointAddress(ip, target_ref=TargetRef("shop", name or uid, uid))


def written(*subsets: EndpointSubset) -> Endpoints:
    return Endpoints("shop", "web", subsets)


def shape(slices: Iterable[EndpointSlice]) -> list[tuple[str, list[str]]]:
    """Return the ports and endpoints of slices; one that is not ready has a minus."""
    return [
        (
            " ".join(f"{port.name}:{port.port}" for port in item.ports),
            [f"{'' if e.ready else '-'}{e.addresses[0]}" for e in item.endpoints],
        )
        for item in slices
    ]


@pytest.mark.parametrize(
    ("subsets", "slices"),
    [
        ([subset("10.40.0.2", "10.40.0.2", HTTP)], [("http:8080", ["-10.40.0.2"])]),
        (
            [subset("10.40.0.2", "", HTTP), subset("", "10.40.0.2", HTTP)],
            [("http:8080", ["-10.40.0.2"])],
        ),
        (
            [subset("", "10.40.0.2", HTTP), subset("10.40.0.2", "", HTTP)],
            [("http:8080", ["-10.40.0.2"])],
        ),
        (
            [subset("10.40.0.2", "", HTTP), subset("10.40.0.2", "", METRICS)],
            [("http:8080 metrics:9090", ["10.40.0.2"])],
        ),
        (
            [subset("10.40.0.2", "", HTTP), subset("", "10.40.0.2", METRICS)],
            [("http:8080", ["10.40.0.2"]), ("metrics:9090", ["-10.40.0.2"])],
        ),
        (
            [subset("10.40.0.9", "", HTTP), subset("10.40.0.10", "", HTTP)],
            [("http:8080", ["10.40.0.10", "10.40.0.9"])],
        ),
        (
            [subset("10.40.0.2 fd00::2", "fd00::1", HTTP)],
            [("http:8080", ["10.40.0.2"]), ("http:8080", ["fd00::2", "-fd00::1"])],
        ),
        ([subset("10.40.0.2")], [("", ["10.40.0.2"])]),
        ([subset("10.40.0.2"), subset("10.40.0.2", "", HTTP)], [("http:8080", ["10.40.0.2"])]),
        ([subset("", "", HTTP)], []),
        ([], []),
    ],
)
def test_slices_of_subsets(
    subsets: list[EndpointSubset], slices: list[tuple[str, list[str]]]
) -> None:
    """Not ready beats ready, the same addresses share a slice, and so do the same ports."""
    assert shape(slices_of_endpoints(written(*subsets))) == slices


def test_the_controllers_repack_and_mirror_so() -> None:
    """A table of subsets that Kubernetes's own code repacked and mirrored is the same here."""
    text = Path(__file__).with_name("mirrored.txt").read_text()
    paragraphs = [part.splitlines() for part in text.split("\n\n")[1:]]
    assert len(paragraphs) > 150
    for lines in paragraphs:
        told = {mark: [line[2:] for line in lines if line.startswith(mark)] for mark in "<=>m"}
        read = written(*map(subset_of, told["<"]))
        assert sorted(map(text_of, repack(read.subsets))) == sorted(map(in_order, told["="])), lines
        most = int(lines[0].split()[1]) if told["m"] else MAX_ADDRESSES
        with patch("svcnet.models.subsets.MAX_ADDRESSES", most):
            made = [text_of_slice(item) for item in slices_of_endpoints(read)]
        accepted = [line for line in told[">"] if has_own_names(line)]
        assert sorted(made) == sorted(map(in_order, accepted)), lines


def address_of(word: str) -> tuple[bool, EndpointAddress]:
    """Read what the table's head describes."""
    rest, _, node = word.removeprefix("-").partition("@")
    rest, _, hostname = rest.partition("~")
    ip, _, pod = rest.partition("#")
    target = TargetRef("shop", pod[0], pod[1]) if pod else None
    return not word.startswith("-"), EndpointAddress(ip, node, hostname, target)


def port_of(word: str) -> EndpointPort:
    name, _, rest = word.partition(":")
    number, _, protocol = rest.partition("/")
    return EndpointPort(int(number), name, "UDP" if protocol == "UDP" else "TCP")


def subset_of(line: str) -> EndpointSubset:
    words, _, ports = line.partition("|")
    read = [address_of(word) for word in words.split()]
    ready, others = (
        tuple(address for is_ready, address in read if is_ready is each) for each in (True, False)
    )
    return EndpointSubset(ready, others, tuple(map(port_of, ports.split())))


def words_of(ready: bool, ip: str, of: EndpointAddress | Endpoint) -> str:
    pod = f"#{of.target_ref.name}{of.target_ref.uid}" if of.target_ref else ""
    hostname = f"~{of.hostname}" if of.hostname else ""
    node = f"@{of.node_name}" if of.node_name else ""
    return f"{'' if ready else '-'}{ip}{pod}{hostname}{node}"


def line_of(words: Iterable[str], ports: Iterable[EndpointPort]) -> str:
    told = [f"{port.name}:{port.port}/{port.protocol}" for port in ports]
    return in_order(" ".join([*words, "|", *told]))


def in_order(line: str) -> str:
    """Return a line whose addresses and ports are in an order of their own."""
    words, _, ports = line.partition("|")
    return f"{' '.join(sorted(words.split()))} | {' '.join(sorted(ports.split()))}"


def text_of(each: EndpointSubset) -> str:
    words = [words_of(True, address.ip, address) for address in each.addresses]
    words += [words_of(False, address.ip, address) for address in each.not_ready_addresses]
    return line_of(words, each.ports)


def text_of_slice(item: EndpointSlice) -> str:
    return line_of((words_of(e.ready, e.addresses[0], e) for e in item.endpoints), item.ports)


def has_own_names(line: str) -> bool:
    names = [word.partition(":")[0] for word in line.partition("|")[2].split()]
    return len(set(names)) == len(names)


def test_objects_tell_equal_addresses_apart() -> None:
    """Two Pods of one address are two endpoints; one Pod that came twice by name is one."""
    first, second = pod("10.40.0.2", "a"), pod("10.40.0.2", "b")
    two = EndpointSubset((first,), (second,), (HTTP,))
    assert shape(slices_of_endpoints(written(two))) == [("http:8080", ["10.40.0.2", "-10.40.0.2"])]
    again = EndpointSubset((pod("10.40.0.2", "a", "p"),), (pod("10.40.0.2", "b", "p"),), (HTTP,))
    assert shape(slices_of_endpoints(written(again))) == [("http:8080", ["-10.40.0.2"])]


def test_a_port_name_that_is_there_twice_is_not_mirrored() -> None:
    """The API server refuses a slice with two ports of one name; other subsets have theirs."""
    clash = [subset("10.40.0.2", "", UNNAMED), subset("10.40.0.2", "", EndpointPort(8081))]
    others = subset("10.40.0.3", "", EndpointPort(8082))
    assert shape(slices_of_endpoints(written(*clash, others))) == [(":8082", ["10.40.0.3"])]


def test_a_thousand_of_a_subset_are_mirrored() -> None:
    """Subsets with one port are one, and of that the first thousand by text, ready ones first."""
    words = [[f"10.{block}.{n >> 8}.{n & 255}" for n in range(700)] for block in (40, 41)]
    subsets = [subset(" ".join(each), "", HTTP) for each in words]
    (item,) = slices_of_endpoints(written(*subsets))
    kept = [endpoint.addresses[0] for endpoint in item.endpoints]
    assert kept == sorted(words[0] + words[1])[:MAX_ADDRESSES]
    (item,) = slices_of_endpoints(written(subset("", " ".join(words[0]), HTTP), subsets[1]))
    assert sum(endpoint.ready for endpoint in item.endpoints) == 700
    assert len(item.endpoints) == MAX_ADDRESSES


@pytest.mark.parametrize(
    "subsets",
    [
        [subset("10.40.0.2", "10.40.0.2", UNNAMED)],
        [subset("10.40.0.2", "", UNNAMED), subset("", "10.40.0.2", UNNAMED)],
    ],
)
def test_what_is_not_ready_anywhere_is_rejected(subsets: list[EndpointSubset]) -> None:
    """Rules of Endpoints lead to no address that is not ready for the port somewhere."""
    state = ClusterState.of([make_service(), written(*subsets)])
    text = full(compile_state(state, node_view(state))).text
    assert "-j REJECT" in text
    assert "--to-destination" not in text


ADDRESSES = [
    EndpointAddress("10.40.0.2"),
    EndpointAddress("10.40.0.10", hostname="h"),
    pod("10.40.0.2", "a"),
    pod("10.40.0.2", "b"),
    pod("10.40.0.9", "c"),
    EndpointAddress("fd00::2"),
]
PORTS = [HTTP, METRICS, UNNAMED, EndpointPort(53, "dns", "UDP"), EndpointPort(53, "dns")]
listed = st.lists(st.sampled_from(ADDRESSES), max_size=5).map(tuple)
written_subsets = st.lists(
    st.builds(
        EndpointSubset, listed, listed, st.lists(st.sampled_from(PORTS), max_size=3).map(tuple)
    ),
    max_size=5,
)


def served(subsets: Sequence[EndpointSubset]) -> Served:
    """Return each address and port that subsets name, and whether all of them call it ready."""
    found: Served = {}
    for each in subsets:
        for addresses, ready in ((each.addresses, True), (each.not_ready_addresses, False)):
            for address in addresses:
                uid = address.target_ref.uid if address.target_ref else ""
                for port in each.ports or (None,):
                    key = (address.ip, uid, port)
                    found[key] = found.get(key, True) and ready
    return found


@settings(max_examples=examples(300))
@given(written_subsets, st.randoms(use_true_random=False))
@example([subset("10.40.0.2", "10.40.0.2", HTTP)], None)
@example([subset("10.40.0.2"), subset("10.40.0.2", "", HTTP)], None)
def test_repacking_says_the_same(subsets: list[EndpointSubset], random: object) -> None:
    """Every address and port is as ready as before, in one place each, in whatever order."""
    packed = repack(subsets)
    said = served(subsets)
    # No port at all is said by a subset of its own, if the same addresses have no port.
    told = served(packed)
    assert told == {key: ready for key, ready in said.items() if key[2] or key in told}
    for ip, uid, port in said.keys() - told.keys():
        assert port is None
        assert any(key[:2] == (ip, uid) for key in told)
    assert max(Counter(port for each in packed for port in each.ports).values(), default=1) == 1
    hosts = [(each.addresses, each.not_ready_addresses) for each in packed]
    assert len(set(hosts)) == len(hosts)
    assert all(len(set(one + other)) == len(one + other) for one, other in hosts)
    assert repack(packed) == packed
    if random is not None:
        shuffled = sorted(subsets, key=lambda _: random.random())  # type: ignore[attr-defined]
        assert repack(shuffled) == packed


def test_a_product_of_ports_and_addresses_is_cheap() -> None:
    """A thousand ports, each of a thousand addresses and one of its own, are few endpoints."""
    ports = [EndpointPort(number, f"p{number}") for number in range(1, 1001)]
    many = tuple(EndpointAddress(f"10.1.{n >> 8}.{n & 255}") for n in range(1000))
    own = [subset(f"10.2.{port.port >> 8}.{port.port & 255}", "", port) for port in ports]
    began = process_time()
    packed = repack([EndpointSubset(many, (), tuple(ports)), *own])
    assert process_time() - began < 5
    assert len(packed) == 1000
    assert all(len(each.addresses) == 1001 for each in packed)
    made = slices_of_endpoints(written(EndpointSubset(many, (), tuple(ports)), *own))
    assert len({id(endpoint) for item in made for endpoint in item.endpoints}) <= 2000


def test_a_state_has_the_slices_of_its_endpoints() -> None:
    """What stands in for slices that the input lacks is repacked as well."""
    state = ClusterState.of([written(subset("10.40.0.2", "10.40.0.2", HTTP))])
    found = state.slices_of(NamespacedName("shop", "web"))
    assert shape(found) == [("http:8080", ["-10.40.0.2"])]
