"""Portal rules on a real kernel, with both variants of iptables, in namespaces of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve
from click.testing import CliRunner

from svcnet.cli import main
from svcnet.errors import ApplyError
from svcnet.executors.iptables import Commands, Variant
from svcnet.executors.iptables.commands import VARIANTS
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.executors.userspace import change, install, remove
from svcnet.executors.userspace.rules import plan
from svcnet.family import IP_FAMILIES
from svcnet.graph import NodeSettings
from svcnet.models import IPFamily
from svcnet.modes.ownership import owned_by_others
from svcnet.netfilter import Rule, SavedTables, parse_save
from svcnet.renderers import userspace
from svcnet.renderers.userspace.portals import CHAINS, PortalRules, jumps
from tests.kernel.ipvs.netlink import own_namespace
from tests.test_conformance import CASES, compile_case

pytestmark = pytest.mark.kernel

CLUSTER_IP = {"IPv4": "10.96.0.10", "IPv6": "fd00:10:96::10"}
NODE = {"IPv4": "192.0.2.10", "IPv6": "[2001:db8::10]"}
PODS = {"IPv4": "10.244.0.0/16", "IPv6": "fd00:10:244::/48"}
CHOSEN = (
    "config-cluster-cidr-two",
    "config-detect-bridge",
    "config-detect-prefix",
    "dual-lb-everything",
    "etp-local-nodeport-two-local",
    "externalips-etp-local",
    "kitchen-sink",
    "nodeport-addresses-two",
)
FOREIGN = """*filter
:DOCKER - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER
-A DOCKER -j RETURN
COMMIT
*nat
:KUBE-PORTALS-MINE - [0:0]
-A PREROUTING -p tcp -m tcp --dport 9 -j KUBE-PORTALS-MINE
-A KUBE-PORTALS-MINE -j RETURN
COMMIT
"""


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with own_namespace():
        yield


@pytest.fixture(params=IP_FAMILIES)
def family(request: pytest.FixtureRequest) -> IPFamily:
    found: IPFamily = request.param
    return found


@pytest.fixture(params=VARIANTS)
def commands(request: pytest.FixtureRequest, family: IPFamily) -> Commands:
    return Commands(family, request.param, THIS_MACHINE)


def rules_of(family: IPFamily, port: int = 80, proxy_port: int = 40000) -> tuple[Rule, ...]:
    """Return rules with every match and target that this mode has, for one service port."""
    prefix = 128 if family == "IPv6" else 32
    rules = []
    for protocol in ("tcp", "udp"):
        match = f"-m comment --comment shop/web:{port} -p {protocol} -m {protocol} --dport"
        portal = f"{match} {port} -d {CLUSTER_IP[family]}/{prefix}"
        redirect = f"-j REDIRECT --to-ports {proxy_port}"
        dnat = f"-j DNAT --to-destination {NODE[family]}:{proxy_port}"
        rules += [
            Rule("nat", "KUBE-PORTALS-CONTAINER", f"{portal} -s {PODS[family]} {redirect}"),
            Rule("nat", "KUBE-PORTALS-CONTAINER", f"{portal} ! -s {PODS[family]} {redirect}"),
            Rule("nat", "KUBE-PORTALS-CONTAINER", f"{portal} -i veth+ {redirect}"),
            Rule("nat", "KUBE-PORTALS-CONTAINER", f"{portal} {redirect}"),
            Rule(
                "nat",
                "KUBE-PORTALS-CONTAINER",
                f"{portal} -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL {redirect}",
            ),
            Rule(
                "nat", "KUBE-PORTALS-CONTAINER", f"{portal} -m addrtype --dst-type LOCAL {redirect}"
            ),
            Rule("nat", "KUBE-PORTALS-HOST", f"{portal} -m addrtype --dst-type LOCAL {dnat}"),
            Rule("nat", "KUBE-NODEPORT-CONTAINER", f"{match} 3{port:04} {redirect}"),
            Rule("nat", "KUBE-NODEPORT-HOST", f"{match} 3{port:04} {dnat}"),
            Rule(
                "filter",
                "KUBE-NODEPORT-NON-LOCAL",
                f"{match} {proxy_port} -m state --state NEW -j ACCEPT",
            ),
        ]
    return tuple(rules)


def wanted(*rules: Rule, family: IPFamily) -> PortalRules:
    return PortalRules(family, rules or rules_of(family), jumps(NodeSettings(family)))


def observed(commands: Commands) -> SavedTables:
    return parse_save(commands.save())


def foreign(commands: Commands) -> dict[str, dict[str, list[str]]]:
    """Return what is there beside this mode's chains and jumps."""
    return {
        table: {
            chain: [rule for rule in rules if not any(f"-j {own}" in rule for own in CHAINS[table])]
            for chain, rules in chains.items()
            if chain not in CHAINS[table]
        }
        for table, chains in observed(commands).tables.items()
        if table in CHAINS
    }


