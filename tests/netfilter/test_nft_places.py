"""What lines for nft are about, and which lines may change places."""

from __future__ import annotations

import pytest

from svcnet.netfilter.nft import NFTChain, NFTElement, NFTPlace, NFTRule, NFTSet, are_apart, places

TABLE = "ip6 kube-proxy"
KEY = "fd00::1 . tcp . 80"
CHAIN, OTHER = NFTPlace("chain", "service-a"), NFTPlace("chain", "service-b")
MAP, ELEMENT = NFTPlace("set", "service-ips"), NFTPlace("set", "service-ips", KEY)
SECOND = NFTPlace("set", "service-ips", "fd00::2 . tcp . 80")
ALL = NFTPlace("table", "")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (NFTChain("service-a").add(TABLE), CHAIN),
        (NFTChain("service-a", comment="it").add(TABLE), CHAIN),
        (NFTChain("service-a").flush(TABLE), CHAIN),
        (NFTRule("service-a", "goto service-b", "a : b").add(TABLE), CHAIN),
        (f"delete rule {TABLE} service-a handle 7\n", CHAIN),
        (NFTSet("service-ips", "ipv6_addr", "verdict").add(TABLE), MAP),
        (NFTSet("service-ips", "ipv6_addr").flush(TABLE), MAP),
        (NFTElement("service-ips", KEY, "goto service-a").add(TABLE), ELEMENT),
        (NFTElement("service-ips", KEY, "drop", "a/b : c { }").add(TABLE), ELEMENT),
        (NFTElement("service-ips", KEY).delete(TABLE), ELEMENT),
        (f"add table {TABLE} {{ flags dormant ; }}\n", ALL),
        (f"delete table {TABLE}\n", ALL),
    ],
)
def test_a_line_names_its_place(text: str, place: NFTPlace) -> None:
    """A rule is of its chain, an element has its key, a set and a map are one kind."""
    assert places(text, TABLE) == {place}


@pytest.mark.parametrize(
    ("some", "others", "apart"),
    [
        ([], [ALL], True),
        ([CHAIN], [OTHER, MAP], True),
        ([CHAIN], [CHAIN], False),
        ([ELEMENT], [SECOND], True),
        ([ELEMENT], [ELEMENT], False),
        ([ELEMENT], [MAP], False),
        ([MAP], [SECOND], False),
        ([ALL], [OTHER], False),
        ([OTHER], [ALL], False),
    ],
)
def test_what_meets(some: list[NFTPlace], others: list[NFTPlace], apart: bool) -> None:
    """A set goes with its elements, and a table with everything."""
    assert are_apart(some, others) == apart
