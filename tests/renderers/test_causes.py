"""The field that a line is traced to is its cause: change the field, and the line is no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from svcnet.compiler import NodeView, compile_state, node_view
from svcnet.graph import Origin
from svcnet.models import Host, IPFamily
from svcnet.renderers import iptables
from svcnet.sources import load_bytes, load_config, load_host
from tests.renderers.test_origins import MOST_BYTES
from tests.test_conformance import EXPECTED, family_of_file

Object = dict[str, Any]

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


@pytest.mark.parametrize(
    "expected", [each for each in EXPECTED if each.stat().st_size < MOST_BYTES], ids=str
)
def test_lines_go_with_their_cause(expected: Path) -> None:
    """So it is for each line of each case, and each kind of field."""
    family, case = family_of_file(expected), expected.parent
    view = view_of(case, family)
    text = (case / "objects.yaml").read_bytes()
    objects = [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]

    def render(manifests: Iterable[Object]) -> iptables.RestoreText:
        state = load_bytes(yaml.dump_all(manifests, Dumper=yaml.CSafeDumper).encode()).state
        return iptables.full(compile_state(state, view(state)))

    rules = render(objects)
    lines: dict[Origin, list[str]] = {}
    for line in rules.text.splitlines():
        if origin := rules.origin_of_line(line):
            lines.setdefault(origin, []).append(line)
    tried: dict[str, int] = {}
    for origin, own in lines.items():
        kind = re.sub(r"\d+", "N", origin.path)
        tried[kind] = tried.get(kind, 0) + 1
        if tried[kind] <= MOST_OF_A_KIND:
            after = {*render(changed(origin, objects, family)).text.splitlines()}
            assert [line for line in own if line in after] == [], origin
