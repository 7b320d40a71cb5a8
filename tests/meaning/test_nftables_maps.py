"""The interpreter of nf_tables, where maps say by numbers where packets go."""

from __future__ import annotations

from fractions import Fraction

import pytest

from svcnet.graph import Deliver, Packet, Pass, Refuse
from svcnet.meaning import Facts, FoundVerdict, Unknown, nftables, spans
from svcnet.meaning.comparison.diff import rules_diff
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from svcnet.meaning.nftables.ruleset import NFTRuleSet
from svcnet.netfilter.nft import load, read_document, read_listing
from svcnet.netfilter.nft.state import NFTState

PLACES = ("10.244.1.1 . 8080", "10.244.1.2 . 8080", "10.244.1.3 . 9090")
OWN = Facts(addresses=frozenset((spans.number("192.168.50.1"),)))
SERVICE = Packet("203.0.113.7", "10.96.0.10", 80, interface="eth0")
NODE_PORT = Packet("203.0.113.7", "192.168.50.1", 30080, interface="eth0")
TABLE = """table ip flat {
	map front-tcp {
		typeof ip daddr . tcp dport : verdict
		size 1024
		elements = { 10.96.0.10 . 80 : goto bucket }
	}

	map back-tcp {
		typeof ip daddr . tcp dport . numgen random mod 65536 : ip daddr . tcp dport
		size 1024
		elements = { ELEMENTS }
	}

	map node-tcp {
		typeof tcp dport . numgen random mod 65536 : ip daddr . tcp dport
		size 1024
		elements = { 30080 . 0 : 10.244.1.1 . 8080, 30080 . 1 : 10.244.1.2 . 8080 }
	}

	chain bucket {
		RULES
	}

	chain node {
		dnat ip to tcp dport . numgen random mod 2 map @node-tcp
		dnat ip to tcp dport . numgen inc mod 1 map @node-tcp
	}

	chain nat-prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr . tcp dport vmap @front-tcp
		ip daddr 192.168.50.1 goto node
	}
}
"""
BUCKET = (
    "dnat ip to ip daddr . tcp dport . numgen random mod 3 map @back-tcp",
    "dnat ip to ip daddr . tcp dport . numgen inc mod 1 map @back-tcp",
)


def listing(*numbers: int, rules: tuple[str, ...] = BUCKET) -> str:
    elements = ",\n\t\t\t     ".join(f"10.96.0.10 . 80 . {n} : {PLACES[n % 3]}" for n in numbers)
    return TABLE.replace("ELEMENTS", elements).replace("RULES", "\n\t\t".join(rules))


def shares(rules: NFTRuleSet, packet: Packet = SERVICE) -> dict[FoundVerdict, Fraction]:
    """Return the chance of each verdict; all of them are 1, as meant and in the kernel."""
    found = rules.evaluate(packet)
    assert sum(each.probability for each in found) == 1
    assert sum(each.kernel for each in found) == 1
    told: dict[FoundVerdict, Fraction] = {}
    for each in found:
        told[each.verdict] = told.get(each.verdict, Fraction(0)) + each.probability
    return told


def place(number: int) -> Deliver:
    address, _, port = PLACES[number].partition(" . ")
    return Deliver(address, int(port), False)


def test_each_number_of_a_key_has_its_share() -> None:
    """Three elements of a destination are three endpoints, each with the kernel's own share."""
    rules = nftables.read(listing(0, 1, 2), OWN)
    assert shares(rules) == dict.fromkeys(map(place, range(3)), Fraction(1, 3))
    kernel = [each.kernel * (1 << 32) for each in rules.evaluate(SERVICE)]
    assert kernel == [1431655766, 1431655765, 1431655765]


def test_who_draws_a_number_without_element_meets_the_next_rule() -> None:
    """A miss is no end: the second rule takes the first endpoint."""
    rules = nftables.read(listing(0, 2), OWN)
    assert shares(rules) == {place(0): Fraction(2, 3), place(2): Fraction(1, 3)}


def test_without_any_element_packets_pass() -> None:
    """A map that has nothing for a destination leaves it as it is."""
    assert shares(nftables.read(listing(1), OWN)) == {
        place(1): Fraction(1, 3),
        Pass(): Fraction(2, 3),
    }
    others = nftables.read(listing(0).replace("10.96.0.10 . 80 . 0", "10.96.0.11 . 80 . 0"), OWN)
    assert shares(others) == {Pass(): Fraction(1)}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("numgen inc mod 2", {0: 2, 1: 2}),
        ("numgen random mod 1", {0: 4}),
        ("numgen random mod 2 offset 1", {1: 2, 2: 2}),
        ("numgen random mod 4", {0: 1, 1: 1, 2: 1}),
    ],
)
def test_numbers_come_by_chance_or_in_turns(rule: str, expected: dict[int, int]) -> None:
    """Of four packets, so many get to an endpoint; the rest of them pass."""
    words = f"dnat ip to ip daddr . tcp dport . {rule} map @back-tcp"
    found = shares(nftables.read(listing(0, 1, 2, rules=(words,)), OWN))
    passing = {Pass(): Fraction(1, 4)} if sum(expected.values()) < 4 else {}
    assert found == {place(n): Fraction(share, 4) for n, share in expected.items()} | passing


