"""What to load, given what is wanted and what is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from svcnet.executors.nftables.drift import differences
from svcnet.executors.nftables.dump import TableObservation
from svcnet.netfilter.nft import NFTPlace
from svcnet.renderers.nftables import (
    Bucket,
    NFTablesDelta,
    Ruleset,
    load,
    named_buckets,
    replacement,
)

MOST_LINES = 10_000
"""A repair with more lines than these is no one transaction: all is loaded, in parts.

That is for chains of service ports, of which the kernel takes many the slower the more there are.
"""


@frozen
class NFTablesPlan:
    """Texts for ``nft -f``, in order; each is one transaction.

    ``kind`` is ``none`` when nothing differs, ``full`` when all is loaded. ``cleanup`` deletes the
    chains and sets that ``stale`` names: it comes after all else, and where the kernel refuses it,
    all is served nevertheless. ``differed`` counts what was not as wanted, by kind. ``is_new`` is
    whether there was no table, and ``is_over`` whether all is loaded over one of which little is
    right: what it has beside that stays, to be found by another look. ``by_netlink`` is how many
    elements come without nft, behind what the texts make; ``delta`` is what the texts of a repair
    do, for whoever can do it without nft. ``kept`` are chains of the table that was there which
    Services may share, and which stay whether or not anything leads to them.
    """

    kind: Literal["none", "delta", "full"]
    transactions: tuple[str, ...] = ()
    cleanup: str = ""
    stale: tuple[str, ...] = ()
    differed: Mapping[str, int] = field(factory=dict)
    is_new: bool = False
    is_over: bool = False
    by_netlink: int = 0
    delta: NFTablesDelta | None = field(default=None, repr=False, eq=False)
    kept: frozenset[Bucket] = field(default=frozenset(), repr=False, eq=False)

    @property
    def text(self) -> str:
        """All transactions, joined."""
        return "".join(self.transactions) + self.cleanup


def plan(
    ruleset: Ruleset,
    seen: TableObservation,
    *,
    settled: frozenset[NFTPlace] = frozenset(),
    is_rest: bool = False,
) -> NFTablesPlan:
    """Return what brings a table to `ruleset` from what is there.

    What is `settled` was written while it was listed, and is as it is wanted. With `is_rest` all
    was loaded over that table just now, so what still differs is to go.
    """
    if seen.state is None:
        return NFTablesPlan("full", tuple(load(ruleset, is_new=True)), is_new=True)
    kept = named_buckets(seen.state.chains)
    drift = differences(seen.state, ruleset, settled | seen.right, seen.endpoints)
    if drift.is_unreadable:
        return NFTablesPlan("full", (replacement(ruleset),), differed=drift.differed)
    delta = drift.delta
    if not delta:
        return NFTablesPlan("none", kept=kept)
    is_slow = ruleset.layout == "kube-proxy" and len(delta.lines) > MOST_LINES
    if is_slow and not is_rest:
        return NFTablesPlan("full", tuple(load(ruleset)), differed=drift.differed, is_over=True)
    return NFTablesPlan(
        "delta",
        delta.texts,
        delta.cleanup,
        delta.stale,
        drift.differed,
        delta=delta,
        kept=kept,
    )
