"""Each kind of damage in IPVS mode, made by hand: found, repaired, counted, and no more."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors.iptables import Commands
from svcnet.executors.ipvs import sets
from svcnet.graph import RuleGraph
from svcnet.models import IPFamily
from svcnet.reconciler import Keeper
from svcnet.sources import load_bytes
from tests.kernel.ipvs.conftest import everything, run
from tests.kernel.keepers import ipvs_keeper
from tests.kernel.reconciler.test_drift import MANIFEST, SIX

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

WEB = MANIFEST.rpartition("---\n")[0]
SERVERS, REALS, SETS = "virtual servers", "real servers", "ip sets"
NAT, FILTER = "iptables nat", "iptables filter"
# V is the Service's virtual server, ONE and TWO its real servers, A its address, F what the
# names of sets of the family begin with, T iptables.
DAMAGES: dict[str, tuple[str, Mapping[str, int]]] = {
    "a virtual server deleted": ("ipvsadm -D -t $V", {SERVERS: 1, REALS: 2}),
    "its scheduler changed": ("ipvsadm -E -t $V -s wlc", {SERVERS: 1}),
    "its flags changed": ("ipvsadm -E -t $V -s rr -p 100", {SERVERS: 1}),
    "a real server deleted": ("ipvsadm -d -t $V -r $ONE", {REALS: 1}),
    "a real server added": ("ipvsadm -a -t $V -r $NEW -m", {REALS: 1}),
    "a weight changed": ("ipvsadm -e -t $V -r $ONE -m -w 7", {REALS: 1}),
    "a set flushed": ("ipset flush ${F}CLUSTER-IP", {SETS: 1}),
    "an entry deleted": ("ipset del ${F}CLUSTER-IP $A,tcp:80", {SETS: 1}),
    "an entry replaced": (
        "ipset del ${F}CLUSTER-IP $A,tcp:80; ipset add ${F}CLUSTER-IP $A,tcp:81",
        {SETS: 1},
    ),
    "a set destroyed": (
        "$T -t nat -F; $T -F; ipset destroy ${F}CLUSTER-IP",
        {SETS: 1, NAT: 7, FILTER: 7},
    ),
    "an address taken": ("ip address del $A dev kube-ipvs0", {"addresses": 1}),
    "the device deleted": ("ip link del kube-ipvs0", {"devices": 1, "addresses": 1}),
    "nat flushed": ("$T -t nat -F", {NAT: 7}),
    "filter flushed": ("$T -F", {FILTER: 7}),
    "a rule deleted": ("$T -t nat -D KUBE-POSTROUTING 1", {NAT: 1}),
    "a setting of IPVS": ("echo 0 >/proc/sys/net/ipv4/vs/conntrack", {"sysctls": 1}),
}


def graph_of(family: IPFamily) -> RuleGraph:
    state = load_bytes((SIX.rpartition("---\n")[0] if family == "IPv6" else WEB).encode()).state
    return compile_state(state, node_view(state, family=family))


def words(family: str) -> str:
    if family == "IPv6":
        places = "V=[fd00:96::10]:80 ONE=[fd01::5]:8080 NEW=[fd01::9]:8080 A=fd00:96::10"
        return f"{places} F=KUBE-6- T=ip6tables-legacy"
    places = "V=10.96.0.10:80 ONE=10.244.1.5:8080 NEW=10.244.1.9:8080 A=10.96.0.10"
    return f"{places} F=KUBE- T=iptables-legacy"


def damage(family: str, command: str) -> None:
    run(f"set -e\n{words(family)}\n{command}")


def sealed(target: Keeper, graph: RuleGraph) -> None:
    target.whole(graph)
    for _ in range(5):
        if "nothing has changed" in target.look(graph).text:
            return
    raise AssertionError("no look was a cheap one")


def without_draining(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "DRAINING" not in line)


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_repaired(namespace: None, family: IPFamily, name: str) -> None:
    """One look repairs it, counts it under its kind, and leaves what others made."""
    run("ipvsadm -A -t 192.0.2.77:80 -s rr; ipset create other hash:ip; ipset add other 192.0.2.7")
    graph = graph_of(family)
    target = ipvs_keeper(family, "legacy")
    sealed(target, graph)
    wanted = without_draining(everything())
    command, differed = DAMAGES[name]
    damage(family, command)
    done = target.look(graph)
    assert done.kind == "full"
    assert done.differed == differed
    again = target.look(graph)
    assert (again.kind, again.differed) == ("none", {})
    assert without_draining(everything()) == wanted


def test_an_undisturbed_look_runs_nothing(namespace: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing has changed no command is run, nothing is written or found."""
    graph = graph_of("IPv4")
    target = ipvs_keeper("IPv4", "legacy")
    sealed(target, graph)
    monkeypatch.setattr(Commands, "_run", lambda *_: pytest.fail("iptables was run"))
    monkeypatch.setattr(sets, "run", lambda *_, **__: pytest.fail("ipset was run"))
    for _ in range(3):
        done = target.look(graph)
        assert (done.kind, dict(done.differed)) == ("none", {})


def test_damage_right_after_a_step(namespace: None) -> None:
    """What somebody does between svcnet's write and the next look is found."""
    before = graph_of("IPv4")
    state = load_bytes(WEB.replace("10.244.1.6", "10.244.1.7").encode()).state
    after = compile_state(state, node_view(state, family="IPv4"))
    target = ipvs_keeper("IPv4", "legacy")
    sealed(target, before)
    assert target.step(after, None).kind == "delta"
    damage("IPv4", "ipvsadm -d -t $V -r $ONE")
    assert target.look(after).differed == {REALS: 1}


def test_statistics_are_no_change(namespace: None) -> None:
    """Another family's servers and counters that are reset cost no whole look."""
    graph = graph_of("IPv4")
    target = ipvs_keeper("IPv4", "legacy")
    sealed(target, graph)
    run("ipvsadm -Z; iptables-legacy -t nat -Z; ipvsadm -A -t [fd00::77]:80 -s rr")
    assert "nothing has changed" in target.look(graph).text
