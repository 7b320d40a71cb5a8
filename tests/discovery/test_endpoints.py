"""Endpoints that selectors find, by the rules of Kubernetes's controllers."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from svcnet.discovery.endpoints import (
    endpoints_from_pods,
    endpoints_manifest,
    mirror,
    reconcile,
    remarks,
    slice_manifest,
    slices_of,
    with_slices,
)
from svcnet.models import (
    ClusterState,
    Container,
    ContainerPort,
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    NamespacedName,
    Pod,
    Service,
    ServicePort,
)
from svcnet.testing import make_node, make_pod, make_service

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE = make_service(selector={"app": "web"})
NAMED = evolve(SERVICE, ports=(ServicePort(80, "http", target_port="http"),))
HEADLESS = evolve(SERVICE, cluster_ips=("None",))
NODES = {"node-a": make_node(zone="zone-a")}


def only(service: Service, *pods: Pod, **options: Any) -> Endpoint:
    """Return the one endpoint that a Service has."""
    (item,) = reconcile(service, pods, **options)
    (endpoint,) = item.endpoints
    return endpoint


def addresses(slices: tuple[EndpointSlice, ...]) -> list[str]:
    return [endpoint.addresses[0] for item in slices for endpoint in item.endpoints]


@pytest.mark.parametrize(
    ("pod", "service", "expected"),
    [
        ({}, {}, (True, True, False)),
        ({"ready": False}, {}, (False, False, False)),
        ({"deleting": True}, {}, (False, True, True)),
        ({"deleting": True, "ready": False}, {}, (False, False, True)),
        ({"ready": False}, {"publish_not_ready_addresses": True}, (True, False, False)),
        ({"deleting": True}, {"publish_not_ready_addresses": True}, (True, True, True)),
    ],
)
def test_conditions(
    pod: dict[str, Any], service: dict[str, Any], expected: tuple[bool, bool, bool]
) -> None:
    """Ready is serving and not terminating, or publishNotReadyAddresses says so."""
    found = only(evolve(SERVICE, **service), make_pod(**pod))
    assert (found.ready, found.serving, found.terminating) == expected


@pytest.mark.parametrize(
    "pod", [{"phase": "Succeeded"}, {"phase": "Failed"}, {"pod_ips": ()}], ids=str
)
def test_no_endpoints(pod: dict[str, Any]) -> None:
    """A Pod that ended or has no address is none, and one empty slice is left."""
    (item,) = reconcile(SERVICE, [make_pod(**pod)])
    assert (item.ports, item.endpoints) == ((), ())


def test_what_an_endpoint_tells() -> None:
    """Node, zone and Pod are told; a hostname only below the subdomain that is the Service."""
    pod = make_pod(hostname="web-1", subdomain="web")
    found = only(SERVICE, pod, nodes=NODES)
    assert (found.node_name, found.zone, found.hostname) == ("node-a", "zone-a", "web-1")
    assert found.target_ref is not None
    assert (found.target_ref.name, found.target_ref.uid) == ("web-1", "uid-of-web-1")
    assert only(SERVICE, evolve(pod, subdomain="other")).hostname == ""


def test_a_pod_on_a_node_that_is_not_there() -> None:
    """It is left out, unless not-ready addresses are published or no Node is known at all."""
    pod = make_pod(node_name="gone")
    assert addresses(reconcile(SERVICE, [pod], NODES)) == []
    published = evolve(SERVICE, publish_not_ready_addresses=True)
    assert addresses(reconcile(published, [pod], NODES)) == ["10.244.1.5"]
    assert addresses(reconcile(SERVICE, [pod])) == ["10.244.1.5"]


def containers(*ports: ContainerPort, **fields: Any) -> tuple[Container, ...]:
    return (Container("c", ports, **fields),)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"containers": containers(ContainerPort(81, "http"))}, [81]),
        ({"containers": containers(ContainerPort(81, "http", "UDP"))}, []),
        ({"containers": containers(ContainerPort(81, "web"))}, []),
        (
            {
                "containers": (
                    *containers(ContainerPort(81, "x")),
                    *containers(ContainerPort(82, "http"), ContainerPort(83, "http", "UDP")),
                )
            },
            [82],
        ),
        (
            {
                "containers": containers(),
                "init_containers": containers(ContainerPort(84, "http"), restart_always=True),
            },
            [84],
        ),
        (
            {"containers": containers(), "init_containers": containers(ContainerPort(84, "http"))},
            [],
        ),
    ],
)
def test_named_target_ports(fields: dict[str, Any], expected: list[int]) -> None:
    """A name is a port of that protocol of a container, or of an init container that runs on."""
    (item,) = reconcile(NAMED, [make_pod(**fields)])
    assert [port.port for port in item.ports] == expected
    assert len(item.endpoints) == 1


def test_numbered_target_ports() -> None:
    """A number is taken as it is, whatever the containers declare; 0 means the port itself."""
    (item,) = reconcile(SERVICE, [make_pod(containers=containers())])
    assert item.ports == (EndpointPort(8080, "http"),)
    plain = evolve(SERVICE, ports=(ServicePort(80),))
    assert reconcile(plain, [make_pod()])[0].ports == (EndpointPort(80),)


def test_pods_with_other_ports_are_in_other_slices() -> None:
    """Pods whose named port differs have slices of their own."""
    pods = [
        make_pod("a", "10.0.0.1"),
        make_pod("b", "10.0.0.2", containers=containers(ContainerPort(81, "http"))),
        make_pod("c", "10.0.0.3"),
    ]
    found = {item.ports[0].port: addresses((item,)) for item in reconcile(NAMED, pods)}
    assert found == {8080: ["10.0.0.1", "10.0.0.3"], 81: ["10.0.0.2"]}


def test_dual_stack() -> None:
    """Each family of the Service has slices, of the Pods that have an address of it."""
    both = evolve(SERVICE, ip_families=("IPv6", "IPv4"))
    pods = [make_pod("a", "10.0.0.1", "fd00::1"), make_pod("b", "10.0.0.2")]
    found = {item.address_type: addresses((item,)) for item in reconcile(both, pods)}
    assert found == {"IPv4": ["10.0.0.1", "10.0.0.2"], "IPv6": ["fd00::1"]}


@pytest.mark.parametrize(
    ("cluster_ips", "slices", "subset"),
    [
        (("10.96.0.10",), {"IPv4"}, ["10.0.0.1", "10.0.0.2"]),
        (("fd00:96::a",), {"IPv6"}, ["fd00::1"]),
        (("None",), {"IPv4", "IPv6"}, ["10.0.0.1", "10.0.0.2"]),
        ((), {"IPv4", "IPv6"}, ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_no_families_named(
    cluster_ips: tuple[str, ...], slices: set[str], subset: list[str]
) -> None:
    """The cluster IP tells the family; without one slices have both, Endpoints the Pods' first."""
    service = evolve(SERVICE, ip_families=(), cluster_ips=cluster_ips)
    pods = [make_pod("a", "10.0.0.1", "fd00::1"), make_pod("b", "10.0.0.2")]
    assert {item.address_type for item in reconcile(service, pods)} == slices
    assert shape(subsets(service, *pods)) == [(subset, [], [8080])]


