"""Removing what svcnet put on this machine, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.errors import ApplyError
from svcnet.executors.iptables.commands import VARIANTS, Commands, RestoreError, Variant
from svcnet.executors.iptables.observe import Observed, is_ours, parse_save
from svcnet.executors.iptables.saved import saved
from svcnet.renderers.iptables import JUMPS
from svcnet.renderers.iptables.artifact import delete


def cleanup(family: str, variant: Variant | None = None) -> tuple[str, ...]:
    """Remove the rules and chains of `family` in one variant, or in every installed one.

    Returns a line for each variant that had any. Chains are told by their names, which
    are kube-proxy's too: do not run this beside one. Raises ApplyError when the machine
    refuses.
    """
    wanted = VARIANTS if variant is None else (variant,)
    done = []
    for commands in (Commands(family, one) for one in wanted):
        if not commands.exist():
            continue
        observed = parse_save(commands.save())
        for text in removal(observed, family):
            try:
                commands.restore(text)
            except RestoreError as error:
                raise ApplyError(str(error)) from None
            done.append(
                f"{commands.name}: {text.count('-X ')} chains of table "
                f"{text[1 : text.index(chr(10))]} removed"
            )
    return tuple(done)


def removal(observed: Observed, family: str) -> Iterator[str]:
    """Yield, for each table that has chains of ours, the text that removes them.

    Rules that lead into them go first, whoever wrote them: a chain in use cannot go.
    """
    ours = {saved(jump.rule, family) for jump in JUMPS}
    for table in ("filter", "nat"):
        chains = observed.chains(table)
        mine = tuple(sorted(chain for chain in chains if is_ours(table, chain)))
        jumps = [
            f"-D {chain} {rule}\n"
            for chain, rules in chains.items()
            if chain not in mine
            for rule in rules
            if rule in ours or rule.rpartition("-j ")[2] in mine
        ]
        if mine or jumps:
            declared = "".join(f":{chain} - [0:0]\n" for chain in mine)
            yield f"*{table}\n{declared}{''.join(jumps)}{delete(mine)}COMMIT\n"
