"""Each kind of damage to iptables rules, made by hand: found, repaired, counted, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.executors import iptables
from svcnet.executors.iptables import Commands
from svcnet.graph import RuleGraph
from svcnet.models import Host, IPFamily
from svcnet.netfilter import parse_save
from svcnet.reconciler import Keeper
from svcnet.sources import load_bytes
from tests.kernel.applying import order_free, tool
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.keepers import executor_of, iptables_keeper

pytestmark = pytest.mark.kernel

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}, {addresses: [10.244.1.6]}]
---
apiVersion: v1
kind: Service
metadata: {name: none}
spec: {clusterIP: 10.96.0.11, ports: [{port: 80}]}
"""
SIX = MANIFEST.replace("IPv4", "IPv6").replace("10.96.0.", "fd00:96::").replace("10.244.", "fd01::")
SIX = SIX.replace("fd01::1.", "fd01::")
FOREIGN = "-p tcp --dport 22 -j ACCEPT"
NAT, FILTER = "iptables nat", "iptables filter"

# Lines of shell: T is the command of the variant and family, SEP and SVC are chains of the
# Service, and ONE and TWO its endpoints' places. Then what is counted, None for any number.
DAMAGES: dict[str, tuple[str, Mapping[str, int | None]]] = {
    "filter flushed": ("$T -F", {FILTER: None}),
    "nat flushed": ("$T -t nat -F", {NAT: None}),
    "all chains deleted": ("$T -t nat -F; $T -t nat -X", {NAT: None}),
    "a jump deleted": ("$T -t nat -D OUTPUT 1", {NAT: 1}),
    "a jump doubled": (
        '$T -t nat -A PREROUTING -m comment --comment "$SAID" -j KUBE-SERVICES',
        {NAT: 1},
    ),
    "a rule deleted": ("$T -t nat -D $SEP 2", {NAT: 1}),
    "an endpoint replaced": (
        "$T -t nat -R $SEP 2 -p tcp -m tcp -j DNAT --to-destination $TWO",
        {NAT: 1},
    ),
    "a chain's rules in another order": (
        "R='-m mark ! --mark 0x4000/0x4000 -j RETURN'; $T -t nat -D $P $R; $T -t nat -A $P $R",
        {NAT: 1},
    ),
    "a rule of ours added": ("$T -A KUBE-FORWARD -j ACCEPT", {FILTER: 1}),
    "a rule of the shared chain deleted": ("$T -t nat -D KUBE-SERVICES 1", {NAT: 1}),
    "a rejection deleted": ("$T -D KUBE-SERVICES 1", {FILTER: 1}),
    "a rule of the shared chain that no text holds": (
        """$T -t nat -I KUBE-SERVICES -m comment --comment $'a\n-A "b' -j RETURN""",
        {NAT: 1},
    ),
    "a chain that is no Service's": ("$T -t nat -N KUBE-SEP-AAAAAAAAAAAAAAAA", {NAT: 1}),
}
NFT_DAMAGES: dict[str, tuple[str, Mapping[str, int | None]]] = {
    "the ruleset flushed": ("nft flush ruleset", {NAT: None, FILTER: None}),
    "the table deleted": ("nft delete table $NFT nat", {NAT: None}),
    "a chain flushed": ("nft flush chain $NFT nat $SEP", {NAT: 1}),
}
TABLE = [
    (variant, family, name)
    for variant in ("nft", "legacy")
    for family in ("IPv4", "IPv6")
    for name in (*DAMAGES, *(NFT_DAMAGES if variant == "nft" else ()))
]


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_namespace():
        yield


def graph_of(family: IPFamily, text: str = "", host: Host | None = None) -> RuleGraph:
    state = load_bytes((text or (SIX if family == "IPv6" else MANIFEST)).encode()).state
    return compile_state(state, node_view(state, host=host, family=family))


def rules(variant: str, family: str) -> dict[str, dict[str, list[str]]]:
    return order_free(parse_save(run(f"{tool(variant, family)}-save")))


def damage(variant: str, family: str, command: str) -> None:
    """Do what a line of the table says."""
    nat = rules(variant, family)["nat"]
    service = next(chain for chain in nat if chain.startswith("KUBE-SVC"))
    endpoints = sorted(chain for chain in nat if chain.startswith("KUBE-SEP"))
    other = "[fd01::6]:8080" if family == "IPv6" else "10.244.1.6:8080"
    first = next(chain for chain in endpoints if other not in " ".join(nat[chain]))
    words = f"T={tool(variant, family)} SVC={service} SEP={first} TWO={other}"
    words += " P=KUBE-POSTROUTING SAID='kubernetes service portals'"
    nft = "ip6" if family == "IPv6" else "ip"
    run("bash", "-ec", f"{words} NFT={nft}\n{command}")


def sealed(target: Keeper, graph: RuleGraph) -> None:
    """Write the rules and look until a look is a cheap one."""
    target.whole(graph)
    while "nothing has changed" not in target.look(graph).text:
        pass


@pytest.mark.parametrize(("variant", "family", "name"), TABLE)
def test_damage_is_repaired(variant: iptables.Variant, family: IPFamily, name: str) -> None:
    """One look repairs it, counts it under its kind, and leaves what others made."""
    command, differed = {**DAMAGES, **NFT_DAMAGES}[name]
    graph = graph_of(family)
    target = iptables_keeper(family, variant)
    sealed(target, graph)
    wanted = rules(variant, family)
    damage(variant, family, command)
    run("bash", "-ec", f"{tool(variant, family)} -A INPUT {FOREIGN}")
    done = target.look(graph)
    assert done.kind != "none"
    assert done.differed.keys() == differed.keys()
    for kind, count in differed.items():
        assert count in (None, done.differed[kind])
    found = rules(variant, family)
    assert any("--dport 22 " in rule for rule in found["filter"]["INPUT"])
    run("bash", "-ec", f"{tool(variant, family)} -D INPUT {FOREIGN}")
    # The order of the jumps among each other is of no account.
    assert normal(rules(variant, family)) == normal(wanted)
    assert target.look(graph).kind == "none"