@pytest.mark.parametrize(
    ("distribution", "annotations", "zones", "nodes"),
    [
        ("", {}, (), ()),
        ("PreferClose", {}, ("zone-a",), ()),
        ("PreferSameZone", {}, ("zone-a",), ()),
        ("PreferSameNode", {}, ("zone-a",), ("node-a",)),
        ("PreferClose", {"service.kubernetes.io/topology-mode": "Auto"}, (), ()),
    ],
)
def test_hints(
    distribution: Any, annotations: dict[str, str], zones: tuple[str, ...], nodes: tuple[str, ...]
) -> None:
    """trafficDistribution gives hints for ready endpoints; the annotation comes before it."""
    service = evolve(SERVICE, traffic_distribution=distribution, annotations=annotations)
    found = only(service, make_pod(), nodes=NODES)
    assert (found.zone_hints, found.node_hints) == (zones, nodes)
    assert only(service, make_pod(ready=False), nodes=NODES).zone_hints == ()


def test_labels() -> None:
    """A slice has the Service's labels, its name, its maker, and whether it is headless."""
    service = evolve(HEADLESS, labels={"team": "a", "service.kubernetes.io/headless": "x"})
    assert reconcile(service, [make_pod()])[0].labels == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        MANAGED_BY: "endpointslice-controller.k8s.io",
        "service.kubernetes.io/headless": "",
    }
    assert "service.kubernetes.io/headless" not in reconcile(SERVICE, [])[0].labels


