"""What a machine refuses is traced to the field that holds the value, and to no other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import FragmentName, Origin, RuleGraph, diff
from svcnet.models import EndpointPort, IPFamily, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.netfilter.ipset import number_protocol
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers import ipvs, userspace
from svcnet.renderers.iptables import full
from svcnet.renderers.iptables.names import chain_names
from svcnet.renderers.ipvs.sections import step_sections
from svcnet.sources import load_bytes
from svcnet.sources.addresses import canonical_address, canonical_cidr
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies
from tests.fuzz import examples
from tests.renderers.ipvs_model import graph_of
from tests.strategies import spelled_manifests
from tests.test_conformance import EXPECTED, compile_case, family_of_file

Objects = Mapping[tuple[str, str, str], dict[str, Any]]


def by_name(documents: Iterable[dict[str, Any]]) -> Objects:
    """Return manifests by kind, namespace and name."""
    found = {}
    for document in documents:
        for item in document.get("items", [document]):
            metadata = item["metadata"]
            key = (item["kind"], metadata.get("namespace", "default"), metadata["name"])
            found[key] = item
    return found


def field_of(origin: Origin, objects: Objects) -> object:
    """Return what the field holds that an origin names; KeyError where there is no such field."""
    value: Any = objects[origin[:3]]
    for key, index in re.findall(r"(\w+)|\[(\d+)\]", origin.path):
        if key == "clusterIPs" and key not in value:
            value = [value["clusterIP"]]  # as the API server has it
        elif key.endswith("TrafficPolicy"):
            value = value.get(key, "Cluster")
        else:
            value = value[key] if key else value[int(index)]
    return value


def is_about(value: object, line: str, graph: RuleGraph, origin: Origin) -> bool:
    """Return whether a line of restore text speaks of the value of a field."""
    chain = re.split(r"[ :]", line.removeprefix(":").removeprefix("-A "))[0]
    match value:
        case int():
            return f"--dport {value} " in line
        case "Cluster" | "Local":
            return chain.startswith("KUBE-EXT-")
        case list():
            return chain.startswith("KUBE-FW-") and " -s " not in line
        case dict():
            port = (value.get("name", ""), value.get("protocol", "TCP"))
            letters, _ = chain_names(FragmentName(origin.namespace, origin.name, *port), ())
            return line[:1] == ":" and chain in [
                f"KUBE-{k}-{letters}" for k in ("SVC", "SVL", "EXT")
            ]
        case str() if origin.kind == "Service":
            destination = re.findall(r"(?<!! )-[ds] (\S+)", line)
            return any(is_same(canonical(value), word) for word in destination)
        case str():
            sep = re.search(r"^[:]?(?:-A )?(KUBE-SEP-\w+)|-j (KUBE-SEP-\w+)", line)
            assert sep is not None
            ids = {f.name: [t.id for t in f.translates if t.origin == origin] for f in graph}
            seps = {sep for name, own in ids.items() for sep in chain_names(name, own)[1]}
            return bool({*sep.groups()} & seps)
    return False


def is_same(one: str, other: str) -> bool:
    """Return whether two texts are the same address or network, in whatever spelling."""
    try:
        return one == other or ip_network(one, strict=False) == ip_network(other, strict=False)
    except ValueError:
        return False


def canonical(value: str) -> str:
    return canonical_cidr(value.strip()) or canonical_address(value) or value


def check(graph: RuleGraph, objects: Objects) -> set[str]:
    """Check every line of the text of a graph, and return the fields that were named."""
    artifact, named = full(graph), set()
    fixed = "".join([*(t.first + t.last for t in (artifact.filter, artifact.nat))])
    chains = {chain for table in (artifact.filter, artifact.nat) for chain in table.chains}
    for line in artifact.text.splitlines():
        origin = artifact.origin_of_line(line)
        if line in fixed or line[1:].split(" ")[0] in chains or line[0] not in ":-":
            assert origin is None, line
            continue
        assert origin is not None, line
        assert is_about(field_of(origin, objects), f"{line} ", graph, origin), (line, origin)
        named.add(re.sub(r"\d+", "N", origin.path))
        if line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            again = artifact.origin_of_line(f"-A {chain} {save_rule(rule, artifact.family)}")
            # A source that is everywhere is not printed, and nothing tells which range it was.
            assert origin in (again, again and again._replace(path=f"{again.path}[0]")) or (
                again is not None and again.path == "spec.loadBalancerSourceRanges"
            )
    return named


def check_ipvs(graph: RuleGraph, objects: Objects) -> set[str]:
    """Check every server and every line for ipset, ip and iptables; return the fields named."""
    tables, named = ipvs.full(graph), set()

    def is_right(origin: Origin | None, said: Iterable[str]) -> None:
        assert origin is not None, said
        value = field_of(origin, objects)
        text = str(value if isinstance(value, int) else canonical(str(value)))
        assert any(is_same(text, word) for word in said), (said, origin, value)
        named.add(re.sub(r"\d+", "N", origin.path))

    for server in tables.servers.values():
        is_right(tables.origin_of(server.key), (server.key.address, str(server.key.port)))
        for real in server.real_servers:
            origin = tables.origin_of_endpoint(server.key, real.address, real.port)
            is_right(origin, [real.address])
    for definition, entry in tables.uses:
        name = definition.name_in(graph.settings.family)
        for text in (entry, number_protocol(entry)):
            words = re.split(r",(?:(?:tcp|udp|sctp):)?", entry)
            is_right(tables.origin_of_line(f"add {name} {text}\n"), words)
    for address in tables.addresses:
        line = f"address add {address}/32 dev kube-ipvs0\n"
        is_right(tables.origin_of_line(line), [address])
    for line in tables.restore_text.splitlines():
        about = re.match(r"-A KUBE-IPVS-OUT-FILTER .*--vaddr (\S+)", line)
        origin = tables.origin_of_line(line)
        if about:
            is_right(origin, [about[1]])
        else:
            assert origin is None
    return named


IPVS_NAMED = {
    "spec.clusterIPs[N]",
    "spec.externalIPs[N]",
    "status.loadBalancer.ingress[N].ip",
    "spec.ports[N].nodePort",
    "spec.loadBalancerSourceRanges[N]",
    "spec.healthCheckNodePort",
    "endpoints[N].addresses[N]",
}

NAMED = {
    "spec.clusterIPs[N]",
    "spec.externalIPs[N]",
    "status.loadBalancer.ingress[N].ip",
    "spec.ports[N].nodePort",
    "spec.ports[N]",
    "spec.loadBalancerSourceRanges",
    "spec.loadBalancerSourceRanges[N]",
    "spec.externalTrafficPolicy",
    "spec.healthCheckNodePort",
    "endpoints[N].addresses[N]",
}

MOST_BYTES = 20_000
"""Large texts have no line that small ones have not."""


def test_every_line_of_every_case() -> None:
    """Each line of each conformance case names a field that holds its value; none is missed."""
    named, named_by_ipvs = set(), set()
    for expected in EXPECTED:
        if expected.stat().st_size < MOST_BYTES:
            text = (expected.parent / "objects.yaml").read_bytes()
            objects = by_name(filter(None, yaml.load_all(text, yaml.CSafeLoader)))
            graph = compile_case(expected.parent, family_of_file(expected))
            named |= check(graph, objects)
            named_by_ipvs |= check_ipvs(graph, objects)
    assert (named, named_by_ipvs) == (NAMED, IPVS_NAMED)


def test_endpoints_of_the_older_kind() -> None:
    """Where Endpoints are mirrored, the address is named in the subset that has this port."""
    text = """
        {"kind": "List", "apiVersion": "v1", "items": [
         {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"},
          "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}},
         {"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "web"}, "subsets": [
          {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"port": 8080}]},
          {"addresses": [{"ip": "10.0.0.3"}, {"ip": "10.0.0.2"}], "ports": [{"port": 8082}]}]}]}
    """
    state = load_bytes(text.encode(), "x.json").state
    graph = compile_state(state, node_view(state))
    assert "subsets[N].addresses[N].ip" in check(graph, by_name(yaml.safe_load_all(text)))
    [fragment] = graph
    [place] = [t.origin for t in fragment.translates if (t.address, t.port) == ("10.0.0.2", 8082)]
    assert place == Origin("Endpoints", "default", "web", "subsets[1].addresses[1].ip")


@settings(max_examples=examples(100))
@given(st.data(), st.sampled_from(("IPv4", "IPv6")))
def test_every_line_of_random_clusters(data: st.DataObject, family: IPFamily) -> None:
    """So it is for random clusters, in whatever spelling an address is."""
    manifests = data.draw(spelled_manifests(family))
    state = load_bytes(yaml.safe_dump_all(manifests.objects).encode()).state
    graph = compile_state(state, node_view(state, family=family))
    check(graph, by_name(manifests.objects))
    check_ipvs(graph, by_name(manifests.objects))


@settings(max_examples=examples(60))
@given(st.lists(strategies.objects, max_size=8), st.lists(strategies.objects, max_size=8))
def test_every_line_of_a_step(before: list[ClusterObject], after: list[ClusterObject]) -> None:
    """What comes and what goes in IPVS mode has a cause, in the state where it is."""
    old, new = (graph_of([make_node(), *objects]) for objects in (before, after))
    step = ipvs.advance(ipvs.full(old), diff(old, new))[1]
    for tool, text in step_sections(step):
        for line in text.splitlines() if tool in ("ipset", "ipvsadm", "ip") else ():
            origin = step.origin_of_line(line)
            holds = [any(objects_have(each, origin) for each in part) for part in (before, after)]
            assert any(holds), (line, origin)


def objects_have(item: ClusterObject, origin: Origin | None) -> bool:
    assert origin is not None
    key = type(item).__name__, getattr(item, "namespace", ""), item.name
    return key == origin[:3]


ALIKE = (
    make_service(
        "dns",
        "10.96.0.1",
        type="NodePort",
        ports=(ServicePort(53, "dns", "TCP", node_port=30053), ServicePort(53, "dns", "UDP")),
    ),
    make_service("web", "10.96.0.2", ports=(ServicePort(80, "http"),)),
    make_service("web:http", "10.96.0.3", ports=(ServicePort(80),)),
    make_service("web:http cluster", "10.96.0.4", ports=(ServicePort(80),)),
    make_service(
        "idle", "10.96.0.5", ports=(ServicePort(80, "x", "TCP"), ServicePort(80, "x", "UDP"))
    ),
)
"""Service ports that comments cannot tell apart; no input has them, but a graph may."""


@pytest.mark.parametrize("order", [1, -1])
def test_comments_that_look_alike(order: int) -> None:
    """A rule of a shared chain is its service port's, whatever the comments of others say."""
    slices = [
        make_slice(
            each.name,
            "10.244.1.5",
            ports=tuple(EndpointPort(8080, p.name, p.protocol) for p in each.ports),
        )
        for each in ALIKE
        if each.name != "idle"
    ]
    artifact = full(graph_of([make_node(), *ALIKE[::order], *slices]))
    owners = {service.cluster_ips[0]: service for service in ALIKE}
    found = set()
    for line in artifact.text.splitlines():
        about = re.match(r"-A KUBE-SERVICES .* -p (tcp|udp) -d (\S+) ", line)
        if about is None:
            continue
        service = owners[about[2]]
        [index] = [n for n, port in enumerate(service.ports) if port.protocol.lower() == about[1]]
        name = artifact.service_port_of_line(line)
        assert name is not None
        assert name == ("shop", service.name, service.ports[index].name, about[1].upper())
        _, chain, rule = line.split(" ", 2)
        printed = save_rule(rule, artifact.family)
        for written in (line, f"-I {chain} {rule}", f"-D {chain} {printed}"):
            origin = artifact.origin_of_line(written)
            assert origin == ("Service", "shop", service.name, "spec.clusterIPs[0]")
            assert artifact.service_port_of_line(written) == name
        found.add(name)
    assert found == {block.fragment.name for block in artifact.blocks.values()}


def test_a_rule_that_only_says_whose_it_is() -> None:
    """A comment causes nothing: a rule that no service port has written is no service port's."""
    artifact = full(graph_of([make_node(), *ALIKE]))
    [rule] = [line for line in artifact.text.splitlines() if "-d 10.96.0.2 " in line]
    assert artifact.origin_of_line(rule) is not None
    for other in (rule.replace("10.96.0.2", "10.96.0.9"), rule.replace("--dport 80", "--dport 81")):
        assert artifact.origin_of_line(other) is None
        assert artifact.service_port_of_line(other) is None


@given(st.text('-AaDdEetru 0123456789.,:[]/"addelKUBIPVSO\n', max_size=60))
def test_any_line_may_be_asked_of(line: str) -> None:
    """What is no line of svcnet's has no cause, and is no error."""
    graph = graph_of([make_node(), make_service(), make_slice("web", "10.244.1.5@node-a")])
    assert ipvs.full(graph).origin_of_line(line) is None
    assert full(graph).origin_of_line(line) is None
    assert userspace.portal_rules(userspace.full(graph)).origin_of_line(line) is None
