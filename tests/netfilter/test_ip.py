"""Lines of ip -batch: what is written is read as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.addresses import host_network
from svcnet.netfilter import ip
from svcnet.netfilter.ip import Address

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
