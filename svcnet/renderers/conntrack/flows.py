"""UDP entries of the connection table, and what is to be deleted, as values."""

from __future__ import annotations

from typing import Literal, NamedTuple

from attrs import frozen

from svcnet.words import count_noun

Family = Literal["IPv4", "IPv6"]
ZoneOf = Literal["both", "original", "reply"]


class Flow(NamedTuple):
    """One UDP entry: the tuple that its first datagram had, and the one that answers have.

    Addresses are canonical text. ``reply_source`` is who answers: the endpoint, where the
    destination was translated. ``zone`` is the conntrack zone, 0 unless a rule chose
    one (``-j CT --zone``), and ``zone_of`` the direction that it was chosen for. ``id``
    is the kernel's number for this very entry. A tuple, because a table has many.
    """

    source: str
    source_port: int
    destination: str
    destination_port: int
    reply_source: str
    reply_source_port: int
    reply_destination: str
    reply_destination_port: int
    zone: int = 0
    zone_of: ZoneOf = "both"
    id: int = 0

    @property
    def family(self) -> Family:
        """The IP family of the addresses."""
        return "IPv6" if ":" in self.destination else "IPv4"

    @property
    def is_translated(self) -> bool:
        """Whether somebody else answers than who was asked."""
        asked = (self.destination, self.destination_port)
        return (self.reply_source, self.reply_source_port) != asked


class FlowFilter(NamedTuple):
    """What entries to delete have in common: who was asked, and who answers.

    Where clients sent from plays no part: one target is stale for all of them or for none.
    """

    destination: str
    destination_port: int
    reply_source: str
    reply_source_port: int
    zone: int = 0
    zone_of: ZoneOf = "both"


@frozen
class Deletion:
    """Entries with one target, all that the table had of it, and why they go.

    As text it is a command of conntrack-tools that deletes the same, with the reason and
    the number of entries as the shell's comment.
    """

    target: FlowFilter
    reason: str
    flows: tuple[Flow, ...]

    def __str__(self) -> str:
        count = count_noun(len(self.flows), "entry")
        return f"{self.command}  # {count}: {self.reason}"

    @property
    def command(self) -> str:
        """The words of ``conntrack -D`` that delete these entries and no others."""
        target = self.target
        return (
            f"conntrack -D -f {self.flows[0].family.lower()} -p udp"
            f" --orig-dst {target.destination} --orig-port-dst {target.destination_port}"
            f" --reply-src {target.reply_source} --reply-port-src {target.reply_source_port}"
            f" {_ZONE_OPTIONS[target.zone_of]} {target.zone}"
        )


_ZONE_OPTIONS = {"both": "--zone", "original": "--orig-zone", "reply": "--reply-zone"}


@frozen
class DeletionPlan:
    """Everything that is to be deleted in one IP family, ordered by what was asked.

    Equal tables and graphs give equal plans. Its text has a line for each deletion, and is
    empty when nothing is stale.
    """

    deletions: tuple[Deletion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.deletions)

    def __str__(self) -> str:
        return "".join(f"{deletion}\n" for deletion in self.deletions)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Every entry that goes, in the plan's order."""
        return tuple(flow for deletion in self.deletions for flow in deletion.flows)
