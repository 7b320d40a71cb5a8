"""The field that a line is traced to is its cause: change the field, and the line is no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from svcnet.compiler import NodeView, compile_state, node_view
from svcnet.graph import Origin, RuleGraph
from svcnet.models import Host, IPFamily
from svcnet.renderers import iptables, ipvs, userspace
from svcnet.renderers.ipvs.sections import SECTIONS
from svcnet.renderers.userspace import ListenerName
from svcnet.sources import load_bytes, load_config, load_host
from tests.renderers.test_origins import MOST_BYTES
from tests.test_conformance import EXPECTED, family_of_file

Object = dict[str, Any]
Statements: TypeAlias = Iterator[tuple[str, Origin | None]]
"""What is written, and what caused it."""

NEW_ADDRESS = {"IPv4": "198.18.77.7", "IPv6": "2001:db8:77::7"}
NEW_RANGE = {"IPv4": "198.19.0.0/16", "IPv6": "2001:db8:7777::/48"}
NEW_PORT = 31777
MOST_OF_A_KIND = 2
"""So many fields of one kind are changed in one case."""


def changed(origin: Origin, objects: Iterable[Object], family: IPFamily) -> list[Object]:
    """Return manifests in which one field has another value."""
    found = deepcopy(list(objects))
    item = next(i for d in found for i in d.get("items", [d]) if is_named(i, origin))
    *above, (last, index) = re.findall(r"(\w+)|\[(\d+)\]", origin.path)
    holder: Any = item
    for key, number in above:
        if key == "clusterIPs":
            holder = holder.setdefault(key, [""])
        else:
            holder = holder[key] if key else holder[int(number)]
    if index:
        last = int(index)
    match origin.path:
        case "spec.externalTrafficPolicy":
            holder[last] = "Cluster" if holder.get(last) == "Local" else "Local"
        case "spec.loadBalancerSourceRanges":
            del holder[last]
        case path if path.endswith("ort"):
            holder[last] = NEW_PORT
        case path if re.fullmatch(r"spec\.ports\[\d+\]", path):
            holder[last]["name"] = "other"
        case path if "Ranges[" in path:
            holder[last] = NEW_RANGE[family]
        case path if path.startswith("endpoints"):
            # Another slice may list the same endpoint.
            rename_endpoint(found, holder[last], NEW_ADDRESS[family])
        case _:
            holder[last] = NEW_ADDRESS[family]
    if origin.path == "spec.clusterIPs[0]":
        item["spec"]["clusterIP"] = NEW_ADDRESS[family]
    return found


def rename_endpoint(objects: Iterable[Object], old: str, new: str) -> None:
    for item in objects:
        for endpoint in item.get("endpoints") or ():
            endpoint["addresses"] = [new if a == old else a for a in endpoint["addresses"]]


def is_named(item: Object, origin: Origin) -> bool:
    metadata = item["metadata"]
    named = (item["kind"], metadata.get("namespace", "default"), metadata["name"])
    return named == origin[:3]


def view_of(case: Path, family: IPFamily) -> Callable[[Any], NodeView]:
    """Return what makes a case's view of a state: its configuration and host stay as they are."""
    host = case / "host.yaml"
    config, facts = load_config(case / "config.yaml"), load_host(host) if host.exists() else Host()
    return lambda state: node_view(state, config, facts, family=family)


def iptables_of(graph: RuleGraph) -> Statements:
    """Yield each line of the text that a Service caused."""
    rules = iptables.full(graph)
    for line in rules.text.splitlines():
        if origin := rules.origin_of_line(line):
            yield line, origin


def ipvs_of(graph: RuleGraph) -> Statements:
    """Yield each line of the text, message, virtual server and real server."""
    tables = ipvs.full(graph)
    for tool in SECTIONS:
        for line in ipvs.section(tables, tool).splitlines():
            if origin := tables.origin_of_line(line):
                yield f"{tool} {line}", origin
    for server in tables.servers.values():
        address, port, protocol = server.key
        yield f"{address} {port} {protocol}", tables.origin_of(server.key)
        for real in server.real_servers:
            origin = tables.origin_of_endpoint(server.key, real.address, real.port)
            yield f"{address} {port} {protocol} -> {real.address} {real.port}", origin


def userspace_of(graph: RuleGraph) -> Statements:
    """Yield each portal rule, and what the table says of portals, listeners and backends."""
    table = userspace.full(graph)
    rules = userspace.portal_rules(table)
    for rule in rules.rules:
        yield f"-A {rule.chain} {rule.text}", rules.origin_of(rule)
    for service in table:
        for portal in service.portals:
            yield f"{service.name} {portal}", table.origin_of_portal(service.name, portal)
        for listener in service.listeners:
            name = ListenerName(service.name, listener.role)
            yield f"{name}", table.origin_of(name)
            for backend in listener.backends:
                yield f"{name} -> {backend}", table.origin_of_endpoint(name, backend)


MODES: dict[str, Callable[[RuleGraph], Statements]] = {
    "iptables": iptables_of,
    "ipvs": ipvs_of,
    "userspace": userspace_of,
}


@pytest.mark.parametrize(
    "expected", [each for each in EXPECTED if each.stat().st_size < MOST_BYTES], ids=str
)
def test_what_is_written_goes_with_its_cause(expected: Path) -> None:
    """So it is for each line and message of each case in each mode, and each kind of field."""
    family, case = family_of_file(expected), expected.parent
    view = view_of(case, family)
    text = (case / "objects.yaml").read_bytes()
    objects = [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]

    def compiled(manifests: Iterable[Object]) -> RuleGraph:
        state = load_bytes(yaml.dump_all(manifests, Dumper=yaml.CSafeDumper).encode()).state
        return compile_state(state, view(state))

    def written(graph: RuleGraph) -> set[tuple[str, str]]:
        return {(mode, said) for mode, of in MODES.items() for said, _ in of(graph)}

    graph = compiled(objects)
    caused: dict[Origin, list[tuple[str, str]]] = {}
    for mode, statements in MODES.items():
        for said, origin in statements(graph):
            assert origin is not None, (mode, said)
            caused.setdefault(origin, []).append((mode, said))
    tried: dict[str, int] = {}
    for origin, own in caused.items():
        kind = re.sub(r"\d+", "N", origin.path)
        tried[kind] = tried.get(kind, 0) + 1
        if tried[kind] <= MOST_OF_A_KIND:
            after = written(compiled(changed(origin, objects, family)))
            assert [said for said in own if said in after] == [], origin
