"""What tests in the guest share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from svcnet.family import IP_FAMILIES
from svcnet.models import Host
from svcnet.netfilter import SavedTables, parse_save
from tests.kernel.ipvs.balancer import Balancer
from tests.kernel.netns import Cluster
from tests.kernel.ways import IPVSRules, Tables
from tests.network import new_network

HOST = Host(addresses=("192.0.2.10", "127.0.0.1", "2001:db8:a::10", "::1"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with the small cluster last: while it is there, it keeps modules in use."""
    items.sort(key=lambda item: "cluster" in getattr(item, "fixturenames", ()))


@pytest.fixture
def namespace() -> None:
    """A network namespace of its own for the test, with the loopback device up.

    The guest is ours alone, so this process itself moves to the new one.
    """
    new_network()


@pytest.fixture(params=IP_FAMILIES)
def balancer(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Balancer]:
    rules = IPVSRules(Tables(cluster, request.param, "legacy"))
    made = Balancer(cluster, request.param, rules)
    try:
        yield made
    finally:
        made.clear()


def run(command: str, stdin: str = "") -> str:
    """Run a command line and return what it prints."""
    done = subprocess.run(
        command,
        shell=True,
        input=stdin,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def rules(family: str = "IPv4") -> SavedTables:
    """Return the iptables rules that are there."""
    tool = "ip6tables" if family == "IPv6" else "iptables"
    return parse_save(run(f"{tool}-legacy-save"))


def everything() -> str:
    """Return all that IPVS mode could change, as the tools print it, in a fixed order.

    Without what differs from run to run: numbers of devices, counters, seeds, times left.
    """
    commands = "ipvsadm -Sn; ip -o address; ipset save; iptables-legacy-save; ip6tables-legacy-save"
    lines = [line for line in run(commands).splitlines() if line[:1] not in "#*C"]
    return "\n".join(sorted(filter(None, map(_plain, lines))))


def without_draining(text: str) -> str:
    """Return what is there without the entries that end by themselves."""
    ending = ("add SVCNET-DRAINING", "add SVCNET-6-DRAINING")
    return "\n".join(line for line in text.splitlines() if not line.startswith(ending))


def _plain(line: str) -> str:
    if line.startswith(":"):
        return line.split("[", 1)[0] if "KUBE" in line else ""
    return re.sub(r"^\d+: | (bucketsize|timeout) .*", "", line)
