"""What is written of portal rules, without a kernel."""

from __future__ import annotations

import pytest
from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.iptables.commands import Commands, RestoreError
from svcnet.executors.userspace.rules import change, plan, services_of, step
from svcnet.graph import NodeSettings
from svcnet.netfilter import Rule, SavedTables
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.userspace import portal_rules
from svcnet.renderers.userspace.portals import CHAINS, PortalRules, jumps
from svcnet.testing import FakeMachine, make_slice
from tests.renderers.test_userspace import exposed, table_of

CONTAINER = "KUBE-PORTALS-CONTAINER"
HOST = "KUBE-PORTALS-HOST"


def rules(*texts: str, chain: str = CONTAINER) -> tuple[Rule, ...]:
    return tuple(Rule("nat", chain, text) for text in texts)


def wanted(*texts: str) -> PortalRules:
    return PortalRules(
        "IPv4", rules(*texts), jumps(NodeSettings("IPv4", localhost_node_ports=True))
    )


def there(wanted: PortalRules) -> dict[str, dict[str, list[str]]]:
    """Return the tables that hold `wanted` and nothing else."""
    tables: dict[str, dict[str, list[str]]] = {
        table: {chain: [] for chain in chains} for table, chains in CHAINS.items()
    }
    for rule in wanted.rules:
        tables[rule.table][rule.chain].append(save_rule(rule.text, "IPv4"))
    for jump in wanted.jumps:
        tables[jump.table].setdefault(jump.chain, []).append(save_rule(jump.rule, "IPv4"))
    return tables


def test_all_is_written_where_nothing_is() -> None:
    """Both tables get their chains, rules and jumps in a transaction each, filter first."""
    texts = list(plan(wanted("-j A", "-j B"), SavedTables({})))
    assert [text.split("\n")[0] for text in texts] == ["*filter", "*nat"]
    nat = texts[1].splitlines()
    assert nat[5:7] == [f"-A {CONTAINER} -j A", f"-A {CONTAINER} -j B"]
    assert [" ".join(line.split()[:2]) for line in nat[7:-1]] == [
        "-I PREROUTING",
        "-A PREROUTING",
        "-I OUTPUT",
        "-A OUTPUT",
    ]


def test_nothing_is_written_where_all_is() -> None:
    """Rules and jumps that are there are left alone, foreign ones around them too."""
    rules = wanted("-j A", "-j B")
    tables = there(rules)
    assert list(plan(rules, SavedTables(tables))) == []
    chain = tables["nat"]["PREROUTING"]
    chain[:] = ["-j FOREIGN", chain[0], "-j FOREIGN", chain[1], "-j FOREIGN"]
    assert list(plan(rules, SavedTables(tables))) == []


@pytest.mark.parametrize("found", [["-j B", "-j A"], ["-j A"], ["-j A", "-j B", "-j C"]])
def test_only_a_chain_that_differs_is_written(found: list[str]) -> None:
    """A chain whose rules are others, or in another order, is written whole."""
    rules = wanted("-j A", "-j B")
    tables = there(rules)
    tables["nat"][CONTAINER] = found
    expected = f"*nat\n:{CONTAINER} - [0:0]\n-A {CONTAINER} -j A\n-A {CONTAINER} -j B\nCOMMIT\n"
    assert list(plan(rules, SavedTables(tables))) == [expected]


def jumps_after(found: list[str]) -> list[str]:
    """Return PREROUTING as it is after the plan for a chain that has `found`."""
    rules = wanted()
    tables = there(rules)
    tables["nat"]["PREROUTING"] = list(found)
    chain = list(found)
    for text in plan(rules, SavedTables(tables)):
        for line in text.splitlines()[1:-1]:
            verb, name, rule = line.split(" ", 2)
            assert name == "PREROUTING"
            match verb:
                case "-D":
                    chain.remove(rule)
                case "-I":
                    chain.insert(0, rule)
                case "-A":
                    chain.append(rule)
    return chain


