"""One form for all the texts that nft takes for the same."""

from __future__ import annotations

import pytest

from svcnet.netfilter.nft import canonical
from svcnet.netfilter.nft.canonical import canonical_key
from svcnet.netfilter.nft.numbers import priority, seconds

SAME = {
    "meta mark & 16384 != 0 meta mark set meta mark ^ 16384 masquerade fully-random": (
        "mark and 0x00004000 != 0 mark set mark xor 0x00004000 masquerade fully-random",
        "meta mark & 0x00004000 != 0x00000000 meta mark set mark ^ 0x4000 masquerade fully-random",
    ),
    "meta mark & 2147483648 != 0": (
        "mark and 0x80000000 != 0",
        "meta mark != 0x00000000/1",
    ),
    "meta mark & 3221225472 == 1073741824": (
        "mark and 0xc0000000 == 0x40000000",
        "meta mark 0x40000000/2",
    ),
    "dnat ip to numgen random mod 2 map { 0 : 10.0.0.1 . 80 , 1 : 10.0.0.2 . 80 }": (
        "dnat ip addr . port to numgen random mod 2 map { 0 : 10.0.0.1 . 80,1 : 10.0.0.2 . 80 }",
        "dnat ip to numgen random mod 2 offset 0 map { 1 : 10.0.0.2 . 80, 0 : 10.0.0.1 . 80 }",
    ),
    "meta l4proto tcp accept": ("meta l4proto 6 accept", "meta l4proto { 6 } accept"),
    "numgen random mod 11 vmap { 2 : goto a , 10 : goto b }": (
        "numgen random mod 11 vmap { 10 : goto b, 2 : goto a }",
    ),
    "ip saddr != 192.0.2.0/24 drop": (
        "ip saddr != { 192.0.2.0/24 } drop",
        "ip saddr != {192.0.2.0/24} drop",
        "ip saddr != 192.0.2.77/24 drop",
    ),
    "ip saddr { 1.2.3.4/31 , 10.0.0.0/8 } accept": (
        "ip saddr { 10.128.0.0/9,10.0.0.0/9 , 1.2.3.5, 1.2.3.4, 10.1.1.1 } accept",
        "ip saddr { 1.2.3.4-1.2.3.5, 10.0.0.0/8 } accept",
    ),
    "ip6 saddr fd00::1 accept": ("ip6 saddr FD00:0:0::0001/128 accept",),
    "tcp dport { 22 , 80-90 } accept": ("tcp dport { 80-85, 22, 86, 87-90 } accept",),
    "ct state established,related accept": (
        "ct state related,established accept",
        "ct state established, related accept",
        "ct state 0x2,0x4 accept",
    ),
    "ct status dnat accept": ("ct status dnat accept", "ct status 0x20 accept"),
    "fib saddr type local drop": ("fib saddr type local drop", "fib saddr type 2 drop"),
    "fib saddr . mark . iif oif missing drop": ("fib saddr . mark . iif check missing drop",),
    "limit rate 5/second drop": ("limit rate 5/second burst 5 packets drop",),
    "limit rate 5/second burst 9 packets drop": (),
    "ip daddr . meta l4proto . th dport { 10.0.0.1 . udp . 53 } accept": (),
    "meta l4proto . th dport { tcp . 53 , udp . 53 } accept": (
        "meta l4proto . th dport { 17 . 53, 6 . 53 } accept",
    ),
    "ip protocol tcp tcp sport . tcp dport { 6 . 80 , 7 . 80 } accept": (
        "ip protocol 6 tcp sport . tcp dport { 7 . 80, 6 . 80 } accept",
    ),
    "update @s/1 { ip saddr timeout 10800s }": (
        "update @s/1 { ip saddr timeout 3h }",
        "update @s/1 { ip saddr timeout 10800s }",
    ),
    "iifname cni0 accept": ('iifname "cni0" accept', "meta iifname cni0 accept"),
    'iifname "mark" accept': ('iifname "mark" accept',),
    'log prefix "a  b: "': ('log  prefix "a  b: "',),
    "reject": (
        "reject",
        "reject with icmp type port-unreachable",
        "reject with icmp port-unreachable",
        "reject with icmpx port-unreachable",
    ),
    "reject with icmp host-unreachable": ("reject with icmp type host-unreachable",),
    "reject with tcp reset": ("reject with tcp reset",),
    "counter drop": ("counter packets 17 bytes 2000 drop",),
    "tcp flags & ( fin | syn ) == syn": ("tcp flags & (fin|syn) == syn",),
    "@th,16,16 53 accept": ("@th,16,16 0x35 accept",),
    "jump service-X/a__fd00.10..5/8080": ("jump service-X/a__fd00.10..5/8080",),
}


@pytest.mark.parametrize(
    ("form", "text"), [(form, text) for form, texts in SAME.items() for text in (form, *texts)]
)
def test_what_means_the_same_is_the_same(form: str, text: str) -> None:
    """Written or printed, by whichever version: one form, which is its own."""
    if form.startswith("ip daddr . meta"):
        form = form.replace("{ 10.0.0.1 . udp . 53 }", "10.0.0.1 . udp . 53")
    assert canonical(text) == form


@pytest.mark.parametrize("text", ["{ { {", "a } b", "a { b { c } }", '"', 'a "b', "", ", , ,", "|"])
def test_what_is_no_rule_is_left(text: str) -> None:
    """What nft never prints stays a text of the same words, whatever it is."""
    assert canonical(canonical(text)) == canonical(text)


def test_keys_have_names_for_protocols() -> None:
    """By the types of their parts, so that a port is none."""
    types = ("ipv6_addr", "inet_proto", "inet_service")
    assert canonical_key("fd00:0::1 . 6 . 6", types) == "fd00::1 . tcp . 6"
    assert canonical_key("6", ("inet_proto",)) == "tcp"
    assert canonical_key("0x10", ("mark",)) == "16"


def test_times_and_priorities() -> None:
    """As nft prints them, in words or in numbers; what is neither is nothing."""
    assert [seconds(each) for each in ("1d2h3m4s5ms", "3h", "90", "1500ms")] == [
        93784.005,
        10800,
        90,
        1.5,
    ]
    assert [seconds(each) for each in ("", "3x", "s", "٣", "9" * 50)] == [None] * 5
    assert [priority(each, "ip") for each in ("-110", "dstnat - 10", "srcnat+5")] == [
        -110,
        -110,
        105,
    ]
    assert priority("filter", "bridge") == -200
    assert [priority(each, "ip") for each in ("", "none", "filter -", "1" * 30)] == [None] * 4
