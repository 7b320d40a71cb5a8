"""What changes a table over netlink: nft's own bytes, there and back, and safe to read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPAddress, IPRange, IPSet

from svcnet.netfilter.nft import NFTElement, NFTRule, NFTTable, wire
from svcnet.netfilter.nft.wire import uapi
from svcnet.netlink import (
    NFGENMSG,
    NLM_F_REQUEST,
    attribute,
    attributes,
    each_attribute,
    messages,
)
from tests.netfilter.nft_messages import captured, form_of, messages_of

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="captured bytes")


@little_endian
def test_bytes_are_nfts_own() -> None:
    """Of every kind of object that a change writes, in both families and of all protocols."""
    others = []
    for sent in captured():
        made = messages_of(sent.line)
        ours = [(each.kind, each.flags | NLM_F_REQUEST, each.body.hex()) for each in made]
        nfts = [(each.kind, each.flags, each.body.hex()) for each in sent.messages]
        if ours != nfts:
            others.append((sent.line, ours, nfts))
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
        "fib saddr type local accept",
        "goto c extra",
        "dnat ip to ip6 daddr . tcp dport . numgen random mod 3 map @m",
        "dnat ip to ip daddr . tcp dport . numgen random mod 4294967296 map @m",
        "dnat ip to ip daddr . tcp dport . numgen random mod 0 map @m",
        "dnat ip addr . port to numgen random mod 0 map { 0 : 10.244.1.2 . 8080 }",
        "dnat ip addr . port to numgen random mod 1 map { 0 : fd00::1 . 8080 }",
        "dnat ip addr . port to numgen random mod 1 map { 0 : 10.244.1.2 }",
        "dnat ip addr . port to numgen random mod 1 map { 0 : drop }",
        "dnat ip addr . port to numgen random mod 1 map { }",
        "meta l4proto icmp dnat to 10.244.1.2:8080",
        "dnat to 10.244.1.2:65536",
        "dnat to 10.244.1.2",
        "dnat to fd00::1:8080",
        "dnat to [10.244.1.2]:8080",
        "numgen random mod 1 vmap { 0 : 10.244.1.2 . 8080 }",
        "numgen random mod 4294967296 vmap { 0 : goto c }",
        "numgen random mod 1 vmap { a : goto c }",
        "numgen inc mod 1 vmap { 0 : goto c }",
        "ip saddr != { 10.0.0.1 , 10.0.0.2 } drop",
        "ip saddr != { 10.0.0.0/8 , fd00::/8 } drop",
        "ip saddr != { 10.0.0.1/8 , 10.0.0.2 } drop",
        "ip saddr != { 0.0.0.0/0 } drop",
        "ip saddr != { } drop",
        "ip saddr != { 10.0.0.0/8 , 10.0.0.1 } ip saddr != { 11.0.0.0/8 , 11.0.0.1 } drop",
        "ip saddr @s",
        "update @s { ip daddr }",
    ],
)
def test_rules_without_a_form(text: str) -> None:
    """A rule that is of no kind known here is a ValueError, and nft's to write."""
    with pytest.raises(ValueError, match=r"."):
        wire.new_rule(TABLE, NFTRule("c", text), 1)


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, wire.ElementForm, list[tuple[str, str]]]:
    """A rule that brings a map with it, the form of that, and what is in it."""
    ip = draw(st.sampled_from(("ip", "ip6")))
    is_verdict = draw(st.booleans())
    address = "ipv6_addr" if ip == "ip6" else "ipv4_addr"
    form = wire.ElementForm(("integer",), ("verdict",) if is_verdict else (address, "inet_service"))
    values = st.builds("{} . {}".format, addresses(ip), PORTS)
    if is_verdict:
        values = st.sampled_from(("goto a", "goto endpoint-b/8080", "drop"))
    chosen = draw(st.lists(values, min_size=1, max_size=12))
    made = [(str(number), value) for number, value in enumerate(chosen)]
    inside = f"{{ {' , '.join([f'{key} : {value}' for key, value in made])} }}"
    number = f"numgen random mod {len(made)}"
    if is_verdict:
        return f"{number} vmap {inside}", form, made
    match = f"meta l4proto {draw(PROTOCOLS)}"
    return f"{match} dnat {ip} addr . port to {number} map {inside}", form, made


@given(rules(), COMMENTS, st.integers(0, 2**32 - 1))
def test_maps_of_rules_there_and_back(
    made: tuple[str, wire.ElementForm, list[tuple[str, str]]], comment: str, set_id: int
) -> None:
    """The map comes first with all that the text says, and rule and map have one id."""
    text, form, elements = made
    first, filling, last = wire.new_rule(TABLE, NFTRule("c", text, comment), set_id)
    told = attributes(first.body, NFGENMSG.size)
    assert told[uapi.NFTA_SET_ID] == set_id.to_bytes(4, "big")
    read = wire.read_elements(filling.body, form.key, form.value)
    assert [(each.key, each.value) for each in read] == elements
    own = attribute(uapi.NFTA_LOOKUP_SET_ID, set_id.to_bytes(4, "big"))
    assert attribute(uapi.NFTA_LOOKUP_SET, b"__map%d\0") + own in last.body


