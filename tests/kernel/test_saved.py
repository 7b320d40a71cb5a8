"""The form in which rules are compared is the one in which the kernel's tools print them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from svcnet.executors.iptables import Commands, Variant
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.netfilter.save_form import save_rule
from tests.fuzz import examples
from tests.kernel.test_twice import VARIANTS, elsewhere
from tests.netfilter.written import written_rules

pytestmark = pytest.mark.kernel

# To make a failure small takes minutes, and the rule that fails is told without.
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_rules_are_printed_in_that_form(
    variant: Variant, family: IPFamily, xtables_lock: None
) -> None:
    """Rules of any of the matches and targets that svcnet uses, in any order of their words."""
    commands = Commands(family, variant, THIS_MACHINE)

    @settings(max_examples=examples(6), suppress_health_check=list(HealthCheck), phases=UNSHRUNK)
    @given(st.fixed_dictionaries({t: rules_of(family, t) for t in ("filter", "nat")}))
    def printed(tables: dict[str, list[str]]) -> None:
        for table, rules in tables.items():
            lines = "".join(f"-A KUBE-X {rule}\n" for rule in rules)
            commands.restore(f"*{table}\n:KUBE-X - [0:0]\n{lines}COMMIT\n")
        observed = commands.observe()
        for table, rules in tables.items():
            wanted = [save_rule(rule, family) for rule in rules]
            assert observed.chains(table)["KUBE-X"] == wanted

    elsewhere(printed)


def rules_of(family: IPFamily, table: str) -> st.SearchStrategy[list[str]]:
    """Return a strategy for many rules at once, as a command takes longer than a rule."""
    return st.lists(written_rules(family, table), min_size=20, max_size=30)