@pytest.mark.parametrize(
    "service",
    [
        make_service(),
        evolve(SERVICE, type="ExternalName", cluster_ips=()),
        make_service(selector={}),
    ],
)
def test_no_selector_no_slices(service: Service) -> None:
    """Without a selector, and for ExternalName, the controllers do nothing."""
    assert reconcile(service, [make_pod()]) == ()
    assert endpoints_from_pods(service, [make_pod()]) is None


def pods_numbered(*numbers: int) -> list[Pod]:
    return [make_pod(f"p{number:03}", f"10.0.{number >> 8}.{number & 255}") for number in numbers]


def test_a_hundred_a_slice() -> None:
    """More than a hundred endpoints are spread over slices, the first ones full."""
    found = reconcile(SERVICE, pods_numbered(*range(250)))
    assert sorted(len(item.endpoints) for item in found) == [50, 100, 100]
    assert len({item.name for item in found}) == 3
    assert all(item.name.startswith("web-") and len(item.name) == 9 for item in found)


def test_long_names_are_cut() -> None:
    """A name of a slice is at most 63 letters, as one that the API server makes."""
    (item,) = reconcile(evolve(SERVICE, name="w" * 63), [make_pod()])
    assert item.name.startswith("w" * 58)
    assert len(item.name) == 63


def sizes(slices: tuple[EndpointSlice, ...]) -> dict[str, int]:
    return {item.name: len(item.endpoints) for item in slices}


def test_an_unchanged_slice_is_the_same_object() -> None:
    """Where nothing differs nothing is written."""
    before = reconcile(SERVICE, pods_numbered(*range(25)), limit=10)
    after = reconcile(SERVICE, pods_numbered(*range(25)), existing=before, limit=10)
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_pod_that_changes_touches_its_slice() -> None:
    """A readiness is updated in place, in the one slice that has the Pod."""
    pods = pods_numbered(*range(25))
    before = reconcile(SERVICE, pods, limit=10)
    pods[3] = evolve(pods[3], ready=False)
    after = reconcile(SERVICE, pods, existing=before, limit=10)
    changed = [item for item in after if item not in before]
    assert len(changed) == 1
    assert sizes(after) == sizes(before)


def test_new_pods_fill_slices_that_change_anyway() -> None:
    """A slice that loses a Pod takes the new ones; the others stay as they are."""
    before = reconcile(SERVICE, pods_numbered(*range(20)), limit=10)
    after = reconcile(SERVICE, pods_numbered(*range(1, 21)), existing=before, limit=10)
    assert sizes(after) == sizes(before)
    assert sum(item not in before for item in after) == 1