def test_a_second_install_writes_nothing(commands: Commands, family: IPFamily) -> None:
    """Every kind of rule is accepted and known again, with both variants and families."""
    rules = wanted(family=family)
    first = install(rules, variant=commands.variant)
    assert first.commands == commands
    assert len(first.transactions) == 2
    there = observed(commands)
    assert sum(map(len, (there.chains("nat")[chain] for chain in CHAINS["nat"]))) == 18
    assert install(rules, variant=commands.variant).transactions == ()
    # The variant in use is known by the chains.
    second = install(rules)
    assert (second.commands, second.transactions) == (commands, ())
    assert observed(commands) == there


@pytest.mark.parametrize("name", CHOSEN)
def test_rules_of_a_table_are_known_again(commands: Commands, family: IPFamily, name: str) -> None:
    """What the renderer writes for a cluster is accepted, and a second install writes nothing."""
    rules = userspace.portal_rules(userspace.full(compile_case(CASES / name, family)))
    assert len(install(rules, variant=commands.variant).transactions) == 2
    assert install(rules, variant=commands.variant).transactions == ()
    assert remove(family, commands.variant)


def test_other_settings_replace_the_jumps(commands: Commands, family: IPFamily) -> None:
    """Jumps of other addresses for node ports go when those change, and at the end."""
    rules = wanted(family=family)
    address = CLUSTER_IP[family]
    install(rules, variant=commands.variant)
    some = NodeSettings(family, node_port_addresses=(address, f"{address}1"))
    for settings in (some, NodeSettings(family, node_port_addresses=()), some):
        own = evolve(rules, jumps=jumps(settings))
        assert len(install(own, variant=commands.variant).transactions) == 1
        chain = observed(commands).chains("nat")["PREROUTING"]
        assert len(chain) == 1 + len(settings.node_port_addresses or ())
        assert install(own, variant=commands.variant).transactions == ()
    remove(family, commands.variant)
    assert observed(commands).chains("nat")["PREROUTING"] == []


def test_what_somebody_changed_is_put_right(commands: Commands, family: IPFamily) -> None:
    """Only the chain that was changed is written, and no foreign rule is touched."""
    commands.restore(FOREIGN)
    rules = wanted(family=family)
    install(rules, variant=commands.variant)
    before = foreign(commands)
    there = observed(commands)
    gone = there.chains("nat")["KUBE-PORTALS-HOST"][0]
    commands.restore(f"*nat\n-D KUBE-PORTALS-HOST {gone}\nCOMMIT\n")
    (text,) = install(rules, variant=commands.variant).transactions
    assert text.count("-A KUBE-PORTALS-HOST") == text.count("-A ") == 2
    assert observed(commands) == there
    commands.restore("*filter\n:KUBE-NODEPORT-NON-LOCAL - [0:0]\nCOMMIT\n")
    (text,) = install(rules, variant=commands.variant).transactions
    assert text.startswith("*filter\n")
    assert observed(commands) == there
    assert foreign(commands) == before


def test_jumps_keep_their_places(commands: Commands, family: IPFamily) -> None:
    """Portals are matched first and node ports last; what others put around them stays."""
    commands.restore(FOREIGN)
    rules = wanted(family=family)
    install(rules, variant=commands.variant)
    chain = observed(commands).chains("nat")["PREROUTING"]
    assert [rule.split("-j ")[1] for rule in chain] == [
        "KUBE-PORTALS-CONTAINER",
        "KUBE-PORTALS-MINE",
        "KUBE-NODEPORT-CONTAINER",
    ]
    commands.restore("*nat\n-I PREROUTING -p tcp -m tcp --dport 7 -j ACCEPT\nCOMMIT\n")
    assert install(rules, variant=commands.variant).transactions == ()
    commands.restore(f"*nat\n-A PREROUTING {chain[0]}\n-D PREROUTING {chain[0]}\nCOMMIT\n")
    assert len(install(rules, variant=commands.variant).transactions) == 1
    after = observed(commands).chains("nat")["PREROUTING"]
    assert after == [chain[0], "-p tcp -m tcp --dport 7 -j ACCEPT", *chain[1:]]


def test_an_install_that_was_killed_is_completed(commands: Commands, family: IPFamily) -> None:
    """After each transaction old or new rules are whole, and the next install does the rest."""
    rules = wanted(family=family)
    install(rules, variant=commands.variant)
    moved = wanted(*rules_of(family, proxy_port=40001), family=family)
    first, second = plan(moved, observed(commands))
    commands.restore(first)
    half = observed(commands)
    assert "--dport 40001" in half.chains("filter")["KUBE-NODEPORT-NON-LOCAL"][0]
    assert len(half.chains("nat")["KUBE-PORTALS-CONTAINER"]) == 12
    assert install(moved, variant=commands.variant).transactions == (second,)
    assert install(moved, variant=commands.variant).transactions == ()


