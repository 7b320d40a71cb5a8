"""The answer to each message, with what was answered before kept at hand."""

from __future__ import annotations

from typing import TypeAlias

from attrs import define, field, frozen
from dns.rdatatype import CNAME

from svcnet.discovery.dns import Answer, Zones, without_records
from svcnet.servers.dns.messages import Query, answer, encode, parse

__all__ = ["ORDERS", "REMEMBERED", "REMEMBERED_BYTES", "Elsewhere", "Reply", "Responder"]

REMEMBERED = 20_000
"""How many answers are kept, a few MB of them; then it begins anew."""

REMEMBERED_BYTES = 2048
"""The longest question and answer, together, that are kept: what may come by UDP."""

ORDERS = 32
"""In how many orders an answer of many records is kept at most, so that clients spread."""


@frozen
class Elsewhere:
    """A question that another server is to be asked.

    `found` is what is known before that: nothing, or an alias. Then `otherwise` is the answer
    in case the other server does not know the alias's target.
    """

    query: Query
    found: Answer
    otherwise: Answer | None = None


Reply: TypeAlias = bytes | Elsewhere | None
"""An answer, a question for another server, or nothing to a message that deserves none."""


@define
class _AnswerMemory:
    """The answers to one question, all but their number; `enough` is how many are to be made."""

    enough: int
    wires: list[bytes] = field(factory=list)
    turn: int = 0


class Responder:
    """Answers messages from zones that do not change.

    `recursion` says that there is another server for what is in no zone; without, such a
    question is refused.
    """

    def __init__(self, zones: Zones, *, recursion: bool = False) -> None:
        self.zones = zones
        self._recursion = recursion
        # By all of a question but its number, which is all that differs when it comes again.
        self._known: dict[tuple[bytes, bool], _AnswerMemory] = {}
        self._count = 0

    def reply(self, wire: bytes, *, tcp: bool = False) -> Reply:
        """Return what a message is answered; it may hold anything."""
        key = wire[2:], tcp
        known = self._known.get(key)
        if known is not None and len(known.wires) == known.enough:
            known.turn = (known.turn + 1) % known.enough
            return wire[:2] + known.wires[known.turn]
        query = parse(wire)
        if query is None or isinstance(query, bytes):
            return query
        found = answer(self.zones, query)
        if self._recursion and isinstance(found, Answer):
            if found.rcode == "REFUSED":
                return Elsewhere(query, found)
            if self._is_open_alias(query, found):
                return Elsewhere(query, found, without_records(self.zones, found))
        made = encode(query, found, tcp=tcp, recursion=self._recursion)
        # Each encoding has several answers in another order.
        orders = len(found.answers) if isinstance(found, Answer) else 1
        self._remember(key, made, min(max(orders, 1), ORDERS))
        return made

    def _remember(self, key: tuple[bytes, bool], made: bytes, enough: int) -> None:
        if len(key[0]) + len(made) > REMEMBERED_BYTES:
            return
        if self._count == REMEMBERED:
            self._known.clear()
            self._count = 0
        self._count += 1
        self._known.setdefault(key, _AnswerMemory(enough)).wires.append(made[2:])

    def _is_open_alias(self, query: Query, found: Answer) -> bool:
        """Return whether an answer ends in an alias of a name that is in no zone."""
        last = found.answers[-1] if found.answers else None
        if last is None or last.type != "CNAME" or query.question[0].rdtype == CNAME:
            return False
        return self.zones.zone_of(last.data) is None
