"""What changes a table over netlink: nft's own bytes, there and back, and safe to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.netfilter.nft import NFTElement, NFTRule, NFTTable, wire
from svcnet.netlink import NLM_F_REQUEST, messages
from tests.netfilter.nft_messages import captured, form_of, message_of

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="captured bytes")


@little_endian
def test_bytes_are_nfts_own() -> None:
    """Of every kind of object in the flat layout, in both families and of all protocols."""
    others = []
    for sent in captured():
        made = message_of(sent.line)
        ours = made.kind, made.flags | NLM_F_REQUEST, made.body.hex()
        if ours != (sent.kind, sent.flags, sent.body.hex()):
            others.append((sent.line, sent.body.hex(), *ours))
    assert not others


TABLE_SENT = "0a0000000f0001006b7562652d70726f787900"
RULE_SENT = f"{TABLE_SENT}000f000200736572766963652d414200000c0003000000000000000003"
SET_SENT = f"{TABLE_SENT}0010000200616666696e6974792d414200"


def test_what_is_deleted_of_a_service_with_chains_of_its_own() -> None:
    """A rule by its handle, and a set, as nft 1.0.6 sends them."""
    table = NFTTable("ip6", "kube-proxy")
    rule, kept = wire.delete_rule(table, "service-AB", 3), wire.delete_set(table, "affinity-AB")
    assert (rule.kind, rule.flags, rule.body.hex()) == (8, 0, RULE_SENT)
    assert (kept.kind, kept.flags, kept.body.hex()) == (11, 0, SET_SENT)


def addresses(ip: str) -> st.SearchStrategy[str]:
    family, size = (AF_INET6, 16) if ip == "ip6" else (AF_INET, 4)
    return st.binary(min_size=size, max_size=size).map(lambda data: inet_ntop(family, data))


PORTS = st.integers(0, 65535).map(str)
PROTOCOLS = st.sampled_from(("tcp", "udp", "sctp"))
COMMENTS = st.text(st.characters(exclude_characters='"\0\n', exclude_categories=["Cs"])).map(
    lambda text: text.encode()[:128].decode(errors="ignore")
)
VERDICTS = st.sampled_from(("drop", "accept", "return", "goto cluster-tcp-3", "jump c"))


@st.composite
def elements(draw: st.DrawFn) -> tuple[wire.ElementForm, NFTElement]:
    """Any element of the flat layout, and its form."""
    ip = draw(st.sampled_from(("ip", "ip6")))
    name = draw(
        st.sampled_from(
            (
                *("service-ips", "service-nodeports", "cluster-ips", "hairpin-connections"),
                *("service-endpoints-tcp", "nodeport-local-endpoints-tcp"),
            )
        )
    )
    form = form_of(name, ip)
    parts = {
        "ipv4_addr": addresses("ip"),
        "ipv6_addr": addresses("ip6"),
        "inet_proto": PROTOCOLS,
        "inet_service": PORTS,
        "integer": st.integers(0, 2**32 - 1).map(str),
    }
    key = " . ".join(draw(parts[each]) for each in form.key)
    value = ""
    if form.value == ("verdict",):
        value = draw(VERDICTS)
    elif form.value:
        value = " . ".join(draw(parts[each]) for each in form.value)
    return form, NFTElement(name, key, value, draw(COMMENTS))


class End(NamedTuple):
    """An endpoint."""

    address: str
    port: int


TABLE = NFTTable("ip", "kube-proxy")


@given(st.lists(elements(), min_size=1, max_size=2))
def test_elements_there_and_back(made: list[tuple[wire.ElementForm, NFTElement]]) -> None:
    """Reading what was packed gives the same element, alone and among others."""
    for form, element in made:
        packed = form.pack(element)
        for count in (1, 3):
            message = wire.new_elements(TABLE, element.container, packed * count)
            assert message.body[message.elements :] == packed * count
            for found in wire.read_elements(message.body, form.key, form.value):
                assert found[:3] == element[1:]
        question = wire.head(*TABLE) + wire.of_elements(
            element.container, form.pack_key(element.key)
        )
        [asked] = wire.read_elements(question, form.key)
        assert asked[:3] == (element.key, "", "")


@given(st.data(), st.sampled_from(("ip", "ip6")), st.integers(0, 4))
def test_a_row_is_its_elements(data: st.DataObject, ip: str, count: int) -> None:
    """A row has the bytes of its elements, one behind the other, and so has what deletes it."""
    name = data.draw(st.sampled_from(("service-endpoints-tcp", "nodeport-endpoints-tcp")))
    form = form_of(name, ip)
    rows = wire.ElementRows(form)
    for _ in range(2):
        port = data.draw(PORTS)
        frontend = port if name.startswith("node") else f"{data.draw(addresses(ip))} . {port}"
        ends = [End(data.draw(addresses(ip)), int(data.draw(PORTS))) for _ in range(count)]
        values = [f"{each.address} . {each.port}" for each in ends]
        first = data.draw(st.integers(0, 300))
        keys = [f"{frontend} . {number}" for number in range(first, first + count)]
        alone = [form.pack(NFTElement(name, k, v)) for k, v in zip(keys, values, strict=True)]
        assert rows.row(frontend, ends, first) == b"".join(alone)
        assert {len(each) for each in alone} <= {rows.size}
        assert rows.deletion(frontend, range(first, first + count)) == b"".join(
            map(form.pack_key, keys)
        )


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("cluster-ips", "10.96.0.256", ""),
        ("cluster-ips", "fd00::1", ""),
        ("cluster-ips", "10.96.0.1 . 80", ""),
        ("cluster-ips", "10.96.0.1", "drop"),
        ("service-ips", "10.96.0.1 . tcp . 80", ""),
        ("service-ips", "10.96.0.1", "drop"),
        ("service-ips", "10.96.0.1 . ", "drop"),
        ("service-ips", "10.96.0.1 . tcp . 80 . 80", "drop"),
        ("service-ips", "10.96.0.1 . tcp . 65536", "drop"),
        ("service-ips", "10.96.0.1 . tcp . -1", "drop"),
        ("service-ips", "10.96.0.1 . tcp . \u0663", "drop"),
        ("service-ips", "10.96.0.1 . 256 . 80", "drop"),
        ("service-ips", "10.96.0.1 . icmp . 80", "drop"),
        ("service-ips", "10.96.0.1 . tcp . 80", "goto"),
        ("service-ips", "10.96.0.1 . tcp . 80", "10.244.0.1 . 80"),
        ("service-endpoints-tcp", "10.96.0.1 . 80 . 4294967296", "10.244.0.1 . 80"),
        ("service-endpoints-tcp", "10.96.0.1 . 80 . 1", "drop"),
        ("service-endpoints-tcp", "10.96.0.1 . 80 . 1", "10.244.0.1"),
    ],
)
def test_elements_without_a_form(name: str, key: str, value: str) -> None:
    """What fits no element is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        form_of(name, "ip").pack(NFTElement(name, key, value))