def test_turns_are_told_as_such() -> None:
    """What takes turns is not said to be drawn; the only number of one is no turn."""
    for rule, choice in (
        ("numgen inc mod 2", "each number comes in its turn (numgen inc)"),
        ("numgen random mod 2", "one number of 32 bits is drawn (numgen)"),
        ("numgen inc mod 1", ""),
    ):
        words = f"dnat ip to ip daddr . tcp dport . {rule} map @back-tcp"
        rules = nftables.read(listing(0, 1, rules=(words,)), OWN)
        assert explain_rules(MachineQuestion(rules, ("dump",)), SERVICE).choice == choice


@pytest.mark.parametrize(
    "rules",
    [
        ("numgen random mod 10 vmap { 0-6 : drop, 7-9 : accept }",),
        ("numgen random mod 10 vmap { 0-6 : drop }",),
        ("numgen random mod 10 offset 100 vmap { 0-106 : drop, 107-200 : accept }",),
    ],
)
def test_an_element_may_be_for_many_numbers(rules: tuple[str, ...]) -> None:
    """A range of numbers has the share of all that are in it."""
    found = shares(nftables.read(listing(0, rules=rules), OWN))
    drop = next(each for each in found if isinstance(each, Refuse))
    assert found == {drop: Fraction(7, 10), Pass(): Fraction(3, 10)}


def test_senders_may_be_asked_for_beside_a_number() -> None:
    """Whom an element is not for meets the next rule, whatever is drawn."""
    elements = "{ 203.0.113.0/24 . 0 : 10.244.1.1 . 8080, 203.0.113.7 . 1 : 10.244.1.2 . 8080 }"
    drawn = f"dnat ip to ip saddr . numgen random mod 2 map {elements}"
    rules = nftables.read(listing(0, rules=(drawn, "dnat ip to 10.244.1.3")), OWN)
    assert shares(rules) == {place(0): Fraction(1, 2), place(1): Fraction(1, 2)}
    other = Packet("203.0.113.8", "10.96.0.10", 80, interface="eth0")
    assert shares(rules, other) == {
        place(0): Fraction(1, 2),
        Deliver("10.244.1.3", 80, False): Fraction(1, 2),
    }
    stranger = Packet("192.0.2.9", "10.96.0.10", 80, interface="eth0")
    assert shares(rules, stranger) == {Deliver("10.244.1.3", 80, False): Fraction(1)}


def test_two_numbers_at_once_are_not_understood() -> None:
    """What nobody reads is told, and not guessed."""
    words = "dnat ip to numgen random mod 2 . numgen inc mod 2 map { 0 . 0 : 10.0.0.1 . 80 }"
    (verdict,) = shares(nftables.read(listing(0, rules=(words,)), OWN))
    assert isinstance(verdict, Unknown)


def test_a_table_of_both_families_translates_its_own_packets_alone() -> None:
    """What is translated to an address of IPv6 is no packet of IPv4."""
    text = (
        "table inet t {\n\tchain c {\n\t\ttype nat hook prerouting priority dstnat; policy accept;"
        "\n\t\tdnat ip6 to fd00::1\n\t\tdnat ip to 10.244.1.1:8080\n\t}\n}\n"
    )
    assert shares(nftables.read(text, OWN)) == {place(0): Fraction(1)}
    packet = Packet("2001:db8::7", "fd00:96::a", 80, interface="eth0")
    facts = Facts("IPv6")
    assert shares(nftables.read(text, facts), packet) == {Deliver("fd00::1", 80, False): 1}


def test_the_element_is_told_that_decided() -> None:
    """The way of a packet has the elements that it took, each with its line."""
    rules = nftables.read(listing(0, 1, 2), OWN, file="dump")
    found = rules.evaluate(SERVICE)[1]
    told = [(each.chain, each.text, each.line) for each in found.rules]
    assert told == [
        ("nat-prerouting", "ip daddr . tcp dport vmap @front-tcp", 34),
        ("@front-tcp", "{ 10.96.0.10 . 80 : goto bucket }", 5),
        ("bucket", BUCKET[0], 23),
        ("@back-tcp", "{ 10.96.0.10 . 80 . 1 : 10.244.1.2 . 8080 }", 12),
    ]