def test_jumps_are_put_to_their_places() -> None:
    """A jump that is missing, doubled, stale or before its time makes those of its chain new."""
    portals, node_ports = there(wanted())["nat"]["PREROUTING"]
    whole = [portals, "-j F", node_ports]
    for found in (
        ["-j F"],
        ["-j F", node_ports],
        [portals, "-j F"],
        [node_ports, portals, "-j F"],
        [portals, portals, "-j F", node_ports],
        [portals, node_ports, "-j F", portals],
        [portals, "-j F", f"-d 192.0.2.10/32 {node_ports[node_ports.index('-m comment') :]}"],
    ):
        assert jumps_after(found) == whole, found
    assert jumps_after(whole) == whole


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("", "a", ["-A a"]),
        ("a", "", ["-D a"]),
        ("abc", "abc", []),
        ("abc", "ac", ["-D b"]),
        ("ab", "abc", ["-A c"]),
        ("ab", "b", ["-D a"]),
        ("ab", "ba", ["-D a", "-A a"]),
        ("ab", "xab", ["-D a", "-D b", "-A x", "-A a", "-A b"]),
        ("abc", "axc", ["-D b", "-D c", "-A x", "-A c"]),
    ],
)
def test_a_step_keeps_the_order(before: str, after: str, lines: list[str]) -> None:
    """Single rules go and come at the end; one that a new one belongs before goes behind it."""
    text = "".join(step(rules(*before), rules(*after)))
    assert text == "".join(
        f"{verb} {CONTAINER} {rule}\n" for verb, rule in map(str.split, lines)
    ).join(["*nat\n", "COMMIT\n"] if lines else ["", ""])


def test_a_step_is_by_chain() -> None:
    """What moves from one chain to another leaves the one and joins the other."""
    assert list(step(rules("-j A"), rules("-j A", chain=HOST))) == [
        f"*nat\n-D {CONTAINER} -j A\n-A {HOST} -j A\nCOMMIT\n"
    ]


@frozen
class Refusing(Commands):
    """Commands that refuse the line that appends one rule."""

    line: str = ""

    def restore(self, text: str) -> None:
        lines = text.split("\n")
        if self.line in lines:
            number = lines.index(self.line) + 1
            raise RestoreError(number, f"line {number} failed")


def test_a_refused_rule_names_the_field_that_asked_for_it() -> None:
    """So it is for each rule of a Service with all kinds of addresses."""
    service = exposed(external_traffic_policy="Local", health_check_node_port=30099)
    wanted = portal_rules(table_of(service, make_slice("web", "10.244.1.5@node-a")))
    named = set()
    for rule in wanted.rules:
        line = f"-A {rule.chain} {rule.text}"
        commands = Refusing("IPv4", "nft", machine=FakeMachine(), line=line)
        with pytest.raises(ApplyError) as caught:
            change((), wanted.rules, commands, wanted.origin_of_line)
        told = f"refused: {line} (from Service shop/web: "
        head, _, field = str(caught.value).partition(told)
        assert (head, field[-1]) == (head.rstrip() + "\n  ", ")")
        named.add(field[:-1])
    assert named == {
        "spec.clusterIPs[0]",
        "spec.externalIPs[0]",
        "status.loadBalancer.ingress[0].ip",
        "spec.ports[0].nodePort",
        "spec.ports[0]",
        "spec.healthCheckNodePort",
    }


def test_rules_that_are_written_again_name_their_service() -> None:
    """It is the one that they are written for, whatever a comment says."""
    wanted = portal_rules(table_of(exposed(), make_slice("web", "10.244.1.5")))
    tables = there(wanted)
    host = tables["nat"][HOST]
    tables["nat"][HOST] = []
    written = list(plan(wanted, SavedTables(tables)))
    assert list(services_of(wanted, written)) == ["shop/web"] * len(host)
    foreign = '-A KUBE-PORTALS-HOST -m comment --comment "shop/web:http" -j DROP\n'
    assert list(services_of(wanted, [foreign, "-A PREROUTING -j KUBE-PORTALS-HOST\n"])) == []
