"""A step from one table to another."""

from __future__ import annotations

from attrs import frozen

from svcnet.brief import brief
from svcnet.family import IPFamily
from svcnet.netfilter.nft import NFTChain, NFTTable


@frozen(field_transformer=brief)
class NFTablesDelta:
    """What takes a table to another: ``lines`` for ``nft -f``, and chains that nothing leads to.

    ``lines`` are one transaction, which empties the ``stale`` chains. A kernel before 6.2 sees a
    moment too late that no element leads to a chain any more: there they are deleted in a
    transaction of their own, later (:attr:`cleanup`).
    """

    table: NFTTable
    family: IPFamily
    lines: tuple[str, ...]
    stale: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.lines or self.stale)

    @property
    def sync(self) -> str:
        """The text of the first transaction."""
        return "".join(self.lines)

    @property
    def cleanup(self) -> str:
        """The text that deletes the stale chains."""
        table = str(self.table)
        return "".join([NFTChain(name).delete(table) for name in self.stale])

    @property
    def text(self) -> str:
        """Both as one transaction, for kernels from 6.2 on; empty where nothing changes."""
        return self.sync + self.cleanup
