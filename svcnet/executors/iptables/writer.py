"""Writing restore text whose deletions of chains may fail.

A chain that has no use any more goes if it can. The kernel refuses that as long as any rule
leads to it, in an old kube-proxy's chain or one that somebody wrote by hand, and such rules are
not svcnet's to change. All else in the text is done nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from svcnet import checks
from svcnet.errors import MAX_PART, one_line
from svcnet.executors.counted import counted
from svcnet.executors.iptables.commands import Commands, RestoreError
from svcnet.executors.iptables.observe import Observed
from svcnet.netfilter import target
from svcnet.renderers.iptables.artifact import delete

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
        rest, chains = _apart(text)
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
            table = text[1 : text.index("\n")]
            self.left += ((table, chain) for chain in self._delete(table, chains))

    def _delete(self, table: str, chains: tuple[str, ...]) -> Iterator[str]:
        """Delete what can be deleted, and yield the others."""
        try:
            self._restore(f"*{table}\n{delete(chains)}COMMIT\n")
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

    def warnings(self, observed: Observed | None = None) -> tuple[str, ...]:
        """Return what to say of the chains that are left, given what is there now.

        With None that is observed if need be.
        """
        if not self.left:
            return ()
        observed = observed or self._commands.observe()
        left = [(table, chain) for table, chain in self.left if chain in observed.chains(table)]
        held = (Held(table, chain, holder(observed.chains(table), chain)) for table, chain in left)
        return tell(held)


@frozen
class Held:
    """A chain that is left, empty, because ``rule`` leads to it, as far as that is known."""

    table: str
    chain: str
    rule: str

    def __str__(self) -> str:
        rule = one_line(self.rule, MAX_PART) or "a rule that iptables-save does not print"
        return f"{self.chain} of table {self.table} (by {rule})"


def tell(held: Iterable[Held]) -> tuple[str, ...]:
    """Return one line that says which chains are left and what holds them, or none."""
    found = sorted(held, key=str)
    if not found:
        return ()
    told = [str(each) for each in found[:_MOST_TOLD]]
    more = f" and {counted(len(found) - _MOST_TOLD, 'other')}" if len(found) > _MOST_TOLD else ""
    text = f"left empty, for rules that svcnet did not make lead there: {', '.join(told)}{more}"
    return (checks.MACHINE_STATE.told(text),)


def holder(chains: Mapping[str, list[str]], wanted: str) -> str:
    """Return a rule that leads to a chain, as a command of restore text; empty if there is none."""
    return next(
        (
            f"-A {chain} {rule}"
            for chain, rules in chains.items()
            for rule in rules
            if wanted in rule and target(rule) == wanted
        ),
        "",
    )


def _apart(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text without its deletions of chains, and the chains that it deletes."""
    if "\n-X " not in text:
        return text, ()
    # Rules may quote what others wrote, with more than one kind of line break.
    lines = text.split("\n")
    rest = "\n".join(line for line in lines if not line.startswith("-X "))
    return rest, tuple(line[3:] for line in lines if line.startswith("-X "))