@pytest.mark.parametrize(
    "text",
    [
        "reject",
        "mark set mark or 0x100000000",
        "ip saddr 10.0.0.0/33 goto c",
        "ip saddr 0.0.0.0/0 goto c",
        "ip saddr 10.0.0.1/8 goto c",
        "ip saddr fd00::/8 goto c",
        "ip saddr != 10.0.0.0/8 goto c",
        "iifname abcdefghijklmnop goto c",
        'iifname "*" goto c',
        "fib saddr type local",
        "fib saddr type local drop",
        "goto c extra",
        "dnat ip to ip6 daddr . tcp dport . numgen random mod 3 map @m",
        "dnat ip to ip daddr . tcp dport . numgen random mod 4294967296 map @m",
        "dnat ip to ip daddr . tcp dport . numgen random mod 0 map @m",
        "meta l4proto tcp dnat to 10.244.1.2:8080",
    ],
)
def test_rules_without_a_form(text: str) -> None:
    """A rule that is of no kind known here is a ValueError, and nft's to write."""
    with pytest.raises(ValueError, match=r"."):
        wire.new_rule(TABLE, NFTRule("c", text))


@given(
    st.lists(st.binary(max_size=20).map(lambda d: d + bytes(-len(d) % 4)), min_size=1),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_batches(bodies: list[bytes], generation: int | None) -> None:
    """A batch has its messages between a begin and an end, and the last one asks for an answer."""
    made = [wire.NFTMessage(12, 0x400, each) for each in bodies]
    first, *inner, last = messages(wire.batch(made, generation))
    told = b"" if generation is None else bytes((8, 0, 1, 0)) + generation.to_bytes(4, "big")
    if sys.byteorder == "little":
        assert first == (0x10, 1, 0, b"\0\0\0\x0a" + told)
    assert last[:3] == (0x11, 1, len(bodies) + 1)
    assert [each[3] for each in inner] == bodies
    assert [each[2] for each in inner] == list(range(1, len(bodies) + 1))
    assert [each[1] for each in inner] == [0x401] * (len(bodies) - 1) + [0x405]


@given(st.lists(st.integers(1, 16000), max_size=20), st.sampled_from((28, 40, 64)))
def test_messages_are_short_enough(sizes: list[int], size: int) -> None:
    """Elements are divided over messages whose attribute holds them, and none is cut or lost."""
    packed = [bytes(4 * each) for each in sizes]
    divided = list(wire.divide(packed))
    assert b"".join(divided) == b"".join(packed)
    rows = bytes(size * 300 * len(sizes))
    divided_rows = list(wire.divide_rows(rows, size))
    assert b"".join(divided_rows) == rows
    assert not any(len(each) % size for each in divided_rows)
    for each in (*divided, *divided_rows):
        assert len(wire.new_elements(TABLE, "service-ips", each).body) > 0


READERS: tuple[Callable[[bytes], object], ...] = (
    wire.read_chain,
    wire.read_count,
    wire.read_flags,
    wire.read_flowtable,
    wire.read_object,
    wire.read_rule,
    wire.read_set,
    lambda body: wire.is_of(body, "kube-proxy"),
    lambda body: wire.read_elements(
        body, ("ipv4_addr", "inet_proto", "inet_service"), ("verdict",)
    ),
    lambda body: wire.read_elements(
        body, ("ipv6_addr", "inet_service", "integer"), ("ipv6_addr", "inet_service")
    ),
    lambda body: wire.read_elements(body, ("inet_service", "unknown")),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message with some bytes changed, and its end cut off, or any bytes."""
    data = bytearray(draw(st.sampled_from(captured())).body)
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(4, len(data)))])


@given(damaged() | st.binary())
def test_hostile_messages(body: bytes) -> None:
    """Whatever comes is read, or a ValueError."""
    for read in READERS:
        with suppress(ValueError):
            read(body)


def test_bytes_behind_a_part_are_told() -> None:
    """The kernel takes a key whose filling is not zero, and no packet has it: none of ours."""
    form = form_of("service-ips", "ip")
    packed = bytearray(form.pack(NFTElement("service-ips", "10.96.0.1 . tcp . 80", "drop")))
    packed[17] = 1
    body = wire.new_elements(TABLE, "service-ips", bytes(packed)).body
    [found] = wire.read_elements(body, form.key, form.value)
    assert found.key == "0x0a60000106010000" + "00500000"