def test_a_large_map_is_filled_by_several_messages() -> None:
    """What an attribute of 16 bits cannot tell the length of."""
    ends = [f"{n} : 10.{n >> 8}.{n & 255}.1 . 80" for n in range(5000)]
    text = f"dnat ip addr . port to numgen random mod 5000 map {{ {' , '.join(ends)} }}"
    _, *filling, _ = wire.new_rule(TABLE, NFTRule("c", text), 1)
    form = wire.ElementForm(("integer",), ("ipv4_addr", "inet_service"))
    found = [
        f"{each.key} : {each.value}"
        for message in filling
        for each in wire.read_elements(message.body, form.key, form.value)
    ]
    assert len(filling) == 3
    assert found == ends


def networks(ip: str) -> st.SearchStrategy[str]:
    """Networks and addresses that are often close to one another, or at either end."""
    bits, make = (128, IPv6Address) if ip == "ip6" else (32, IPv4Address)
    most = 2**bits - 1
    numbers = st.integers(0, 40) | st.integers(most - 40, most) | st.integers(0, most)

    def write(number: int, length: int | None) -> str:
        if length is None:
            return str(make(number))
        return f"{make(number >> bits - length << bits - length)}/{length}"

    lengths = st.none() | st.integers(bits - 6, bits) | st.integers(0, bits)
    return st.builds(write, numbers, lengths)


@given(st.data(), st.sampled_from(("ip", "ip6")))
def test_sources_there_and_back(data: st.DataObject, ip: str) -> None:
    """The intervals of a set hold the addresses of its networks, and no others."""
    size = 16 if ip == "ip6" else 4
    nets = data.draw(st.lists(networks(ip), min_size=2, max_size=6))
    nets.append("2001:db8::/126" if ip == "ip6" else "192.0.2.64/26")
    text = f"{ip} saddr != {{ {' , '.join(nets)} }} drop"
    _, filling, _ = wire.new_rule(TABLE, NFTRule("c", text), 1)
    told = attributes(filling.body, NFGENMSG.size)[uapi.NFTA_SET_ELEM_LIST_ELEMENTS]
    ends: list[tuple[int, bool]] = []
    for _, element in each_attribute(told):
        parts = attributes(element)
        key = attributes(parts[uapi.NFTA_SET_ELEM_KEY])[uapi.NFTA_DATA_VALUE]
        ends.append((int.from_bytes(key, "big"), uapi.NFTA_SET_ELEM_FLAGS in parts))
    assert [each for each, _ in ends] == sorted({each for each, _ in ends})
    begins = [each for each, is_end in ends if not is_end]
    over = [each for each, is_end in ends if is_end and each] + [2 ** (8 * size)]
    found = list(zip(begins, over, strict=False))
    version = 6 if ip == "ip6" else 4
    ranges = [IPRange(*(IPAddress(n, version) for n in (one, end - 1))) for one, end in found]
    assert IPSet(ranges) == IPSet(nets)


WORDS = (
    *("ip", "ip6", "saddr", "daddr", "!=", "{", "}", ",", ":", ".", "@s", "drop", "goto", "c"),
    *("meta", "l4proto", "tcp", "dnat", "to", "addr", "port", "numgen", "random", "mod", "3"),
    *("map", "vmap", "update", "mark", "set", "or", "0x4000", "iifname", '"eth*"', "fib", "type"),
    *(
        "local",
        "10.0.0.1",
        "10.0.0.0/8",
        "fd00::1",
        "[fd00::1]:80",
        "10.0.0.1:80",
        "0",
        "99999999999",
    ),
)


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=12).map(" ".join))
def test_any_text_is_a_rule_or_not(text: str) -> None:
    """Whatever a rule says it has bytes, or a ValueError has nft write it."""
    with suppress(ValueError):
        assert wire.new_rule(TABLE, NFTRule("c", text), 1)


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


@given(st.lists(st.integers(1, 16000), max_size=20))
def test_messages_are_short_enough(sizes: list[int]) -> None:
    """Elements are divided over messages whose attribute holds them, and none is cut or lost."""
    packed = [bytes(4 * each) for each in sizes]
    divided = list(wire.divide(packed))
    assert b"".join(divided) == b"".join(packed)
    for each in divided:
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
    data = bytearray(draw(st.sampled_from(draw(st.sampled_from(captured())).messages)).body)
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
