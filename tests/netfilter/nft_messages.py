"""What nft sends the kernel for each kind of object that a change writes, and what we send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from svcnet.netfilter.nft import NFTElement, NFTRule, NFTSet, NFTTable, wire

MESSAGES = Path(__file__).with_name("messages") / "nft-1.0.6.txt"
TABLES = (NFTTable("ip", "kube-proxy"), NFTTable("ip6", "kube-proxy"))
_LINE = re.compile(
    r"(?P<verb>add|delete|flush) (?P<kind>rule|chain|set|element) (?P<ip>ip6?) kube-proxy "
    r"(?P<name>\S+)"
    r"(?: (?P<rest>.*))?"
)
_ELEMENT = re.compile(r'\{ (?P<key>.*?)(?: comment "(?P<comment>.*)")?(?: : (?P<value>.*))? \}')
_RULE = re.compile(r'(?P<text>.*?)(?: comment "(?P<comment>.*)")?')
_CLIENTS = re.compile(r"\{ type (\w+) ; flags dynamic,timeout ; timeout (\d+)s ; \}")


@cache
def sets(ip: str) -> dict[str, NFTSet]:
    """Return a set of each kind of the flat layout, by name."""
    address, verdict = _address_type(ip), "verdict"
    frontend = f"{address} . inet_proto . inet_service"
    found = [
        NFTSet("cluster-ips", address),
        NFTSet("nodeport-ips", address),
        NFTSet("hairpin-connections", f"{address} . {frontend}"),
        *[NFTSet(f"{each}s", frontend, verdict) for each in ("service-ip", "firewall-ip")],
        NFTSet("no-endpoint-services", frontend, verdict),
        NFTSet("service-nodeports", "inet_proto . inet_service", verdict),
        NFTSet("no-endpoint-nodeports", "inet_proto . inet_service", verdict),
    ]
    for protocol in ("tcp", "udp", "sctp"):
        port = f"{protocol} dport"
        endpoint = f"{ip} daddr . {port}"
        for name, key in (("service", endpoint), ("nodeport", port)):
            type_ = f"typeof {key} . numgen random mod 65536"
            found.append(NFTSet(f"{name}-endpoints-{protocol}", type_, endpoint))
            found.append(NFTSet(f"{name}-local-endpoints-{protocol}", type_, endpoint))
    return {each.name: each for each in found}


def frame(table: NFTTable) -> str:
    """Return the lines, for nft, that make a table with these sets, and with chains."""
    found = [f"add table {table}"]
    for made in sets(table.family).values():
        types = made.type if made.type.startswith("typeof ") else f"type {made.type}"
        value = f" : {made.value}" if made.value else ""
        found.append(f"add {made.kind} {table} {made.name} {{ {types}{value} ; size 1024 ; }}")
    chains = ["reject-chain", "firewall-ABCDEFGH-default/web/tcp/http"]
    for protocol in ("tcp", "udp", "sctp"):
        kinds = ("cluster", "external", "nodeport-cluster", "nodeport-external")
        chains += [f"{kind}-{protocol}-3" for kind in kinds]
        chains += [f"local-{protocol}-1", f"external-local-{protocol}-3-1"]
    for protocol in ("tcp", "udp", "sctp"):
        chains.append(f"service-ABCDEFGH-default/web/{protocol}/http")
        for name in endpoints(table.family, protocol):
            chains.append(f"endpoint-{name}")
            made = NFTSet(f"affinity-{name}", f"{_address_type(table.family)}", seconds=10800)
            found.append(made.add(str(table)).rstrip("\n"))
    found += [f"add chain {table} {name}" for name in chains]
    return "\n".join(found) + "\n"


def endpoints(ip: str, protocol: str) -> list[str]:
    """Return what chains and sets of endpoints are called behind the kind of them."""
    places = ("10.244.1.2", "10.244.1.3") if ip == "ip" else ("fd00.10.244..2", "fd00.10.244..3")
    return [f"ABCDEFG{place[-1]}-default/web/{protocol}/http__{place}/8080" for place in places]


def _address_type(ip: str) -> str:
    return "ipv6_addr" if ip == "ip6" else "ipv4_addr"


def form_of(name: str, ip: str) -> wire.ElementForm:
    """Return the form of the elements of one of these sets."""
    made = sets(ip)[name]
    return wire.ElementForm.of(made.type, made.value)


class Message(NamedTuple):
    """What nft sends."""

    kind: int
    flags: int
    body: bytes


class Sent(NamedTuple):
    """A line, and what nft sends for it: a rule comes behind a set that it brings."""

    line: str
    messages: tuple[Message, ...]


@cache
def captured() -> tuple[Sent, ...]:
    return tuple(_read_captured())


def _read_captured() -> Iterator[Sent]:
    for each in re.split(r"^(?=[^#\t])", MESSAGES.read_text(), flags=re.MULTILINE)[1:]:
        line, *sent = each.splitlines()
        yield Sent(line, tuple([_read_message(told) for told in sent]))


def _read_message(told: str) -> Message:
    kind, flags, body = told.split()
    return Message(int(kind), int(flags, 16), bytes.fromhex(body))


def messages_of(line: str, set_id: int = 1) -> list[wire.NFTMessage]:
    """Return our messages for a line, whose set has an id."""
    found = _LINE.fullmatch(line)
    assert found
    verb, kind, name, rest = found["verb"], found["kind"], found["name"], found["rest"]
    table = NFTTable("ip6" if found["ip"] == "ip6" else "ip", "kube-proxy")
    if kind == "chain":
        make = {"add": wire.new_chain, "flush": wire.flush_chain, "delete": wire.delete_chain}
        return [make[verb](table, name)]
    if kind == "rule":
        rule = _RULE.fullmatch(rest)
        assert rule
        return wire.new_rule(table, NFTRule(name, rule["text"], rule["comment"] or ""), set_id)
    if kind == "set":
        clients = _CLIENTS.fullmatch(rest)
        assert clients
        return [wire.new_set(table, NFTSet(name, clients[1], seconds=int(clients[2])), set_id)]
    element, form = _ELEMENT.fullmatch(rest), form_of(name, found["ip"])
    assert element
    if verb == "delete":
        return [wire.delete_elements(table, name, form.pack_key(element["key"]))]
    made = NFTElement(name, element["key"], element["value"] or "", element["comment"] or "")
    return [wire.new_elements(table, name, form.pack(made))]