def test_what_is_left_goes_where_it_is_fullest() -> None:
    """New Pods go together into the one slice that they fit into and fill most."""
    three, six = (
        evolve(reconcile(SERVICE, pods_numbered(*numbers), limit=10)[0], name=f"web-{name}")
        for name, numbers in (("three", range(3)), ("six", range(10, 16)))
    )
    pods = pods_numbered(*range(3), *range(10, 16), 20, 21)
    assert sizes(reconcile(SERVICE, pods, existing=[three, six], limit=10)) == {
        "web-three": 3,
        "web-six": 8,
    }
    more = pods_numbered(*range(3), *range(10, 16), *range(20, 25))
    assert sizes(reconcile(SERVICE, more, existing=[three, six], limit=10)) == {
        "web-three": 8,
        "web-six": 6,
    }
    most = pods_numbered(*range(3), *range(10, 16), *range(20, 28))
    found = sizes(reconcile(SERVICE, most, existing=[three, six], limit=10))
    assert sorted(found.values()) == [3, 6, 8]


def test_ports_tell_their_protocol() -> None:
    """appProtocol is copied to slices, to Endpoints and to what mirrors these."""
    port = ServicePort(80, target_port=8080, app_protocol="kubernetes.io/h2c")
    service = evolve(SERVICE, ports=(port,))
    (made,) = reconcile(service, [make_pod()])
    assert slice_manifest(made)["ports"] == [
        {"port": 8080, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}
    ]
    found = endpoints_from_pods(service, [make_pod()])
    assert found is not None
    assert endpoints_manifest(found)["subsets"][0]["ports"] == slice_manifest(made)["ports"]
    (mirrored,) = mirror(make_service(), evolve(found, labels={}))
    assert mirrored.ports == made.ports
    (plain,) = reconcile(SERVICE, [make_pod()], existing=[made])
    assert (plain.name, plain.ports[0].app_protocol) == (made.name, "")


def test_slices_are_not_balanced_anew() -> None:
    """Slices that got small stay; only an empty one goes, and its name with it."""
    before = reconcile(SERVICE, pods_numbered(*range(20)), limit=10)
    fewer = reconcile(SERVICE, pods_numbered(0, 10), existing=before, limit=10)
    assert sorted(sizes(fewer).values()) == [1, 1]
    one = reconcile(SERVICE, pods_numbered(0), existing=fewer, limit=10)
    assert len(one) == 1


def test_a_slice_that_would_go_gives_its_name_away() -> None:
    """New content takes the object that is about to be deleted."""
    before = reconcile(NAMED, [make_pod()])
    moved = make_pod(containers=containers(ContainerPort(81, "http")))
    after = reconcile(NAMED, [moved], existing=before)
    assert [item.name for item in after] == [item.name for item in before]
    assert after[0].ports[0].port == 81


def test_slices_of_others_are_left_alone() -> None:
    """Slices that the controller did not make are neither counted nor returned."""
    other = EndpointSlice("shop", "web-by-hand", "web", endpoints=(Endpoint(("10.9.9.9",)),))
    found = reconcile(SERVICE, [make_pod()], existing=[other])
    assert addresses(found) == ["10.244.1.5"]


def subsets(service: Service, *pods: Pod) -> tuple[EndpointSubset, ...]:
    found = endpoints_from_pods(service, pods)
    assert found is not None
    return found.subsets


def shape(found: tuple[EndpointSubset, ...]) -> list[tuple[list[str], list[str], list[int]]]:
    return [
        (
            [address.ip for address in subset.addresses],
            [address.ip for address in subset.not_ready_addresses],
            [port.port for port in subset.ports],
        )
        for subset in found
    ]


def test_subsets() -> None:
    """Ports that the same addresses serve share a subset; others have one of their own."""
    two = evolve(
        NAMED,
        ports=(*NAMED.ports, ServicePort(90, "metrics", target_port="metrics")),
    )
    both = containers(ContainerPort(8080, "http"), ContainerPort(9090, "metrics"))
    pods = [
        make_pod("a", "10.0.0.10", containers=both),
        make_pod("b", "10.0.0.9", containers=both),
        make_pod("c", "10.0.0.1", ready=False, containers=both),
    ]
    assert shape(subsets(two, *pods)) == [(["10.0.0.10", "10.0.0.9"], ["10.0.0.1"], [8080, 9090])]
    pods[1] = make_pod("b", "10.0.0.9")
    assert shape(subsets(two, *pods)) == [
        (["10.0.0.10", "10.0.0.9"], ["10.0.0.1"], [8080]),
        (["10.0.0.10"], ["10.0.0.1"], [9090]),
    ]


