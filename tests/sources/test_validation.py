"""Every rule of the input: what is wrong, where, and what a right object becomes."""

from __future__ import annotations

import json
import tracemalloc

import pytest
import yaml

from svcnet.errors import InputError
from svcnet.models import Endpoint, LoadBalancerIngress, Service, ServicePort
from svcnet.sources import load_bytes

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
spec:
  clusterIP: 10.96.0.10
  ports:
  - name: http
    port: 80
"""
SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  namespace: shop
  labels: {kubernetes.io/service-name: web}
addressType: IPv4
ports:
- {name: http, port: 8080}
endpoints:
- addresses: [10.244.1.5]
"""
ENDPOINTS = """\
apiVersion: v1
kind: Endpoints
metadata:
  name: web
  namespace: shop
subsets:
- addresses: [{ip: 10.244.1.5}]
  ports: [{name: http, port: 8080}]
"""


def errors(text: str) -> list[tuple[int, str, str, str]]:
    """Return line, object, field and message of each error in `text`."""
    with pytest.raises(InputError) as caught:
        load_bytes(text.encode(), "in.yaml")
    assert all(d.file == "in.yaml" for d in caught.value.diagnostics)
    return [(d.line, d.object, d.field, d.message) for d in caught.value.diagnostics]


def service(text: str = SERVICE) -> Service:
    (found,) = load_bytes(text.encode()).objects
    assert isinstance(found, Service)
    return found


