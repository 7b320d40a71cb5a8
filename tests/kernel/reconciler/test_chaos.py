"""A random history with everything that may go wrong in it ends where a cold apply does."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from attrs import frozen

from svcnet.executors.iptables import parse_save
from svcnet.models.family import IP_FAMILIES
from tests.kernel.applying import order_free, tool
from tests.kernel.chaos import changes, chaos
from tests.kernel.ipvs.netlink import run

pytestmark = pytest.mark.kernel


@frozen
class IptablesMachine:
    """The tables of both families in one variant."""

    variant: str

    @property
    def options(self) -> tuple[str, ...]:
        return ("--mode", "iptables", "--variant", self.variant)

    def state(self) -> list[str]:
        return [
            f"{family} {table} {chain} {rule}"
            for family in IP_FAMILIES
            for table, chains in self._tables(family).items()
            for chain, rules in chains.items()
            for rule in ("", *rules)
        ]

    def _tables(self, family: str) -> dict[str, dict[str, list[str]]]:
        return order_free(parse_save(run(f"{tool(self.variant, family)}-save")))

    def damage(self, random: Random) -> None:
        """Flush a table or a chain, delete a rule, or add one."""
        command = tool(self.variant, random.choice(IP_FAMILIES))
        table = random.choice(("nat", "filter"))
        chains = parse_save(run(f"{command}-save")).chains(table)
        chain = random.choice(list(chains) or ["INPUT"])
        if random.random() < 0.2 and self.variant == "nft":
            run("nft", "flush", "ruleset")
        elif random.random() < 0.3:
            run(command, "-t", table, "-F")
        elif chains.get(chain) and random.random() < 0.5:
            run(command, "-w", "-t", table, "-D", chain, "1", check=False)
        else:
            run(command, "-w", "-t", table, "-F", chain, check=False)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules_after_chaos(variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of changes, faults, restarts, kills and damages leave the rules of a cold apply."""
    # The namespace's rules are ours alone: the machine's lock need not be waited for.
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    with chaos(tmp_path, IptablesMachine(variant)) as everything:
        everything.go_on(changes(4000))
