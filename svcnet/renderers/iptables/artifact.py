"""What the iptables renderer makes: restore text, kept in the pieces it was made from.

The pieces let an executor load a large text in several transactions, and let the next
render reuse what did not change. Joined, they are the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, TypeVar

from attrs import evolve, field, frozen

from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.graph import FragmentName, NodeSettings, Origin
from svcnet.netfilter.jumps import Jump, text_on_clean_machine
from svcnet.netfilter.restore import append, declare, delete, rules_by_chain, transaction
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.iptables import names
from svcnet.renderers.iptables.block import Block, RuleCount, chain_and_rule
from svcnet.renderers.iptables.forest import Forest, Piece
from svcnet.renderers.iptables.frame import Table, nat_table
from svcnet.renderers.iptables.layout import KUBE_PROXY, Layout
from svcnet.renderers.iptables.names import TREE_PREFIX

_Own = TypeVar("_Own", Block, Piece, Block | Piece)


@frozen(repr=False)
class RestoreText(Brief):
    """A whole sync: text for ``iptables-restore --noflush`` (``ip6tables-`` for IPv6).

    ``stale`` are chains to delete that some earlier sync left. ``jumps`` are the rules
    of the built-in chains that lead here. In a layout with trees ``forest`` has the rules of chains
    that service ports share.
    """

    mode: ClassVar[str] = "iptables"

    settings: NodeSettings
    filter: Table
    nat: Table
    blocks: Mapping[FragmentName, Block] = field(repr=False)
    is_large: bool
    jumps: tuple[Jump, ...]
    forest: Forest
    layout: Layout = KUBE_PROXY
    stale: tuple[str, ...] = ()

    def without(self, stale: tuple[str, ...]) -> RestoreText:
        """Return the same sync, which also deletes the `stale` chains of the nat table."""
        return evolve(self, stale=stale)

    @property
    def family(self) -> IPFamily:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family

    @cached_property
    def text(self) -> str:
        """The text in kube-proxy's order, as one transaction a table."""
        return self._filter_text(self.pieces("filter")) + transaction("nat", *self._nat_parts())

    @property
    def text_with_jumps(self) -> str:
        """:attr:`text` and the jumps from the built-in chains, for a clean machine.

        The built-in chains it uses are emptied first, so that loading it twice is the same as
        once. A machine with rules of its own wants ``svcnet apply``, which leaves those alone.
        """
        return self.text + text_on_clean_machine(self.jumps, ("filter", "nat"))

    @property
    def rules(self) -> RuleCount:
        """How many rules there are, but for those of built-in chains."""
        fixed = RuleCount(*((t.first + t.last).count("\n") for t in (self.filter, self.nat)))
        in_trees = RuleCount(*map(self.forest.count_rules, ("filter", "nat")))
        return sum((block.rules for block in self.blocks.values()), fixed + in_trees)

    def chains(self, table: str) -> set[str]:
        """Return all chains of a table but those that are always there."""
        own = (block.chains for block in self.blocks.values()) if table == "nat" else ()
        trees = (piece.chains for piece in self.pieces(table))
        return {chain for chains in (*own, *trees) for chain in chains}

    def pieces(self, table: str) -> list[Piece]:
        """Return the chains of trees, those first that are led to."""
        return self.forest.pieces(table)

    def heads(self, table: str) -> Mapping[str, list[str]]:
        """Return the rules of shared chains, in a layout with trees."""
        return shared_chains(self.settings, self.forest, table)

    def transactions(self, chains: int) -> Iterator[str]:
        """Yield the text as transactions of one table each, in an order that loads fast.

        Each has own chains of service ports, as many as ``portions`` says. The shared
        chains come last, so that no packet is led to a chain that is not there yet.
        Loading all of them gives the same rules as loading :attr:`text`.
        """
        own: list[Block | Piece] = [*self.blocks.values(), *self.pieces("nat")]
        parts = portions(own, chains)
        if len(parts) > 1:
            yield self._ground()
            for part in parts:
                yield _nat_transaction("", part)
            parts = []
        *others, last = portions(self.pieces("filter"), chains) or [[]]
        for pieces in others:
            yield _pieces_transaction("filter", pieces)
        yield self._filter_text(last)
        yield _nat_transaction("".join(self._shared_nat_parts()), parts[0] if parts else [])

    def origin_of_line(self, line: str) -> Origin | None:
        """Return what caused a line of the text, None for lines that no Service caused.

        The line may also be one that puts a single rule of a shared chain right, as
        iptables-save prints it. There only a rule that is written counts, whatever
        a comment says: another's rule has no cause.
        """
        chain, rule = chain_and_rule(line)
        found = self._block_of(chain, rule)
        if found is None:
            return None
        block, home = found
        return block.origin_of(home, rule)

    def service_port_of_line(self, line: str) -> FragmentName | None:
        """Return the service port that a line is for, None for lines that are for none or all."""
        found = self._block_of(*chain_and_rule(line))
        return None if found is None else found[0].fragment.name

    def _block_of(self, chain: str, rule: str) -> tuple[Block, str] | None:
        """Return whose a rule is, and the chain in which it would be without trees."""
        block = self._block_of_chain.get(chain)
        if block is not None:
            return block, chain
        if not rule:
            return None
        saved = save_rule(rule, self.family)
        home = self._home_of_rule.get(saved, "") if chain.startswith(TREE_PREFIX) else chain
        block = self._block_of_rule.get((home, saved))
        return None if block is None else (block, home)

    @cached_property
    def _block_of_chain(self) -> Mapping[str, Block]:
        return {chain: block for block in self.blocks.values() for chain in block.chains}

    @cached_property
    def _block_of_rule(self) -> Mapping[tuple[str, str], Block]:
        """Whose each rule of a shared chain is. It is made when somebody asks, and not before."""
        return {rule: block for block in self.blocks.values() for rule in block.shared_rules()}

    @cached_property
    def _home_of_rule(self) -> Mapping[str, str]:
        """The shared chain that each rule would be in, without trees."""
        return {rule: chain for chain, rule in self._block_of_rule}

    def _filter_text(self, pieces: Sequence[Piece]) -> str:
        """Return the filter table with `pieces` of its trees."""
        table = self.filter
        if self.layout.most:
            own: Iterable[str] = (*(each.own for each in pieces), self._heads("filter"))
        else:
            own = (block.filter for block in self.blocks.values())
        trees = (each.declarations for each in pieces)
        return transaction("filter", declare(table.chains), *trees, table.first, *own, table.last)

    def _heads(self, table: str) -> str:
        """Return the rules of shared chains in a layout with trees, but the last ones."""
        return "".join(append(chain, rules) for chain, rules in self.forest.heads(table).items())

    def _nat_parts(self) -> Iterator[str]:
        table, trees = self.nat, self.pieces("nat")
        yield declare(table.chains)
        yield from (block.declarations for block in self.blocks.values())
        yield from (piece.declarations for piece in trees)
        yield declare(self.stale)
        yield table.first
        for block in self.blocks.values():
            if not self.layout.most:
                yield block.shared
            yield block.own
        yield from (piece.own for piece in trees)
        yield f"{self._heads('nat')}{delete(self.stale)}{table.last}"

    def _shared_nat_parts(self) -> Iterator[str]:
        table = self.nat
        yield f"{declare(table.chains)}{declare(self.stale)}{table.first}"
        if self.layout.most:
            yield self._heads("nat")
        else:
            for block in self.blocks.values():
                yield block.shared
        yield f"{delete(self.stale)}{table.last}"

    def _ground(self) -> str:
        """The chains that service chains jump to; without flushing what already leads somewhere."""
        mark_masq = "".join(
            line for line in self.nat.first.splitlines(True) if "-A KUBE-MARK-MASQ " in line
        )
        return transaction("nat", declare(["KUBE-MARK-MASQ"]), mark_masq)