def test_addresses_of_endpoints() -> None:
    """Terminating Pods are none, only the first family counts, and a Pod is told with it."""
    six = evolve(SERVICE, ip_families=("IPv6", "IPv4"))
    assert shape(subsets(six, make_pod("a", "10.0.0.1"), make_pod("b", "10.0.0.2", "fd00::2"))) == [
        (["fd00::2"], [], [8080])
    ]
    assert subsets(SERVICE, make_pod(deleting=True)) == ()
    published = evolve(SERVICE, publish_not_ready_addresses=True)
    assert shape(subsets(published, make_pod(deleting=True, ready=False))) == [
        (["10.244.1.5"], [], [8080])
    ]
    (address,) = subsets(SERVICE, make_pod(hostname="h", subdomain="web"))[0].addresses
    assert (address.hostname, address.node_name) == ("h", "node-a")


def test_no_ports() -> None:
    """A headless Service without ports has addresses alone; another one has nothing."""
    assert shape(subsets(evolve(HEADLESS, ports=()), make_pod())) == [(["10.244.1.5"], [], [])]
    assert subsets(evolve(SERVICE, ports=()), make_pod()) == ()


@pytest.mark.parametrize(
    ("ready", "others", "expected"),
    [(3, 3, (3, 3)), (6, 3, (6, 2)), (8, 5, (8, 0)), (12, 5, (8, 0))],
)
def test_over_capacity(ready: int, others: int, expected: tuple[int, int]) -> None:
    """Ready addresses come first, and an annotation says that there were more."""
    pods = pods_numbered(*range(ready))
    pods += [evolve(pod, ready=False) for pod in pods_numbered(*range(300, 300 + others))]
    found = endpoints_from_pods(SERVICE, pods, limit=8)
    assert found is not None
    (subset,) = found.subsets
    assert (len(subset.addresses), len(subset.not_ready_addresses)) == expected
    over = {"endpoints.kubernetes.io/over-capacity": "truncated"}
    assert found.annotations == (over if ready + others > 8 else {})


def test_each_subset_keeps_its_share() -> None:
    """Of an over-full object each subset loses in proportion, rounded up."""
    pods = pods_numbered(*range(9))
    pods += [
        evolve(pod, containers=containers(ContainerPort(81, "http")))
        for pod in pods_numbered(*range(100, 103))
    ]
    found = endpoints_from_pods(NAMED, pods, limit=6)
    assert found is not None
    assert [len(subset.addresses) for subset in found.subsets] in ([5, 1], [2, 4])
    assert sum(len(subset.addresses) for subset in found.subsets) == 6


def test_labels_of_endpoints() -> None:
    """Endpoints have the Service's labels, their maker, and whether it is headless."""
    found = endpoints_from_pods(evolve(HEADLESS, labels={"a": "b"}), [])
    assert found is not None
    assert found.labels == {
        "a": "b",
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        "service.kubernetes.io/headless": "",
    }


WRITTEN = Endpoints(
    "shop",
    "web",
    (
        EndpointSubset(
            (EndpointAddress("192.0.2.1"), EndpointAddress("fd00::1")),
            (EndpointAddress("192.0.2.2"),),
            (EndpointPort(80),),
        ),
        EndpointSubset((EndpointAddress("192.0.2.3"),), ports=(EndpointPort(81),)),
    ),
    labels={"team": "a"},
    annotations={"kept": "1", "endpoints.kubernetes.io/last-change-trigger-time": "x"},
)


