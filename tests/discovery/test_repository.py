"""What a cluster would add to objects that none has seen: Pods, addresses, ports, Nodes."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.discovery.repository import Additions, Assumptions, assume
from svcnet.discovery.repository.additions import MAX_PODS
from svcnet.discovery.repository.scheduling import find_nodes
from svcnet.discovery.repository.workloads import pods_of
from svcnet.errors import UsageError
from svcnet.models import (
    ClusterState,
    Container,
    ContainerPort,
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    LabelRequirement,
    LabelSelector,
    NamespacedName,
    Node,
    NodeTerm,
    Pod,
    PodTemplate,
    ReplicaSet,
    ReplicationController,
    Service,
    ServicePort,
    StatefulSet,
    Toleration,
    Workload,
)
from svcnet.models.node import Taint
from svcnet.slots import Range, choose
from svcnet.testing import make_node, make_pod, make_service, make_slice

LABELS = {"app": "web"}
CONTAINER = Container("web", (ContainerPort(8080, "http"),))


def template(**fields: Any) -> PodTemplate:
    return PodTemplate(labels=LABELS, containers=(CONTAINER,), **fields)


def workload(kind: type[Workload] = Deployment, name: str = "web", **fields: Any) -> Workload:
    made = fields.pop("template", template())
    selector = LabelSelector(LABELS)
    return kind(namespace="shop", name=name, selector=selector, template=made, **fields)


def service(name: str = "web", **fields: Any) -> Service:
    return make_service(name, **{"cluster_ips": (), "selector": LABELS, **fields})


def added(*objects: Any, **asked: Any) -> Additions:
    return assume(ClusterState.of(objects), Assumptions(**asked))


def named(kind: type[Workload], **fields: Any) -> list[Pod]:
    return list(pods_of(workload(kind, **fields), (), ready=True))


def test_pods_have_the_names_of_their_controllers() -> None:
    """Numbers where the controller numbers, a hash and five letters where chance decides."""
    letters = "[bcdfghjklmnpqrstvwxz2456789]"
    for kind, pattern in (
        (Deployment, f"^web-{letters}{{10}}-{letters}{{5}}$"),
        (ReplicaSet, f"^web-{letters}{{5}}$"),
        (ReplicationController, f"^web-{letters}{{5}}$"),
        (Job, f"^web-{letters}{{5}}$"),
        (CronJob, rf"^web-\d{{8}}-{letters}{{5}}$"),
    ):
        pods = named(kind, replicas=3)
        assert len({pod.name for pod in pods}) == 3
        assert all(re.match(pattern, pod.name) for pod in pods), kind
        assert all(pod.labels.items() >= LABELS.items() and pod.ready for pod in pods)
    numbered = named(StatefulSet, replicas=2, first=3, service_name="db")
    assert [(pod.name, pod.hostname, pod.subdomain) for pod in numbered] == [
        ("web-3", "web-3", "db"),
        ("web-4", "web-4", "db"),
    ]
    assert numbered[0].labels["statefulset.kubernetes.io/pod-name"] == "web-3"
    assert numbered[0].labels["apps.kubernetes.io/pod-index"] == "3"
    indexed = named(Job, replicas=2, indexed=True)
    assert [pod.hostname for pod in indexed] == ["web-0", "web-1"]
    assert indexed[1].labels["batch.kubernetes.io/job-completion-index"] == "1"
    assert indexed[1].name.startswith("web-1-")


def test_long_names_are_cut_as_the_api_server_cuts_them() -> None:
    """A generated name has 58 characters before its letters."""
    for kind in (Deployment, ReplicaSet, Job):
        (pod,) = named(kind, name="w" * 80)
        assert len(pod.name) == 63


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ["a", "b"]),
        ({"node_name": "c"}, ["c"]),
        ({"node_selector": {"disk": "fast"}}, ["b"]),
        ({"node_terms": ()}, []),
        ({"node_terms": (NodeTerm(),)}, []),
        ({"node_terms": (NodeTerm((LabelRequirement("disk", "Exists"),)),)}, ["b"]),
        ({"node_terms": (NodeTerm((LabelRequirement("disk", "DoesNotExist"),)),)}, ["a"]),
        ({"node_terms": (NodeTerm((LabelRequirement("disk", "NotIn", ("fast",)),)),)}, ["a"]),
        ({"node_terms": (NodeTerm((LabelRequirement("cpus", "Gt", ("3",)),)),)}, ["b"]),
        ({"node_terms": (NodeTerm((LabelRequirement("cpus", "Lt", ("3",)),)),)}, []),
        (
            {"node_terms": (NodeTerm((), (LabelRequirement("metadata.name", "In", ("a",)),)),)},
            ["a"],
        ),
        ({"tolerations": (Toleration("", "Exists"),)}, ["a", "b", "c"]),
        ({"tolerations": (Toleration("own", "Equal", "x"),)}, ["a", "b"]),
        ({"tolerations": (Toleration("own", "Equal", "me"),)}, ["a", "b", "c"]),
        ({"tolerations": (Toleration("own", "Exists", "", "NoExecute"),)}, ["a", "b"]),
    ],
)
def test_nodes_that_admit_a_pod(fields: dict[str, Any], names: list[str]) -> None:
    """Name, labels, affinity and taints decide, as far as objects tell."""
    nodes = [
        Node("a", taints=(Taint("soft", "PreferNoSchedule"),)),
        Node("b", labels={"disk": "fast", "cpus": "4"}),
        Node("c", labels={"disk": "slow"}, taints=(Taint("own", "NoSchedule", "me"),)),
    ]
    wanted = template(**fields)
    if wanted.node_name == "c":
        wanted = template(**fields, tolerations=(Toleration("own", "Exists"),))
    assert [node.name for node in find_nodes(wanted, nodes)] == names


def test_a_daemon_set_has_a_pod_on_each_node_that_admits_it() -> None:
    """Without any Node it has one, as on one Node, of which nothing is known."""
    found = added(workload(DaemonSet, replicas=0), service(), nodes=3)
    assert sorted(pod.node_name for pod in found.pods) == ["node-1", "node-2", "node-3"]
    more = {pod.node_name: pod.name for pod in added(workload(DaemonSet), nodes=4).pods}
    assert more.items() >= {pod.node_name: pod.name for pod in found.pods}.items()
    (alone,) = added(workload(DaemonSet, replicas=0)).pods
    assert (alone.node_name, alone.ready, len(alone.pod_ips)) == ("", True, 1)
    taint = Taint("node.kubernetes.io/unschedulable", "NoSchedule")
    cordoned = Node("n", ("192.0.2.1",), ("10.1.0.0/24",), taints=(taint,))
    assert [pod.node_name for pod in added(workload(DaemonSet), cordoned).pods] == ["n"]
    waiting = added(workload(), cordoned)
    assert [(pod.phase, pod.pod_ips, pod.node_name) for pod in waiting.pods] == [
        ("Pending", (), "")
    ]
    assert [str(remark[0]) for remark in waiting.remarks()] == ["S810 no-admission"]


def test_addresses_are_of_the_node_or_of_the_range() -> None:
    """A Pod has an address of its Node's part, and in the Node's network that of the Node."""
    found = added(workload(replicas=9), service(), nodes=3, pod_cidrs=("10.9.0.0/16",))
    for pod in found.pods:
        node = found.state.nodes[pod.node_name]
        (cidr,) = node.pod_cidrs
        assert ip_address(pod.pod_ips[0]) in ip_network(cidr)
        assert ip_network(cidr).subnet_of(ip_network("10.9.0.0/16"))  # type: ignore[arg-type]
    assert len({pod.pod_ips for pod in found.pods}) == 9
    hosted = added(workload(replicas=2, template=template(host_network=True)), nodes=1)
    assert {pod.pod_ips for pod in hosted.pods} == {hosted.state.nodes["node-1"].addresses}
    both = added(workload(), service(ip_families=("IPv4", "IPv6")))
    (pod,) = both.pods
    assert ip_address(pod.pod_ips[0]) in ip_network("10.244.0.0/16")
    assert ip_address(pod.pod_ips[1]) in ip_network("fd00:10:244::/56")


names = st.text("abcdefgh", min_size=1, max_size=3)


@given(st.sets(names, min_size=1, max_size=12), st.randoms())
def test_slots_follow_from_names_alone(given_names: set[str], order: Any) -> None:
    """The order does not matter, a taken slot is nobody's, and one more moves those it meets."""
    slots = Range(32, frozenset({3, 4, 31}))
    words = [(name,) for name in given_names]
    found = choose(words, slots)
    assert len(set(found.values())) == len(words)
    assert slots.taken.isdisjoint(found.values()) if isinstance(slots.taken, frozenset) else False
    order.shuffle(words)
    assert choose(words, slots) == found
    without = choose(words[1:], slots)
    moved = {word for word in words[1:] if without[word] != found[word]}
    firsts = {slots.first(word) for word in words}
    assert (
        not moved
        or len(firsts) < len(words)
        or any(found[word] != slots.first(word) for word in words)
    )


