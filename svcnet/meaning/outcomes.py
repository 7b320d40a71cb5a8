"""From how flows end to verdicts with chances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Protocol, TypeAlias

from svcnet.family import IPFamily
from svcnet.graph import Deliver, Packet, Pass, Refuse
from svcnet.meaning.aims import RuleAims
from svcnet.meaning.comparison.cells import NameSource
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Leaf
from svcnet.meaning.outcome import FoundOutcome, FoundVerdict, Redirect, Rewrite, RuleLine, Unknown
from svcnet.meaning.sources import Memory, OneSender, Sender, Sources, endpoint_of
from svcnet.meaning.spans import number, text_of

_MOST_WORLDS = 10


RuleText: TypeAlias = tuple[str, str, str]
"""The table and chain of a rule, and its text."""


class MachineRules(NameSource, Protocol):
    """Rules of a machine, in whichever language."""

    mode: str
    facts: Facts

    @property
    def aims(self) -> RuleAims:
        """The rules of others that decide what becomes of packets, with what they are for."""

    def without_own(self) -> MachineRules:
        """Return the same without what is there for Services."""

    def leaves(
        self,
        sources: Sources,
        address: int,
        protocol: str,
        port: int,
        *,
        is_node: bool,
        state: str = "NEW",
        notes: bool = False,
        met: set[object] | None = None,
    ) -> list[Leaf]:
        """Return how packets of many senders to one destination end.

        With `notes` each has the rules that it met; those of ``aims`` are added to `met`.
        """

    def texts(self) -> Iterator[tuple[RuleText, object]]:
        """Yield what every rule says, and the rule, in their order."""

    def line_of(self, rule: object) -> RuleLine:
        """Return where a rule is."""

    def is_own(self, rule: object) -> bool:
        """Return whether a rule is one of those for Services."""

    def deciding(self, leaf: Leaf) -> object | None:
        """Return the rule that made packets end so, None if none did."""

    def causes(self, kind: str, leaves: Iterable[Leaf]) -> list[object]:
        """Return the rules that make a difference of a kind, each once."""

    def is_foreign(self, leaf: Leaf) -> bool:
        """Return whether it was a rule of somebody else that made packets end so."""


def outcomes_of(rules: MachineRules, packet: Packet) -> tuple[FoundOutcome, ...]:
    """Return every possible outcome for `packet`; the probabilities add up to 1."""
    leaves = leaves_of(rules, packet, sender_of(packet))
    return outcomes(leaves, rules.facts.family, rules.line_of)


def sender_of(packet: Packet) -> OneSender:
    """Return who sends a packet."""
    remembered = frozenset(map(endpoint_of, packet.remembered))
    return OneSender(Sender(number(packet.source), packet.interface, Memory()), remembered)


def leaves_of(rules: MachineRules, packet: Packet, sender: Sources) -> list[Leaf]:
    """Return how a packet ends, with the rules that it meets."""
    return rules.leaves(
        sender,
        number(packet.destination),
        packet.protocol.lower(),
        packet.port,
        is_node=is_of_node(rules.facts, packet),
        notes=True,
    )


def is_of_node(facts: Facts, packet: Packet) -> bool:
    """Return whether it is the machine itself that sends a packet."""
    return not packet.interface and facts.is_local(number(packet.source))


def outcomes(
    leaves: Sequence[Leaf], family: IPFamily, line_of: Callable[[object], RuleLine]
) -> tuple[FoundOutcome, ...]:
    """Return the outcomes of one sender's packet.

    If it matters what a rule does that is not understood, that is the only one: unknown.
    """
    doubtful = unsure(leaves)
    if doubtful:
        rules = tuple(dict.fromkeys(map(line_of, doubtful)))
        first = leaves[0].flow.luck
        whole = first.exact * 0 + 1
        return (FoundOutcome(Unknown(rules), whole, whole, ()),)
    return tuple(
        FoundOutcome(
            verdict_of(leaf, family, line_of),
            leaf.flow.luck.exact,
            leaf.flow.luck.kernel,
            tuple(map(line_of, way_of(leaf))),
        )
        for leaf in of_one_world(leaves)
    )


def way_of(leaf: Leaf) -> tuple[object, ...]:
    """Return the rules that matched, with the policy if it is that which ended the way."""
    path = leaf.flow.path
    return path if leaf.rule is None or leaf.rule in path else (*path, leaf.rule)


def verdict_of(leaf: Leaf, family: IPFamily, line_of: Callable[[object], RuleLine]) -> FoundVerdict:
    """Return the verdict that a flow ended with."""
    header = leaf.flow.header
    match leaf.kind:
        case "deliver" if header.is_redirected:
            return Redirect(header.port, header.source)
        case "deliver" if header.source in ("", "node"):
            address = text_of(header.address, family)
            return Deliver(address, header.port, bool(header.source))
        case "deliver":
            return Rewrite(header.source, text_of(header.address, family), header.port)
        case "drop" | "reject":
            reason = str(line_of(leaf.rule)) if leaf.rule is not None else ""
            return Refuse(leaf.kind, reason)
        case "pass" if not header.source:
            return Pass()
        case "unknown":
            return Unknown((line_of(leaf.rule),))
    return Rewrite(header.source)


def ending(leaf: Leaf) -> tuple[object, ...]:
    """Return what is compared of how a flow ended."""
    header = leaf.flow.header
    if leaf.kind == "deliver" and header.is_redirected:
        return "redirect", header.port, header.source
    if leaf.kind == "deliver":
        found = "deliver", header.address, header.port, header.source
        server = header.balancer
        return (*found, server.choice) if server is not None and server.choice else found
    if leaf.kind == "pass":
        return "pass", header.source
    if leaf.kind == "unknown":
        return "unknown", leaf.rule
    return (leaf.kind,)


def unsure(leaves: Iterable[Leaf]) -> list[object]:
    """Return the rules that are not understood and that matter, for one sender's packet."""
    found = list(leaves)
    unknown = [leaf.rule for leaf in found if leaf.kind == "unknown"]
    asked = {doubt[0]: doubt[2] for leaf in found for doubt in leaf.flow.doubts}
    if not asked:
        return unknown
    if unknown or len(asked) > _MOST_WORLDS:
        return [*unknown, *asked.values()]
    worlds = list(_worlds(found, list(asked)))
    if all(each == worlds[0] for each in worlds):
        return []
    return list(dict.fromkeys(asked.values()))


def of_one_world(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Return the flows that there are if no rule matches that is not understood."""
    return [leaf for leaf in leaves if not any(doubt[1] for doubt in leaf.flow.doubts)]


def _worlds(leaves: list[Leaf], asked: list[object]) -> Iterable[dict[object, object]]:
    """Yield how likely each end is, for each way in which doubts may be true."""
    for answers in product((False, True), repeat=len(asked)):
        world = dict(zip(asked, answers, strict=True))
        found: dict[object, object] = {}
        for leaf in leaves:
            if all(world[doubt[0]] == doubt[1] for doubt in leaf.flow.doubts):
                end = ending(leaf)
                found[end] = found.get(end, 0) + leaf.flow.luck.exact  # type: ignore[operator]
        if found:
            yield found
