"""Rows of a table of changes: those that say the same are one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import evolve

from svcnet.graph import Deliver, Refuse
from svcnet.meaning.comparison.change import SenderChange
from svcnet.meaning.outcome import FoundVerdict
from svcnet.meaning.sender_words import SENDER_KINDS


def together(rows: Sequence[SenderChange], *, with_addresses: bool) -> list[SenderChange]:
    """Return rows, as one where the ends are the same.

    An endpoint that asks for itself has a row of its own only if its packets end otherwise than
    everybody's, but for the source that it sees. Of such rows, and of clients that are remembered,
    one stands for all that are like it.
    """
    found: dict[object, list[SenderChange]] = {}
    for each in _without_endpoints(rows):
        found.setdefault(_likeness(each), []).append(each)
    return [_one(alike, with_addresses=with_addresses) for alike in found.values()]


def _one(rows: Sequence[SenderChange], *, with_addresses: bool) -> SenderChange:
    """Return one row for some that say the same; a packet that comes from elsewhere shows it."""
    first = next((each for each in rows if each.packet.interface), rows[0])
    addresses = dict.fromkeys(each.packet.destination for each in rows)
    senders = dict.fromkeys(who for each in rows for who in each.senders)
    order = list(SENDER_KINDS)
    return evolve(
        first,
        senders=tuple(sorted(senders, key=lambda who: order.index(who.kind))),
        count=sum(each.count for each in rows),
        alike=len({_subject(each) for each in rows}) - 1,
        addresses=tuple(addresses) if with_addresses else (),
    )


def _subject(row: SenderChange) -> object:
    """Return the endpoint that a row is about, remembered or sending; nothing of other rows."""
    if row.packet.remembered:
        return row.packet.remembered
    return row.packet.source if _is_endpoint(row) else None


def _without_endpoints(rows: Sequence[SenderChange]) -> list[SenderChange]:
    """Return rows, with those of endpoints in everybody's where that says what becomes of them."""
    plain = [each for each in rows if not _is_endpoint(each)]
    by_way: dict[object, list[int]] = {}
    for at, each in enumerate(plain):
        by_way.setdefault(_way(each), []).append(at)
    rest: list[SenderChange] = []
    for each in filter(_is_endpoint, rows):
        own = {each.packet.source}
        wanted = _without_source(each, own)
        for at in by_way.get(_way(each), ()):
            one = plain[at]
            if _without_source(one, own) == wanted:
                senders = tuple(dict.fromkeys((*one.senders, *each.senders)))
                plain[at] = evolve(one, senders=senders, count=one.count + each.count)
                break
        else:
            rest.append(each)
    return [*plain, *rest]


def _way(row: SenderChange) -> object:
    return row.packet.destination, row.packet.remembered, row.age


def _is_endpoint(row: SenderChange) -> bool:
    """Return whether the sender is an endpoint, and nobody else."""
    return {each.kind for each in row.senders} in ({"endpoint"}, {"remembered", "endpoint"})


def _without_source(row: SenderChange, own: set[str]) -> Counter[object]:
    """Return how packets end, at an endpoint's own address without the source that it sees."""
    return Counter(
        (
            evolve(end.verdict, masquerade=True)
            if isinstance(end.verdict, Deliver) and end.verdict.address in own
            else end.verdict,
            end.choice,
            end.before,
            end.after,
        )
        for end in row.ends
    )


def ends_of(row: SenderChange) -> frozenset[object]:
    """Return how packets of a row end, before and after."""
    return frozenset((end.verdict, end.choice, end.before, end.after) for end in row.ends)


def _likeness(row: SenderChange) -> object:
    """Return what rows have in common that are told as one."""
    if not row.packet.remembered and not _is_endpoint(row):
        return ends_of(row)
    own = set(row.packet.remembered)
    if _is_endpoint(row):
        own.add(row.packet.source)
    shape = Counter(
        (_shape(end.verdict, own), end.choice, end.before, end.after) for end in row.ends
    )
    return row.senders[0].kind, row.age, frozenset(shape.items())


def _shape(verdict: FoundVerdict, own: set[str]) -> object:
    """Return a verdict without the endpoint's address, but whether it is the sender's own."""
    match verdict:
        case Deliver(address, port, masquerade):
            text = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            return "deliver", bool({address, text} & own), masquerade
        case Refuse(how, _):
            return how
    return verdict
