"""Rules of others that would decide what becomes of a Service's packets, and never do.

Ours come first, or have sent the packets elsewhere by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from svcnet.graph import NodeSettings
from svcnet.graph.evaluate import FrontendEntry
from svcnet.meaning.aims import AimIndex, RuleAim
from svcnet.meaning.comparison.everybody import Everybody
from svcnet.meaning.comparison.intent import Heading, distinctions, place_of
from svcnet.meaning.flow import Leaf
from svcnet.meaning.outcomes import MachineRules
from svcnet.meaning.own_senders import OwnSenders
from svcnet.meaning.sources import OneSender, Sender, Senders


class Shadow(NamedTuple):
    """A rule that no packet to a Service meets, and a packet that would if ours were not there."""

    rule: object
    target: Heading
    sender: Sender
    entry: FrontendEntry


class ServiceWay(NamedTuple):
    """What is looked at for a rule: packets to a Service, or straight to one of its endpoints."""

    asked: Heading
    target: Heading
    entry: FrontendEntry

    @property
    def is_direct(self) -> bool:
        """Whether it is the packets as they come."""
        return self.asked == self.target


class ShadowSearch:
    """Looks for rules that are shadowed, once it has seen what packets meet."""

    def __init__(self, settings: NodeSettings, rules: MachineRules, everybody: Everybody) -> None:
        self._settings = settings
        self._rules = rules
        self._everybody = everybody
        self._ways: list[tuple[Heading, FrontendEntry]] = []
        self._is_lost = False
        self._met: set[object] = set()
        self.is_wanted = bool(rules.aims)
        """Whether there is anything to look for."""

    def add(
        self, target: Heading, entry: FrontendEntry, leaves: Sequence[Leaf], met: set[object]
    ) -> None:
        """Take in a destination of a Service, how the packets for it end, and what they meet."""
        self._ways.append((target, entry))
        self._met |= met
        self._is_lost |= any(leaf.kind == "unknown" for leaf in leaves)

    def search(self) -> Iterator[Shadow]:
        """Yield rules that are shadowed, each once.

        None is, if nobody can say of a Service's packets which way they go.
        """
        if not self.is_wanted or self._is_lost:
            return
        aims = self._rules.aims
        left = {rule: aim for rule, aim in aims.items() if rule not in self._met}
        if not left:
            return
        bare = self._rules.without_own()
        for way in self._near(left):
            met: set[object] = set()
            sources = self._walk(bare, way, met)
            for rule in [each for each in left if each in met]:
                if way.is_direct or left[rule].refuses:
                    sender = _who(bare, rule, way.asked, sources)
                    if sender is not None:
                        del left[rule]
                        yield Shadow(rule, way.target, sender, way.entry)
            if not left:
                return

    def _near(self, aims: dict[object, RuleAim]) -> Iterator[ServiceWay]:
        """Yield the ways of packets that come near to what rules name.

        A rule may name a Service's destination, or an endpoint which its packets get to.
        """
        index = AimIndex(aims.values())
        for target, entry in self._ways:
            if index.has(target.address, target.port):
                yield ServiceWay(target, target, entry)
        index = AimIndex(aim for aim in aims.values() if aim.refuses)
        for target, entry in self._ways:
            for each in entry.fragment.translates:
                address, port = place_of(each)
                if index.has(address, port):
                    asked = Heading(address, target.protocol, port, target.is_node)
                    yield ServiceWay(asked, target, entry)

    def _walk(self, bare: MachineRules, way: ServiceWay, met: set[object]) -> Senders | OwnSenders:
        """Add the rules that packets for a destination meet, and return who sends these."""
        target = way.asked
        known = distinctions(self._settings, way.entry)
        while True:
            sources = self._everybody.of(target, known)
            met.clear()
            bare.leaves(
                sources,
                target.address,
                target.protocol,
                target.port,
                is_node=target.is_node,
                met=met,
            )
            if not sources.missing:
                return sources
            known = known.join(sources.missing.distinctions())


def _who(
    bare: MachineRules, rule: object, target: Heading, sources: Senders | OwnSenders
) -> Sender | None:
    """Return a sender whose packets meet a rule."""
    left = sources.everybody
    while left:
        bit = sources.plainest(left)
        sender = sources.sender(bit)
        endpoint = sender.memory.endpoint
        met: set[object] = set()
        bare.leaves(
            OneSender(sender, frozenset() if endpoint is None else frozenset((endpoint,))),
            target.address,
            target.protocol,
            target.port,
            is_node=target.is_node,
            met=met,
        )
        if rule in met:
            return sender
        left &= ~(1 << bit)
    return None
