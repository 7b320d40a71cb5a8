"""IPVS mode on a kernel: what apply does, from any state, and what it leaves alone."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.executors.iptables import Commands
from svcnet.executors.iptables import apply as apply_iptables
from svcnet.executors.ipvs import IPVSReport, Step, apply, cleanup, sets
from svcnet.executors.ipvs.execution import Execution
from svcnet.executors.lock import lock
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.models import (
    ClusterState,
    IPFamily,
    IPVSConfiguration,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.modes.ownership import owned_by_others
from svcnet.netfilter import read_listing, save_rule
from svcnet.netfilter.ipvs import wire
from svcnet.renderers.iptables import full as full_iptables
from svcnet.renderers.ipvs import IPVSTables, full
from svcnet.renderers.ipvs.sections import create_line
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.ipvs.conftest import HOST, everything, rules, run, without_draining
from tests.test_conformance import CASES, compile_case, family_of_file

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

DOCUMENTS = sorted(CASES.glob("*/ipvs.ipv[46].json"))
TELLING = (
    *("kitchen-sink", "dual-lb-everything", "nodeport-etp-local-all-protocols"),
    *("ipvs-sched-mh-affinity", "long-names-v6-sctp"),
)
WEB = (make_service(), make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b"))


def tables(
    *objects: ClusterObject,
    config: KubeProxyConfiguration | None = None,
    family: IPFamily = "IPv4",
) -> IPVSTables:
    state = ClusterState.of((*objects, make_node()))
    return full(compile_state(state, node_view(state, config, HOST, family=family)))


def applied(wanted: IPVSTables, **options: object) -> IPVSReport:
    return apply(wanted, variant="legacy", **options)  # type: ignore[arg-type]


def operations(report: IPVSReport) -> list[str]:
    return [
        line
        for step in report.plan.steps
        for line in step.text.splitlines()
        if line[0] not in "*:C"
    ]


def test_cases() -> None:
    """Each state is reached from the one before, and then stays."""
    for document in (document for document in DOCUMENTS if document.parent.name in TELLING):
        wanted = full(compile_case(document.parent, family_of_file(document)))
        applied(wanted)
        assert operations(applied(wanted)) == [], document


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_rules_are_saved_as_the_plan_expects(family: IPFamily) -> None:
    """Every rule of every case is known again in what iptables-save prints."""
    found: dict[tuple[str, str], list[str]] = {}
    for document in DOCUMENTS:
        if family_of_file(document) == family:
            text = full(compile_case(document.parent, family)).restore_text
            for table, chains in read_listing(text).items():
                for chain, own in chains.items():
                    known = found.setdefault((table, chain), [])
                    known += [rule for rule in own if rule not in known]
    sets.restore(THIS_MACHINE, "".join(map(create_line, tables(family=family).sets.values())))
    for table in ("nat", "filter"):
        mine = {chain: own for (where, chain), own in found.items() if where == table}
        lines = [f":{chain} - [0:0]\n" for chain in mine]
        lines += [f"-A {chain} {rule}\n" for chain, own in mine.items() for rule in own]
        Commands(family, "legacy", THIS_MACHINE).restore(f"*{table}\n{''.join(lines)}COMMIT\n")
    there = rules(family)
    for (table, chain), own in found.items():
        expected = [save_rule(rule, family) for rule in own]
        assert there.chains(table)[chain] == expected, (table, chain)


def test_one_state_from_another_is_the_same_as_from_nothing() -> None:
    """What is there after a change does not depend on what was there before."""
    second = tables(*WEB)
    applied(second)
    fresh = everything()
    kitchen_sink = full(compile_case(CASES / "kitchen-sink", "IPv4"))
    applied(kitchen_sink)
    assert everything() != fresh
    applied(second, drain=0)
    assert everything() == fresh


FULL = (
    make_service(
        type="LoadBalancer",
        ports=(ServicePort(80, "http", target_port=8080, node_port=30080),),
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
        load_balancer_source_ranges=("198.51.100.0/24",),
        external_ips=("203.0.113.40",),
    ),
    make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b"),
)

DRIFT = {
    "ipvsadm -D -t 10.96.0.10:80": [
        "add 10.96.0.10:80 TCP scheduler rr",
        "add 10.96.0.10:80 TCP -> 10.244.1.5:8080 weight 1",
        "add 10.96.0.10:80 TCP -> 10.244.2.6:8080 weight 1",
    ],
    "ipvsadm -d -t 10.96.0.10:80 -r 10.244.2.6:8080": [
        "add 10.96.0.10:80 TCP -> 10.244.2.6:8080 weight 1",
    ],
    "ipvsadm -e -t 10.96.0.10:80 -r 10.244.2.6:8080 -m -w 7": [
        "edit 10.96.0.10:80 TCP -> 10.244.2.6:8080 weight 1",
    ],
    "ipvsadm -E -t 10.96.0.10:80 -s wlc -p 60": ["edit 10.96.0.10:80 TCP scheduler rr"],
    "ipvsadm -a -t 10.96.0.10:80 -r 10.1.1.1:80 -m": [
        "add SVCNET-DRAINING 10.1.1.1,6:80,10.96.0.10 timeout 900 -exist",
        "edit 10.96.0.10:80 TCP -> 10.1.1.1:80 weight 0",
    ],
    "ip address del 10.96.0.10/32 dev kube-ipvs0": ["address add 10.96.0.10/32 dev kube-ipvs0"],
    "ipset flush KUBE-CLUSTER-IP": ["add KUBE-CLUSTER-IP 10.96.0.10,6:80 -exist"],
    "ipset flush KUBE-IPVS-IPS": [
        "add KUBE-IPVS-IPS 10.96.0.10 -exist",
        "add KUBE-IPVS-IPS 203.0.113.20 -exist",
        "add KUBE-IPVS-IPS 203.0.113.40 -exist",
    ],
    "ipset add KUBE-CLUSTER-IP 10.96.0.99,tcp:80": ["del KUBE-CLUSTER-IP 10.96.0.99,6:80 -exist"],
    "ipset flush": [
        "add KUBE-CLUSTER-IP 10.96.0.10,6:80 -exist",
        "add KUBE-EXTERNAL-IP 203.0.113.40,6:80 -exist",
        "add KUBE-IPVS-IPS 10.96.0.10 -exist",
        "add KUBE-IPVS-IPS 203.0.113.20 -exist",
        "add KUBE-IPVS-IPS 203.0.113.40 -exist",
        "add KUBE-LOAD-BALANCER 203.0.113.20,6:80 -exist",
        "add KUBE-LOAD-BALANCER-FW 203.0.113.20,6:80 -exist",
        "add KUBE-LOAD-BALANCER-SOURCE-CIDR 203.0.113.20,6:80,198.51.100.0/24 -exist",
        "add KUBE-LOOP-BACK 10.244.1.5,6:8080,10.244.1.5 -exist",
        "add KUBE-NODE-PORT-TCP 30080 -exist",
    ],
    "iptables-legacy -F KUBE-MARK-MASQ -t nat": ["-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000"],
    "iptables-legacy -D INPUT 1": [
        '-I INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER'
    ],
    "sysctl -qw net.ipv4.vs.conntrack=0": ["net/ipv4/vs/conntrack=1"],
}


def test_drift() -> None:
    """What somebody changed by hand is put right with the fewest operations."""
    wanted = tables(*FULL)
    applied(wanted)
    right = everything()
    for damage, repair in DRIFT.items():
        run(damage)
        assert operations(applied(wanted)) == repair, damage
        assert without_draining(everything()) == right, damage


def test_everything_gone() -> None:
    """After all was removed by hand, all is made again."""
    wanted = tables(*FULL)
    applied(wanted)
    right = everything()
    run("ipvsadm -C; ip link del kube-ipvs0; iptables-legacy -F; iptables-legacy -t nat -F")
    run("iptables-legacy -X; iptables-legacy -t nat -X; ipset destroy")
    applied(wanted)
    assert everything() == right


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_an_apply_that_ends_after_a_step_is_finished_by_the_next(
    stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step was the last one done, the next apply arrives where a whole one does."""
    first, second = tables(*FULL), full(compile_case(CASES / "kitchen-sink", "IPv4"))
    applied(second)
    right = everything()
    cleanup("IPv4")
    applied(first)
    do = Execution.do

    def stopping(execution: Execution, steps: tuple[Step, ...]) -> None:
        do(execution, steps[:stop])
        raise KeyboardInterrupt

    monkeypatch.setattr(Execution, "do", stopping)
    with pytest.raises(KeyboardInterrupt):
        applied(second)
    monkeypatch.undo()
    applied(second)
    assert without_draining(everything()) == right


