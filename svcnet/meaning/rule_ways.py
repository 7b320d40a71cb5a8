"""Rules of a machine through which packets are followed, whatever the language."""

from __future__ import annotations

from svcnet.graph import Packet
from svcnet.meaning.ends import EndWalk, PacketGroup
from svcnet.meaning.flow import Leaf, Meetings
from svcnet.meaning.outcome import FoundOutcome
from svcnet.meaning.outcomes import MachineRules, outcomes_of
from svcnet.meaning.sources import Sources


class RuleWays(MachineRules):
    """Rules of a machine that can say by :meth:`walk` how packets go through them."""

    def walk(self, packets: PacketGroup) -> EndWalk:
        """Return the way of some packets through the rules.

        :meta private:
        """
        raise NotImplementedError

    def evaluate(self, packet: Packet) -> tuple[FoundOutcome, ...]:
        """Return every possible outcome for `packet`; the probabilities add up to 1."""
        return outcomes_of(self, packet)

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

        Those of ``aims`` that they match are added to `met`.
        """
        meetings = None if met is None else Meetings(self.aims, met)
        packets = PacketGroup(sources, address, protocol, port, state, notes, meetings)
        return self.walk(packets).leaves(is_node=is_node)
