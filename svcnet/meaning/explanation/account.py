"""What becomes of a packet in a mode, and which lines of what the mode writes make it so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import prod
from typing import NamedTuple, TypeAlias

from attrs import evolve, frozen

from svcnet.graph import (
    Balance,
    Decision,
    Deliver,
    Fragment,
    NodeSettings,
    Packet,
    RuleGraph,
    Way,
    ways,
)
from svcnet.graph.evaluate import Verdict


class ModeLine(NamedTuple):
    """A line that a mode writes, or that a machine has.

    ``tool`` is who reads it, such as ``nft`` or ``ipvsadm``, and of rules of iptables their table.
    ``file`` and ``line`` say where one stands that was read, empty and 0 where that is nowhere.
    """

    tool: str
    text: str
    file: str = ""
    line: int = 0

    def to_dict(self) -> dict[str, str | int]:
        """Return it for JSON: ``tool`` and ``text``, of one that was read ``file`` and ``line``."""
        found: dict[str, str | int] = {"tool": self.tool, "text": self.text}
        return {**found, "file": self.file, "line": self.line} if self.file else found


@frozen
class Stage:
    """A decision on a packet's way, and the lines that carry it out.

    ``decision`` is the graph's. Where that is None, ``text`` says what is done: it is done to
    packets of all Services alike, or by this mode alone.
    """

    decision: Decision | None
    lines: tuple[ModeLine, ...] = ()
    text: str = ""


@frozen
class Passage:
    """One end that a packet may have in a mode, and its way there.

    ``probability`` is what is meant, and ``kernel`` what the machine makes of it.
    """

    verdict: Verdict
    probability: Fraction
    kernel: float
    fragment: Fragment | None = None
    stages: tuple[Stage, ...] = ()


@frozen
class Remark:
    """Why a mode does something else with a packet than the rule graph says.

    ``name`` is that of a section of the document on the mode's differences, empty for what has
    none.
    """

    text: str
    name: str = ""

    def to_dict(self) -> dict[str, str | None]:
        """Return it for JSON: ``name``, null where there is none, and ``text``."""
        return {"name": self.name or None, "text": self.text}


@frozen
class Account:
    """All that a mode does with a packet.

    ``choice`` says by what one of several ends is chosen, empty where there is one.
    """

    passages: tuple[Passage, ...]
    choice: str = ""
    remarks: tuple[Remark, ...] = ()


def plain_account(graph: RuleGraph, packet: Packet) -> Account:
    """Return what the graph itself says, for a mode of which no more is known."""
    return Account(tuple([passage(way) for way in ways(graph, packet)]))


LinesOf: TypeAlias = Callable[[Decision, Decision | None], Iterable[ModeLine]]
"""Says by which lines a mode carries out a decision, given the one before it on the way."""
ChanceOf: TypeAlias = Callable[[Balance, str], float]
"""Says with what chance the kernel draws one of the endpoints of a choice, by its id."""


def passage(
    way: Way, lines_of: LinesOf | None = None, chance_of: ChanceOf | None = None
) -> Passage:
    """Return a way of the graph as a mode goes it; without `chance_of` as the graph means it."""
    stages = [
        Stage(each, tuple(lines_of(each, before)) if lines_of else ())
        for before, each in zip((None, *way.decisions), way.decisions, strict=False)
    ]
    kernel = float(way.probability)
    if chance_of is not None:
        kernel = prod(
            chance_of(each.node, each.target)
            for each in way.decisions
            if isinstance(each.node, Balance) and each.because != "remembered"
        )
    return Passage(way.verdict, way.probability, kernel, way.fragment, tuple(stages))


def then(before: Passage, stage: Stage, verdict: Verdict | None = None) -> Passage:
    """Return a passage that goes one stage further, to another end if there is one."""
    stages = (*before.stages, stage)
    return evolve(before, stages=stages, verdict=verdict or before.verdict)


def is_of_node(settings: NodeSettings, packet: Packet) -> bool:
    """Return whether the node itself sends the packet."""
    return settings.is_node_address(packet.source) and not packet.interface


def masquerades(way: Way) -> bool:
    """Return whether the packet gets the node's own address as its source."""
    return isinstance(way.verdict, Deliver) and way.verdict.masquerade