def test_killed_in_the_middle() -> None:
    """An apply that is killed at any moment is finished by the next."""
    wanted = tables(*(item for number in range(20) for item in cluster_of(number)))
    applied(wanted)
    right = everything()
    for delay in (0.1, 0.2, 0.4, 0.6):
        cleanup("IPv4")
        child = os.fork()
        if child == 0:
            applied(wanted)
            os._exit(0)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        run("pidwait -x 'ipset|ip|iptables' || true")
        applied(wanted)
        assert everything() == right, delay


def cluster_of(number: int) -> tuple[ClusterObject, ...]:
    name = f"web-{number}"
    return (
        make_service(name, f"10.96.1.{number}"),
        make_slice(name, f"10.244.1.{number}@node-a", f"10.244.2.{number}@node-b"),
    )


def test_what_others_made_is_left_alone() -> None:
    """Foreign servers, sets, addresses and rules are as before, after apply and cleanup."""
    run("ip link add kube-ipvs0 type dummy; ip address add 10.1.1.1/32 dev kube-ipvs0")
    run("ip address add 10.96.0.10/32 dev kube-ipvs0")
    run("ipvsadm -A -t 192.0.2.10:30080 -s wlc; ipvsadm -A -t 10.9.9.9:80 -s sh; ipvsadm -A -f 7")
    run("ipvsadm -a -t 192.0.2.10:30080 -r 10.1.2.3:80 -m; ipvsadm -A -t 203.0.113.20:80 -s lc")
    run("ipset create MINE hash:ip; ipset add MINE 10.2.2.2; iptables-legacy -A INPUT -j ACCEPT")
    run("iptables-legacy -t nat -N MINE; iptables-legacy -t nat -A MINE -j RETURN")
    before = everything()
    report = applied(tables(*FULL))
    assert len(report.warnings) == 2
    assert "192.0.2.10 port 30080" in "".join(report.warnings)
    assert "203.0.113.20 port 80" in "".join(report.warnings)
    mine = run("ipset save")
    assert "203.0.113.20,tcp:80" not in mine
    assert "add KUBE-IPVS-IPS 203.0.113.20" not in mine
    assert set(before.splitlines()) <= set(everything().splitlines())
    assert operations(applied(tables(*FULL))) == []
    applied(tables())
    assert set(before.splitlines()) <= set(everything().splitlines())
    cleanup("IPv4")
    assert everything() == before