# What is replaced in SERVICE, by what, and the line, field and part of the message to come.
SERVICES = (
    ("name: web", "name: Web", 4, "metadata.name", "RFC 1123 label"),
    ("name: web", "name: web-", 4, "metadata.name", "RFC 1123 label"),
    ("name: web", f"name: {'a' * 64}", 4, "metadata.name", "RFC 1123 label"),
    ("name: web", 'name: "a\\" -j ACCEPT"', 4, "metadata.name", "RFC 1123 label"),
    ("name: web", 'name: "a\\nb"', 4, "metadata.name", "RFC 1123 label"),
    ("name: web", "name: on", 4, "metadata.name", "must be a string, not True"),
    ("name: web", "generateName: _", 4, "metadata.generateName", "RFC 1123 label"),
    ("name: web", "labels: {}", 3, "metadata.name", "is required"),
    ("namespace: shop", "namespace: a.b", 5, "metadata.namespace", "RFC 1123 label"),
    ("port: 80", "port: 0", 10, "spec.ports[0].port", "from 1 to 65535, not 0"),
    ("port: 80", "port: 65536", 10, "spec.ports[0].port", "from 1 to 65535"),
    ("port: 80", 'port: "80"', 10, "spec.ports[0].port", "must be an integer, not '80'"),
    ("port: 80", "port: 80.5", 10, "spec.ports[0].port", "must be an integer"),
    ("port: 80", "port: true", 10, "spec.ports[0].port", "must be an integer, not True"),
    ("port: 80", "targetPort: 80", 9, "spec.ports[0].port", "is required"),
    ("port: 80", "{port: 80", 11, "", "is no YAML"),
    ("port: 80", "port: 80\n    protocol: tcp", 11, "spec.ports[0].protocol", "TCP, UDP or SCTP"),
    ("port: 80", "port: 80\n    targetPort: 70000", 11, "spec.ports[0].targetPort", "65535"),
    ("port: 80", "port: 80\n    targetPort: a_b", 11, "spec.ports[0].targetPort", "IANA"),
    ("port: 80", "port: 80\n    nodePort: 30000", 11, "spec.ports[0].nodePort", "is ClusterIP"),
    ("port: 80", "port: 80\n    appProtocol: a b", 11, "spec.ports[0].appProtocol", "63 letters"),
    ("port: 80", "port: 80\n    appProtocol: ''", 11, "spec.ports[0].appProtocol", "63 letters"),
    ("0.10", "0.10\n  ipFamilyPolicy: DualStack", 8, "spec.ipFamilyPolicy", "PreferDualStack"),
    ("name: http", "name: HTTP", 9, "spec.ports[0].name", "RFC 1123 label"),
    ("port: 80", "port: 80\n  - port: 81", 11, "spec.ports[1].name", "several ports"),
    (
        "port: 80",
        "port: 80\n  - {name: http, port: 81}",
        11,
        "spec.ports[1].name",
        "http is that of ports[0]",
    ),
    (
        "port: 80",
        "port: 80\n  - {name: b, port: 80}",
        11,
        "spec.ports[1].port",
        "TCP 80 is that of ports[0]",
    ),
    (
        "- name: http\n    port: 80",
        "- {name: a, port: 8, nodePort: 3}\n  - {name: b, port: 9, nodePort: 3}\n  type: NodePort",
        10,
        "spec.ports[1].nodePort",
        "TCP 3 is that of ports[0]",
    ),
    ("ports:\n  - name: http\n    port: 80", "ports: []", 8, "spec.ports", "at least one"),
    ("ports:\n  - name: http\n    port: 80", "ports: 80", 8, "spec.ports", "must be a list"),
    ("- name: http\n    port: 80", "- 80", 9, "spec.ports[0]", "must be a mapping"),
    ("10.96.0.10", "10.96.0.256", 7, "spec.clusterIP", "must be an IP address"),
    ("10.96.0.10", "10.96.0.1 -j ACCEPT", 7, "spec.clusterIP", "must be an IP address"),
    ("10.96.0.10", "fe80::1%eth0", 7, "spec.clusterIP", "must be an IP address"),
    ("10.96.0.10", "10.96.0.10\n  ipFamilies: [IPv6]", 7, "spec.clusterIP", "is IPv4, but"),
    ("10.96.0.10", "10.96.0.10\n  ipFamilies: [IPv5]", 8, "spec.ipFamilies[0]", "IPv4 or IPv6"),
    (
        "10.96.0.10",
        "10.96.0.10\n  clusterIPs: [10.96.0.11]",
        8,
        "spec.clusterIPs",
        "begin with spec.clusterIP",
    ),
    (
        "10.96.0.10",
        "10.96.0.10\n  clusterIPs: [10.96.0.10, 10.96.0.11]",
        8,
        "spec.clusterIPs",
        "one address of each IP family",
    ),
    ("10.96.0.10", "None\n  type: NodePort", 7, "spec.clusterIP", "may not be None"),
    ("10.96.0.10", "10.96.0.10\n  type: Nodeport", 8, "spec.type", "must be ClusterIP"),
    (
        "10.96.0.10",
        "10.96.0.10\n  type: LoadBalancer\n  loadBalancerSourceRanges: [10.0.0.0/8, 10.0.0.0/33]",
        9,
        "spec.loadBalancerSourceRanges[1]",
        "must be a CIDR",
    ),
    ("10.96.0.10", "10.96.0.10\n  externalIPs: [127.0.0.1]", 8, "spec.externalIPs[0]", "loopback"),
    ("10.96.0.10", "10.96.0.10\n  externalIPs: [169.254.0.1]", 8, "spec.externalIPs[0]", "link"),
    ("10.96.0.10", "10.96.0.10\n  externalIPs: [224.0.0.1]", 8, "spec.externalIPs[0]", "multi"),
    ("10.96.0.10", "10.96.0.10\n  externalIPs: ['ff02::1']", 8, "spec.externalIPs[0]", "multi"),
    ("10.96.0.10", "10.96.0.10\n  externalIPs: [0.0.0.0]", 8, "spec.externalIPs[0]", "unspec"),
    ("0.10", "0.10\n  externalTrafficPolicy: Local", 8, "spec.externalTrafficPolicy", "nothing"),
    ("10.96.0.10", "10.96.0.10\n  selector: {a: b c}", 8, "spec.selector.a", "at most 63 letters"),
    ("10.96.0.10", "10.96.0.10\n  selector: {a: 1}", 8, "spec.selector.a", "string to a string"),
    ("apiVersion: v1", "apiVersion: v2", 1, "apiVersion", "must be v1"),
    ("apiVersion: v1\n", "", 1, "apiVersion", "is required: v1"),
    ("kind: Service", "kind: ''", 1, "", "has no kind"),
)


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), SERVICES)
def test_service(old: str, new: str, line: int, field: str, message: str) -> None:
    """One thing wrong is one error, at its line, with its field."""
    assert old in SERVICE
    found = errors(SERVICE.replace(old, new, 1))
    assert [(at, path) for at, _, path, _ in found] == [(line, field)]
    assert message in found[0][3]
    assert "\n" not in found[0][3]
    assert "\n" not in found[0][1]


