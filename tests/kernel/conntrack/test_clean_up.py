"""Real flows through real rules: stale UDP entries go, so clients move, and no others do."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Iterable, Iterator

import pytest
from attrs import evolve

from svcnet.executors.conntrack import DeletionReport, delete
from svcnet.models import EndpointSlice, ServicePort
from svcnet.renderers.conntrack import Flow
from tests.kernel.applying import namespace
from tests.kernel.conntrack.conftest import Node
from tests.kernel.netns import (
    CLIENT,
    CLUSTER_IP,
    EXTERNAL,
    NODE,
    OTHER_CLUSTER_IP,
    POD1,
    Both,
    Cluster,
)
from tests.kernel.scenarios import MANY, service, slices

pytestmark = pytest.mark.kernel

PORTS = (
    ServicePort(53, "dns", "UDP", 5353, 30053),
    ServicePort(53, "dns-tcp", "TCP", 8443, 30054),
)
WEB = service(type="NodePort", ports=PORTS, external_ips=(EXTERNAL.v4, EXTERNAL.v6))
OTHER = service("other", OTHER_CLUSTER_IP, ports=tuple(evolve(port, node_port=0) for port in PORTS))
FRONTENDS = [
    pytest.param(CLUSTER_IP, 53, id="cluster-ip"),
    pytest.param(EXTERNAL, 53, id="external-ip"),
    pytest.param(NODE, 30053, id="node-port"),
]


def behind(*endpoints: str, of: str = "web") -> tuple[EndpointSlice, EndpointSlice]:
    return slices(*endpoints, of=of, ports=MANY)


def clients(flows: Iterable[Flow]) -> set[int]:
    """Return the source ports of entries."""
    return {flow.source_port for flow in flows}


def who_reached(endpoint: str, answers: dict[int, str]) -> set[int]:
    return {port for port, answer in answers.items() if answer == endpoint}


@pytest.mark.parametrize(("to", "port"), FRONTENDS)
def test_clients_of_a_removed_endpoint_move_on(node: Node, to: Both, port: int) -> None:
    """Exactly their entries go, and their next datagrams come to another endpoint."""
    node.put(WEB, *behind("pod1", "pod2"))
    before = node.ask_until(to, port, "pod1", "pod2")
    node.put(WEB, *behind("pod2"))
    assert node.ask_all(to, port, before) == before
    kept = node.flows()
    found, report = node.clean()
    assert clients(found.flows) == who_reached("pod1", before)
    assert report == DeletionReport(len(found.flows))
    assert node.flows() == kept - set(found.flows)
    assert set(node.ask_all(to, port, before).values()) == {"pod2"}


@pytest.mark.parametrize(("to", "port"), FRONTENDS)
def test_the_first_endpoint_gets_clients_that_asked_before(node: Node, to: Both, port: int) -> None:
    """Datagrams that passed untranslated left entries, which go with the first endpoint."""
    node.put()
    nobody = node.ask(to, port, 5000)
    assert nobody == ("refused" if to == NODE else "outside")
    node.put(WEB, *behind())
    assert not node.clean()[0]
    node.put(WEB, *behind("pod1"))
    assert node.ask(to, port, 5000) == nobody
    assert clients(node.clean()[0].flows) == {5000}
    assert node.ask(to, port, 5000) == "pod1"
    assert not node.plan()


def test_a_service_without_endpoints_refuses_its_old_clients(node: Node) -> None:
    """Entries to the last endpoint go with it."""
    node.put(WEB, *behind("pod1"))
    assert node.ask(CLUSTER_IP, 53, 5000) == "pod1"
    node.put(WEB)
    assert node.ask(CLUSTER_IP, 53, 5000) == "pod1"
    node.clean()
    assert node.ask(CLUSTER_IP, 53, 5000) == "refused"


def test_a_service_that_is_gone_takes_its_entries_along(node: Node) -> None:
    """What its address was is known from the graph of the last clean-up."""
    node.put(WEB, *behind("pod1"))
    node.clean()
    assert node.ask(CLUSTER_IP, 53, 5000) == "pod1"
    node.put()
    assert node.ask(CLUSTER_IP, 53, 5000) == "pod1"
    node.clean()
    assert node.ask(CLUSTER_IP, 53, 5000) == "outside"


def test_a_restart_deletes_what_is_stale_and_nothing_else(node: Node) -> None:
    """Without an earlier graph the table alone says what to delete, and mostly that is nothing."""
    node.put(WEB, *behind("pod1", "pod2"))
    before = node.ask_until(CLUSTER_IP, 53, "pod1", "pod2")
    node.cleaned = None
    assert not node.plan()
    node.put(WEB, *behind("pod2", "pod3"))
    assert clients(node.plan().flows) == who_reached("pod1", before)


def test_another_service_and_tcp_keep_their_entries(node: Node) -> None:
    """The endpoint stays another Service's, and a connection of TCP goes on."""
    objects = (WEB, OTHER, *behind("pod1", of="other"))
    node.put(*objects, *behind("pod1"))
    assert node.send("open", CLUSTER_IP, 53, hold=1)[:2] == ["reply", "pod1"]
    assert node.ask(CLUSTER_IP, 53, 5000) == "pod1"
    assert node.ask(OTHER_CLUSTER_IP, 53, 5001) == "pod1"
    assert node.ask(POD1, 5353, 5002) == "pod1"
    node.put(*objects, *behind("pod2"))
    found, _ = node.clean()
    assert clients(found.flows) == {5000}
    assert clients(node.flows()) >= {5001, 5002}
    assert node.cluster.agents["client"]("exchange", hold=1, timeout=5)
    assert f"src={CLIENT.of(node.family)}" in node.cluster.run(
        *("node", "conntrack", "-L", "-p", "tcp", "-f", node.family.lower())
    )


