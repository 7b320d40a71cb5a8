"""Differences of meanings as text for people, and as Markdown for a comment on a change request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from netaddr import IPNetwork, IPSet

from svcnet.errors import one_line
from svcnet.graph import Deliver, Pass
from svcnet.meaning.comparison.change import (
    ChangePlace,
    EndChange,
    FrontendChange,
    HealthCheckChange,
    KnownDifference,
    MeaningDiff,
    Rewriting,
    SenderChange,
    SenderKind,
)
from svcnet.meaning.comparison.report import packet_text, verdict_text
from svcnet.meaning.sender_words import SENDER_KINDS
from svcnet.words import count_noun, cut_line, list_some

FRONTENDS = {
    "cluster-ip": "cluster IP",
    "external-ip": "external IP",
    "load-balancer": "load balancer",
    "node-port": "node port",
}
_MOST_ENDS = 12
_MOST_ALIKE = 3
_MOST_NAMES = 10
_MOST_NETWORKS = 4


def summary(found: MeaningDiff) -> str:
    """Return what a comparison came to, on one line and without the family."""
    parts = [
        _tally(found.frontends, "frontend"),
        _tally(found.health_checks, "health-check port"),
    ]
    if found.known:
        parts.append(count_noun(len(found.known), "known difference"))
    parts = [part for part in parts if part]
    packets = count_noun(found.cells, "kind of packet", "kinds of packets")
    if not parts:
        doubt = " that can be told" if found.unknown else ""
        parts.append(f"no difference{doubt}")
    return f"{', '.join(parts)}, in {packets}"


def write_lines(found: MeaningDiff, most: int) -> Iterator[str]:
    """Yield the lines that tell of a comparison, `most` frontends one by one."""
    yield f"{found.family}: {summary(found)}\n"
    for each in found.frontends[:most]:
        yield from _frontend(each)
    if len(found.frontends) > most:
        more = count_noun(len(found.frontends) - most, "more frontend")
        yield f"\nand {more}\n"
    for check in found.health_checks:
        yield f"\n{check.change}: health-check port {check.port} of {_of(check)}\n"
    for known in found.known:
        yield from _chances(known)
    for unknown in found.unknown:
        packets = count_noun(unknown.count, "kind of packet", "kinds of packets")
        yield f"\nunknown: {packets}: a rule is not understood\n"
        yield f"  rule    {one_line(cut_line(str(unknown.rule)))}\n"
    yield from (f"\n{line}\n" for line in _same(found))


def _same(found: MeaningDiff) -> Iterator[str]:
    """Yield what is written otherwise and means the same."""
    if found.same:
        named = ", ".join(str(each) for each in found.same[:_MOST_NAMES])
        more = len(found.same) - _MOST_NAMES
        rest = f" and {more:,} more" if more > 0 else ""
        ports = count_noun(len(found.same), "service port")
        yield f"same: other rules that mean the same, of {ports}: {named}{rest}"
    if found.rewritten is not None:
        yield f"same: other rules that mean the same{_rewriting(found.rewritten)}"
    if found.text:
        yield "same: rules that all Services share are written otherwise"


def _rewriting(found: Rewriting) -> str:
    """Return which rules are written otherwise."""
    if not found.rules:
        return ", in another order"
    numbers = f"{found.old:,} of the old and {found.new:,} of the new ones"
    return f", {numbers}, such as {one_line(cut_line(str(found.rules[0][1])))}"


def _tally(changes: Sequence[FrontendChange | HealthCheckChange], noun: str) -> str:
    """Return how many came, went and changed."""
    numbers = {
        word: sum(each.change == word for each in changes) for word in ("came", "went", "changed")
    }
    there = [(word, number) for word, number in numbers.items() if number]
    return ", ".join(
        f"{count_noun(number, noun) if not at else f'{number:,}'} {word}"
        for at, (word, number) in enumerate(there)
    )


def _frontend(each: FrontendChange) -> Iterator[str]:
    place = _place(each.place)
    yield f"\n{each.change}: {_destination(each)}{_owner(each)}{place}\n"
    for row in each.senders:
        yield f"  from {_senders(row)}\n"
        shown = _list_ends(each.change, row.ends)
        width = max((len(chance) for chance, _ in shown), default=0)
        for chance, text in shown[:_MOST_ENDS]:
            yield f"    {chance:<{width}}  {one_line(text, 300)}\n"
        if len(shown) > _MOST_ENDS:
            yield f"    and {len(shown) - _MOST_ENDS} more\n"


def _destination(each: FrontendChange) -> str:
    """Return a frontend: its kind, address, port and protocol."""
    port = f", port {each.port}/{each.protocol.lower()}" if each.port else ""
    if each.frontend == "other-ports":
        return f"{'' if port else 'other ports of '}addresses such as {each.address}{port}"
    if each.frontend == "others":
        return f"other addresses, such as {each.address}{port}"
    if each.frontend == "unknown-connections":
        return "packets of connections that nobody knows"
    where = f"{each.port}/{each.protocol.lower()}"
    if each.address:
        text = f"[{each.address}]" if ":" in each.address else each.address
        where = f"{text}:{where}"
    return f"{FRONTENDS.get(each.frontend, 'destination')} {where}"


def _owner(each: FrontendChange) -> str:
    return f" of {_of(each)}" if each.old or each.new else ""


def _of(each: FrontendChange | HealthCheckChange) -> str:
    """Return whose it is, and whose it was."""
    names = list(dict.fromkeys(name.service_port for name in (each.old, each.new) if name))
    return " -> ".join(names)


def _senders(row: SenderChange) -> str:
    """Return whose packets they are."""
    kinds = {each.kind for each in row.senders}
    more = f", and alike for {row.alike} more" if row.alike else ""
    if kinds == {"endpoint"}:
        return f"an endpoint that asks for itself: {packet_text(row.packet)}{more}"
    if "remembered" in kinds:
        return f"a client that is remembered: {packet_text(row.packet, row.age)}{more}"
    words = [_kind(each) for each in row.senders]
    text = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{text}, to {', '.join(row.addresses)}" if row.addresses else text


def _kind(each: SenderKind) -> str:
    inside = f" ({_networks(each.networks)})" if each.networks else ""
    way = f" by {each.interface}" if each.interface else ""
    return f"{SENDER_KINDS[each.kind]}{inside}{way}"


def _networks(networks: Sequence[str]) -> str:
    """Return networks, or what all others are but for, where that is shorter."""
    whole = IPSet(["::/0" if ":" in networks[0] else "0.0.0.0/0"])
    rest = [_network(each) for each in (whole - IPSet(networks)).iter_cidrs()]
    but = 0 < len(rest) < len(networks)
    there = rest if but else networks
    shown = list_some(there, _MOST_NETWORKS)
    return f"all but {shown}" if but else shown


def _network(network: IPNetwork) -> str:
    return str(network.ip) if network.size == 1 else str(network)


def _list_ends(change: str, ends: Iterable[EndChange]) -> list[tuple[str, str]]:
    """Return ends as chances and texts: first those that come and go, last those that stay.

    Many whose chances are the same are told together.
    """
    groups: dict[tuple[Fraction, Fraction, object], list[EndChange]] = {}
    for end in ends:
        if change in ("came", "went") and isinstance(end.verdict, Pass):
            continue
        kind: object = end.verdict
        if isinstance(end.verdict, Deliver):
            kind = end.verdict.masquerade, end.choice
        groups.setdefault((end.before, end.after, kind), []).append(end)
    found = []
    for (before, after, _), same in sorted(groups.items(), key=lambda item: _rank(*item[0][:2])):
        chance = f"{before}" if before == after else f"{before} -> {after}"
        if len(same) > _MOST_ALIKE and before and after:
            found.append((chance, _each(same)))
        else:
            found += [(chance, f"{_end(end)}{_cause(end)}") for end in same]
    return found


def _end(end: EndChange) -> str:
    choice = f", by {end.choice}" if end.choice else ""
    return f"{verdict_text(end.verdict)}{choice}"


def _rank(before: Fraction, after: Fraction) -> int:
    return 0 if not after else 1 if not before else 2 if before != after else 3


def _each(ends: Sequence[EndChange]) -> str:
    """Return many endpoints on one line."""
    texts = [_end(end).removeprefix("to ") for end in ends]
    source = texts[0].partition(", ")[2]
    first = ", ".join(text.partition(", ")[0] for text in texts[:_MOST_ALIKE])
    more = len(ends) - _MOST_ALIKE
    return f"to each of {len(ends)}: {first} and {more} more, {source}"


def _cause(end: EndChange) -> str:
    """Return where it is written, if it came or went."""
    if end.before and end.after:
        return ""
    if end.rule is not None:
        return f"  [{end.rule}]"
    return _place(end.place)


def _place(place: ChangePlace | None) -> str:
    if place is None:
        return ""
    return f"  ({one_line(place.file)}:{place.line})" if place.line else f"  ({place.file})"


def _chances(each: KnownDifference) -> Iterator[str]:
    name = f" ({each.name})" if each.name else ""
    yield f"\nknown: {each.text}{name}\n"
    yield f"  packet  {packet_text(each.packet)}\n"
    for chance, text in _list_ends("changed", each.ends)[:_MOST_ENDS]:
        yield f"    {chance}  {one_line(text, 300)}\n"
    if each.count > 1:
        yield f"  and so {count_noun(each.count, 'kind of packet', 'kinds of packets')}\n"


def markdown(diffs: Sequence[MeaningDiff], most: int) -> Iterator[str]:
    """Yield the lines of a comment on a change request, `most` frontends one by one."""
    for found in diffs:
        modes = found.mode if found.mode == found.to_mode else f"{found.mode} -> {found.to_mode}"
        yield f"**{found.family}**, mode {modes}: {summary(found)}\n\n"
        if found.frontends:
            yield "| | frontend | of | packets from | before | after |\n|---|---|---|---|---|---|\n"
        for each in found.frontends[:most]:
            for row in each.senders:
                yield _cells(each, row)
        if found.frontends:
            yield "\n"
        if len(found.frontends) > most:
            more = count_noun(len(found.frontends) - most, "more frontend")
            yield f"and {more}\n\n"
        yield from (f"- {_plain(line)}\n" for line in _remarks(found))
        if any(_remarks(found)):
            yield "\n"


def _remarks(found: MeaningDiff) -> Iterator[str]:
    for check in found.health_checks:
        yield f"{check.change}: health-check port {check.port} of {_of(check)}"
    for known in found.known:
        name = f" ({known.name})" if known.name else ""
        yield f"known: {known.text}{name}, such as {packet_text(known.packet)}"
    for unknown in found.unknown:
        yield f"unknown: a rule is not understood: {unknown.rule}"
    yield from _same(found)


def _cells(each: FrontendChange, row: SenderChange) -> str:
    parts = [
        each.change,
        _code(_destination(each)),
        _code(_of(each)) if each.old or each.new else "",
        _plain(_senders(row)),
        _ends(row, "before"),
        _ends(row, "after"),
    ]
    return f"| {' | '.join(parts)} |\n"


def _ends(row: SenderChange, when: str) -> str:
    """Return how packets end on one side, those first that end otherwise on the other."""
    ends = sorted(row.ends, key=lambda end: _rank(end.before, end.after))
    there = [
        (end.before if when == "before" else end.after, end)
        for end in ends
        if (end.before if when == "before" else end.after)
    ]
    lines = [
        _plain(_end(end) if chance == 1 else f"{chance} {_end(end)}")
        for chance, end in there[:_MOST_ENDS]
    ]
    if len(there) > _MOST_ENDS:
        lines.append(f"and {len(there) - _MOST_ENDS} more")
    return "<br>".join(lines)


def _plain(text: str) -> str:
    """Return a text that Markdown, and the HTML in it, take for nothing but text."""
    shown = one_line(text, 300)
    for each in "\\`*_[]<>|#~!&":
        shown = shown.replace(each, f"\\{each}")
    return shown


def _code(text: str) -> str:
    """Return a text as code; what would end it is no part of it."""
    return f"`{one_line(text, 300).replace('`', ' ').replace('|', ' ')}`"