def test_defaults() -> None:
    """What a manifest leaves out is what the API server would fill in."""
    text = SERVICE.replace("  namespace: shop\n", "")
    assert service(text) == Service(
        namespace="default",
        name="web",
        ports=(ServicePort(80, "http", "TCP", 80, 0),),
        type="ClusterIP",
        cluster_ips=("10.96.0.10",),
        ip_families=("IPv4",),
    )


def test_everything_read() -> None:
    """Every field arrives in its canonical form."""
    text = """
{apiVersion: v1, kind: Service, metadata: {name: web, labels: {a: b}, annotations: {c: "1"}},
 spec: {type: LoadBalancer, clusterIP: "FD00:0::10",
  clusterIPs: ["FD00:0::10", 10.96.000.010], externalIPs: [
  "::ffff:203.0.113.7"], loadBalancerSourceRanges: [" 192.0.2.9/24 ", "2001:DB8::1/32"],
  sessionAffinity: ClientIP, internalTrafficPolicy: Local, externalTrafficPolicy: Local,
  healthCheckNodePort: 32000, publishNotReadyAddresses: true, selector: {app: web},
  ipFamilyPolicy: PreferDualStack,
  ports: [{port: 53, protocol: UDP, targetPort: dns, nodePort: 30053, appProtocol: k8s.io/ws}]},
 status: {loadBalancer: {ingress: [{ip: 203.0.113.20}, {hostname: x},
  {ip: 203.0.113.21, ipMode: Proxy}]}}}
"""
    assert service(text) == Service(
        namespace="default",
        name="web",
        ports=(ServicePort(53, "", "UDP", "dns", 30053, "k8s.io/ws"),),
        type="LoadBalancer",
        cluster_ips=("fd00::10", "10.96.0.10"),
        ip_families=("IPv6", "IPv4"),
        ip_family_policy="PreferDualStack",
        external_ips=("203.0.113.7",),
        load_balancer_source_ranges=("192.0.2.0/24", "2001:db8::/32"),
        load_balancer_ingress=(
            LoadBalancerIngress("203.0.113.20", "VIP"),
            LoadBalancerIngress("", "VIP"),
            LoadBalancerIngress("203.0.113.21", "Proxy"),
        ),
        session_affinity="ClientIP",
        session_affinity_timeout=10800,
        internal_traffic_policy="Local",
        external_traffic_policy="Local",
        health_check_node_port=32000,
        publish_not_ready_addresses=True,
        selector={"app": "web"},
        labels={"a": "b"},
        annotations={"c": "1"},
    )


def test_headless_and_external_name() -> None:
    """A headless Service has no virtual IP, an ExternalName none and no ports."""
    headless = service(SERVICE.replace("10.96.0.10", "None"))
    assert headless.is_headless
    assert headless.cluster_ip("IPv4") == ""
    text = "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {type: ExternalName, "
    assert service(f"{text} externalName: db.example.com}}}}").external_name == "db.example.com"
    assert errors(f"{text} externalName: 'a b'}}}}")[0][2] == "spec.externalName"
    assert errors(f"{text}}}}}")[0][2] == "spec.externalName"


def test_all_errors_at_once() -> None:
    """Errors of every object of a file come together, in the order of their lines."""
    bad = SERVICE.replace("port: 80", "port: 0").replace("10.96.0.10", "nowhere")
    found = errors(f"{bad}---\n{SLICE.replace('10.244.1.5', 'fd00::1')}")
    assert [(line, name, field) for line, name, field, _ in found] == [
        (7, "Service shop/web", "spec.clusterIP"),
        (10, "Service shop/web", "spec.ports[0].port"),
        (22, "EndpointSlice shop/web-1", "endpoints[0].addresses[0]"),
    ]


