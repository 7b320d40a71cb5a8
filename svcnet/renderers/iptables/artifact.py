"""What the iptables renderer makes: restore text, kept in the pieces it was made from.

The pieces let an executor load a large text in several transactions, and let the next
render reuse what did not change. Joined, they are the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from attrs import evolve, field, frozen

from svcnet.brief import brief
from svcnet.family import IPFamily
from svcnet.graph import FragmentName, NodeSettings, Origin
from svcnet.netfilter.jumps import Jump, text_on_clean_machine
from svcnet.netfilter.restore import declare, delete, transaction
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.iptables.block import Block, RuleCount, chain_and_rule


@frozen(field_transformer=brief)
class Table:
    """The part of one table that no service port owns: chain names, first and last rules."""

    name: str
    chains: tuple[str, ...]
    first: str
    last: str


@frozen(field_transformer=brief)
class RestoreText:
    """A whole sync: text for ``iptables-restore --noflush`` (``ip6tables-`` for IPv6).

    ``stale`` are chains to delete that some earlier sync left. ``jumps`` are the rules
    of the built-in chains that lead here.
    """

    mode: ClassVar[str] = "iptables"

    settings: NodeSettings
    filter: Table
    nat: Table
    blocks: Mapping[FragmentName, Block] = field(repr=False)
    is_large: bool
    jumps: tuple[Jump, ...]
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
        return self._filter_text() + transaction("nat", *self._nat_parts())

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
        return sum((block.rules for block in self.blocks.values()), fixed)

    def transactions(self, chains: int) -> Iterator[str]:
        """Yield the text as transactions of one table each, in an order that loads fast.

        Each has own chains of service ports, as many as ``portions`` says. The shared
        chains come last, so that no packet is led to a chain that is not there yet.
        Loading all of them gives the same rules as loading :attr:`text`.
        """
        parts = portions(self.blocks.values(), chains)
        if len(parts) > 1:
            yield self._ground()
            for part in parts:
                yield _nat_transaction("", part)
            parts = []
        yield self._filter_text()
        yield _nat_transaction("".join(self._shared_nat_parts()), parts[0] if parts else [])

    def origin_of_line(self, line: str) -> Origin | None:
        """Return what caused a line of the text, None for lines that no Service caused.

        The line may also be one that puts a single rule of a shared chain right, as
        iptables-save prints it. There only a rule that is written counts, whatever
        a comment says: another's rule has no cause.
        """
        chain, rule = chain_and_rule(line)
        block = self._block_of(chain, rule)
        return None if block is None else block.origin_of(chain, rule)

    def service_port_of_line(self, line: str) -> FragmentName | None:
        """Return the service port that a line is for, None for lines that are for none or all."""
        block = self._block_of(*chain_and_rule(line))
        return None if block is None else block.fragment.name

    def _block_of(self, chain: str, rule: str) -> Block | None:
        block = self._block_of_chain.get(chain)
        if block is None and rule:
            block = self._block_of_rule.get((chain, save_rule(rule, self.family)))
        return block

    @cached_property
    def _block_of_chain(self) -> Mapping[str, Block]:
        return {chain: block for block in self.blocks.values() for chain in block.chains}

    @cached_property
    def _block_of_rule(self) -> Mapping[tuple[str, str], Block]:
        """Whose each rule of a shared chain is. It is made when somebody asks, and not before."""
        return {rule: block for block in self.blocks.values() for rule in block.shared_rules()}

    def _filter_text(self) -> str:
        table = self.filter
        own = (block.filter for block in self.blocks.values())
        return transaction("filter", declare(table.chains), table.first, *own, table.last)

    def _nat_parts(self) -> Iterator[str]:
        table = self.nat
        yield declare(table.chains)
        for block in self.blocks.values():
            yield block.declarations
        yield declare(self.stale)
        yield table.first
        for block in self.blocks.values():
            yield block.shared
            yield block.own
        yield f"{delete(self.stale)}{table.last}"

    def _shared_nat_parts(self) -> Iterator[str]:
        table = self.nat
        yield f"{declare(table.chains)}{declare(self.stale)}{table.first}"
        for block in self.blocks.values():
            yield block.shared
        yield f"{delete(self.stale)}{table.last}"

    def _ground(self) -> str:
        """The chains that service chains jump to; without flushing what already leads somewhere."""
        mark_masq = "".join(
            line for line in self.nat.first.splitlines(True) if "-A KUBE-MARK-MASQ " in line
        )
        return transaction("nat", declare(["KUBE-MARK-MASQ"]), mark_masq)


@frozen(field_transformer=brief)
class Delta:
    """A step from one sync to another: text for ``iptables-restore --noflush``.

    ``filter`` and ``nat_shared`` are single ``-I`` and ``-D`` lines in chains that many
    service ports share. ``changed`` are blocks whose own chains are written anew, and
    ``deleted`` the chains that go. ``growth`` is by how many rules service ports have more.
    """

    family: IPFamily
    filter: str
    nat_first: str
    changed: tuple[Block, ...]
    nat_shared: str
    deleted: tuple[str, ...]
    growth: RuleCount

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


def portions(blocks: Iterable[Block], chains: int) -> list[list[Block]]:
    """Return the blocks in portions of at most so many own chains; 0 is for a single portion.

    A service port's own chains stay together, however many they are.
    """
    found: list[list[Block]] = []
    room = 0
    for block in blocks:
        if not found or (chains and len(block.chains) > room):
            found.append([])
            room = chains
        found[-1].append(block)
        room -= len(block.chains)
    return found


def _nat_transaction(shared: str, blocks: list[Block]) -> str:
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
