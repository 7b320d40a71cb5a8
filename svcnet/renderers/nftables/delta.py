"""A step from one table to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from attrs import frozen

from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.netfilter.nft import (
    NFTChain,
    NFTElement,
    NFTObject,
    NFTPlace,
    NFTRule,
    NFTSet,
    NFTTable,
    places,
)
from svcnet.renderers.nftables.flat.endpoints import EndpointRow


class NFTEdit(NamedTuple):
    """Something that comes into a table or goes from it, or a chain or set that is emptied."""

    verb: Literal["add", "flush", "delete"]
    made: NFTObject | EndpointRow

    def text(self, table: str) -> str:
        """Return its lines for ``nft -f``."""
        made = self.made
        if self.verb == "add":
            return made.add(table)
        if self.verb == "delete" and isinstance(made, NFTChain | NFTSet | NFTElement | EndpointRow):
            return made.delete(table)
        assert isinstance(made, NFTChain | NFTSet), f"nothing can {self.verb} {made}"
        return made.flush(table)

    def places(self, _: str) -> Iterator[NFTPlace]:
        """Yield what its lines are about, one by one."""
        match self.made:
            case NFTChain(name) | NFTRule(name):
                yield NFTPlace("chain", name)
            case NFTSet(name):
                yield NFTPlace("set", name)
            case NFTElement(container, key):
                yield NFTPlace("set", container, key)
            case EndpointRow() as row:
                yield from (NFTPlace("set", one.container, one.key) for one in row.elements())


class NFTRuleDeletion(NamedTuple):
    """A rule that goes from its chain, by the handle that the kernel gave it."""

    chain: str
    handle: int

    def text(self, table: str) -> str:
        """Return its line for ``nft -f``."""
        return f"delete rule {table} {self.chain} handle {self.handle}\n"

    def places(self, _: str) -> Iterator[NFTPlace]:
        """Yield what its line is about."""
        yield NFTPlace("chain", self.chain)


class NFTStatement(NamedTuple):
    """A line that has no other form, such as one about a rule by its handle."""

    line: str

    def text(self, _: str) -> str:
        """Return the line, which names its table."""
        return self.line

    def places(self, table: str) -> Iterable[NFTPlace]:
        """Return what the line is about."""
        return places(self.line, table)


Edit: TypeAlias = NFTEdit | NFTRuleDeletion | NFTStatement
"""One thing that a step does."""


class NFTGrowth(NamedTuple):
    """What gives sets another size, while packets look into them.

    ``sets`` are these as they are to be. The ``parts`` are transactions: another set is made with
    all that one has, rules are turned to it, and back once the set itself is made anew. A set that
    goes together with the rules that use it is seen empty by packets on their way. Where the
    machine's have as much room all parts can be left out: they change nothing else.
    """

    sets: tuple[NFTSet, ...]
    parts: tuple[tuple[Edit, ...], ...]


@frozen(repr=False)
class NFTablesDelta(Brief):
    """What takes a table to another, and chains that nothing leads to then.

    It is carried out in this order. Sets get more room, all together by the ``growth``.
    The ``first`` changes make chains that nothing leads to yet: a packet that came before these
    would find a chain empty to which an element leads that comes with it. Then come the
    ``changes``. The ``last`` take away what packets on their way may look into yet: endpoints of
    frontends that lead elsewhere now, and what is in the ``stale`` chains. A kernel
    before 6.2 sees a moment too late that no element leads to a chain any more: there they are
    deleted in a transaction of their own, later (:attr:`cleanup`).
    """

    table: NFTTable
    family: IPFamily
    changes: tuple[Edit, ...]
    stale: tuple[str, ...]
    first: tuple[Edit, ...] = ()
    growth: NFTGrowth | None = None
    last: tuple[Edit, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.stale or self.first or self.growth or self.last)

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines but those that delete the stale chains."""
        return tuple(f"{line}\n" for line in self.sync.split("\n")[:-1])

    def places(self) -> list[NFTPlace]:
        """Return what each line of :attr:`text` is about, without writing it."""
        table, stale = str(self.table), [NFTPlace("chain", name) for name in self.stale]
        edits = (edit for part in self.parts for edit in part)
        return [*(place for edit in edits for place in edit.places(table)), *stale]

    @property
    def parts(self) -> tuple[tuple[Edit, ...], ...]:
        """What each transaction does, but for the one that deletes the stale chains."""
        growth = () if self.growth is None else self.growth.parts
        return tuple(part for part in (*growth, self.first, self.changes, self.last) if part)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The text of each of the :attr:`parts`."""
        return tuple(map(self._text, self.parts))

    @property
    def sync(self) -> str:
        """The texts of all transactions but the one that deletes the stale chains."""
        return "".join(self.texts)

    @property
    def cleanup(self) -> str:
        """The text that deletes the stale chains."""
        table = str(self.table)
        return "".join([NFTChain(name).delete(table) for name in self.stale])

    @property
    def text(self) -> str:
        """All as one transaction, for kernels from 6.2 on; empty where nothing changes."""
        return self.sync + self.cleanup

    def _text(self, changes: tuple[Edit, ...]) -> str:
        table = str(self.table)
        return "".join([each.text(table) for each in changes])