def test_conflicts_between_services() -> None:
    """A cluster IP or a node port used twice names both Services; another protocol is fine."""
    node_port = SERVICE.replace("port: 80", "port: 80\n    nodePort: 30080").replace(
        "spec:", "spec:\n  type: NodePort"
    )
    other = node_port.replace("name: web", "name: web2")
    found = errors(f"{node_port}---\n{other}")
    assert [(line, field) for line, _, field, _ in found] == [
        (21, "spec.clusterIP"),
        (25, "spec.ports[0].nodePort"),
    ]
    assert all("Service shop/web in in.yaml" in message for *_, message in found)
    udp = other.replace("10.96.0.10", "10.96.0.11").replace(
        "port: 80", "protocol: UDP\n    port: 80"
    )
    assert len(load_bytes(f"{node_port}---\n{udp}".encode()).objects) == 2
    twice = node_port + "  - {name: b, port: 81, nodePort: 30080}\n"
    assert errors(twice)[0][2] == "spec.ports[1].nodePort"


def test_the_same_object_twice() -> None:
    """An object that is there twice, and otherwise, is an error at the second place."""
    found = errors(f"{SLICE}---\n{SLICE.replace('10.244.', '10.245.')}")
    assert [(line, field) for line, _, field, _ in found] == [(16, "metadata.name")]


def test_affinity_timeout() -> None:
    """The timeout of client affinity is a day at most; without affinity it is not read."""
    timeout = "\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}"
    text = SERVICE.replace("10.96.0.10", f"10.96.0.10\n  sessionAffinity: ClientIP{timeout}")
    ((line, _, field, message),) = errors(text)
    assert (line, field) == (9, "spec.sessionAffinityConfig.clientIP.timeoutSeconds")
    assert "from 1 to 86400" in message
    assert service(SERVICE.replace("10.96.0.10", f"10.96.0.10{timeout}")).name == "web"


SLICES = (
    ("[10.244.1.5]", "['fd00::1']", 11, "endpoints[0].addresses[0]", "must be an IPv4 address"),
    ("[10.244.1.5]", "[10.244.1.5 -j X]", 11, "endpoints[0].addresses[0]", "IPv4 address"),
    ("[10.244.1.5]", "[127.0.0.1]", 11, "endpoints[0].addresses[0]", "loopback"),
    ("[10.244.1.5]", "[224.0.0.1]", 11, "endpoints[0].addresses[0]", "multicast"),
    ("[10.244.1.5]", "[]", 11, "endpoints[0].addresses", "at least one"),
    ("[10.244.1.5]", "10.244.1.5", 11, "endpoints[0].addresses", "must be a list"),
    ("[10.244.1.5]", "[5]", 11, "endpoints[0].addresses[0]", "must be a string"),
    ("addressType: IPv4", "addressType: IPv5", 7, "addressType", "IPv4, IPv6 or FQDN"),
    ("addressType: IPv4\n", "", 1, "addressType", "is required"),
    ("port: 8080", "port: 1.5", 9, "ports[0].port", "must be an integer"),
    ("name: http", "name: A", 9, "ports[0].name", "RFC 1123 label"),
    ("- {name: http", "- {name: http}\n- {name: http", 10, "ports[1].name", "twice"),
    ("- addresses: [10.244.1.5]", "- x", 11, "endpoints[0]", "must be a mapping"),
    (
        "[10.244.1.5]",
        "[10.244.1.5]\n  conditions: {ready: 'yes'}",
        12,
        "endpoints[0].conditions.ready",
        "true or false",
    ),
    ("[10.244.1.5]", "[10.244.1.5]\n  nodeName: A_b", 12, "endpoints[0].nodeName", "subdomain"),
)


WEIGHT = "svcnet.io/ipvs-weight"
BAD_WEIGHTS = (
    "-1",
    "65536",
    "1.5",
    "ten",
    "",
    " 1",
    "0x1",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "100000000000",
)


@pytest.mark.parametrize("weight", BAD_WEIGHTS)
def test_bad_weight(weight: str) -> None:
    """An IPVS weight that is no whole number from 0 to 65535 is told, and counts as 1."""
    annotations = f"namespace: shop\n  annotations: {{{WEIGHT}: '{weight}'}}"
    field = f"metadata.annotations['{WEIGHT}']"
    for text in (SLICE, ENDPOINTS):
        loaded = load_bytes(text.replace("namespace: shop", annotations, 1).encode())
        (told,) = [one for one in loaded.warnings if one.field == field]
        assert told.line == 6
        assert "must be a whole number from 0 to 65535" in told.message
        assert loaded.objects[0].ipvs_weight == 1  # type: ignore[union-attr]