def test_sets_of_kube_proxy_are_refused() -> None:
    """Where kube-proxy has been, nothing is changed and the error says what to do."""
    run("ipset create KUBE-CLUSTER-IP hash:ip,port")
    before = everything()
    with pytest.raises(ApplyError, match="kube-proxy"):
        applied(tables(*FULL))
    assert everything() == before
    assert cleanup("IPv4") == ()


@pytest.mark.parametrize("device", [False, True])
def test_cleanup_removes_exactly_what_is_ours(device: bool) -> None:
    """After cleanup of both families the machine is as it was; once more changes nothing."""
    if device:
        run("ip link add kube-ipvs0 type dummy")
    before = everything()
    for family in ("IPv4", "IPv6"):
        applied(full(compile_case(CASES / "dual-lb-everything", family)))
    assert cleanup("IPv4")
    assert "kube-ipvs0" in run("ip link")
    assert cleanup("IPv6")
    assert everything() == before
    assert ("kube-ipvs0" in run("ip link")) == device
    assert cleanup("IPv4") == cleanup("IPv6") == ()


def test_cleanup_leaves_the_device_to_who_is_at_work() -> None:
    """Another svcnet, at work on the other family, may be about to use the device."""
    applied(tables(*FULL))
    with lock("IPv6"), ThreadPoolExecutor(1) as pool:
        told = pool.submit(cleanup, "IPv4").result()
    assert "kube-ipvs0 is left: another svcnet changes IPv6" in told[-1]
    assert "kube-ipvs0" in run("ip link")


def test_cleanup_leaves_what_others_use_empty() -> None:
    """A set or chain that a foreign rule names cannot go; all else does, then and later."""
    applied(tables(*FULL))
    run("iptables-legacy -A INPUT -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT")
    run("iptables-legacy -t nat -A PREROUTING -j KUBE-MARK-MASQ")
    assert "KUBE-CLUSTER-IP is left, empty" in "".join(cleanup("IPv4"))
    assert run("ipset list -n").split() == ["SVCNET-DRAINING", "KUBE-CLUSTER-IP"]
    assert not re.search(r"^add ", run("ipset save"), re.MULTILINE)
    assert run("ipvsadm -Sn") == ""
    run("iptables-legacy -F INPUT; iptables-legacy -t nat -F PREROUTING")
    assert cleanup("IPv4")
    assert run("ipset list -n") == ""
    assert "KUBE" not in everything()


