"""Rules of built-in chains that lead to chains of ours, beside whatever rules others have there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from attrs import frozen

from svcnet.family import IPFamily
from svcnet.netfilter.restore import append, insert, remove, transaction
from svcnet.netfilter.save_form import save_rule
from svcnet.netfilter.tables import Chains


@frozen
class Jump:
    """One rule of a built-in chain: ``match`` is its text between the chain and ``-j TARGET``.

    ``place`` is where it belongs: before all else, or after all else.
    """

    table: str
    chain: str
    match: str
    target: str
    place: Literal["first", "last"] = "first"

    @property
    def rule(self) -> str:
        """The rule without its command and chain: ``-m … -j TARGET``."""
        return f"{self.match}-j {self.target}"

    @property
    def line(self) -> str:
        """The line of restore text that puts it to its place."""
        put = insert if self.place == "first" else append
        return put(self.chain, [self.rule])


def comment(text: str) -> str:
    """Return the match that does nothing but say what a rule is for."""
    return f'-m comment --comment "{text}" '


def of_table(jumps: Iterable[Jump], table: str) -> list[Jump]:
    """Return the jumps of one table, in their order."""
    return [jump for jump in jumps if jump.table == table]


def lines_on_clean_machine(jumps: Sequence[Jump]) -> str:
    """Return the lines that put jumps of one table where there is nothing else.

    Restore text cannot say "unless it is there", so the built-in chains are emptied first: that
    makes loading it twice the same as once.
    """
    chains = dict.fromkeys(jump.chain for jump in jumps)
    return "".join([*(f"-F {chain}\n" for chain in chains), *(jump.line for jump in jumps)])


def text_on_clean_machine(jumps: Iterable[Jump], tables: Iterable[str]) -> str:
    """Return :func:`lines_on_clean_machine` of all jumps, a transaction for each table."""
    jumps = tuple(jumps)
    return "".join(
        transaction(table, lines_on_clean_machine(of_table(jumps, table))) for table in tables
    )


def ensure(jumps: Iterable[Jump], there: Chains, family: IPFamily) -> Iterator[str]:
    """Yield the lines that make each jump of a table be there once, wherever it stands."""
    for jump in jumps:
        count = there.get(jump.chain, []).count(save_rule(jump.rule, family))
        if count == 0:
            yield jump.line
        elif count > 1:
            yield remove(jump.chain, [jump.rule] * (count - 1))


def arrange(
    jumps: Iterable[Jump], there: Chains, family: IPFamily, is_jump: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Yield, by built-in chain, the lines that make its jumps be there once and in their order.

    `is_jump` tells a jump of ours, wanted or not, as iptables-save prints it. Foreign rules may
    stand before, between and behind. Only where a jump is missing, doubled or on the wrong side
    of another are those of its chain put to their places anew.
    """
    jumps = tuple(jumps)
    for chain in dict.fromkeys(jump.chain for jump in jumps):
        own = [jump for jump in jumps if jump.chain == chain]
        first = [jump.rule for jump in own if jump.place == "first"]
        last = [jump.rule for jump in own if jump.place == "last"]
        found = [rule for rule in there.get(chain, []) if is_jump(rule)]
        if found != list(dict.fromkeys(save_rule(rule, family) for rule in (*first, *last))):
            yield chain, remove(chain, found) + insert(chain, reversed(first)) + append(chain, last)
