"""Services that leave their IP families to the cluster have those that it would give them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from svcnet import load
from svcnet.cli import main
from svcnet.errors import InputError
from svcnet.models import IPFamily, NamespacedName, Service
from svcnet.sources import LoadResult, load_bytes

Document = dict[str, Any]

FOUR, SIX = "10.96.0.10", "fd00:10:96::10"
BOTH: tuple[IPFamily, ...] = ("IPv4", "IPv6")


def service(name: str = "web", **spec: Any) -> Document:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def node(*cidrs: str, addresses: tuple[str, ...] = ()) -> Document:
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node-a"},
        "spec": {"podCIDRs": list(cidrs)},
        "status": {"addresses": listed},
    }


def pod(*addresses: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-1", "labels": {"app": "web"}},
        "spec": {"nodeName": "node-a", "containers": [{"name": "c"}]},
        "status": {
            "podIP": addresses[0],
            "podIPs": [{"ip": text} for text in addresses],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def cidrs(*texts: str) -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": list(texts)},
    }


def written(tmp_path: Path, *documents: Document) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return str(path)


def loaded(tmp_path: Path, *documents: Document, asked: tuple[IPFamily, ...] = ()) -> LoadResult:
    return load([written(tmp_path, *documents)], ip_families=asked)


def families(found: LoadResult, name: str = "web") -> tuple[IPFamily, ...]:
    return found.state.services[NamespacedName("default", name)].ip_families


@pytest.mark.parametrize(
    ("spec", "four", "dual", "six_first"),
    [
        ({}, "4", "4", "6"),
        ({"clusterIP": "None"}, "4", "4", "6"),
        ({"clusterIP": "None", "ipFamilyPolicy": "SingleStack"}, "4", "4", "6"),
        ({"clusterIP": "None", "ipFamilyPolicy": "PreferDualStack"}, "4", "46", "64"),
        ({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"}, "-", "46", "64"),
        ({"clusterIP": "None", "ipFamilies": ["IPv6"]}, "-", "6", "6"),
        ({"clusterIP": "None", "ipFamilies": ["IPv6", "IPv4"]}, "-", "64", "64"),
        ({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "PreferDualStack"}, "-", "64", "64"),
        ({"ipFamilyPolicy": "PreferDualStack"}, "4", "46", "64"),
        ({"clusterIP": FOUR}, "4", "4", "4"),
        ({"clusterIP": SIX}, "-", "6", "6"),
        ({"clusterIP": FOUR, "ipFamilyPolicy": "RequireDualStack"}, "-", "46", "46"),
        ({"clusterIP": FOUR, "ipFamilyPolicy": "PreferDualStack"}, "4", "46", "46"),
        # Nobody selects Pods for these: they may have both families in any cluster.
        ({"clusterIP": "None", "selector": {}}, "46", "46", "64"),
        (
            {"clusterIP": "None", "selector": {}, "ipFamilyPolicy": "SingleStack"},
            *("4", "4", "6"),
        ),
        ({"clusterIP": "None", "selector": {}, "ipFamilies": ["IPv6"]}, "64", "64", "64"),
        ({"type": "ExternalName", "externalName": "db.example.net"}, "", "", ""),
    ],
)
def test_families_of_a_service(
    tmp_path: Path, spec: Document, four: str, dual: str, six_first: str
) -> None:
    """By its policy a Service has the cluster's first family, both, or is refused."""
    if "ipFamilies" in spec and len(spec["ipFamilies"]) == 2:
        spec = {**spec, "ipFamilyPolicy": "RequireDualStack"}
    clusters: list[tuple[str, tuple[IPFamily, ...]]] = [
        (four, ("IPv4",)),
        (dual, BOTH),
        (six_first, BOTH[::-1]),
    ]
    for expected, asked in clusters:
        if expected == "-":
            with pytest.raises(InputError, match=r"spec\.ipFamil"):
                loaded(tmp_path, service(**spec), asked=asked)
            continue
        found = families(loaded(tmp_path, service(**spec), asked=asked))
        assert "".join(family[-1] for family in found) == expected


HEADLESS = service(clusterIP="None")
DUAL = service(clusterIP="None", ipFamilyPolicy="PreferDualStack")


@pytest.mark.parametrize(
    ("documents", "found", "source"),
    [
        ([], "4", ""),
        ([cidrs("fd00:10:96::/108", "10.96.0.0/16"), node("10.244.0.0/24")], "64", "ServiceCIDR"),
        ([service("kubernetes", clusterIP=SIX), service("b", clusterIP=FOUR)], "64", "kubernetes"),
        ([service("a", clusterIP=FOUR), node("fd00:1::/64")], "46", "Services"),
        ([service("a", ipFamilies=["IPv6"]), service("b", clusterIP=FOUR)], "46", "Services"),
        ([node("fd00:1::/64", "10.244.0.0/24")], "64", "Nodes"),
        ([node(addresses=("fd00:2::1",))], "6", "Nodes"),
        ([node("10.244.0.0/24", addresses=("192.0.2.1", "fd00:2::1"))], "4", "Nodes"),
        ([pod("fd00:1::5", "10.244.0.5")], "64", "Pods"),
        ([service("a", ipFamilyPolicy="RequireDualStack")], "46", ""),
        # It may have families that the cluster has not.
        ([service("a", clusterIP="None", selector={}, ipFamilies=["IPv6", "IPv4"],
                  ipFamilyPolicy="RequireDualStack"), node("10.244.0.0/24")], "46", "Nodes"),
    ],
)  # fmt: skip
def test_families_of_a_cluster(
    tmp_path: Path, documents: list[Document], found: str, source: str
) -> None:
    """What the input says of Services, Nodes and Pods tells the cluster's families."""
    cluster = loaded(tmp_path, DUAL, *documents).cluster
    assert "".join(family[-1] for family in cluster.families) == found
    assert source in cluster.source
    assert bool(source) == bool(cluster.source)
    assert cluster.decided