def test_weight_that_is_no_text() -> None:
    """Annotations are text: a bare number is as wrong as the API server finds it."""
    text = SLICE.replace("namespace: shop", f"namespace: shop\n  annotations: {{{WEIGHT}: 5}}", 1)
    assert [(line, path) for line, _, path, _ in errors(text)] == [
        (6, f"metadata.annotations['{WEIGHT}']")
    ]


@pytest.mark.parametrize(("text", "weight"), [("0", 0), ("7", 7), ("65535", 65535), ("007", 7)])
def test_weight(text: str, weight: int) -> None:
    """The weight of a slice, or of Endpoints, is its endpoints'; without the annotation 1."""
    annotations = f"namespace: shop\n  annotations: {{{WEIGHT}: '{text}'}}"
    for manifest in (SLICE, ENDPOINTS):
        (found,) = load_bytes(manifest.replace("namespace: shop", annotations, 1).encode()).objects
        assert found.ipvs_weight == weight  # type: ignore[union-attr]
        (plain,) = load_bytes(manifest.encode()).objects
        assert plain.ipvs_weight == 1  # type: ignore[union-attr]


def test_scheduler() -> None:
    """The annotation of a Service arrives with its other annotations."""
    annotations = "namespace: shop\n  annotations: {svcnet.io/ipvs-scheduler: mh}"
    found = service(SERVICE.replace("namespace: shop", annotations))
    assert found.annotations == {"svcnet.io/ipvs-scheduler": "mh"}


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), SLICES)
def test_slice(old: str, new: str, line: int, field: str, message: str) -> None:
    """One thing wrong in a slice is one error, at its line, with its field."""
    assert old in SLICE
    found = errors(SLICE.replace(old, new, 1))
    assert [(at, path) for at, _, path, _ in found] == [(line, field)]
    assert message in found[0][3]


def test_too_many_endpoints() -> None:
    """A slice holds at most 1,000 endpoints."""
    many = "\n".join(f"- addresses: [10.244.{n // 250}.{n % 250 + 1}]" for n in range(1001))
    found = errors(SLICE.replace("- addresses: [10.244.1.5]", many))
    assert [field for _, _, field, _ in found] == ["endpoints"]


def test_conditions_hints_and_names() -> None:
    """Null and absent conditions have their meaning; hints, hostname and node are kept."""
    text = SLICE.replace(
        "- addresses: [10.244.1.5]",
        "- {addresses: [10.244.1.5],\n"
        "   conditions: {ready: null, serving: false, terminating: true}}\n"
        "- {addresses: [10.244.1.6, 10.244.1.7], nodeName: node-a, hostname: db-0, zone: z1,\n"
        "   hints: {forZones: [{name: z1}, {name: z2}]}}\n"
        "- {addresses: [10.244.1.8], conditions: {ready: false}}",
    )
    (found,) = load_bytes(text.encode()).objects
    assert found.endpoints == (  # type: ignore[union-attr]
        Endpoint(("10.244.1.5",), "", True, False, True),
        Endpoint(
            ("10.244.1.6", "10.244.1.7"),
            "node-a",
            zone="z1",
            zone_hints=("z1", "z2"),
            hostname="db-0",
        ),
        Endpoint(("10.244.1.8",), "", False, True, False),
    )


def test_endpoints_stand_in_for_slices() -> None:
    """A Service without slices falls back to the Endpoints of its name, of both families."""
    text = SERVICE + (
        "---\n{apiVersion: v1, kind: Endpoints, metadata: {name: web, namespace: shop}, subsets: ["
        "{addresses: [{ip: 10.244.1.5, nodeName: node-a}, {ip: 'fd00::5'}], "
        "notReadyAddresses: [{ip: 10.244.1.6}], ports: [{name: http, port: 8080}]}]}\n"
    )
    loaded = load_bytes(text.encode())
    assert not loaded.warnings
    (name,) = loaded.state.services
    v4, v6 = loaded.state.slices_of(name)
    assert [(e.addresses, e.ready) for e in v4.endpoints] == [
        (("10.244.1.5",), True),
        (("10.244.1.6",), False),
    ]
    assert [e.addresses for e in v6.endpoints] == [("fd00::5",)]
    with_slice = load_bytes((text + "---\n" + SLICE).encode())
    assert [s.name for s in with_slice.state.slices_of(name)] == ["web-1"]