def test_json_is_the_same() -> None:
    """nft's JSON has the expressions of a key one by one, and types in place of fields."""
    payload = '{"payload": {"protocol": "ip", "field": "daddr"}}'
    port = '{"payload": {"protocol": "tcp", "field": "dport"}}'
    dice = '{"numgen": {"mode": "random", "mod": 3, "offset": 0}}'
    key = f'{{"concat": [{payload}, {port}, {dice}]}}'
    dnat = f'{{"dnat": {{"family": "ip", "addr": {{"map": {{"key": {key}, "data": "@m"}}}}}}}}'
    element = '[{"concat": ["10.96.0.10", 80, 0]}, {"concat": ["10.244.1.1", 8080]}]'
    of = '"family": "ip", "table": "t", "handle": 2'
    document = f"""{{"nftables": [
        {{"table": {{"family": "ip", "name": "t", "handle": 1}}}},
        {{"map": {{{of}, "name": "m", "type": ["ipv4_addr", "inet_service", "integer"],
                   "map": "ipv4_addr . inet_service", "size": 1024, "elem": [{element}]}}}},
        {{"chain": {{{of}, "name": "c"}}}},
        {{"rule": {{{of}, "chain": "c", "expr": [{dnat}]}}}}
    ]}}"""
    text = (
        "table ip t {\n\tmap m {\n\t\ttypeof ip daddr . tcp dport . numgen random mod 65536 : "
        "ip daddr . tcp dport\n\t\tsize 1024\n\t\telements = { 10.96.0.10 . 80 . 0 : "
        "10.244.1.1 . 8080 }\n\t}\n\tchain c {\n\t\t"
        "dnat ip to ip daddr . tcp dport . numgen random mod 3 map @m\n\t}\n}\n"
    )
    (said,), (listed,) = (
        each.tables.values() for each in (read_document(document), read_listing(text))
    )
    assert [rule.text for rule in said.chains["c"].rules] == [
        rule.text for rule in listed.chains["c"].rules
    ]
    mine, its = said.sets["m"], listed.sets["m"]
    assert [(each.key, each.value) for each in mine.elements.values()] == [
        (each.key, each.value) for each in its.elements.values()
    ]
    assert (mine.size, mine.kind) == (its.size, its.kind) == (1024, "map")


def test_lines_for_nft_are_read_as_well() -> None:
    """A map with ``typeof`` and ``size`` is made, and filled, by lines."""
    text = (
        "add table ip t\n"
        "add map ip t m { typeof ip daddr . tcp dport . numgen random mod 65536 : "
        "ip daddr . tcp dport ; size 1024 ; }\n"
        "add element ip t m { 10.96.0.10 . 80 . 0 : 10.244.1.1 . 8080 }\n"
    )
    made = load(NFTState(), text).tables["ip", "t"].sets["m"]
    assert made.type == "typeof ip daddr . tcp dport . numgen random mod 65536"
    assert (made.value, made.size) == ("ip daddr . tcp dport", 1024)
    assert made.elements["10.96.0.10 . 80 . 0"].value == "10.244.1.1 . 8080"


def test_a_port_is_looked_at_where_rules_lead_to_it() -> None:
    """A chain that names ports alone is for the addresses of the rules that lead to it."""
    rules = nftables.read(listing(0, 1, 2), OWN)
    assert (spans.number("10.96.0.10"), "tcp", 80) in rules.names().keys
    assert rules.ports(spans.number("192.168.50.1")) == {"tcp": {(30080, 30080)}}
    assert rules.ports(spans.number("10.96.0.10")) == {}


@pytest.mark.parametrize(
    "rule",
    [
        "fib daddr type local ip daddr != 127.0.0.0/8 tcp dport 30080 dnat to",
        "ip daddr . tcp dport 192.168.50.1 . 30080 dnat to",
        "ip daddr . tcp dport { 192.168.50.0/28 . 30080, 10.9.0.0/16 . 1-9 } dnat to",
        "tcp dport . ip daddr 30080 . 192.168.50.1 dnat to",
    ],
)
def test_where_two_machines_differ_is_found(rule: str) -> None:
    """Whatever way rules name a port of an address, another endpoint behind it is found."""

    def machine(place: str) -> NFTRuleSet:
        text = (
            "table ip t {\n\tchain c {\n\t\ttype nat hook prerouting priority dstnat; "
            f"policy accept;\n\t\t{rule} {place}\n\t}}\n}}\n"
        )
        return nftables.read(text, OWN)

    assert not rules_diff(machine("10.0.0.1:80"), machine("10.0.0.1:80"))
    (change, *_) = rules_diff(machine("10.0.0.1:80"), machine("10.0.0.2:80")).frontends
    assert change
