"""What to load, given what is wanted and what is there. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from svcnet.executors.nftables.commands import Names
from svcnet.netfilter.nft import NFTChain, NFTObject, NFTSet
from svcnet.renderers.nftables import Ruleset, load


@frozen
class NFTablesPlan:
    """Texts for ``nft -f``, in order; each is one transaction.

    ``cleanup`` deletes what nothing leads to any more; it comes after them, and where the kernel
    refuses it, all is served nevertheless. ``is_new`` is whether there was no such table, and
    ``stale`` names the chains, sets and maps that go.
    """

    transactions: tuple[str, ...]
    cleanup: str = ""
    is_new: bool = False
    stale: tuple[str, ...] = ()
    service_ports: int = 0

    @property
    def text(self) -> str:
        """All transactions, joined."""
        return "".join(self.transactions) + self.cleanup


def plan(ruleset: Ruleset, there: Names | None) -> NFTablesPlan:
    """Return what brings a table to `ruleset`; `there` are the names of what it has now."""
    is_new = there is None
    transactions = tuple(load(ruleset, is_new=is_new))
    chains, sets = _stale(ruleset, there)
    table = str(ruleset.table)
    cleanup = [each.flush(table) for each in chains]
    cleanup += [each.delete(table) for each in chains]
    cleanup += [each.delete(table) for each in sets]
    stale = (*(each.name for each in chains), *(each.name for each in sets))
    return NFTablesPlan(transactions, "".join(cleanup), is_new, stale, len(ruleset.blocks))


def _stale(
    ruleset: Ruleset, there: Names | None
) -> tuple[tuple[NFTChain, ...], tuple[NFTSet, ...]]:
    """Return the chains, and the sets and maps, that are there and not wanted."""
    if there is None:
        return (), ()
    wanted: dict[type, set[str]] = {NFTChain: set(), NFTSet: set()}
    for made in _all(ruleset):
        if type(made) in wanted:
            wanted[type(made)].add(made[0])
    chains = sorted(there.chains - wanted[NFTChain])
    sets = [NFTSet(name, "") for name in sorted(there.sets - wanted[NFTSet])]
    maps = [NFTSet(name, "", "verdict") for name in sorted(there.maps - wanted[NFTSet])]
    return tuple(map(NFTChain, chains)), (*sets, *maps)


def _all(ruleset: Ruleset) -> Iterator[NFTObject]:
    yield from ruleset.fixed.objects
    yield from ruleset.objects()
