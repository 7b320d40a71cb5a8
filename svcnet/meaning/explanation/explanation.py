"""Why a packet ends where it does: its ways with the objects' fields and the mode's lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.graph import Deliver, Origin, Packet, Pass, Refuse
from svcnet.meaning.explanation.account import Account, ModeLine, Passage, Remark, Stage
from svcnet.meaning.explanation.sentences import sentence
from svcnet.meaning.outcome import FoundVerdict, Redirect, Rewrite, Unknown


class SourcePlace(Protocol):
    """Where in the input something is; ``line`` is 0 where there is no text."""

    @property
    def file(self) -> str:
        """The name of the file."""

    @property
    def line(self) -> int:
        """The line, from 1."""


Locate: TypeAlias = Callable[[Sequence[Origin]], Sequence[SourcePlace | None]]
"""Says where fields of objects are, each in its turn; None for what is nowhere."""


Excerpt: TypeAlias = Callable[[Any], Sequence[tuple[int, str]]]
"""Returns the lines around a place that was found, with their numbers."""


def no_excerpt(_place: object) -> Sequence[tuple[int, str]]:
    """Return no line of anything: for objects that were not read from text."""
    return ()


def nowhere(origins: Sequence[Origin]) -> Sequence[SourcePlace | None]:
    """Return no place for anything: for objects that were made by a program."""
    return [None] * len(origins)


def places_by_origin(
    locate: Locate, origins: Iterable[Origin]
) -> Mapping[Origin, SourcePlace | None]:
    """Return where each of the fields is."""
    wanted = list(dict.fromkeys(origins))
    return dict(zip(wanted, locate(wanted), strict=True))


@frozen
class WayStep:
    """One decision on a packet's way.

    ``decision`` says what was decided, ``origin`` by which field of which object, None where no
    object has a say, and ``place`` where that field is. ``lines`` of the mode carry it out.
    """

    decision: str
    origin: Origin | None = None
    place: SourcePlace | None = None
    lines: tuple[ModeLine, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``decision``, ``field``, ``source`` and ``rules``."""
        return {
            "decision": self.decision,
            "field": None if self.origin is None else self.origin.path,
            "source": None if self.origin is None else source_of(self.origin, self.place),
            "rules": [line.to_dict() for line in self.lines],
        }


def source_of(origin: Origin, place: SourcePlace | None) -> dict[str, Any]:
    """Return for JSON where a field is: ``file`` and ``line``, null if nowhere, and ``object``."""
    return {
        "file": None if place is None else place.file,
        "line": place.line if place is not None and place.line else None,
        "object": f"{origin.kind} {origin.namespace}/{origin.name}",
    }


