"""A table of every frontend of Services and each kind of sender: what becomes of their packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from svcnet.errors import one_line
from svcnet.graph import Dispatch, Fragment, Packet
from svcnet.meaning.explanation.explanation import Ends, SourcePlace, places_by_origin, source_of
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.sender_kinds import SenderKinds
from svcnet.meaning.explanation.sentences import endpoint_text
from svcnet.meaning.explanation.text import LEFT_ALONE, merge_ends, verdict_text
from svcnet.models import NamespacedName
from svcnet.natural import natural_key


@frozen
class SenderCell:
    """What becomes of the packets of one kind of sender; ``packet`` is one of them."""

    kind: str
    packet: Packet
    ends: Ends

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``from``, ``packet`` and ``outcomes``."""
        ends = [{**verdict.to_dict(), "probability": str(share)} for verdict, share in self.ends]
        return {"from": self.kind, "packet": self.packet.to_dict(), "outcomes": ends}


@frozen
class FrontendRow:
    """One frontend of a service port, and what becomes of packets for it.

    A kind of sender of whom the objects have none has no cell.
    """

    fragment: Fragment
    dispatch: Dispatch
    place: SourcePlace | None
    cells: tuple[SenderCell, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        name, dispatch = self.fragment.name, self.dispatch
        return {
            "service": f"{name.namespace}/{name.name}",
            "portName": name.port_name,
            "frontend": dispatch.frontend,
            "address": dispatch.address,
            "port": dispatch.port,
            "protocol": name.protocol,
            "field": dispatch.origin.path,
            "source": source_of(dispatch.origin, self.place),
            "senders": [cell.to_dict() for cell in self.cells],
        }


def overview(
    question: Question,
    only: NamespacedName | None = None,
    ends: Callable[[Packet], Ends] | None = None,
) -> tuple[FrontendRow, ...]:
    """Return a row for each frontend of all Services, or of the one called `only`.

    `ends` says what becomes of a packet, if that is not what the mode says.
    """
    ask = ends or partial(_ends, question)
    found = [
        (fragment, dispatch)
        for fragment in question.graph
        if only is None or fragment.name[:2] == only
        for dispatch in fragment.dispatches
    ]
    places = places_by_origin(question.locate, (dispatch.origin for _, dispatch in found))
    senders = SenderKinds(question)
    return tuple(
        [
            FrontendRow(
                fragment,
                dispatch,
                places.get(dispatch.origin),
                tuple(_cells(ask, fragment, dispatch, senders)),
            )
            for fragment, dispatch in found
        ]
    )


def text(rows: Sequence[FrontendRow], untouched: str = LEFT_ALONE) -> str:
    """Return the rows as lines: a frontend, and below it who gets where.

    `untouched` is what is told of packets to which nothing is done.
    """
    return "".join(f"{one_line(line)}\n" for line in _lines(rows, untouched))


def _lines(rows: Sequence[FrontendRow], untouched: str) -> Iterator[str]:
    for row in sorted(rows, key=lambda row: tuple(map(natural_key, row.fragment.name))):
        name, dispatch = row.fragment.name, row.dispatch
        where = f"*:{dispatch.port}"
        if dispatch.address:
            where = endpoint_text(dispatch.address, dispatch.port)
        place = "" if row.place is None else f"  ({row.place.file}:{row.place.line})"
        yield f"{where}/{name.protocol}  {dispatch.frontend} of {name.service_port}{place}"
        for cell in row.cells:
            yield f"  {cell.kind + ':':21}{verdict_text(cell.ends, untouched)}"


def _ends(question: Question, packet: Packet) -> Ends:
    passages = question.account(packet).passages
    return merge_ends((each.verdict, each.probability) for each in passages)


def _cells(
    ask: Callable[[Packet], Ends], fragment: Fragment, dispatch: Dispatch, senders: SenderKinds
) -> Iterator[SenderCell]:
    for kind, packet in senders.packets(fragment, dispatch):
        yield SenderCell(kind, packet, ask(packet))
