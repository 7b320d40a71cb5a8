"""Stale entries by the commands: printed, deleted alone, after an apply, and by a run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: dns}
spec: {clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{port: 5353, protocol: UDP}]
endpoints: [{addresses: [10.244.1.6]}]
"""


@pytest.fixture(name="manifest")
def one_manifest(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "dns.yaml"
    path.write_text(MANIFEST)
    with own_namespace():
        # Entries are tracked only where a rule asks for it.
        run("iptables-nft", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW")
        yield path


def flow(port: int, asked: str, answers: str, answering_port: int = 5353) -> None:
    """Have an entry of a client's port: who it asked, and who answers."""
    client = ("--orig-port-src", str(port), "--orig-port-dst", "53")
    request = ("-p", "udp", "-s", "10.244.9.9", "-d", asked, *client)
    reply = ("-r", answers, "-q", "10.244.9.9", "--reply-port-src", str(answering_port))
    end = ("--reply-port-dst", str(port), "--timeout", "300")
    run("conntrack", "-I", *request, *reply, *end)


def flows() -> set[int]:
    """Return the client's ports of all entries."""
    lines = run("conntrack", "-L", "-p", "udp").splitlines()
    return {int(word[6:]) for line in lines for word in line.split()[:8] if word[:6] == "sport="}


def two_flows() -> None:
    flow(4000, "10.96.0.10", "10.244.1.5")
    flow(4001, "10.96.0.10", "10.244.1.6")
    flow(4002, "8.8.8.8", "8.8.8.8", 53)


def svcnet(*arguments: object, code: int = 0) -> str:
    command = (sys.executable, "-m", "svcnet", *map(str, arguments))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_a_plan_is_printed_and_deletes_nothing(manifest: Path) -> None:
    """Each line is a command, and what it deletes is what svcnet would."""
    two_flows()
    plan = svcnet("conntrack", manifest, code=1)
    assert plan == (
        "conntrack -D -f ipv4 -p udp --orig-dst 10.96.0.10 --orig-port-dst 53 --reply-src "
        "10.244.1.5 --reply-port-src 5353 --zone 0  # 1 entry: no endpoint of default/dns/UDP\n"
    )
    assert flows() == {4000, 4001, 4002}
    run(*plan.partition("  #")[0].split())
    assert flows() == {4001, 4002}


@pytest.mark.parametrize("verb", ["conntrack --delete", "apply"])
def test_stale_entries_go_and_no_others(manifest: Path, verb: str) -> None:
    """By itself and at the end of an apply the entry of an endpoint that went is deleted."""
    two_flows()
    svcnet(*verb.split(), manifest)
    assert flows() == {4001, 4002}


def test_a_run_deletes_them_as_endpoints_go(manifest: Path) -> None:
    """What its first rules make stale is deleted, and then what each change does."""
    two_flows()
    with Told("run", manifest, "--variant", "nft", "--allow-empty") as process:
        process.wait("1 conntrack entry deleted")
        assert flows() == {4001, 4002}
        manifest.write_text(MANIFEST.replace("10.244.1.6", "10.244.1.7"))
        process.wait("1 conntrack entry deleted", 2)
        assert flows() == {4002}
        flow(4003, "10.96.0.10", "10.244.1.7")
        manifest.write_text("")
        deadline = time.monotonic() + 30
        while 4003 in flows():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert flows() == {4002}
