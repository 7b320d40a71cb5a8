"""The portal rules on a machine: put there, changed and taken away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import evolve, field, frozen

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.iptables import Commands, Variant, choose_variant, explain
from svcnet.executors.iptables.cleanup import Ownership, removable, remove_chains
from svcnet.executors.iptables.commands import RestoreError, find_commands
from svcnet.executors.iptables.proof import Proof
from svcnet.executors.machine import Machine
from svcnet.executors.namespace import NoNamespace
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.netfilter import Rule, SavedTables, target
from svcnet.netfilter.jumps import arrange, of_table
from svcnet.netfilter.restore import append, declare, write
from svcnet.netfilter.restore import remove as without
from svcnet.netfilter.save_form import save_rule
from svcnet.nogc import without_gc
from svcnet.renderers.userspace.portals import (
    CHAINS,
    NODE_PORTS_COMMENT,
    OPEN_COMMENT,
    PORTALS_COMMENT,
    PortalRules,
)
from svcnet.words import count_noun

_JUMP = re.compile(
    rf'--comment "(?:{OPEN_COMMENT}|{PORTALS_COMMENT}|{NODE_PORTS_COMMENT})" -j KUBE-\S+$'
)
_COMMENT = re.compile(r'--comment ("(?:[^"\\]|\\.)*"|\S+)')
_MODULES = (
    ("xt_comment", "nat", "-m comment --comment x"),
    ("xt_addrtype", "nat", "-m addrtype --dst-type LOCAL"),
    ("xt_physdev", "nat", "-m physdev ! --physdev-is-in"),
    ("xt_conntrack", "filter", "-m state --state NEW"),
    ("xt_REDIRECT", "nat", "-p tcp -j REDIRECT --to-ports 1"),
    ("xt_nat", "nat", "-p tcp -j DNAT --to-destination :1"),
)
"""For each module that portal rules use, a rule that shows whether it is there."""


@frozen
class RulesReport:
    """What was done to the rules. ``commands`` are those to make changes with from here on.

    ``differed`` counts what was found other than wanted: ``chains`` of this mode, and built-in
    chains with other ``jumps`` to them.
    """

    commands: Commands
    transactions: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    differed: Mapping[str, int] = field(factory=dict)

    def __str__(self) -> str:
        lines = count_noun("".join(self.transactions).count("\n"), "line")
        count = count_noun(len(self.transactions), "transaction")
        what = f"{lines} in {count}" if self.transactions else "nothing to change"
        return f"{self.commands.name}: {what}"


@without_gc()
def install(
    rules: PortalRules,
    others: Sequence[Ownership] = (),
    *,
    variant: Variant | None = None,
    machine: Machine = THIS_MACHINE,
) -> RulesReport:
    """Make the chains of this mode hold `rules` on a machine.

    `others` say what belongs to other modes: it shows which variant is in use, and is warned of
    where it is in force.

    A chain that differs is written whole, and nothing is where nothing differs. Each table
    changes in one transaction: what was killed half way has left working rules. Raises
    ApplyError when something is refused; it names the field that asked for it, and what the
    kernel lacks.
    """
    with machine.lock(rules.family):
        shows = shows_variant(others)
        choice = choose_variant(rules.family, variant, shows, machine=machine)
        report = _write(rules, choice.commands, tuple(_plans(rules, choice.observed)))
    return evolve(report, warnings=(*choice.warnings, *_conflict(choice.observed, others)))


@without_gc()
def find(rules: PortalRules, observed: SavedTables) -> tuple[TablePlan, ...]:
    """Return what leads from what is there to `rules`, one plan a table."""
    return tuple(_plans(rules, observed))


def repair(rules: PortalRules, commands: Commands, planned: Sequence[TablePlan]) -> RulesReport:
    """Do what :func:`find` has found, where :func:`install` has chosen `commands`.

    Raises ApplyError as that does.
    """
    with commands.machine.lock(rules.family):
        return _write(rules, commands, planned)


def change(
    before: Sequence[Rule],
    after: Sequence[Rule],
    commands: Commands,
    origin_of_line: Callable[[str], object] = lambda _: None,
) -> RulesReport:
    """Put the rules of some service ports in the place of those they had.

    Costs what the change costs: nothing is listed. Raises ApplyError when the rules there
    are not those of `before`; :func:`install` then puts them right. `origin_of_line` says what
    a line that is refused comes from.
    """
    transactions = tuple(step(before, after))
    with commands.machine.lock(commands.family):
        for text in transactions:
            _restore(commands, text, origin_of_line)
    return RulesReport(commands, transactions)


def _write(rules: PortalRules, commands: Commands, plans: Sequence[TablePlan]) -> RulesReport:
    transactions = tuple(text for each in plans if (text := each.text))
    proof = Proof(commands, transactions)
    for text in transactions:
        _restore(commands, text, rules.origin_of_line)
    proof.check(transactions)
    differed = {
        "chains": sum(len(each.chains) for each in plans),
        "jumps": sum(len(each.jumps) for each in plans),
    }
    return RulesReport(
        commands, transactions, differed={kind: count for kind, count in differed.items() if count}
    )


def services_of(rules: PortalRules, transactions: Iterable[str]) -> Iterator[str]:
    """Yield ``namespace/name`` of the Service of each of `rules` that is added."""
    for line in "".join(transactions).split("\n"):
        origin = rules.origin_of_line(line) if line.startswith("-A ") else None
        if origin is not None:
            yield f"{origin.namespace}/{origin.name}"


def remove(
    family: IPFamily, variant: Variant | None = None, *, machine: Machine = THIS_MACHINE
) -> tuple[str, ...]:
    """Remove the chains and jumps of this mode in one variant, or in every installed one.

    Returns a line for each table that had any. A chain that a foreign rule leads to is
    left, empty. Raises ApplyError.
    """
    with machine.lock(family):
        return tuple(
            f"{family}, userspace, {commands.name}: {line}"
            for commands in find_commands(family, variant, machine=machine)
            for line in remove_chains(commands, OWNED)
        )


def remains(
    family: IPFamily, variant: Variant | None = None, *, machine: Machine = THIS_MACHINE
) -> tuple[str, ...]:
    """Return a line for each table of which :func:`remove` would remove something."""
    return tuple(
        f"{family}, userspace, {commands.name}: {line}"
        for commands in find_commands(family, variant, machine=machine)
        for line in removable(commands.observe(), OWNED)
    )


def plan(rules: PortalRules, observed: SavedTables) -> Iterator[str]:
    """Yield the transactions, one a table at most, that lead from what is there to `rules`.

    The filter table comes first: it lets in what the nat table then leads to the proxy.
    """
    return (text for each in _plans(rules, observed) if (text := each.text))


@frozen
class TablePlan:
    """The chains of one table that are to be written, and the lines for jumps, both by chain."""

    table: str
    chains: Mapping[str, Sequence[str]]
    jumps: Mapping[str, str]

    @property
    def text(self) -> str:
        """The transaction, empty if there is nothing to do."""
        rules = (append(chain, texts) for chain, texts in self.chains.items())
        parts = (declare(self.chains), *rules, *self.jumps.values())
        return "".join(write(self.table, *parts))


def _plans(rules: PortalRules, observed: SavedTables) -> Iterator[TablePlan]:
    for table, chains in CHAINS.items():
        there = observed.chains(table)
        wanted: dict[str, list[str]] = {chain: [] for chain in chains}
        for rule in rules.rules:
            if rule.table == table:
                wanted[rule.chain].append(rule.text)
        differing = {
            chain: texts
            for chain, texts in wanted.items()
            if chain not in there
            or _by_comment(there[chain])
            != _by_comment(save_rule(text, rules.family) for text in texts)
        }
        jumps = arrange(of_table(rules.jumps, table), there, rules.family, _is_jump)
        yield TablePlan(table, differing, dict(jumps))


def _by_comment(printed: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return rules as iptables-save prints them, in their order, by the service port they name.

    The order of different ones among each other has no meaning: a step appends.
    """
    found: dict[str, list[str]] = {}
    for rule in printed:
        comment = _COMMENT.search(rule)
        found.setdefault(comment[1] if comment else "", []).append(rule)
    return found


