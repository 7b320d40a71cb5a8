"""Verbs about this machine, on one that is none: what they print, and what they change."""

from __future__ import annotations

from pathlib import Path

import click
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
    for options in ((), ("--dry-run",), ("--delete", "--dry-run")):
        planned = svcnet("conntrack", "dns.yaml", "--family", "ipv4", *options)
        assert planned.exit_code == 1, planned.output
        assert "--reply-src 10.244.1.5 " in planned.stdout
        assert machine.kernel.flows == [stale, right, foreign]
    done = svcnet("conntrack", "dns.yaml", "--family", "ipv4", "--delete")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "IPv4: 1 conntrack entry deleted\n" in done.stderr
    assert machine.kernel.flows == [right, foreign]


def test_none_are_left(machine: FakeMachine) -> None:
    """Where nothing is stale, nothing is printed, and the exit code says so."""
    machine.kernel.flows += [flow("10.244.1.6"), flow("8.8.8.8", "8.8.8.8")]
    for options in ((), ("--delete",)):
        done = svcnet("conntrack", "dns.yaml", "--family", "ipv4", *options)
        assert (done.exit_code, done.stdout) == (0, "")


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs"])
def test_what_would_change_is_an_exit_code(machine: FakeMachine, mode: str) -> None:
    """As of kubectl diff: 1 says that there is something to do, and nothing is done; then it is."""
    apply = ("apply", "dns.yaml", "--family", "ipv4", "--mode", mode)
    assert svcnet("cleanup", "--dry-run").exit_code == 0
    for _ in range(2):
        done = svcnet(*apply, "--dry-run")
        assert (done.exit_code, bool(done.stdout)) == (1, True), done.output
    assert svcnet("cleanup", "--dry-run").exit_code == 0
    assert svcnet(*apply).exit_code == 0
    done = svcnet(*apply, "--dry-run")
    assert (done.exit_code, done.stdout) == (0, "")
    for _ in range(2):
        done = svcnet("cleanup", "--dry-run")
        assert done.exit_code == 1
        assert all(line.endswith(" would be removed") for line in done.stdout.splitlines())
    would = {line.removesuffix(" would be removed") for line in done.stdout.splitlines()}
    gone = svcnet("cleanup")
    assert gone.exit_code == 0
    lines = gone.stderr.splitlines()
    removed = {line.removesuffix(" removed") for line in lines if line.endswith(" removed")}
    # The dummy device goes with its last address, counters with the last rule that counts. Chains
    # that two modes know are named by both.
    assert {line for line in removed if "nfacct" not in line and "kube-ipvs0" not in line} <= would
    assert would == removed or mode != "nftables"
    assert svcnet("cleanup", "--dry-run").exit_code == 0


def test_entries_that_an_apply_would_delete_are_a_change(machine: FakeMachine) -> None:
    apply = ("apply", "dns.yaml", "--family", "ipv4")
    assert svcnet(*apply).exit_code == 0
    machine.kernel.flows.append(flow("10.244.1.5"))
    done = svcnet(*apply, "--dry-run")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "IPv4: 1 conntrack entry would be deleted" in done.stderr
    assert len(machine.kernel.flows) == 1


RIGHTS = {
    "apply": ("dns.yaml",),
    "cleanup": (),
    "conntrack": ("dns.yaml",),
    "run": ("dns.yaml",),
}
"""Verbs that change the rules of a machine, and what they are given."""


@pytest.mark.parametrize("verb", RIGHTS)
def test_what_takes_root_says_so_first(machine: FakeMachine, verb: str) -> None:
    """Before it reads anything, at once, and with what to run instead."""
    machine.capabilities.clear()
    Path("dns.yaml").unlink()
    done = svcnet(verb, *RIGHTS[verb])
    assert done.exit_code == 3
    assert not done.stdout
    [line] = done.stderr.splitlines()
    assert f"svcnet {verb} takes root (CAP_NET_ADMIN and CAP_NET_RAW" in line
    assert f"sudo svcnet {verb}" in line
    assert line.endswith("[S910 not-permitted]")


def test_where_rights_cannot_be_told_it_is_tried(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without /proc nobody knows the rights of a process, and the machine itself says no."""
    read = machine.read

    def without_proc(path: Path) -> str:
        if "thread-self" in str(path):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return read(path)

    monkeypatch.setattr(machine, "read", without_proc)
    assert svcnet("cleanup", "--dry-run").exit_code == 0
    assert svcnet("apply", "dns.yaml", "--family", "ipv4").exit_code == 0


def test_what_changes_a_machine_has_the_same_options() -> None:
    """Each of these verbs has --dry-run, and --wait where another svcnet may be at work."""
    context = click.Context(main)
    for verb in ("apply", "cleanup", "conntrack"):
        command = main.get_command(context, verb)
        assert command is not None
        options = {name for each in command.params for name in each.opts}
        assert {"--dry-run", "--wait", "--family"} <= options, verb


def test_a_proxy_moves_its_flows_itself(machine: FakeMachine) -> None:
    done = svcnet("conntrack", "dns.yaml", "--mode", "userspace")
    assert done.exit_code == 2
    assert "the proxy, which moves flows itself" in done.stderr