def normal(tables: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, list[str]]]:
    return {
        table: {
            chain: own if chain.startswith("KUBE") else sorted(own) for chain, own in chains.items()
        }
        for table, chains in tables.items()
    }


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_an_undisturbed_look_runs_nothing(
    variant: iptables.Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing has changed no command is run, nothing is written or found."""
    graph = graph_of("IPv4")
    target = iptables_keeper("IPv4", variant)
    sealed(target, graph)
    monkeypatch.setattr(Commands, "_run", lambda *_: pytest.fail("a command was run"))
    for _ in range(3):
        done = target.look(graph)
        assert (done.kind, dict(done.differed)) == ("none", {})


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_foreign_rule_is_no_damage(variant: iptables.Variant) -> None:
    """Others' rules are looked at once, and change nothing."""
    graph = graph_of("IPv4")
    target = iptables_keeper("IPv4", variant)
    sealed(target, graph)
    run("bash", "-ec", f"iptables-{variant} -A INPUT {FOREIGN}")
    assert target.look(graph).kind == "none"
    assert "nothing has changed" in target.look(graph).text


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("way", ["step", "whole", "repair"])
def test_somebody_beside_our_write(
    variant: iptables.Variant, when: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage right before or after svcnet's own write is found by the next look."""
    before = graph_of("IPv4")
    after = graph_of("IPv4", MANIFEST.replace("10.244.1.6", "10.244.1.7"))
    target = iptables_keeper("IPv4", variant)
    sealed(target, before)
    if way == "repair":
        run("bash", "-ec", f"iptables-{variant} -t nat -D KUBE-POSTROUTING 1")
    restore = Commands.restore

    def beside(commands: Commands, text: str) -> None:
        if when == "after":
            restore(commands, text)
        run("bash", "-ec", f"iptables-{variant} -D KUBE-FORWARD 1")
        if when == "before":
            restore(commands, text)
        monkeypatch.undo()

    monkeypatch.setattr(Commands, "restore", beside)
    act = {"step": lambda: target.step(after, None), "whole": lambda: target.whole(after)}
    wanted = before if way == "repair" else after
    act.get(way, lambda: target.look(before))()
    assert target.look(wanted).differed == {FILTER: 1}
    assert target.look(wanted).kind == "none"


def test_families_share_the_count_of_commits() -> None:
    """What one family writes is nobody's damage to the other, and damage still is."""
    executor = executor_of("iptables", "nft")
    four = iptables_keeper("IPv4", "nft", executor)
    six = iptables_keeper("IPv6", "nft", executor)
    graph = graph_of("IPv4")
    sealed(four, graph)
    six.whole(graph_of("IPv6"))
    six.step(graph_of("IPv6", SIX.replace("fd01::6", "fd01::7")), None)
    assert "nothing has changed" in four.look(graph).text
    run("iptables-nft", "-t", "nat", "-F", "KUBE-POSTROUTING")
    assert four.look(graph).differed == {NAT: 1}


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_refused_write_leaves_no_mark(variant: iptables.Variant) -> None:
    """After a step that was refused the next look is a whole one."""
    graph = graph_of("IPv4")
    target = iptables_keeper("IPv4", variant)
    sealed(target, graph)
    run(f"iptables-{variant}", "-F", "KUBE-SERVICES")
    run(f"iptables-{variant}", "-F", "KUBE-FORWARD")
    without = graph_of("IPv4", MANIFEST.rpartition("---\n")[0])
    with pytest.raises(ApplyError):
        target.step(without, None)
    assert target.look(without).kind != "none"


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("named", ["none", "web"])
def test_a_refused_step_names_its_field(variant: iptables.Variant, named: str) -> None:
    """The line that was refused is told with what it came from, whether that comes or goes."""
    web, without = MANIFEST, MANIFEST.rpartition("---\n")[0]
    before, after, chain, origin = {
        "none": (web, without, "filter KUBE-SERVICES", "default/none: spec.clusterIPs[0]"),
        "web": (
            web,
            web.replace("nodePort: 30080", "nodePort: 30081"),
            "nat KUBE-NODEPORTS",
            "default/web: spec.ports[0].nodePort",
        ),
    }[named]
    target = iptables_keeper("IPv4", variant)
    sealed(target, graph_of("IPv4", before))
    table, name = chain.split()
    run(f"iptables-{variant}", "-t", table, "-F", name)
    with pytest.raises(ApplyError) as caught:
        target.step(graph_of("IPv4", after), None)
    refused = str(caught.value).split("\n")[-1]
    assert refused.startswith(f"  refused: -D {name} ")
    assert refused.endswith(f" (from Service {origin})")


def test_route_localnet_is_set_again() -> None:
    """The setting that node ports on 127.0.0.1 need is looked at as well."""
    setting = Path("/proc/sys/net/ipv4/conf/all/route_localnet")
    graph = graph_of("IPv4")
    target = iptables_keeper("IPv4", "nft")
    sealed(target, graph)
    setting.write_text("0")
    assert target.look(graph).differed == {"sysctls": 1}
    assert setting.read_text() == "1\n"
    assert target.look(graph).kind == "none"
