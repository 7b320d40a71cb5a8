"""The answer to each message, with what was answered before kept at hand."""

from __future__ import annotations

from typing import TypeAlias

from attrs import define, field, frozen
from dns.rdatatype import CNAME

from svcnet.discovery.dns import Answer, Zones, without_records
from svcnet.servers.dns.messages import (
    HEADER_BYTES,
    TYPE_AND_CLASS_BYTES,
    Query,
    answer,
    encode,
    parse,
)
from svcnet.servers.dns.plain import AFTER_QUESTION, PlainAnswer, PlainAnswers, PlainKey

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
        self._plain = PlainAnswers(zones, recursion=recursion, encode=self._whole)
        self._known: dict[PlainKey, PlainAnswer] = {}
        # By all of a question but its number, which is all that differs when it comes again.
        self._others: dict[tuple[bytes, bool], _AnswerMemory] = {}
        self._count = 0

    def reply(self, wire: bytes, *, tcp: bool = False) -> Reply:
        """Return what a message is answered; it may hold anything."""
        after = AFTER_QUESTION.get(wire[4:HEADER_BYTES])
        if after is None:
            return self._recall(wire, tcp) or self._compose(wire, tcp)
        end = len(wire) - after
        name_end = end - TYPE_AND_CLASS_BYTES
        key = wire[2:HEADER_BYTES], wire[HEADER_BYTES:name_end].lower(), wire[name_end:], tcp
        known = self._known.get(key)
        if known is None:
            known = self._plain.missing(key)
        if known is None:
            reply = self._recall(wire, tcp)
            if reply is not None:
                return reply
            known = self._plain.answer(wire, key)
            if known is None:
                return self._compose(wire, tcp)
            if not known.is_of_many and self._is_worth(len(wire) + known.size):
                self._known[key] = known
        return known.to(wire[:2], wire[HEADER_BYTES:end])

    def _recall(self, wire: bytes, tcp: bool) -> bytes | None:
        """Return an answer that is kept although its question is not plain, if there is one."""
        known = self._others.get((wire[2:], tcp))
        if known is None or len(known.wires) < known.enough:
            return None
        known.turn = (known.turn + 1) % known.enough
        return wire[:2] + known.wires[known.turn]

    def _compose(self, wire: bytes, tcp: bool) -> Reply:
        """Return an answer that is made for this message, and keep it."""
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
        if self._is_worth(len(wire) + len(made)):
            # Each encoding has several answers in another order.
            orders = len(found.answers) if isinstance(found, Answer) else 1
            memory = _AnswerMemory(min(max(orders, 1), ORDERS))
            self._others.setdefault((wire[2:], tcp), memory).wires.append(made[2:])
        return made

    def _whole(self, wire: bytes) -> bytes | None:
        """Return the answer to a message that is not another server's to give."""
        query = parse(wire)
        if query is None or isinstance(query, bytes):
            return None
        return encode(query, answer(self.zones, query), tcp=False, recursion=self._recursion)

    def _is_worth(self, size: int) -> bool:
        """Return whether an answer is to be kept, which with its question has so many bytes."""
        if size > REMEMBERED_BYTES:
            return False
        if self._count == REMEMBERED:
            self._known.clear()
            self._others.clear()
            self._plain.forget()
            self._count = 0
        self._count += 1
        return True

    def _is_open_alias(self, query: Query, found: Answer) -> bool:
        """Return whether an answer ends in an alias of a name that is in no zone."""
        last = found.answers[-1] if found.answers else None
        if last is None or last.type != "CNAME" or query.question[0].rdtype == CNAME:
            return False
        return self.zones.zone_of(last.data) is None
