"""Damage by hand, all kinds in one process: repaired by one apply, and what is foreign stays."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.executors.ipvs import apply, cleanup, device, sets
from svcnet.executors.lock import Busy, lock
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.models import ClusterState, IPFamily, LoadBalancerIngress, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.renderers.ipvs import IPVSTables, full
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.ipvs.conftest import HOST, everything, run, without_draining
from tests.kernel.ipvs.damages import DAMAGES, FOREIGN, FUNCTIONS, WORDS

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

PORT = (ServicePort(80, "http", target_port=8080, node_port=30080),)
OBJECTS: dict[IPFamily, tuple[ClusterObject, ...]] = {
    "IPv4": (
        make_service(
            type="LoadBalancer",
            ports=PORT,
            load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
            load_balancer_source_ranges=("198.51.100.0/24", "0.0.0.0/0"),
        ),
        make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b"),
    ),
    "IPv6": (
        make_service(
            "web",
            "fd00:96::10",
            type="LoadBalancer",
            ports=PORT,
            load_balancer_ingress=(LoadBalancerIngress("2001:db8:f::20"),),
            load_balancer_source_ranges=("2001:db8:c::/64", "::102:304/128"),
        ),
        make_slice("web", "fd00:244:1::5@node-a", "fd00:244:2:0::6@node-b"),
    ),
}


def tables(family: IPFamily, *objects: ClusterObject) -> IPVSTables:
    state = ClusterState.of((*objects, make_node()))
    return full(compile_state(state, node_view(state, None, HOST, family=family)))


def by_hand(family: IPFamily, command: str) -> None:
    run(f"{WORDS[family]}\n{FUNCTIONS}\n{command}")


def there() -> str:
    return without_draining(everything())


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_damage_by_hand(family: IPFamily) -> None:
    """One apply repairs each kind, and the next has nothing to do."""
    before = everything()
    wanted = tables(family, *OBJECTS[family])
    apply(wanted, variant="legacy")
    right = there()
    wrong = {}
    for name, damage in DAMAGES.items():
        # Of what is the same in both families once is enough.
        if family == "IPv6" and not re.search(r"\$(A|R|L|MASK|OTHER)\b", damage):
            continue
        by_hand(family, damage)
        try:
            apply(wanted, variant="legacy")
        except ApplyError as error:
            wrong[name] = str(error)
            continue
        if (found := there()) != right:
            wrong[name] = "\n".join(set(found.splitlines()) ^ set(right.splitlines()))
    assert apply(wanted, variant="legacy").plan.steps == ()
    assert wrong == {}
    cleanup(family)
    assert everything() == before


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_foreign_things(family: IPFamily) -> None:
    """Whatever others do beside svcnet stays as it is, and keeps svcnet from nothing."""
    run("ip link add kube-ipvs0 type dummy")
    wanted = tables(family, *OBJECTS[family])
    before = everything()
    apply(wanted, variant="legacy")
    right = there()
    for foreign in FOREIGN.values():
        by_hand(family, foreign.do)
    with_foreign = there()
    by_hand(family, "ipset flush ${F}CLUSTER-IP; ipvsadm -D -t $V; $T -t nat -F")
    by_hand(family, "ip address del $A/$L dev kube-ipvs0")
    by_hand(family, "ipset add MINE ${F}CLUSTER-IP -exist")
    apply(wanted, variant="legacy")
    assert there() == with_foreign
    assert apply(wanted, variant="legacy").plan.steps == ()
    assert "CLUSTER-IP is left, empty" in "\n".join(cleanup(family))
    apply(wanted, variant="legacy")
    for foreign in FOREIGN.values():
        by_hand(family, foreign.undo)
    assert there() == right
    cleanup(family)
    assert everything() == before


def test_an_address_that_cannot_be_as_svcnet_has_it_goes_with_its_service() -> None:
    """Addresses that somebody put there before a Service came, of networks: they are its own."""
    others = tables("IPv4", make_service("other", "10.96.0.20"), make_slice("other", "10.244.1.7"))
    apply(others, variant="legacy")
    base = there()
    run(
        "ip address add 10.96.0.10/24 dev kube-ipvs0; ip address add 203.0.113.20/24 dev kube-ipvs0"
    )
    both = (*OBJECTS["IPv4"], make_service("other", "10.96.0.20"))
    apply(tables("IPv4", *both, make_slice("other", "10.244.1.7")), variant="legacy")
    assert "/24" not in run("ip address show dev kube-ipvs0")
    run("ip address del 10.96.0.10/32 dev kube-ipvs0; ip address add 10.96.0.10/24 dev kube-ipvs0")
    apply(others, variant="legacy")
    assert there() == base
    assert run("ip route show table local dev kube-ipvs0").split()[:2] == ["local", "10.96.0.20"]


def test_others_addresses_of_a_network_stay() -> None:
    """The kernel takes them away with the first of their network: they are put back."""
    other = (make_service("other", "10.96.0.20"), make_slice("other", "10.244.1.7"))
    apply(tables("IPv4", *other), variant="legacy")
    run("sysctl -qw net.ipv4.conf.kube-ipvs0.promote_secondaries=0")
    run("ip address add 10.96.0.10/24 dev kube-ipvs0")
    run("ip address add 10.96.0.99/24 dev kube-ipvs0")
    apply(tables("IPv4", *OBJECTS["IPv4"], *other), variant="legacy")
    found = run("ip address show dev kube-ipvs0")
    assert "10.96.0.10/24" not in found
    assert "10.96.0.99/24" in found
    cleanup("IPv4")
    assert run("ip -br address show dev kube-ipvs0").split()[2:] == ["10.96.0.99/24"]


def test_a_second_one_at_work_is_told_of() -> None:
    """Of two applies, or an apply and a cleanup, at once one says who is at work."""
    wanted = tables("IPv4", *OBJECTS["IPv4"])
    with lock("IPv4"), ThreadPoolExecutor(1) as pool:
        for work in (partial(apply, wanted, variant="legacy"), partial(cleanup, "IPv4")):
            with pytest.raises(Busy, match="another svcnet changes IPv4 in this network namespace"):
                pool.submit(work).result()
    apply(wanted, variant="legacy")


def test_a_foreign_rule_that_uses_the_mark_of_svcnet_alone() -> None:
    """That set, too, is left, empty, with a word; and goes once it can."""
    wanted = tables("IPv4", *OBJECTS["IPv4"])
    apply(wanted, variant="legacy")
    run("iptables-legacy -A INPUT -m set --match-set SVCNET-DRAINING dst,dst,dst -j ACCEPT")
    assert "SVCNET-DRAINING is left, empty" in "\n".join(cleanup("IPv4"))
    assert run("ipset list -n").split() == ["SVCNET-DRAINING"]
    apply(wanted, variant="legacy")
    run("iptables-legacy -F INPUT")
    assert cleanup("IPv4")
    assert run("ipset list -n") == ""


def test_a_foreign_rule_holds_a_set_of_another_kind() -> None:
    """It is one line, everything else is done, and rules and sets are as before."""
    wanted = tables("IPv4", *OBJECTS["IPv4"])
    apply(wanted, variant="legacy")
    by_hand("IPv4", "remake KUBE-CLUSTER-IP hash:net; ipvsadm -D -t $V")
    run("iptables-legacy -A INPUT -m set --match-set KUBE-CLUSTER-IP dst -j ACCEPT")
    with pytest.raises(ApplyError) as caught:
        apply(wanted, variant="legacy")
    assert "KUBE-CLUSTER-IP" in str(caught.value)
    assert "in use" in str(caught.value)
    assert "10.96.0.10:80" in run("ipvsadm -Sn")
    assert "SVCNET-RESIZED" not in everything()
    run("iptables-legacy -D INPUT -m set --match-set KUBE-CLUSTER-IP dst -j ACCEPT")
    apply(wanted, variant="legacy")
    assert apply(wanted, variant="legacy").plan.steps == ()


def test_a_kill_right_after_the_device_was_made() -> None:
    """It is svcnet's from its first moment on: the next cleanup takes it away."""
    device.make(THIS_MACHINE)
    run("ip link set kube-ipvs0 alias ''")
    assert cleanup("IPv6") == ("IPv6, ipvs: kube-ipvs0 removed",)
    run("ip link add kube-ipvs0 type dummy")
    assert cleanup("IPv6") == ()
    device.make(THIS_MACHINE)
    found = device.observe(THIS_MACHINE, "IPv4")
    assert found is not None
    assert not found.is_ours


def test_no_machine_has_a_set_by_a_name_that_holds_it() -> None:
    """A name is asked for, and not looked for in a text."""
    run("ipset create 'x KUBE-CLUSTER-IP' hash:ip; ipset create \"$(printf 'a\\nKUBE-X')\" hash:ip")
    assert sets.headers(THIS_MACHINE, ("KUBE-CLUSTER-IP", "KUBE-X", "x", "a")) == {}
    assert list(sets.headers(THIS_MACHINE, ("x KUBE-CLUSTER-IP",))) == ["x KUBE-CLUSTER-IP"]