def test_a_change_writes_single_rules(commands: Commands, family: IPFamily) -> None:
    """Rules of one service port come, change and go while those of another stay."""
    kept = rules_of(family, 53, 40053)
    install(wanted(*kept, family=family), variant=commands.variant)
    old, new = rules_of(family, 80, 40000), rules_of(family, 80, 40001)
    for before, after in (((), old), (old, new), (new, new[:-3]), (new[:-3], ())):
        change(before, after, commands)
        there = wanted(*kept, *after, family=family)
        assert install(there, variant=commands.variant).transactions == ()


def test_a_change_from_other_rules_is_refused(commands: Commands, family: IPFamily) -> None:
    """Where the rules are not those of before, an error says which, and an install helps."""
    old, new = rules_of(family, 80, 40000), rules_of(family, 80, 40001)
    install(wanted(*new, family=family), variant=commands.variant)
    with pytest.raises(ApplyError) as caught:
        change(old, (), commands)
    assert "lacks" not in str(caught.value)
    install(PortalRules(family, (), jumps(NodeSettings(family))), variant=commands.variant)
    assert not any(observed(commands).chains("nat")[chain] for chain in CHAINS["nat"])


def test_remove_takes_all_away(commands: Commands, family: IPFamily) -> None:
    """Chains and jumps of this mode go, and nothing else."""
    commands.restore(FOREIGN)
    before = observed(commands)
    install(wanted(family=family), variant=commands.variant)
    assert remove(family, commands.variant) == (
        f"{family}, userspace, {commands.name}: 1 chain of table filter removed",
        f"{family}, userspace, {commands.name}: 4 chains of table nat removed",
    )
    assert observed(commands) == before
    assert remove(family, commands.variant) == ()


def test_a_foreign_rule_keeps_its_chain(commands: Commands, family: IPFamily) -> None:
    """A chain of ours that a foreign rule leads to is left empty, and the rule is left."""
    install(wanted(family=family), variant=commands.variant)
    rule = "-p tcp -m tcp --dport 7 -j KUBE-PORTALS-HOST"
    commands.restore(f"*nat\n-A OUTPUT {rule}\nCOMMIT\n")
    assert remove(family, commands.variant)[1].endswith("3 chains of table nat removed")
    there = observed(commands).chains("nat")
    assert there["KUBE-PORTALS-HOST"] == []
    assert there["OUTPUT"] == [rule]


def test_cleanup_takes_both_variants(family: IPFamily) -> None:
    """The command removes the rules of this mode from both variants."""
    both = [Commands(family, variant, THIS_MACHINE) for variant in VARIANTS]
    for commands in both:
        install(wanted(family=family), variant=commands.variant)
    done = CliRunner().invoke(main, ["cleanup", "--family", family.lower()])
    assert done.exit_code == 0, done.output
    for commands in both:
        assert f"{commands.name}: 4 chains of table nat removed" in done.output
        tables = observed(commands).tables
        assert not any(chain.startswith("KUBE") for table in tables.values() for chain in table)


@pytest.mark.parametrize("other", VARIANTS)
def test_the_other_variant_is_told_of(commands: Commands, family: IPFamily, other: Variant) -> None:
    """Rules of this mode in the other variant, or of another mode in force, are warned of."""
    rules = wanted(family=family)
    install(rules, variant=other)
    warnings = install(rules, variant=commands.variant).warnings
    assert len(warnings) == (commands.variant != other)
    others = owned_by_others("userspace", family, THIS_MACHINE)
    commands.restore("*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n")
    warnings = install(rules, others, variant=commands.variant).warnings
    assert not any("cleanup before" in warning for warning in warnings)
    commands.restore("*nat\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n")
    warnings = install(rules, others, variant=commands.variant).warnings
    assert any("svcnet cleanup before userspace mode" in warning for warning in warnings)


def test_a_refused_rule_is_named(commands: Commands, family: IPFamily) -> None:
    """An error has the line that was refused, and the table's rules are as before."""
    rules = wanted(family=family)
    install(rules, variant=commands.variant)
    before = observed(commands)
    bad = Rule("nat", "KUBE-PORTALS-HOST", "-j KUBE-NOBODY")
    with pytest.raises(ApplyError, match="refused: ") as caught:
        install(evolve(rules, rules=(bad, *rules.rules)), variant=commands.variant)
    assert "lacks" not in str(caught.value)
    assert observed(commands) == before