def test_an_entry_that_a_client_has_anew_stays(node: Node) -> None:
    """Between listing and deletion an entry ended and its client got another: that one stays."""
    node.put(WEB, *behind("pod1"))
    before = node.ask_all(CLUSTER_IP, 53, range(5000, 5010))
    node.put(WEB, *behind("pod2"))
    found = node.plan()
    node.cluster.run("node", "conntrack", "-F")
    assert set(node.ask_all(CLUSTER_IP, 53, range(5000, 5005)).values()) == {"pod2"}
    kept = node.flows()
    assert node.inside(lambda: delete(found)) == DeletionReport(0, len(before))
    assert node.flows() == kept


@pytest.fixture
def lasting(cluster: Cluster) -> Iterator[None]:
    """The node's UDP entries outlive a test, however slow the machine is."""
    setting = "net.netfilter.nf_conntrack_udp_timeout"
    before = cluster.run("node", "sysctl", "-n", setting).strip()
    cluster.run("node", "sysctl", "-qw", f"{setting}=600")
    yield
    cluster.run("node", "sysctl", "-qw", f"{setting}={before}")


@pytest.mark.usefixtures("lasting")
def test_fifty_thousand_foreign_entries_stay(node: Node) -> None:
    """Foreign flows, most of them to the very port of the Service, are the same afterwards."""
    node.put(WEB, *behind("pod1", "pod2"))
    before = node.ask_until(CLUSTER_IP, 53, "pod1", "pod2")
    node.inside(lambda: send_to_many(node.family))
    node.put(WEB, *behind("pod2"))
    flows = node.flows()
    assert len(flows) >= 50_000
    found, report = node.clean()
    assert clients(found.flows) == who_reached("pod1", before)
    assert report == DeletionReport(len(found.flows))
    assert node.flows() == flows - set(found.flows)


def send_to_many(family: str) -> None:
    """Make 50,000 entries: datagrams to port 53 of loopback addresses, or to many ports."""
    if family == "IPv4":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(50_000):
                sender.sendto(b"?", (f"127.1.{number >> 8}.{number & 255}", 53))
    else:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            for number in range(50_000):
                sender.sendto(b"?", ("::1", 1000 + number))


def test_the_printed_commands_delete_the_same(node: Node) -> None:
    """Whoever runs the plan's lines with conntrack-tools has what svcnet would have done."""
    node.put()
    assert node.ask(NODE, 30053, 4000) == "refused"
    node.put(WEB, *behind("pod1", "pod2"))
    node.ask_until(CLUSTER_IP, 53, "pod1", "pod2")
    node.put(WEB, *behind("pod2"))
    found = node.plan()
    assert len(found.deletions) == 2
    before = node.flows()
    for line in str(found).splitlines():
        node.cluster.run("node", *shlex.split(line, comments=True))
    assert node.flows() == before - set(found.flows)


@pytest.mark.parametrize("zone", ["--zone 7", "--zone-orig 7"])
def test_zones(node: Node, zone: str) -> None:
    """An entry is deleted in its zone, whether that is one of both directions or of one."""
    interface = "" if zone == "--zone 7" else "-i eth0"
    rule = f"-A PREROUTING {interface} -p udp -j CT {zone}"
    node.put(WEB, *behind("pod1"))
    assert node.ask(CLUSTER_IP, 53, 5000) == "pod1"
    node.tables(f"*raw\n{rule}\nCOMMIT\n", "--noflush")
    assert node.ask(CLUSTER_IP, 53, 5001) == "pod1"
    node.put(WEB, *behind("pod2"))
    found, report = node.clean()
    assert {(flow.source_port, flow.zone) for flow in found.flows} == {(5000, 0), (5001, 7)}
    assert report == DeletionReport(2)
    assert node.ask(CLUSTER_IP, 53, 5001) == "pod2"


def test_without_the_right_to_ask() -> None:
    """What it takes is said in words."""
    code = (
        "from svcnet.errors import ApplyError\n"
        "from svcnet.executors.conntrack import observe\n"
        "try:\n    list(observe('IPv4'))\n"
        "except ApplyError as error:\n    print(type(error).__name__, error)\n"
    )
    with namespace() as ns:
        done = ns.run("setpriv", "--bounding-set=-all", "--", sys.executable, "-c", code)
    assert done == ("ApplyError conntrack: Operation not permitted: it takes CAP_NET_ADMIN\n")
