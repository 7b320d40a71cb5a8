"""Whether a DNS server has the names that objects say, and no others where that can be known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from attrs import frozen

from svcnet.discovery.dns import Zones
from svcnet.words import count_noun


class NameReply(Protocol):
    """What a server says of a name and type."""

    @property
    def rcode(self) -> str:
        """The code, such as NXDOMAIN."""

    @property
    def data(self) -> frozenset[str]:
        """The data of its records, as text."""


NAME_KINDS = {
    "missing": "the server does not have it",
    "other": "the server has other records",
    "extra": "the server has it and should not",
    "unanswered": "the server does not say",
}
"""Each kind of difference, and what it means."""


@frozen
class NameDifference:
    """A name and type of which a server has other records than objects say.

    ``service`` is ``namespace/name``. ``rcode`` is the code of the answer.
    """

    kind: str
    name: str
    type: str
    service: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]
    rcode: str

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys."""
        return {
            "kind": self.kind,
            "name": self.name,
            "type": self.type,
            "service": self.service,
            "wanted": [*self.wanted],
            "found": [*self.found],
            "rcode": self.rcode,
        }


@frozen
class NameVerdicts:
    """Whether a DNS server says what objects say.

    ``questions`` is how many it was asked, and ``differences`` are those that it answers otherwise.
    """

    questions: int
    differences: tuple[NameDifference, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``questions`` and ``differences``."""
        return {
            "questions": self.questions,
            "differences": [each.to_dict() for each in self.differences],
        }


def verify_names(zones: Zones, ask: Callable[[str, str], NameReply]) -> NameVerdicts:
    """Ask for every name of the objects, and for those that their Services should not have.

    `ask` returns what a server says of a name and type. What zones have of themselves, such as who
    serves them, is not compared: that is the server's own.
    """
    count = 0
    found = []
    for name, rdtype, service, wanted in _questions(zones):
        reply = ask(name, rdtype)
        count += 1
        kind = _kind(reply, wanted)
        if kind is None:
            continue
        found.append(
            NameDifference(
                kind,
                name,
                rdtype,
                service,
                tuple(sorted(wanted)),
                tuple(sorted(reply.data)),
                reply.rcode,
            )
        )
    return NameVerdicts(count, tuple(found))


def _kind(reply: NameReply, wanted: frozenset[str]) -> str | None:
    """Return in what way a reply is not what is wanted, None if it is.

    A server that fails or refuses says nothing of the name, not even that it is absent (RFC 2308).
    """
    if reply.rcode not in ("NOERROR", "NXDOMAIN"):
        return "unanswered"
    if reply.data == wanted:
        return None
    if not wanted:
        return "extra"
    return "other" if reply.data else "missing"


def _questions(zones: Zones) -> Iterator[tuple[str, str, str, frozenset[str]]]:
    """Yield names and types with the Service and the data that they should have."""
    for name in sorted(zones.entries):
        entry = zones.entries[name]
        if not entry.service or not entry.records:
            continue
        types = dict.fromkeys(entry.records)
        if "A" in types or "AAAA" in types:
            types.update(dict.fromkeys(("A", "AAAA")))
        for rdtype in types:
            data = frozenset(record.data.lower() for record in entry.records.get(rdtype, ()))
            yield name, rdtype, entry.service, data
    for name in sorted(zones.absent):
        label, namespace = name.split(".", 2)[:2]
        for rdtype in ("A", "AAAA"):
            yield name, rdtype, f"{namespace}/{label}", frozenset()


def told_names(found: NameVerdicts, most: int) -> Iterator[str]:
    """Yield the lines that tell what a server says otherwise, `most` differences one by one."""
    questions = count_noun(found.questions, "question")
    if not found.differences:
        yield f"DNS: every name is as it should be, of {questions}\n"
        return
    count = len(found.differences)
    yield f"DNS: {count_noun(count, 'difference')}, in {questions}\n"
    for each in found.differences[:most]:
        yield f"\n{each.kind} name: {each.name} {each.type}: {NAME_KINDS[each.kind]}\n"
        yield f"  wanted  {', '.join(each.wanted) or 'nothing'}\n"
        answer = ", ".join(each.found) or f"nothing ({each.rcode})"
        yield f"  found   {answer[:300]}\n"
        yield f"  of      Service {each.service}\n"
    if count > most:
        yield f"and {count - most} more\n"