def test_a_service_that_names_its_families_keeps_them(tmp_path: Path) -> None:
    """What a cluster prints has them all, and so nothing is decided."""
    dump = [
        service("a", clusterIP=FOUR, clusterIPs=[FOUR], ipFamilies=["IPv4"],
                ipFamilyPolicy="PreferDualStack"),
        service("b", clusterIP="None", clusterIPs=["None"], ipFamilies=["IPv6"],
                ipFamilyPolicy="SingleStack"),
        node("10.244.0.0/24", "fd00:1::/64"),
    ]  # fmt: skip
    found = loaded(tmp_path, *dump)
    assert (families(found, "a"), families(found, "b")) == (("IPv4",), ("IPv6",))
    assert not found.cluster.decided


def svcnet(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_only_the_first_family_has_slices_and_names(tmp_path: Path) -> None:
    """A headless Service has slices, names and a word on its families, and one by option."""
    path = written(tmp_path, HEADLESS, pod("10.244.0.5", "fd00:1::5"), node("10.244.0.0/24"))
    found = svcnet("endpoints", path, "--output", "table")
    assert "10.244.0.5" in found.stdout
    assert "fd00" not in found.stdout
    told = "the cluster's IP families are IPv4 and IPv6, by the Nodes; else say --ip-families"
    assert found.stderr.count(told) == 1
    records = svcnet("dns", "zone", path, "--from-pods").stdout
    assert (" A 10.244.0.5" in records, "AAAA" in records) == (True, False)
    other = svcnet("endpoints", path, "--output", "table", "--ip-families", "ipv6,IPv4")
    assert ("fd00:1::5" in other.stdout, "10.244.0.5" in other.stdout) == (True, False)
    assert "families" not in other.stderr
    assert "families" not in svcnet("render", path).stderr


def test_a_service_that_waits_for_its_address_has_one_empty_slice(tmp_path: Path) -> None:
    """Its families are known before its address is."""
    found = svcnet("endpoints", written(tmp_path, service()), "--output", "table")
    assert found.stdout.count("no endpoints") == 1


@pytest.mark.parametrize("text", ["", "IPv5", "IPv4,IPv4", "IPv4 IPv6", "both"])
def test_families_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    """The option takes one family, or both with a comma."""
    found = svcnet("endpoints", written(tmp_path, HEADLESS), "--ip-families", text)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "must be IPv4, IPv6, or both with a comma" in found.output


def test_a_cluster_without_a_family_refuses_it(tmp_path: Path) -> None:
    """What is asked for must fit the input, which is told with its place."""
    path = written(
        tmp_path, service(clusterIP=SIX), service("b", ipFamilyPolicy="RequireDualStack")
    )
    found = svcnet("render", path, "--ip-families", "IPv4")
    assert found.exit_code == 2
    assert "spec.ipFamilies[0]: IPv6 is no IP family of the cluster, which has IPv4" in found.stderr
    assert (
        "spec.ipFamilyPolicy: RequireDualStack takes a cluster of both IP families" in found.stderr
    )


TABLE = Path(__file__).with_name("ip_families.txt").read_text().splitlines()
ADDRESSES = {"4": FOUR, "6": SIX, "None": "None"}


def named(short: str) -> list[str]:
    return [f"IPv{digit}" for digit in short]


@pytest.mark.parametrize("cluster", ["4", "6", "46", "64"])
def test_families_are_those_of_the_api_server(cluster: str) -> None:
    """Each row of a table of the API server's answers is the same here, or refused as there.

    But for one: what has its address and its family and prefers two may come from a cluster
    that was of one family then, and keeps it.
    """
    rows = [line.split() for line in TABLE if not line.startswith("#")]
    mine = [row for row in rows if row[4] == cluster]
    assert len(mine) == 160
    for address, listed, policy, selector, _, answer in mine:
        spec: Document = {"selector": {"app": "web"} if selector == "selector" else {}}
        spec |= {"clusterIP": ADDRESSES[address]} if address in ADDRESSES else {}
        spec |= {"ipFamilies": named(listed)} if listed != "-" else {}
        spec |= {"ipFamilyPolicy": policy} if policy != "-" else {}
        is_old = policy == "PreferDualStack" and listed == address != "-" and len(cluster) == 2
        try:
            data = json.dumps(service(**spec)).encode()
            (only,) = load_bytes(data, ip_families=tuple(named(cluster))).objects  # type: ignore[arg-type]
        except InputError:
            assert answer == "no", (address, listed, policy, selector)
            continue
        assert isinstance(only, Service)
        found = "".join(family[-1] for family in only.ip_families)
        assert found == (listed if is_old else answer), (address, listed, policy, selector)
