"""The answer to each message, with what was answered before kept at hand."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen
from dns.rdatatype import CNAME

from svcnet.discovery.dns import Answer, Zones
from svcnet.executors.dns.messages import Query, answer, encode, parse

REMEMBERED = 10_000
"""How many answers are kept; then it begins anew."""


@frozen
class Elsewhere:
    """A question that another server is to be asked; `found` is what is known before that."""

    query: Query
    found: Answer


Reply: TypeAlias = bytes | Elsewhere | None
"""An answer, a question for another server, or nothing to a message that deserves none."""


class Responder:
    """Answers messages from zones that do not change.

    `recursion` says that there is another server for what is in no zone; without, such a
    question is refused.
    """

    def __init__(self, zones: Zones, *, recursion: bool = False) -> None:
        self.zones = zones
        self._recursion = recursion
        # By all of a question but its number, which is all that differs when it comes again.
        self._remembered: dict[tuple[bytes, bool], bytes] = {}

    def reply(self, wire: bytes, *, tcp: bool = False) -> Reply:
        """Return what a message is answered; it may hold anything."""
        key = wire[2:], tcp
        known = self._remembered.get(key)
        if known is not None:
            return wire[:2] + known
        query = parse(wire)
        if query is None or isinstance(query, bytes):
            return query
        found = answer(self.zones, query)
        if self._recursion and isinstance(found, Answer) and self._leads_elsewhere(query, found):
            return Elsewhere(query, found)
        made = encode(query, found, tcp=tcp, recursion=self._recursion)
        # Several answers come in another order each time, so that clients spread.
        if not isinstance(found, Answer) or len(found.answers) < 2:
            self._remember(key, made)
        return made

    def _remember(self, key: tuple[bytes, bool], made: bytes) -> None:
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = made[2:]

    def _leads_elsewhere(self, query: Query, found: Answer) -> bool:
        """Return whether a name is in no zone, or an alias of one that is not."""
        if found.rcode == "REFUSED":
            return True
        last = found.answers[-1] if found.answers else None
        if last is None or last.type != "CNAME" or query.question[0].rdtype == CNAME:
            return False
        return self.zones.zone_of(last.data) is None
