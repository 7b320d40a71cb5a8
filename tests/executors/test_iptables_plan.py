"""Plans of iptables mode, made from what iptables-save prints, without a kernel."""

from __future__ import annotations

import re

import pytest

from svcnet.executors.iptables import plan
from svcnet.executors.iptables.observe import is_ours
from svcnet.netfilter import SavedTables
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.iptables import RestoreText, full
from tests.test_conformance import CASES, compile_case


def artifact_of(name: str) -> RestoreText:
    return full(compile_case(CASES / name, "IPv4"))


def printed(artifact: RestoreText) -> SavedTables:
    """Return the tables that loading `artifact` and its jumps would leave."""
    lines = [":INPUT", ":FORWARD", ":OUTPUT", ":PREROUTING", ":POSTROUTING"]
    tables = []
    for text in (artifact.text, artifact.text_with_jumps[len(artifact.text) :]):
        for line in text.splitlines():
            if line.startswith(("-A ", "-I ")):
                _, chain, rule = line.split(" ", 2)
                tables.append(f"-A {chain} {save_rule(rule, artifact.family)}")
            elif line.startswith("*"):
                tables += [line, *lines]
            elif line.startswith(":"):
                tables.append(line)
    merged: dict[str, dict[str, list[str]]] = {}
    table = ""
    for line in tables:
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            merged.setdefault(table, {}).setdefault(line[1:].split(" ")[0], [])
        else:
            _, chain, rule = line.split(" ", 2)
            merged[table][chain].append(rule)
    return SavedTables(merged)


def test_nothing_there_is_a_full_load() -> None:
    """On a clean machine everything is written, the jumps last."""
    artifact = artifact_of("kitchen-sink")
    planned = plan(artifact, SavedTables({}), 0)
    assert planned.kind == "full"
    assert planned.service_ports == 8
    assert "-I PREROUTING" in planned.transactions[-1]


def test_what_is_there_already_is_not_written() -> None:
    """Tables that are as wanted make an empty plan."""
    artifact = artifact_of("kitchen-sink")
    planned = plan(artifact, printed(artifact), 0)
    assert (planned.kind, planned.transactions) == ("none", ())


def test_small_changes_make_small_texts() -> None:
    """From one state to another only what differs is written."""
    old = artifact_of("then-endpoint-removed")
    new = full(compile_case(CASES / "then-endpoint-removed", "IPv4", "objects.second.yaml"))
    planned = plan(new, printed(old), 0)
    assert planned.kind == "delta"
    assert planned.service_ports == 1
    assert len(planned.transactions) == 1
    assert "-X KUBE-SEP-QGGMYFB46YX5BMED\n" in planned.text
    assert "KUBE-SVC-CUPZSKKYULV7J6C6" not in planned.text


def test_large_changes_are_cut() -> None:
    """With a limit, a transaction has that many own chains, or those of one service port."""
    artifact = artifact_of("kitchen-sink")
    blocks = artifact.blocks.values()
    for limit in range(1, 12):
        transactions = list(artifact.transactions(limit))
        assert all(text.count("\n*") == 0 for text in transactions)
        # The mark chain comes first, then service ports, the filter table, the shared chains.
        written = [re.findall("(?m)^:(\\S+)", text) for text in transactions[1:-2]]
        alone = [sorted(block.chains) for block in blocks]
        assert all(len(chains) <= limit or sorted(chains) in alone for chains in written)
        assert sum(map(len, written)) == sum(len(block.chains) for block in blocks)


@pytest.mark.parametrize(
    ("table", "chain", "ours"),
    [
        ("nat", "KUBE-SVC-67NZLRHBNDSAWJRO", True),
        ("nat", "KUBE-SERVICES", True),
        ("filter", "KUBE-FIREWALL", True),
        ("filter", "KUBE-SVC-67NZLRHBNDSAWJRO", False),
        ("nat", "KUBE-SVC-FOO", False),
        ("nat", "KUBE-ROUTER-X", False),
        ("nat", "KUBE-SVC-67NZLRHBNDSAWJRO1", False),
        ("mangle", "KUBE-SERVICES", False),
        ("nat", "DOCKER", False),
    ],
)
def test_which_chains_are_ours(table: str, chain: str, ours: bool) -> None:
    """Only chains with our exact names are ours."""
    assert is_ours(table, chain) is ours


@pytest.mark.parametrize(
    ("line", "origin"),
    [
        (":KUBE-SEP-MQTVOOGY7OGR336B - [0:0]", "EndpointSlice shop/lb-"),
        ("-A KUBE-FW-PV4EPRVIIQ32IMYP -j X", "Service shop/lb: spec.loadBalancerSourceRanges"),
        ("-A KUBE-EXT-PV4EPRVIIQ32IMYP -j X", "Service shop/lb: spec.ports[0]"),
        (
            "-A KUBE-EXT-PV4EPRVIIQ32IMYP -j KUBE-SVL-PV4EPRVIIQ32IMYP",
            "Service shop/lb: spec.externalTrafficPolicy",
        ),
        (
            '-I KUBE-SERVICES -m comment --comment "shop/np:http cluster IP" -j X',
            "None",
        ),
        (
            "-A KUBE-NODEPORTS -m comment --comment shop/np:http -m tcp -j X",
            "None",
        ),
        (
            (
                '-A KUBE-NODEPORTS -p tcp -m comment --comment "shop/np:http" -m tcp --dport 30080 '
                "-j KUBE-EXT-DCQOGJK4QZZOVIJ6"
            ),
            "Service shop/np: spec.ports[0].nodePort",
        ),
        ("-A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000", "None"),
    ],
)
def test_origin_of_a_line(line: str, origin: str) -> None:
    """A line that the kernel refused is traced to the Service and field it came from."""
    assert str(artifact_of("kitchen-sink").origin_of_line(line)).startswith(origin)
