"""Lines of ip -batch: what is written is read as it was."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.addresses import address_text, host_network
from svcnet.family import IPFamily
from svcnet.netfilter import ip
from svcnet.netfilter.ip import Address, wire
from tests.fuzz import examples

TEXTS = st.one_of(
    st.ip_addresses().map(str).map(host_network),
    st.builds("{} peer {}/24".format, st.ip_addresses(v=4), st.ip_addresses(v=4)),
)


@given(st.sampled_from(["add", "del"]), TEXTS)
def test_what_is_written_is_read(verb: str, text: str) -> None:
    """The verb, the address in the words of ip, and the device."""
    found = ip.read(ip.address(verb, text, "kube-ipvs0"))
    assert found == Address(verb, text, "kube-ipvs0")
    assert found is not None
    assert found.address == text.split("/", maxsplit=1)[0].split(" ", maxsplit=1)[0]
    assert text in (f"{found.address}/{found.length}", f"{found.address} peer {found.peer}/24")


@pytest.mark.parametrize(
    "line",
    [
        ip.make_dummy("d", 7),
        ip.name_alias("d", "svcnet"),
        "address show dev d",
        "add KUBE-A 10.0.0.1",
        "",
    ],
)
def test_other_lines_are_about_no_address(line: str) -> None:
    """Lines about a device, of other tools, and none."""
    assert ip.read(line) is None


def test_lines_about_a_device() -> None:
    """A device is made with a group or without one, and gets a name for people."""
    assert ip.make_dummy("d") == "link add d type dummy\n"
    assert ip.make_dummy("d", 7) == "link add d group 7 type dummy\n"
    assert ip.name_alias("d", "svcnet") == "link set d alias svcnet\n"


WORDS = st.sampled_from(
    [
        *("address", "add", "del", "dev", "d", "peer", "10.0.0.1/32", "10.0.0.1/33", "10.0.0.1"),
        *("10.0.0.1/-1", "10.0.0.1/٣", "10.0.0.1/0032", "fd00::1/128", "::1/129", "::g/128"),
        *("1.2.3/24", "/", "10.0.0.1//32", "", "\0", "%eth0", "fe80::1%d/64"),
    ]
)
LINES = st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=40)
SHAPES = st.builds("address add {} dev d".format, st.lists(WORDS, max_size=3).map(" ".join))


@settings(max_examples=examples(200))
@given(LINES | SHAPES)
@example("address add 10.0.0.1 dev d")
@example("address add 10.0.0.1 peer fd00::1/64 dev d")
def test_nothing_is_half_read(line: str) -> None:
    """Any line is about an address that the kernel can be told of, and written again, or none."""
    found = ip.read(line)
    if found is not None:
        assert ip.address(*found).split() == line.split()
        family: IPFamily = "IPv6" if ":" in found.address else "IPv4"
        held = wire.parse_address(wire.address_body(found, family, 7))
        assert held.address == address_text(ip_address(found.address).packed)
