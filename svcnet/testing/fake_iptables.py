"""The filter and nat tables without a kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from svcnet.netfilter import BUILT_IN

SHARED = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL")
"""Chains whose rules are for different destinations, so that their order means nothing."""

Tables = dict[str, dict[str, list[str]]]


class RestoreError(Exception):
    """What iptables-restore would refuse, with the line."""


class FakeIPTables:
    """The filter and nat tables of one family, changed by ``iptables-restore --noflush``.

    Each transaction takes effect as a whole or raises :class:`RestoreError` and leaves
    the tables as they were. Rules are kept as written, not as the kernel prints them.
    """

    def __init__(self) -> None:
        self.tables: Tables = {
            table: {chain: [] for chain in chains} for table, chains in BUILT_IN.items()
        }

    def restore(self, text: str) -> None:
        """Load `text`, transaction by transaction."""
        table, chains = "", dict[str, list[str]]()
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("*"):
                table = line[1:]
                chains = {chain: list(rules) for chain, rules in self.tables[table].items()}
            elif line == "COMMIT":
                _check_targets(chains)
                self.tables[table] = chains
            elif line and not line.startswith("#"):
                try:
                    _execute(line, table, chains)
                except (KeyError, ValueError) as error:
                    raise RestoreError(f"line {number}: {line}: {error}") from None

    def order_free(self) -> Tables:
        """Return the tables with the shared chains' rules sorted, node port jumps last."""
        return {
            table: {
                chain: sorted(rules, key=_order) if chain in SHARED else list(rules)
                for chain, rules in sorted(chains.items())
            }
            for table, chains in self.tables.items()
        }


def _order(rule: str) -> tuple[bool, str]:
    return "NOTE: this must be the last rule in this chain" in rule, rule


def _execute(line: str, table: str, chains: dict[str, list[str]]) -> None:
    if line.startswith(":"):
        chain = line[1:].split(" ", 1)[0]
        if chain not in BUILT_IN[table]:
            chains[chain] = []
        return
    command, chain, *rest = line.split(" ", 2)
    rule = rest[0] if rest else ""
    match command:
        case "-A":
            chains[chain].append(rule)
        case "-I":
            chains[chain].insert(0, rule)
        case "-D":
            chains[chain].remove(rule)
        case "-F":
            chains[chain].clear()
        case "-X":
            _delete(chain, chains)
        case _:
            raise ValueError("unknown command")


def _delete(chain: str, chains: dict[str, list[str]]) -> None:
    if chains[chain]:
        raise ValueError("chain is not empty")
    if any(_target(rule) == chain for rules in chains.values() for rule in rules):
        raise ValueError("chain is in use")
    del chains[chain]


def _target(rule: str) -> str:
    words = rule.split(" ")
    return words[words.index("-j") + 1] if "-j" in words else ""


def _check_targets(chains: Mapping[str, Iterable[str]]) -> None:
    for chain, rules in chains.items():
        for rule in rules:
            target = _target(rule)
            if target.startswith("KUBE-") and target not in chains:
                raise RestoreError(f"{chain} jumps to {target}, which does not exist")