EXPOSED = SERVICE.replace(
    "10.96.0.10", "10.96.0.10\n  externalIPs: [203.0.113.7]\n  selector: {a: b}"
)
WARNINGS = (
    (
        f"{EXPOSED}---\n{EXPOSED.replace('web', 'db').replace('.0.10', '.0.11')}",
        16,
        "spec.externalIPs[0]",
        "203.0.113.7 TCP 80 is that of Service shop/web too",
    ),
    (
        SERVICE.replace(
            "namespace: shop",
            "annotations: {svcnet.io/ipvs-scheduler: RR}\n  namespace: shop",
        ).replace("0.10", "0.10\n  selector: {a: b}"),
        5,
        "metadata.annotations['svcnet.io/ipvs-scheduler']",
        "must be an IPVS scheduler: rr, wrr, lc,",
    ),
    (
        SERVICE.replace(
            "namespace: shop",
            "annotations: {svcnet.io/proxy-protocol: v1}\n  namespace: shop",
        ).replace("0.10", "0.10\n  selector: {a: b}"),
        5,
        "metadata.annotations['svcnet.io/proxy-protocol']",
        "must be v2, not 'v1'",
    ),
    (SERVICE, 1, "spec.selector", "neither a selector nor endpoints"),
    (
        SERVICE.replace("clusterIP: 10.96.0.10", "selector: {a: b}"),
        6,
        "spec.clusterIP",
        "has no address yet",
    ),
    (
        SERVICE.replace("http", "web") + "---\n" + SLICE,
        9,
        "spec.ports[0]",
        "no EndpointSlice serves port 'web' with TCP",
    ),
    (SLICE, 6, "metadata.labels['kubernetes.io/service-name']", "which is not there"),
    (SLICE.replace("kubernetes.io/service-name", "x"), 6, "metadata.labels", "no Service"),
)


@pytest.mark.parametrize(("text", "line", "field", "message"), WARNINGS)
def test_warning(text: str, line: int, field: str, message: str) -> None:
    """What is legal but surely a mistake is a warning with its place."""
    found = load_bytes(text.encode(), "in.yaml").warnings
    assert [(w.severity, w.field) for w in found] == [("warning", field)]
    assert message in found[0].message
    assert found[0].line in (line, line + 5)


def test_plain_manifests_are_not_warned_about() -> None:
    """Services with selectors and no slices anywhere are a folder of plain manifests."""
    text = SERVICE.replace("spec:", "spec:\n  selector: {app: web}")
    assert load_bytes(text.encode()).warnings == ()


def test_a_service_that_asks_too_much_is_warned_about() -> None:
    """Whoever writes the manifests learns at which line a Service gets no rules and no names."""
    ports = [{"name": f"p{n}", "port": n + 1} for n in range(400)]
    addresses = [{"addresses": [f"10.9.{n // 250}.{n % 250 + 1}"]} for n in range(400)]
    service = yaml.safe_load(SERVICE)
    service["spec"]["ports"] = ports
    slice_ = {**yaml.safe_load(SLICE), "ports": ports, "endpoints": addresses}
    text = f"{json.dumps(service)}\n---\n{json.dumps(slice_)}"
    found = load_bytes(text.encode(), "in.yaml").warnings
    assert [(one.line, one.object, one.message) for one in found] == [
        (1, "Service shop/web", f"asks for more than 100,000 entries, addresses by ports by {rest}")
        for rest in (
            "endpoints: its endpoints have no names",
            "endpoints: nodes make no rules for it",
        )
    ]


def test_shared_frontends_are_looked_for_within_bounds() -> None:
    """A thousand addresses with a thousand ports are not held against each other, one by one."""
    addresses = [f"203.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    items = []
    for number in range(2):
        ports = [{"name": f"p{n}", "port": n + 1} for n in range(1000)]
        spec = {"clusterIP": f"10.96.0.{number + 1}", "externalIPs": addresses, "ports": ports}
        meta = {"name": f"s{number}", "namespace": "shop"}
        items.append({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    data = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
    tracemalloc.start()
    try:
        found = load_bytes(data).warnings
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert sum("no rules" in one.message for one in found) == 2
