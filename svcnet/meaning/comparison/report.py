"""Differences as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from svcnet.errors import one_line
from svcnet.graph import Deliver, Packet, Pass, Refuse
from svcnet.meaning.comparison.difference import KINDS, PacketDifference, ShadowedRule, Verdicts
from svcnet.meaning.outcome import Redirect, Rewrite, RuleLine, Unknown
from svcnet.meaning.userspace.ruleset import TABLE as PROXY
from svcnet.words import count_noun, cut_line

_MOST_ENDS = 8
_MOST_RULES = 6


def write_lines(verdicts: Verdicts, most: int) -> Iterator[str]:
    """Yield the lines that tell what a comparison came to, `most` differences one by one."""
    differences = verdicts.differences
    yield f"{verdicts.family}: {_summary(verdicts)}\n"
    for each in differences[:most]:
        yield from _difference(each)
    if len(differences) > most:
        yield f"and {len(differences) - most} more\n"
    for unknown in verdicts.unknown:
        packets = count_noun(unknown.count, "kind of packet", "kinds of packets")
        is_proxy = unknown.rule.table == PROXY
        why = "nobody says what a proxy serves" if is_proxy else "a rule is not understood"
        yield f"\nunknown: {packets}: {why}\n"
        yield f"  {'for' if is_proxy else 'rule':<7} {_text(unknown.rule)}\n"
    for shadowed in verdicts.shadowed[:most]:
        yield from _shadow(shadowed)
    if len(verdicts.shadowed) > most:
        yield f"and {len(verdicts.shadowed) - most} more shadowed\n"


def _shadow(each: ShadowedRule) -> Iterator[str]:
    yield f"\nshadowed: {each.service_port}: a rule of somebody else never matters to a Service\n"
    yield f"  packet  {packet_text(each.packet)}\n"
    yield f"  rule    {_text(each.rule)}\n"
    if each.before is not None:
        yield f"  before  {_text(each.before)}\n"


def _summary(verdicts: Verdicts) -> str:
    packets = count_noun(verdicts.cells, "kind of packet", "kinds of packets")
    if verdicts.differences:
        found = count_noun(len(verdicts.differences), "difference")
        return f"{found}, in {packets}"
    if verdicts.unknown:
        return f"no difference that can be told, in {packets}"
    return f"every packet ends as it should, of {packets}"


def _difference(each: PacketDifference) -> Iterator[str]:
    about = f": {each.service_port}" if each.service_port else ""
    yield f"\n{each.kind}{about}: {KINDS[each.kind]}\n"
    yield f"  packet  {packet_text(each.packet, each.age)}\n"
    yield from _ends("wanted", each.wanted)
    yield from _ends("found", each.found)
    if each.field is not None:
        place = f" ({each.place})" if each.place is not None else ""
        yield f"  field   {one_line(str(each.field))}{one_line(place)}\n"
    for rule in each.rules[:_MOST_RULES]:
        yield f"  rule    {_text(rule)}\n"
    if each.count > 1:
        ports = f", of {count_noun(each.services, 'service port')}" if each.services > 1 else ""
        yield f"  and so {count_noun(each.count, 'kind of packet', 'kinds of packets')}{ports}\n"


def packet_text(packet: Packet, age: int = 0) -> str:
    """Return a packet on one line."""
    way = f"by {packet.interface}" if packet.interface else "from the node itself"
    target = (
        f"[{packet.destination}]:{packet.port}"
        if ":" in packet.destination
        else f"{packet.destination}:{packet.port}"
    )
    memory = "".join(f", at {each} {age} s ago" for each in sorted(packet.remembered))
    return f"{packet.source} -> {target}/{packet.protocol.lower()} {way}{memory}"


def _ends(head: str, outcomes: Sequence[Any]) -> Iterator[str]:
    """Yield how packets end, those of one verdict with the sum of their chances."""
    sums: dict[str, Fraction] = {}
    for each in outcomes:
        text = verdict_text(each.verdict)
        sums[text] = sums.get(text, Fraction(0)) + each.probability
    shown = list(sums.items())
    for at, (text, chance) in enumerate(shown[:_MOST_ENDS]):
        likely = "" if chance == 1 else f"{chance} "
        yield f"  {head if not at else '':<7} {likely}{one_line(text, 300)}\n"
    if len(shown) > _MOST_ENDS:
        yield f"          and {len(shown) - _MOST_ENDS} more\n"


def verdict_text(verdict: object) -> str:
    """Return how packets end, on one line."""
    match verdict:
        case Deliver(address, port, masquerade):
            where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            return f"to {where}, source {'hidden' if masquerade else 'kept'}"
        case Refuse(how, reason):
            return (
                f"{'rejected' if how == 'reject' else 'dropped'}{f': {reason}' if reason else ''}"
            )
        case Pass():
            return "goes on as it is"
        case Rewrite(source, address, port):
            given = "of the node" if source == "node" else source
            where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            return f"{f'to {where}' if address else 'goes on'} with source {given}"
        case Redirect(port, source):
            given = f", source {source}" if source else ""
            return f"to port {port} of the machine itself{given}"
        case Unknown():
            return "nobody can say"
    return str(verdict)


def _text(rule: RuleLine) -> str:
    """Return a rule on one line, of a very long one the beginning."""
    return one_line(cut_line(str(rule)))
