"""``svcnet explain``: why a packet ends where it does, and what would let it through."""

from __future__ import annotations

from svcnet.errors import UsageError
from svcnet.graph import Deliver, Packet
from svcnet.meaning.explanation.explanation import Explanation, Remedy, explanation
from svcnet.meaning.explanation.proposals import proposals
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.trials import try_proposals


def explain(question: Question, packet: Packet) -> Explanation:
    """Return why `packet` ends where it does. Pure.

    Where no endpoint gets it, the nearest changes that would let it through are added, each of
    which was made and tried. Raises UsageError for a packet that cannot be on this node.
    """
    _check(question, packet)
    account = question.account(packet)
    changes: tuple[Remedy, ...] = ()
    if not any(isinstance(each.verdict, Deliver) for each in account.passages):
        changes = try_proposals(proposals(question, packet, account), question)
    return explanation(
        account,
        packet,
        node=question.node,
        mode=question.mode.name,
        locate=question.locate,
        changes=changes,
    )


def _check(question: Question, packet: Packet) -> None:
    settings = question.view.settings
    if packet.family != settings.family:
        raise UsageError(
            f"the packet is of {packet.family}, and the rules are those of {settings.family}"
        )
    is_own = not packet.interface and settings.is_node_address(packet.source)
    check_loopback(packet, is_own=is_own)


def check_loopback(packet: Packet, *, is_own: bool) -> None:
    """Raise UsageError for a packet to loopback unless it is the node's own."""
    is_loopback = packet.destination.startswith("127.") or packet.destination == "::1"
    if is_loopback and not is_own:
        raise UsageError(f"only the node itself sends to {packet.destination}: say --from node")