def step(before: Sequence[Rule], after: Sequence[Rule]) -> Iterator[str]:
    """Yield the transactions, one a table at most, from the rules `before` to those `after`.

    Rules that stay are not touched unless a new one belongs in front of them: then they go
    behind it, since their order among each other has a meaning.
    """
    for table, chains in CHAINS.items():
        lines: list[str] = []
        for chain in chains:
            old = [rule.text for rule in before if rule.chain == chain]
            new = [rule.text for rule in after if rule.chain == chain]
            gone, come = _edit(old, new)
            lines += (without(chain, gone), append(chain, come))
        yield from write(table, *lines)


def _edit(old: Iterable[str], new: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what to take out of a list and what to append to it, so that it becomes `new`."""
    coming = list(new)
    kept = 0
    gone = []
    for text in old:
        if kept < len(coming) and coming[kept] == text:
            kept += 1
        else:
            gone.append(text)
    return gone, coming[kept:]


def _is_jump(rule: str) -> bool:
    """Whether a rule, as iptables-save prints it, is a jump of ours, for whatever addresses."""
    return _JUMP.search(rule) is not None


def _is_ours(table: str, chain: str) -> bool:
    return chain in CHAINS.get(table, ())


OWNED = Ownership(_is_ours, _is_jump)
"""How this mode's chains and jumps are known."""


def shows_variant(others: Sequence[Ownership]) -> Callable[[str, str], bool]:
    """Return what tells whether a chain, of this mode or of `others`, shows the variant in use."""
    return lambda table, chain: any(each.chain(table, chain) for each in (OWNED, *others))


def _conflict(observed: SavedTables, others: Sequence[Ownership]) -> Iterator[str]:
    """Warn of the rules of other modes: they refuse and rewrite packets for Services, too.

    The kubelet makes chains of their names as well, to which nothing leads that comes in.
    """
    targets = map(target, observed.chains("nat").get("PREROUTING", ()))
    if any(each.chain("nat", chain) for chain in targets for each in others):
        yield checks.MACHINE_STATE.line(
            "chains of another mode are there too, and in force: stop what makes them. "
            "svcnet run removes what svcnet left, and svcnet cleanup before userspace mode does"
        )


def _restore(commands: Commands, text: str, origin_of_line: Callable[[str], object]) -> None:
    try:
        commands.restore(text)
    except RestoreError as error:
        told = explain(error, text, origin_of_line)
        found = _missing(commands) if error.line else ()
        cause = (
            f"\n  this kernel lacks {', '.join(found)}: try modprobe -a {' '.join(found)}"
            if found
            else ""
        )
        raise ApplyError(f"{told}{cause}", checks.REFUSED_RULE) from None


def _missing(commands: Commands) -> tuple[str, ...]:
    """Return the modules that the kernel lacks for portal rules, as far as that can be tried."""
    try:
        return commands.machine.in_own_namespace(
            lambda: tuple(module for module, *rule in _MODULES if not commands.take(*rule))
        )
    except NoNamespace:
        return ()
