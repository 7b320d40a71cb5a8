"""What nft prints, as values: both versions, all options, and what nobody understands."""

from __future__ import annotations

import pytest

from svcnet.netfilter.nft import (
    ElementState,
    HookState,
    ListingError,
    OtherState,
    RuleState,
    UnknownLine,
    read_listing,
)

LISTING = """\
# Warning: table ip nat is managed by iptables-nft, do not touch!
table ip kube-proxy { # handle 7
	comment "rules for kube-proxy"
	flags dormant
	set affinity-X/a__10.0.0.1/80 { # handle 34
		type ipv4_addr
		size 65535	# count 2
		flags dynamic,timeout
		timeout 3h
		elements = { 10.9.0.1 expires 2h59m59s868ms, 10.9.0.2 timeout 1m expires 5s last }
	}

	map no-endpoint-services {
		type ipv4_addr . inet_proto . inet_service : verdict
		comment "what, } is { refused"
		elements = { 203.0.113.7 . 6 . 80 comment "shop/empty: a, b } c" : goto reject-chain,
			10.96.0.14 . udp . 80 : drop }
	}

	set later {
		typeof meta l4proto . th dport
		policy memory
		elements = { 17 . 53 }
	}

	counter seen { # handle 3
		comment "hello"
		packets 0 bytes 0
	}

	flowtable ft {
		hook ingress priority filter
		devices = { eth0, eth1 }
	}

	chain filter-prerouting { # handle 12
		type filter hook prerouting priority dstnat - 10; policy drop;
		comment "a chain"
		ct state new jump services comment "why # handle 5" # handle 66
		log prefix "x comment \\" counter packets 3 bytes 4
	}

	chain services {
	}
}

table netdev d {
	chain in {
		type filter hook ingress devices = { "eth0", eth1 } priority -5; policy accept;
	}
}
"""


def test_a_table_is_read() -> None:
    """Its chains, sets, maps and other things, in order, with their places in the listing."""
    found = read_listing(LISTING)
    assert list(found.tables) == [("ip", "kube-proxy"), ("netdev", "d")]
    table = found.tables["ip", "kube-proxy"]
    assert (table.comment, table.handle, table.line) == ("rules for kube-proxy", 7, 2)
    assert table.flags == {"dormant"}
    affinity, refused, later = table.sets.values()
    assert (affinity.name, affinity.kind, affinity.timeout, affinity.size, affinity.handle) == (
        "affinity-X/a__10.0.0.1/80",
        "set",
        10800,
        65535,
        34,
    )
    assert affinity.flags == {"dynamic", "timeout"}
    assert list(affinity.elements.values()) == [
        ElementState("10.9.0.1", expires=10799.868, line=10),
        ElementState("10.9.0.2", timeout=60, expires=5, state="last", line=10),
    ]
    assert (refused.kind, refused.value, refused.comment) == (
        "map",
        "verdict",
        "what, } is { refused",
    )
    assert list(refused.elements.values()) == [
        ElementState(
            "203.0.113.7 . tcp . 80", "goto reject-chain", "shop/empty: a, b } c", line=16
        ),
        ElementState("10.96.0.14 . udp . 80", "drop", line=17),
    ]
    assert (later.options, list(later.elements)) == (("policy memory",), ["udp . 53"])
    assert table.others == (
        OtherState("counter", "seen", 'comment "hello"\npackets 0 bytes 0', 26),
        OtherState("flowtable", "ft", "hook ingress priority filter\ndevices = { eth0, eth1 }", 31),
    )