def test_one_more_object_changes_nothing_of_others() -> None:
    """Of 200 workloads and Services none gets another address or port as others come."""
    objects: list[Any] = []
    for number in range(200):
        objects += [
            workload(name=f"w{number}", replicas=2),
            service(f"s{number}", type="LoadBalancer", external_traffic_policy="Local"),
        ]
    few, all_of_them = added(*objects[:200]).state, added(*objects).state
    same = sum(few.pods[name] == all_of_them.pods[name] for name in few.pods)
    assert same >= len(few.pods) - 2  # who meets on an address is told apart by a move
    kept = [few.services[name].cluster_ips for name in few.services]
    assert kept == [all_of_them.services[name].cluster_ips for name in few.services]


def test_services_get_what_an_api_server_and_a_cloud_give() -> None:
    """From the part of each range that is not left to who asks for a certain one."""
    ports = (
        ServicePort(53, "udp", "UDP", 53),
        ServicePort(53, "tcp", "TCP", 53),
        ServicePort(80, "http", "TCP", 80, node_port=30080),
    )
    local = service(type="LoadBalancer", ports=ports, external_traffic_policy="Local")
    found = added(local, service("plain")).state.services[NamespacedName("shop", "web")]
    (address,) = map(ip_address, found.cluster_ips)
    assert address in ip_network("10.96.0.0/12")
    assert int(address) > int(ip_address("10.96.1.0"))
    udp, tcp, http = (port.node_port for port in found.ports)
    assert udp == tcp != http == 30080  # ports of one number share it
    assert 30086 <= udp <= 32767
    assert 30086 <= found.health_check_node_port <= 32767
    assert found.health_check_node_port != udp
    assert ip_address(found.load_balancer_ingress[0].ip) in ip_network("198.19.0.0/16")
    bare = added(service(type="LoadBalancer", allocate_node_ports=False)).state.services
    assert [port.node_port for port in bare[NamespacedName("shop", "web")].ports] == [0]