def test_mirroring() -> None:
    """Endpoints that somebody wrote have a slice for each subset and family."""
    found = mirror(make_service(), WRITTEN)
    assert [(item.address_type, addresses((item,)), item.ports[0].port) for item in found] == [
        ("IPv4", ["192.0.2.1", "192.0.2.2"], 80),
        ("IPv6", ["fd00::1"], 80),
        ("IPv4", ["192.0.2.3"], 81),
    ]
    assert [endpoint["conditions"] for endpoint in slice_manifest(found[0])["endpoints"]] == [
        {"ready": True},
        {"ready": False},
    ]
    assert found[0].annotations == {"kept": "1"}
    assert found[0].labels[MANAGED_BY] == "endpointslicemirroring-controller.k8s.io"
    assert found[0].labels["team"] == "a"


@pytest.mark.parametrize(
    ("service", "fields"),
    [
        (SERVICE, {}),
        (make_service(), {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}),
        (make_service(), {"annotations": {"control-plane.alpha.kubernetes.io/leader": "x"}}),
    ],
)
def test_not_mirrored(service: Service, fields: dict[str, Any]) -> None:
    """A Service with a selector, a label and a lock's annotation prevent it."""
    assert mirror(service, evolve(WRITTEN, **fields)) == ()


def test_at_most_a_thousand_are_mirrored() -> None:
    """Of a subset, ready addresses come first and the rest is dropped."""
    many = [EndpointAddress(f"192.0.{n >> 8}.{n & 255}") for n in range(1500)]
    subset = EndpointSubset(tuple(many[:900]), tuple(many[900:]), (EndpointPort(80),))
    (item,) = mirror(make_service(), evolve(WRITTEN, subsets=(subset,)))
    assert len(item.endpoints) == 1000
    assert sum(endpoint.ready for endpoint in item.endpoints) == 900


def test_a_whole_cluster() -> None:
    """Selected Pods and written Endpoints both have slices; other namespaces are not looked in."""
    state = ClusterState.of(
        [
            SERVICE,
            make_service("written", "10.96.0.11"),
            evolve(WRITTEN, name="written"),
            make_pod(),
            make_pod("elsewhere", "10.0.0.9", namespace="other"),
            make_pod("others", "10.0.0.8", labels={"app": "db"}),
        ]
    )
    found = slices_of(state)
    assert [item.service_name for item in found] == ["web", "written", "written", "written"]
    assert addresses(found[:1]) == ["10.244.1.5"]


def test_slices_are_made_where_there_is_nothing() -> None:
    """Services that have slices or Endpoints keep them, and without Pods nothing is made."""
    own = EndpointSlice("shop", "x", "web", endpoints=(Endpoint(("10.9.9.9",)),))
    with_own = ClusterState.of([SERVICE, own, make_pod()])
    assert with_slices(with_own) == with_own
    without_pods = ClusterState.of([SERVICE])
    assert with_slices(without_pods) is without_pods
    made = with_slices(ClusterState.of([SERVICE, make_pod()]))
    assert addresses(tuple(next(iter(made.slices.values())).values())) == ["10.244.1.5"]


def test_remarks() -> None:
    """Selectors that find nothing, ports that are not there and missing addresses are told."""
    state = ClusterState.of(
        [
            NAMED,
            make_service("none", selector={"app": "none"}),
            make_pod("bare", pod_ips=(), containers=containers()),
            make_pod("lost", node_name="node-z"),
            make_pod("done", pod_ips=(), phase="Succeeded"),
            make_pod("worn", "10.244.1.9", containers=containers()),
            make_node(),
        ]
    )
    found = [(item.name, message) for _, item, _, message in remarks(state)]
    assert found == [
        ("none", "finds no Pod"),
        ("web", "Pod bare has no TCP port named 'http'; so is it with 1 more"),
        ("bare", "is not there, so the Pod is no endpoint"),
        ("lost", "the input has no Node node-z, so the Pod is no endpoint"),
    ]
    web = NamespacedName("shop", "web")
    assert [item.name for _, item, _, _ in remarks(state, {web})] == ["none"]
