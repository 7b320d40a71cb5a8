"""The questions of matches, option by option."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from svcnet.meaning import chance, spans
from svcnet.meaning.iptables.marks import read_marks
from svcnet.meaning.iptables.reading import Doubt, XTReading
from svcnet.meaning.iptables.rule import (
    FromLocal,
    FromNetwork,
    HasMark,
    InSet,
    InState,
    Never,
    OfProtocol,
    OriginallyTo,
    Remembers,
    SentBy,
    ToNetwork,
    ToPort,
    ToType,
)
from svcnet.meaning.spans import Span

KNOWN = frozenset(
    (
        *("addrtype", "comment", "connmark", "conntrack", "dccp", "iprange", "mark", "multiport"),
        *("ipvs", "nfacct", "physdev", "recent", "rpfilter", "sctp", "set", "state", "statistic"),
        *("tcp", "udp", "udplite"),
    )
)
"""The matches that are understood, some of their options at least."""

PROTOCOLS = MappingProxyType(
    {"6": "tcp", "17": "udp", "132": "sctp", "0": "all", "136": "udplite", "33": "dccp"}
)
"""The names of protocols that are written as numbers."""

_MODULES_WITHOUT_A_SAY = frozenset(("comment", "nfacct"))
_FULL_MASKS = frozenset(("255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))


def read_option(reading: XTReading, word: str) -> None:
    """Read an option of the match that was named last. Raises Doubt, or ValueError."""
    module = reading.module
    if module in _MODULES_WITHOUT_A_SAY:
        if word in ("--comment", "--nfacct-name"):
            reading.value()
            return
        raise Doubt
    handle = _OPTIONS.get((module, word)) or _ANYWHERE.get(word)
    if handle is None:
        raise Doubt
    handle(reading)


def _to_port(reading: XTReading) -> None:
    span = spans.ports(reading.value())
    if span[0] == span[1] and not reading.is_negated and reading.port is None:
        reading.port = span[0]
    else:
        reading.ask(ToPort((span,), reading.is_negated), first=True)


def _to_ports(reading: XTReading) -> None:
    found = tuple(spans.ports(each) for each in reading.value().split(","))
    reading.ask(ToPort(found, reading.is_negated), first=True)


def _tcp_flags(reading: XTReading) -> None:
    mask, wanted = (set(reading.value().split(",")) for _ in range(2))
    known = {"SYN", "ACK", "FIN", "RST", "URG", "PSH"}
    mask = known if "ALL" in mask else mask - {"NONE"}
    wanted = known if "ALL" in wanted else wanted - {"NONE"}
    if not mask <= known or not wanted <= known:
        raise Doubt
    if (mask & {"SYN"} == wanted) == reading.is_negated:
        reading.ask(Never(False))


def _syn(reading: XTReading) -> None:
    if reading.is_negated:
        reading.ask(Never(False))


def _state(reading: XTReading) -> None:
    names = frozenset(reading.value().split(","))
    if not names <= {
        *("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT", "SNAT"),
    }:
        raise Doubt
    reading.ask(InState(names, reading.is_negated), first=True)


def _original_destination(reading: XTReading) -> None:
    span = spans.network(reading.value())
    reading.ask(OriginallyTo((span,), False, reading.is_negated), first=True)


def _original_port(reading: XTReading) -> None:
    reading.ask(OriginallyTo((spans.ports(reading.value()),), True, reading.is_negated), first=True)


def _original_source(reading: XTReading) -> None:
    reading.ask(FromNetwork(spans.network(reading.value()), reading.is_negated))


def _connection_protocol(reading: XTReading) -> None:
    name = reading.value().lower()
    reading.ask(OfProtocol(PROTOCOLS.get(name, name), reading.is_negated), first=True)


def _direction(reading: XTReading) -> None:
    word = reading.value()
    if word not in ("ORIGINAL", "REPLY"):
        raise Doubt
    if (word == "ORIGINAL") == reading.is_negated:
        reading.ask(Never(False))


def _mark(reading: XTReading) -> None:
    value, bits = read_marks(reading.value())
    is_connection = reading.module == "connmark"
    reading.ask(HasMark(value, bits, reading.is_negated, is_connection), first=True)


def _types(reading: XTReading) -> frozenset[str]:
    """Return the types of addresses of which one is enough.

    In IPv6 each address that is no multicast is UNICAST, the machine's own too, and all types that
    are named must hold. Source: Linux ``net/netfilter/xt_addrtype.c`` (``match_type6``).
    """
    types = frozenset(reading.value().split(","))
    if reading.facts.family == "IPv4":
        return types
    if types == {"UNICAST"}:
        return frozenset(("UNICAST", "LOCAL"))
    if "MULTICAST" in types and len(types) > 1:
        raise Doubt
    return types - {"UNICAST"}


def _to_type(reading: XTReading) -> None:
    types = _types(reading)
    if not types <= {"LOCAL", "UNICAST", "MULTICAST"}:
        raise Doubt
    reading.ask(ToType(types, reading.is_negated), first=True)


def _from_type(reading: XTReading) -> None:
    types = _types(reading)
    if not types <= {"LOCAL", "UNICAST"}:
        raise Doubt
    reading.ask(FromLocal(types, reading.is_negated))


def _from_range(reading: XTReading) -> None:
    reading.ask(FromNetwork(spans.between(reading.value()), reading.is_negated))


def _to_range(reading: XTReading) -> None:
    reading.ask(ToNetwork(spans.between(reading.value()), reading.is_negated), first=True)


def _in_set(reading: XTReading) -> None:
    name, directions = reading.value(), tuple(reading.value().split(","))
    found = reading.facts.sets.get(name)
    if found is None or ("port", "src") in zip(found.parts, directions, strict=False):
        raise Doubt
    if found.family not in (None, reading.facts.family) or len(directions) < len(found.parts):
        reading.ask(Never(reading.is_negated))
    else:
        reading.ask(InSet(name, directions, reading.is_negated))


def _mark_balanced(reading: XTReading) -> None:
    """A virtual server has sent the packet on."""
    _ask_server(reading)


def _server_address(reading: XTReading) -> None:
    _ask_server(reading, address=spans.network(reading.value()))


def _server_protocol(reading: XTReading) -> None:
    name = reading.value().lower()
    _ask_server(reading, protocol=PROTOCOLS.get(name, name))


def _server_port(reading: XTReading) -> None:
    _ask_server(reading, port=spans.ports(reading.value())[0])


def _ask_server(
    reading: XTReading,
    address: Span | None = None,
    protocol: str | None = None,
    port: int | None = None,
) -> None:
    if not reading.facts.balances:
        raise Doubt
    test = SentBy(address, protocol, port, is_negated=reading.is_negated)
    reading.ask(test, first=True)


def _reverse_path(reading: XTReading) -> None:
    """A packet that a network really delivers comes by the way back to its source."""


def _reverse_path_lost(reading: XTReading) -> None:
    reading.ask(Never(False))


def _recent_flag(reading: XTReading, name: str) -> None:
    reading.recent[name] = "!" if reading.is_negated else ""


def _recent_value(reading: XTReading, name: str) -> None:
    reading.recent[name] = reading.value()


def settle_recent(reading: XTReading) -> None:
    """Ask for what the options of ``recent`` come to together."""
    found = reading.recent
    is_full = found.get("--mask", "255.255.255.255") in _FULL_MASKS
    if {"--hitcount", "--rttl", "--rdest", "--remove"} & set(found) or not is_full:
        reading.doubts.append("recent")
        return
    question = found.get("--rcheck", found.get("--update"))
    if question is None:
        return
    if reading.is_filled(found.get("--name", "DEFAULT")):
        reading.doubts.append("recent")
        return
    seconds = int(found["--seconds"]) if found.get("--seconds", "").isdecimal() else None
    if "--seconds" in found and seconds is None:
        reading.doubts.append("recent --seconds")
        return
    reading.ask(Remembers(found.get("--name", "DEFAULT"), seconds, question == "!"))


def _bridge_port(reading: XTReading) -> None:
    if reading.facts.may_bridge:
        raise Doubt
    reading.ask(Never(reading.is_negated))


def _statistic(reading: XTReading, name: str) -> None:
    reading.options[name] = reading.value()
    if reading.is_negated:
        reading.options[f"! {name}"] = ""


def settle_statistic(reading: XTReading) -> None:
    """Note the chance that the options of ``statistic`` come to together."""
    found = reading.options
    try:
        if found.get("--mode") == "random":
            likely = chance.of_statistic(found["--probability"])
            is_negated = "! --probability" in found
        elif found.get("--mode") == "nth":
            likely = chance.of_turns(int(found["--every"]))
            is_negated = "! --every" in found
        else:
            raise ValueError
    except (KeyError, ValueError, ZeroDivisionError):
        reading.doubts.append("statistic")
        return
    reading.rule.chance = chance.against(likely) if is_negated else likely


Handle: TypeAlias = Callable[[XTReading], None]

_ANYWHERE: Mapping[str, Handle] = MappingProxyType({"--dport": _to_port})


def _handle_recent_flag(name: str) -> Handle:
    return lambda reading: _recent_flag(reading, name)


def _handle_recent_value(name: str) -> Handle:
    return lambda reading: _recent_value(reading, name)


def _handle_statistic(name: str) -> Handle:
    return lambda reading: _statistic(reading, name)


_OPTIONS: Mapping[tuple[str, str], Handle] = MappingProxyType(
    {
        ("multiport", "--dports"): _to_ports,
        ("tcp", "--tcp-flags"): _tcp_flags,
        ("tcp", "--syn"): _syn,
        ("conntrack", "--ctstate"): _state,
        ("state", "--state"): _state,
        ("conntrack", "--ctorigdst"): _original_destination,
        ("conntrack", "--ctorigdstport"): _original_port,
        ("conntrack", "--ctorigsrc"): _original_source,
        ("conntrack", "--ctproto"): _connection_protocol,
        ("conntrack", "--ctdir"): _direction,
        ("mark", "--mark"): _mark,
        ("connmark", "--mark"): _mark,
        ("addrtype", "--dst-type"): _to_type,
        ("addrtype", "--src-type"): _from_type,
        ("iprange", "--src-range"): _from_range,
        ("iprange", "--dst-range"): _to_range,
        ("set", "--match-set"): _in_set,
        ("ipvs", "--ipvs"): _mark_balanced,
        ("ipvs", "--vaddr"): _server_address,
        ("ipvs", "--vproto"): _server_protocol,
        ("ipvs", "--vport"): _server_port,
        ("ipvs", "--vdir"): _direction,
        **dict.fromkeys(
            (("rpfilter", each) for each in ("--loose", "--validmark", "--accept-local")),
            _reverse_path,
        ),
        ("rpfilter", "--invert"): _reverse_path_lost,
        **dict.fromkeys(
            (("physdev", f"--physdev-is-{each}") for each in ("in", "out", "bridged")), _bridge_port
        ),
        **{
            ("recent", each): _handle_recent_flag(each)
            for each in (
                *("--rcheck", "--update", "--set", "--remove", "--reap"),
                *("--rsource", "--rdest", "--rttl"),
            )
        },
        **{
            ("recent", each): _handle_recent_value(each)
            for each in ("--seconds", "--hitcount", "--name", "--mask")
        },
        **{
            ("statistic", each): _handle_statistic(each)
            for each in ("--mode", "--probability", "--every", "--packet")
        },
    }
)
