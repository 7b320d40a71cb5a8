"""Changes that would let a packet through: each is made, compiled and tried before it is told."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, field, frozen

from svcnet.graph import Deliver, Origin, Packet
from svcnet.meaning.explanation.explanation import Remedy, places_by_origin
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.text import merge_ends

MOST_CHANGES = 5
"""So many changes are told; whoever reads them has one thing to do."""

MOST_TRIALS = 200
"""So many are tried: with ten thousand endpoints one could go on all night."""


@frozen
class Proposal:
    """A change that may let a packet through: what is asked then, with which packet.

    ``origin`` is the field that changes, None where no object does.
    """

    text: str
    question: Question = field(repr=False)
    packet: Packet
    origin: Origin | None = None


def try_proposals(found: Iterable[Proposal], question: Question) -> tuple[Remedy, ...]:
    """Return those of the proposals after which an endpoint gets the packet, in their order."""
    changes: list[Remedy] = []
    packets: set[Packet] = set()
    for number, proposal in enumerate(found):
        if len(changes) == MOST_CHANGES or number == MOST_TRIALS:
            break
        if proposal.origin is None and proposal.question is question:
            if proposal.packet in packets:
                continue
            packets.add(proposal.packet)
        account = proposal.question.briefly(proposal.packet)
        ends = tuple([(each.verdict, each.probability) for each in account.passages])
        if any(isinstance(verdict, Deliver) for verdict, _ in ends):
            changes.append(
                Remedy(proposal.text, proposal.packet, proposal.origin, None, merge_ends(ends))
            )
    origins = [change.origin for change in changes if change.origin]
    places = places_by_origin(question.locate, origins)
    return tuple(
        [
            change if change.origin is None else evolve(change, place=places.get(change.origin))
            for change in changes
        ]
    )