@frozen(repr=False)
class Delta(Brief):
    """A step from one sync to another: text for ``iptables-restore --noflush``.

    ``filter`` and ``nat_shared`` are single ``-I`` and ``-D`` lines in chains that many
    service ports share; in a layout with trees they have these chains anew. ``changed`` are blocks
    whose own chains are written anew, and pieces of trees, ``deleted`` the chains that go.
    ``growth`` is by how many rules there are more, and ``forest`` what the trees become.
    """

    family: IPFamily
    filter: str
    nat_first: str
    changed: tuple[Block | Piece, ...]
    nat_shared: str
    deleted: tuple[str, ...]
    growth: RuleCount
    forest: Forest

    def __bool__(self) -> bool:
        return bool(
            self.filter or self.nat_first or self.changed or self.nat_shared or self.deleted
        )

    @cached_property
    def text(self) -> str:
        """The text: one transaction for each table that changes, empty when none does."""
        return "".join(self.transactions(0))

    def transactions(self, chains: int) -> Iterator[str]:
        """Yield the text as transactions of one table each.

        Each writes own chains of service ports, as many as ``portions`` says. The last
        has the shared chains, and deletes the chains that go: so no rule ever leads to a chain
        that is not there.
        """
        if self.filter:
            yield transaction("filter", self.filter)
        *parts, blocks = portions(self.changed, chains) or [[]]
        for part in parts:
            yield _nat_transaction("", part)
        if blocks or self.nat_first or self.nat_shared or self.deleted:
            yield transaction(
                "nat",
                *(block.declarations for block in blocks),
                declare(self.deleted),
                self.nat_first,
                *(block.own for block in blocks),
                self.nat_shared,
                delete(self.deleted),
            )


def portions(blocks: Iterable[_Own], chains: int) -> list[list[_Own]]:
    """Return the blocks in portions of at most so many own chains; 0 is for a single portion.

    A service port's own chains stay together, however many they are.
    """
    found: list[list[_Own]] = []
    room = 0
    for block in blocks:
        if not found or (chains and len(block.chains) > room):
            found.append([])
            room = chains
        found[-1].append(block)
        room -= len(block.chains)
    return found


def shared_chains(settings: NodeSettings, forest: Forest, table: str) -> Mapping[str, list[str]]:
    """Return the rules of all shared chains of a table, in a layout with trees."""
    last = rules_by_chain(nat_table(settings).last) if table == "nat" else {}
    heads = forest.heads(table)
    return {
        chain: [*heads.get(chain, ()), *last.get(chain, ())] for chain in names.SHARED_CHAINS[table]
    }


def _pieces_transaction(table: str, pieces: Iterable[Piece]) -> str:
    pieces = list(pieces)
    return transaction(
        table, *(each.declarations for each in pieces), *(each.own for each in pieces)
    )


def _nat_transaction(shared: str, blocks: Sequence[Block | Piece]) -> str:
    """Return one transaction with the own chains of `blocks` around the `shared` lines.

    Chains are declared downwards by name: both variants of iptables-restore keep sorted
    lists of chains, in which an insertion at the head is fast and any other is a walk.
    """
    chains = sorted([chain for block in blocks for chain in block.chains], reverse=True)
    rules = shared.find("-A ")
    return transaction(
        "nat",
        declare(chains),
        shared[:rules] if rules >= 0 else shared,
        *[block.own for block in blocks],
        shared[rules:] if rules >= 0 else "",
    )
