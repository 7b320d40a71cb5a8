"""Verbs about this machine, on one that is none: what they print, and what they change."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.executors import this_machine
from svcnet.executors.probe import probe
from svcnet.renderers.conntrack import Flow
from svcnet.sources import load_host
from svcnet.testing import FakeMachine

CLIENT = ("10.244.9.9", 40000)
MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: dns}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: [10.244.1.6]}]
"""


def flow(endpoint: str, asked: str = "10.96.0.10") -> Flow:
    """Return an entry of a client that asked a Service and is answered by an endpoint."""
    return Flow(*CLIENT, asked, 53, endpoint, 5353, *CLIENT)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeMachine:
    found = FakeMachine()
    monkeypatch.setattr(this_machine, "THIS_MACHINE", found)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("dns.yaml").write_text(MANIFEST)
    return found


def svcnet(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_facts_are_printed_as_they_are_read(machine: FakeMachine) -> None:
    """What probe prints is host facts, and says in comments what modes have."""
    done = svcnet("probe")
    assert done.exit_code == 0, done.output
    Path("host.yaml").write_text(done.stdout)
    host = load_host(Path("host.yaml"))
    assert host == probe(machine)
    assert host.addresses
    assert host.nfacct == ("# nfacct: " not in done.stdout)
    assert "# mode nftables: the kernel has what it takes\n" in done.stdout
    assert "# mode iptables" not in done.stdout


def test_what_a_machine_lacks_is_named(machine: FakeMachine) -> None:
    """Of each mode, or why that cannot be told."""
    machine.kernel.lacks |= {"nft_numgen", "xt_nfacct"}
    machine.programs -= {"ipset"}
    done = svcnet("probe")
    assert done.exit_code == 0, done.output
    assert "# nfacct: " in done.stdout
    assert "numgen (nft_numgen)\n" in done.stdout
    assert "# mode ipvs: " in done.stdout
    machine.capabilities.clear()
    assert "cannot be told: " in svcnet("probe").stdout


def test_entries_that_lead_nowhere_are_deleted(machine: FakeMachine) -> None:
    """First they are only printed; others stay, whoever they are of."""
    stale, right, foreign = flow("10.244.1.5"), flow("10.244.1.6"), flow("8.8.8.8", "8.8.8.8")
    machine.kernel.flows += [stale, right, foreign]
    planned = svcnet("conntrack", "dns.yaml", "--family", "ipv4", "--output", "plan")
    assert planned.exit_code == 0, planned.output
    assert "--reply-src 10.244.1.5 " in planned.stdout
    assert machine.kernel.flows == [stale, right, foreign]
    done = svcnet("conntrack", "dns.yaml", "--family", "ipv4")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "IPv4: 1 conntrack entry deleted\n" in done.stderr
    assert machine.kernel.flows == [right, foreign]


def test_a_proxy_moves_its_flows_itself(machine: FakeMachine) -> None:
    done = svcnet("conntrack", "dns.yaml", "--mode", "userspace")
    assert done.exit_code == 2
    assert "the proxy, which moves flows itself" in done.stderr