def test_a_chain_is_read() -> None:
    """Its hook, its comment and its rules, with what nft printed."""
    table = read_listing(LISTING).tables["ip", "kube-proxy"]
    chain = table.chains["filter-prerouting"]
    assert chain.hook == HookState("filter", "prerouting", -110, "drop")
    assert (chain.comment, chain.handle, chain.line) == ("a chain", 12, 36)
    first, second = chain.rules
    assert first == RuleState(
        "ct state new jump services",
        "why # handle 5",
        66,
        39,
        'ct state new jump services comment "why # handle 5"',
    )
    assert second.text == r'log prefix "x comment \" counter'
    assert table.chains["services"].rules == ()
    assert table.unknown == ()
    hook = read_listing(LISTING).tables["netdev", "d"].chains["in"].hook
    assert hook == HookState("filter", "ingress", -5, devices=("eth0", "eth1"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("hello\n", 1, "no table begins here: hello"),
        ("{}", 1, "no table begins here"),
        ("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", 1, "no table begins here"),
        ("table ip x\n", 1, "no table begins here"),
        ("table ipx x {\n}\n", 1, "no table begins here"),
        ("table ip x {\n}\n}\n", 3, "no table begins here"),
        ("table ip x {\n\tchain c {\n\t\taccept\n", 2, "cut off in chain c"),
        ("table ip x {\n\tset s {\n\t\ttype ipv4_addr\n", 2, "cut off in set s"),
        ("table ip x {\n\tset s {\n\telements = { 1.2.3.4,\n", 3, "cut off in the elements"),
        ("table ip x {\n\tflowtable s {\n\tx {\n\t}\n", 2, "cut off in flowtable s"),
        ("table ip x {\n}\ntable ip x {\n}\n", 3, "table ip x is there twice"),
        ("table ip x {\nchain c {\n}\nchain c {\n}\n}\n", 4, "chain c is there twice"),
        ("table ip x {\nset s {\ntype mark\n}\nmap s {\n}\n}\n", 5, "map s is there twice"),
    ],
)
def test_what_is_no_listing_is_told(text: str, line: int, words: str) -> None:
    """With the line, and never read in part."""
    with pytest.raises(ListingError, match=words) as caught:
        read_listing(text)
    assert caught.value.line == line


def test_nothing_is_no_table() -> None:
    """nft prints nothing where there is nothing."""
    assert read_listing("").tables == read_listing("\n\n").tables == {}


STRANGE = """\
table inet x {
	what is this
	set s {
		type ipv4_addr
		elements = { 10.0.0.1, 10.0.0.1, 10.0.0.2 expires soon, 10.0.0.3 comment }
	}
	map n {
		comment "no type"
	}
	chain c {
		type filter hook input priority soon; policy accept;
		accept
		log prefix "never ended
		drop
	}
}
"""


def test_what_is_not_understood_is_kept() -> None:
    """Each with its line; the rules of the chain are all there."""
    table = read_listing(STRANGE).tables["inet", "x"]
    assert table.unknown == (
        UnknownLine(2, "what is this"),
        UnknownLine(5, "10.0.0.1"),
        UnknownLine(5, "10.0.0.2 expires soon"),
        UnknownLine(5, "10.0.0.3 comment"),
        UnknownLine(7, "map n: its type is missing"),
        UnknownLine(11, "type filter hook input priority soon; policy accept;"),
        UnknownLine(13, 'log prefix "never ended'),
    )
    assert [rule.text for rule in table.chains["c"].rules] == [
        "accept",
        'log prefix " never ended',
        "drop",
    ]
    assert list(table.sets["s"].elements) == ["10.0.0.1"]


def test_quoted_text_may_have_lines() -> None:
    """A rule that was made by netlink, with a comment that looks like other rules."""
    chain = 'chain c {\naccept comment "a\n\t}\ndrop" # handle 4\n\t\tdrop\n\t}\n'
    text = f"table ip x {{\n{chain}}}\n"
    rules = read_listing(text).tables["ip", "x"].chains["c"].rules
    assert [(rule.text, rule.comment, rule.handle, rule.line) for rule in rules] == [
        ("accept", "a\n\t}\ndrop", 4, 3),
        ("drop", "", 0, 6),
    ]