def test_services_that_need_nothing_are_as_they_were() -> None:
    """Headless ones, aliases, and those that have a cluster IP, whatever else they lack."""
    objects = [
        service("headless", cluster_ips=("None",)),
        service("alias", type="ExternalName", external_name="example.com", ip_families=()),
        service("pinned", cluster_ips=("10.96.0.10",), type="LoadBalancer"),
    ]
    state = added(*objects).state
    assert [state.services[NamespacedName("shop", each.name)] for each in objects] == objects
    many = [service(f"s{number}") for number in range(9)]
    pinned = make_service("pinned", "10.0.0.2")
    crowded = added(pinned, *many, service_cidrs=("10.0.0.0/28",)).state.services.values()
    assert len({each.cluster_ips for each in crowded}) == 10


@pytest.mark.parametrize(
    "objects",
    [
        [workload(), make_pod(), service()],
        [workload(), service(), make_slice("web", "10.244.1.5")],
    ],
)
def test_a_cluster_has_its_own(objects: list[Any]) -> None:
    """Where an object was in a cluster nothing is made up, unless it is asked for always."""
    state = ClusterState.of(objects)
    assert assume(state, Assumptions()).state == state
    assert assume(state, Assumptions("never")).idle == (objects[0],)
    always = assume(state, Assumptions("always"))
    assert always.given.services == 1


def test_a_workload_whose_pods_are_there_makes_none() -> None:
    """Pods of the input beside workloads get addresses, and stand for their workload's."""
    bare = Pod("shop", "web-1", labels=LABELS)
    found = added(workload(), bare, service())
    assert [(pod.name, len(pod.pod_ips)) for pod in found.pods] == [("web-1", 1)]
    assert [each.name for each in found.idle] == ["web"]
    assert added(bare, service()).pods == ()  # without a workload nobody says how it is kept


def test_what_is_too_much_is_refused_or_told() -> None:
    """Ranges that are too small, that overlap, and workloads of a million Pods."""
    with pytest.raises(UsageError, match="overlap"):
        Assumptions(pod_cidrs=("10.96.0.0/16",))
    with pytest.raises(UsageError, match="too few addresses for 9 Pods"):
        added(workload(replicas=9), pod_cidrs=("10.0.0.0/29",))
    with pytest.raises(UsageError, match="has no part for each of 9 Nodes"):
        added(nodes=9, pod_cidrs=("10.0.0.0/28",))
    with pytest.raises(UsageError, match="the input has some"):
        added(make_node(), nodes=1)
    found = added(workload(replicas=2**31 - 1), workload(name="small"), service())
    assert len(found.pods) == 1
    ((check, item, path, message),) = found.remarks()
    assert (check.name, item.name, path) == ("too-many-entries", "web", ("spec", "replicas"))
    assert f"{MAX_PODS:,}" in message
