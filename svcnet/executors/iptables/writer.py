"""Writing restore text whose deletions of chains may fail.

A chain that has no use any more goes if it can. The kernel refuses that as long as any rule
leads to it, in an old kube-proxy's chain or one that somebody wrote by hand, and such rules are
not svcnet's to change. All else in the text is done nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from svcnet import checks
from svcnet.errors import MAX_PART, one_line
from svcnet.executors.iptables.commands import Commands, RestoreError
from svcnet.netfilter import SavedTables
from svcnet.netfilter.restore import delete, table_of, transaction, without_deletions
from svcnet.netfilter.rules import leading_to
from svcnet.words import count_noun

_MOST_TOLD = 3


class Writer:
    """Writes texts of one table each.

    ``written`` are the texts that the kernel has taken, in order, and ``left`` the chains, by
    table, that could not be deleted; they are empty.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self.written: list[str] = []
        self.left: list[tuple[str, str]] = []

    def write(self, text: str) -> None:
        """Load a text; raise RestoreError, and ApplyError, as the commands do.

        Where it is not for its deletions that it is refused, nothing of it was done.
        """
        rest, chains = without_deletions(text)
        try:
            self._restore(text)
        except RestoreError as error:
            # Without a line it is the command that fails, and not what it was given.
            if not chains or not error.line:
                raise
            try:
                if rest.count("\n") > 2:  # more than the table and the end of it
                    self._restore(rest)
            except RestoreError:
                raise error from None
            table = table_of(text)
            self.left += ((table, chain) for chain in self._delete(table, chains))

    def _delete(self, table: str, chains: tuple[str, ...]) -> Iterator[str]:
        """Delete what can be deleted, and yield the others."""
        try:
            self._restore(transaction(table, delete(chains)))
        except RestoreError:
            if len(chains) == 1:
                yield chains[0]
                return
            half = len(chains) // 2
            yield from self._delete(table, chains[:half])
            yield from self._delete(table, chains[half:])

    def _restore(self, text: str) -> None:
        self._commands.restore(text)
        self.written.append(text)

    def warnings(self, observed: SavedTables | None = None) -> tuple[str, ...]:
        """Return what to say of the chains that are left, given what is there now.

        With None that is observed if need be.
        """
        if not self.left:
            return ()
        observed = observed or self._commands.observe()
        left = [(table, chain) for table, chain in self.left if chain in observed.chains(table)]
        held = (
            ReferencedChain(table, chain, leading_to(observed.chains(table), chain))
            for table, chain in left
        )
        return tell(held)


@frozen
class ReferencedChain:
    """A chain that is left, empty, because ``rule`` leads to it, as far as that is known."""

    table: str
    chain: str
    rule: str

    def __str__(self) -> str:
        rule = one_line(self.rule, MAX_PART) or "a rule that iptables-save does not print"
        return f"{self.chain} of table {self.table} (by {rule})"


def tell(held: Iterable[ReferencedChain]) -> tuple[str, ...]:
    """Return one line that says which chains are left and what holds them, or none."""
    found = sorted(held, key=str)
    if not found:
        return ()
    told = [str(each) for each in found[:_MOST_TOLD]]
    more = f" and {count_noun(len(found) - _MOST_TOLD, 'other')}" if len(found) > _MOST_TOLD else ""
    text = f"left empty, for rules that svcnet did not make lead there: {', '.join(told)}{more}"
    return (checks.MACHINE_STATE.line(text),)