@frozen
class End:
    """One possible end of a packet, its chance, and the steps to it.

    ``probability`` is exact. ``kernel`` is what the machine really gives it, which may be a little
    more or less.
    """

    verdict: FoundVerdict
    probability: Fraction
    kernel: float
    steps: tuple[WayStep, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON.

        ``verdict`` is ``deliver``, ``reject``, ``drop`` or ``pass``, by rules of a machine also
        ``rewrite``, ``redirect`` (to a ``port`` of the machine's own) or ``unknown``. An end that
        is delivered has ``address``, ``port`` and ``masquerade``, one that is refused a ``reason``;
        the others of these are null. One with another source than its own and the node's has that
        as ``newSource``. ``probability`` is text such as ``1/3``, ``kernel`` a number.
        """
        found: dict[str, Any] = {"verdict": kind_of(self.verdict)}
        found |= {"address": None, "port": None, "masquerade": None, "reason": None}
        match self.verdict:
            case Deliver(address, port, masquerade):
                found |= {"address": address, "port": port, "masquerade": masquerade}
            case Refuse(_, reason):
                found["reason"] = reason
            case Rewrite(source, address, port):
                found |= {"address": address or None, "port": port or None, "newSource": source}
            case Redirect(port, source):
                found |= {"port": port, "newSource": source or None}
        found["probability"] = str(self.probability)
        found["kernel"] = self.kernel
        found["steps"] = [step.to_dict() for step in self.steps]
        return found


def kind_of(verdict: FoundVerdict) -> str:
    """Return the word for an end: deliver, reject, drop, pass, rewrite, redirect or unknown."""
    match verdict:
        case Deliver():
            return "deliver"
        case Refuse(how, _):
            return how
        case Pass():
            return "pass"
        case Rewrite():
            return "rewrite"
        case Redirect():
            return "redirect"
        case Unknown():
            return "unknown"


Ends: TypeAlias = tuple[tuple[FoundVerdict, Fraction], ...]
"""The ends of a packet with their chances, each once."""


@frozen
class RuleCase:
    """What becomes of a packet if rules that are not understood match, or do not.

    ``assumption`` says that of each of them.
    """

    assumption: str
    ends: Ends

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``assumption`` and ``outcomes``."""
        ends = [{**end.to_dict(), "probability": str(chance)} for end, chance in self.ends]
        return {"assumption": self.assumption, "outcomes": ends}


@frozen
class Remedy:
    """A change of one field that lets a packet through, or another packet that goes through.

    ``origin`` is the field, None where the packet is to change. ``ends`` are those of the packet
    after the change: it was made, compiled and tried. ``packet`` is the one that was tried.
    """

    text: str
    packet: Packet
    origin: Origin | None
    place: SourcePlace | None
    ends: Ends

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``change``, ``field``, ``source``, ``packet`` and ``outcomes``."""
        return {
            "change": self.text,
            "field": None if self.origin is None else self.origin.path,
            "source": None if self.origin is None else source_of(self.origin, self.place),
            "packet": self.packet.to_dict(),
            "outcomes": [
                {**verdict.to_dict(), "probability": str(probability)}
                for verdict, probability in self.ends
            ],
        }


@frozen(repr=False)
class Explanation(Brief):
    """Why a packet ends where it does, on one node in one mode.

    ``choice`` says by what one of several ends is chosen, and ``remarks`` where the mode does
    something else than others. ``changes`` are for a packet that no endpoint gets.

    By rules that a machine has, ``files`` are where they were read. ``cases`` are what becomes of
    the packet as rules match or not that are not understood, and ``wanted`` what the objects say,
    if that is something else.
    """

    packet: Packet
    node: str
    mode: str
    outcomes: tuple[End, ...]
    choice: str = ""
    remarks: tuple[Remark, ...] = ()
    changes: tuple[Remedy, ...] = ()
    files: tuple[str, ...] = ()
    cases: tuple[RuleCase, ...] = ()
    wanted: Ends = ()

    @property
    def is_delivered(self) -> bool:
        """Whether some endpoint may get the packet."""
        return any(isinstance(end.verdict, Deliver) for end in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: see docs/reference/explain.md."""
        found: dict[str, Any] = {
            "packet": self.packet.to_dict(),
            "node": self.node,
            "mode": self.mode,
            "outcomes": [end.to_dict() for end in self.outcomes],
            "choice": self.choice or None,
            "remarks": [each.to_dict() for each in self.remarks],
            "changes": [change.to_dict() for change in self.changes],
        }
        if self.files:
            found["files"] = list(self.files)
            found["cases"] = [case.to_dict() for case in self.cases]
            found["wanted"] = [
                {**verdict.to_dict(), "probability": str(chance)} for verdict, chance in self.wanted
            ]
        return found


def explanation(
    account: Account,
    packet: Packet,
    *,
    node: str,
    mode: str,
    locate: Locate = nowhere,
    changes: tuple[Remedy, ...] = (),
) -> Explanation:
    """Return what an account of a mode says, in sentences, with the places of fields."""
    stages = [stage for passage in account.passages for stage in passage.stages]
    origins = (stage.decision.node.origin for stage in stages if stage.decision)
    places = places_by_origin(locate, origins)
    return Explanation(
        packet,
        node,
        mode,
        tuple([_end(passage, packet, places) for passage in account.passages]),
        account.choice,
        account.remarks,
        changes,
    )


def _end(passage: Passage, packet: Packet, places: Mapping[Origin, SourcePlace | None]) -> End:
    steps = tuple([_step(stage, passage, packet, places) for stage in passage.stages])
    return End(passage.verdict, passage.probability, passage.kernel, steps)


def _step(
    stage: Stage, passage: Passage, packet: Packet, places: Mapping[Origin, SourcePlace | None]
) -> WayStep:
    if stage.decision is None or passage.fragment is None:
        return WayStep(stage.text, lines=stage.lines)
    origin = stage.decision.node.origin
    text = sentence(stage.decision, passage.fragment, packet)
    return WayStep(text, origin, places.get(origin), stage.lines)
