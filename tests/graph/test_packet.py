"""A packet is one that can be: what is nonsense is an error, and never has an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.errors import UsageError
from svcnet.graph import Packet

GOOD: dict[str, Any] = {"source": "10.244.1.5", "destination": "10.96.0.10", "port": 80}
BAD: dict[str, dict[str, Any]] = {
    "a port beyond the last": {"port": 99999},
    "port 0": {"port": 0},
    "a negative port": {"port": -1},
    "a port as text": {"port": "80"},
    "a truth for a port": {"port": True},
    "a port with a fraction": {"port": 80.0},
    "a host name as source": {"source": "web.example"},
    "a host name as destination": {"destination": "localhost"},
    "no source": {"source": ""},
    "no text": {"source": None},
    "a number as address": {"destination": 10},
    "leading zeros": {"destination": "10.096.0.10"},
    "a part of an address": {"destination": "10.96.10"},
    "a network": {"source": "10.244.0.0/16"},
    "an address with a port": {"destination": "10.96.0.10:80"},
    "blanks": {"source": " 10.244.1.5"},
    "the end of a line": {"source": "10.244.1.5\n"},
    "two families": {"source": "fd00::5"},
    "two families the other way": {"destination": "fd00::a"},
    "an IPv4-mapped source": {"source": "::ffff:10.244.1.5", "destination": "fd00::a"},
    "IPv4-mapped addresses": {"source": "::ffff:a00:5", "destination": "::ffff:a60:a"},
    "a zone": {"source": "fe80::1%eth0", "destination": "fd00::a"},
    "a bracket": {"source": "[fd00::5]", "destination": "fd00::a"},
    "a source for many": {"source": "224.0.0.5"},
    "a source for all": {"source": "255.255.255.255"},
    "a source of nobody": {"source": "0.0.0.0"},
    "an IPv6 source of nobody": {"source": "::", "destination": "fd00::a"},
    "a destination of nobody": {"destination": "0.0.0.0"},
    "another protocol": {"protocol": "tcpp"},
    "a protocol in small letters": {"protocol": "tcp"},
    "a protocol without ports": {"protocol": "ICMP"},
    "a long interface": {"interface": "a" * 16},
    "a path for an interface": {"interface": "../eth0"},
    "an interface with a blank": {"interface": "eth 0"},
    "an interface that is no text": {"interface": 7},
    "half a letter": {"interface": "\ud800"},
    "an endpoint without a port": {"remembered": {"10.244.1.5"}},
    "an endpoint of another family": {"remembered": {"[fd00::5]:80"}},
    "an endpoint without brackets": {"remembered": {"fd00::5:80"}},
    "an endpoint with brackets": {"remembered": {"[10.244.1.5]:80"}},
    "an endpoint with port 0": {"remembered": {"10.244.1.5:0"}},
    "an endpoint with an endless port": {"remembered": {"10.244.1.5:" + "1" * 5000}},
}


@pytest.mark.parametrize("given", BAD.values(), ids=BAD)
def test_nonsense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Packet(**{**GOOD, **given})


def test_a_refusal_says_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="a port is from 1 to 65535; not 99999"):
        Packet("10.244.1.5", "10.96.0.10", 99999)
    with pytest.raises(UsageError, match=r"IPv4 is 10\.244\.1\.5"):
        Packet("::ffff:10.244.1.5", "10.96.0.10", 80)


def test_spellings_of_an_address_are_one_packet() -> None:
    """An address has many spellings in IPv6, and rules have one."""
    one = Packet("FD00:0:0::5", "fd00::000a", 80, remembered=frozenset({"[FD00::0:6]:8080"}))
    assert one == Packet("fd00::5", "fd00::a", 80, remembered=frozenset({"[fd00::6]:8080"}))
    assert one.family == "IPv6"


@given(st.text(), st.text(), st.integers() | st.text(), st.text(), st.text())
def test_anything_is_a_packet_or_refused(
    source: str, destination: str, port: Any, protocol: str, interface: str
) -> None:
    """No text ends in anything but a packet or the one error."""
    for fields in (
        {"source": source},
        {"destination": destination},
        {"port": port},
        {"protocol": protocol},
        {"interface": interface},
        {"remembered": {source}},
    ):
        try:
            packet = Packet(**{**GOOD, **fields})
        except UsageError:
            continue
        assert packet.to_dict()["port"] == packet.port