def test_excluded_addresses_keep_their_servers() -> None:
    """excludeCIDRs hold servers that are never removed, until cleanup."""
    config = KubeProxyConfiguration(ipvs=IPVSConfiguration(exclude_cidrs=("10.96.0.0/24",)))
    applied(tables(*FULL, config=config))
    applied(tables(config=config))
    assert run("ipvsadm -Sn").count("-A") == 1
    assert "10.96.0.10/32" in run("ip address show dev kube-ipvs0")
    assert operations(applied(tables(config=config))) == []
    applied(tables())
    assert run("ipvsadm -Sn") == ""


def test_settings_of_the_configuration() -> None:
    """Timeouts and strictARP are set when asked for, and only then."""
    applied(tables(*WEB))
    assert run("ipvsadm -L --timeout").split()[-3:] == ["900", "120", "300"]
    config = KubeProxyConfiguration(
        ipvs=IPVSConfiguration(strict_arp=True, tcp_timeout=100.0, udp_timeout=30.0)
    )
    assert operations(applied(tables(*WEB, config=config))) == [
        "net/ipv4/conf/all/arp_announce=2",
        "net/ipv4/conf/all/arp_ignore=1",
        "set timeouts tcp 100 tcpfin 0 udp 30",
    ]
    assert run("ipvsadm -L --timeout").split()[-3:] == ["100", "120", "30"]
    assert operations(applied(tables(*WEB, config=config))) == []


def test_a_set_that_is_full_grows() -> None:
    """A set that somebody made too small is replaced by one with room, at once."""
    wanted = tables(*WEB)
    applied(wanted)
    run("ipset create TMP hash:ip,port maxelem 1; ipset swap TMP KUBE-CLUSTER-IP")
    run("ipset destroy TMP")
    applied(wanted)
    assert "KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536" in run(
        "ipset save"
    )
    assert "SVCNET-NEW" not in run("ipset save")
    assert operations(applied(wanted)) == []


@pytest.mark.parametrize("address", ["::1.2.3.4", "2001:DB8:0:0:0:0:0:5"])
def test_addresses_in_other_spellings(address: str) -> None:
    """An address that tools or objects spell in another way is known again."""
    shown = wire.canonical_address(address)
    wanted = tables(make_service("a", shown), make_slice("a", f"{address}@node-a"), family="IPv6")
    applied(wanted)
    assert operations(applied(wanted)) == []


def test_a_machine_without_a_list_of_protocols() -> None:
    """Small images have no /etc/protocols; entries are known again all the same."""
    run("mount --bind /dev/null /etc/protocols")
    try:
        applied(tables(*FULL))
        assert operations(applied(tables(*FULL))) == []
    finally:
        run("umount /etc/protocols")


def test_a_dry_run_changes_nothing() -> None:
    """A dry run has the plan and leaves the machine as it was."""
    before = everything()
    report = applied(tables(*FULL), dry_run=True)
    assert everything() == before
    assert "add 10.96.0.10:80 TCP scheduler rr" in operations(report)


def test_after_iptables_mode() -> None:
    """What iptables mode left gives way, but for what guards the loopback that it routes."""
    applied(tables(*FULL))
    right = everything()
    cleanup("IPv4")
    objects = ClusterState.of((*FULL, make_node()))
    graph = compile_state(objects, node_view(objects, None, HOST, family="IPv4"))
    apply_iptables(full_iptables(graph), variant="legacy")
    applied(tables(*FULL), other_modes=partial(owned_by_others, "ipvs", "IPv4", THIS_MACHINE))
    lines = [line for line in everything().splitlines() if "KUBE-FIREWALL" not in line]
    assert "\n".join(lines) == right
    assert "-A INPUT -j KUBE-FIREWALL" in everything()
    assert operations(applied(tables(*FULL))) == []


def test_refusals_name_their_causes_and_stop_nothing_else() -> None:
    """Messages that the kernel refuses are one error; everything else is done."""
    bad = (make_service("bad", "10.96.0.11"), make_slice("bad", "127.0.0.1", "255.255.255.255"))
    worse = (make_service("worse", "10.96.0.12"), make_slice("worse", "255.255.255.255"))
    with pytest.raises(ApplyError) as error:
        applied(tables(*bad, *worse, *WEB))
    first, second = str(error.value).splitlines()
    assert "255.255.255.255:8080" in first
    assert "from EndpointSlice shop/bad-1: endpoints[1].addresses[0]" in first
    assert "from EndpointSlice shop/worse-1: endpoints[0].addresses[0]" in second
    assert "10.96.0.10/32" in run("ip address show dev kube-ipvs0")
    assert run("ipvsadm -Sn").count("-a -t 10.96.0.10:80 -r") == 2
    assert run("ipvsadm -Sn").count("-a -t 10.96.0.11:80 -r 127.0.0.1:8080") == 1
