"""What svcnet verify compares beside rules: connection tracking, and names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from svcnet.cli import main
from svcnet.discovery.dns import DNSOptions, records
from svcnet.executors.dns.ask import Reply, ask
from svcnet.meaning.comparison.names import told_names, verify_names
from svcnet.models import ClusterState
from svcnet.renderers.conntrack.listing import read_listing
from svcnet.testing import make_service
from tests.servers.dns.serving import LARGE, LOOPBACK, NAME, STATE, serving

OBJECTS = """
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}
---
apiVersion: v1
kind: Service
metadata: {name: dns, namespace: shop}
spec: {clusterIP: 10.96.0.10, selector: {a: b}, ports: [{port: 53, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, namespace: shop, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{port: 5353, protocol: UDP, name: ""}]
endpoints: [{addresses: [10.244.1.5], conditions: {ready: true}}]
"""
ENTRIES = (
    "udp      17 29 src=10.244.1.9 dst=10.96.0.10 sport=4000 dport=53 "
    "src=10.244.1.5 dst=10.244.1.9 sport=5353 dport=4000 mark=0 use=1\n"
    "ipv4     2 udp      17 29 src=10.244.1.9 dst=10.96.0.10 sport=4001 dport=53 "
    "src=10.244.9.9 dst=10.244.1.9 sport=5353 dport=4001 [ASSURED] mark=0 use=1\n"
    "ipv4     2 udp      17 29 src=10.244.1.9 dst=10.96.0.10 sport=4002 dport=53 [UNREPLIED] "
    "src=10.96.0.10 dst=10.244.1.9 sport=53 dport=4002 mark=0 use=1\n"
    "tcp      6 86399 ESTABLISHED src=10.244.1.9 dst=10.96.0.1 sport=5000 dport=443 "
    "src=192.0.2.1 dst=10.244.1.9 sport=6443 dport=5000 [ASSURED] mark=0 use=1\n"
)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    shown = capsys.readouterr()
    return int(end.value.code or 0), shown.out, shown.err


def test_entries_to_what_is_no_endpoint_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An entry to an endpoint that is gone, and one that was never translated, make exit code 1."""
    objects, rules, entries = (tmp_path / name for name in ("a.yaml", "rules.txt", "entries.txt"))
    objects.write_text(OBJECTS)
    entries.write_text(ENTRIES)
    rules.write_text(run(capsys, "render", objects)[1])
    given = ("verify", objects, "--rules", rules, "--also", "conntrack")
    code, shown, told = run(capsys, *given)
    assert (code, shown) == (2, "")
    assert "conntrack -L" in told
    code, shown, _ = run(capsys, *given, "--rules", entries)
    assert code == 1
    assert "connection tracking: 2 stale entries" in shown
    assert "leads   to 10.244.9.9:5353" in shown
    document = json.loads(run(capsys, *given, "--rules", entries, "--output", "json")[1])
    assert [each["endpoint"] for each in document["conntrack"]] == ["10.244.9.9", "10.96.0.10"]
    entries.write_text(ENTRIES.splitlines()[0] + "\n")
    assert run(capsys, *given, "--rules", entries)[0] == 0
    entries.write_text(ENTRIES + "udp 17 rubbish\n")
    code, shown, told = run(capsys, *given, "--rules", entries)
    assert (code, shown) == (2, "")
    assert f"{entries}: line 5" in told


def test_zones_and_other_protocols_of_entries_are_read() -> None:
    """Of all entries those of UDP count, each with the zone that a rule chose."""
    zoned = ENTRIES.splitlines()[0].replace("use=1", "zone=7 use=1")
    (found,) = read_listing(
        f"{zoned}\nconntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.\n"
    )
    assert (found.zone, found.reply_source, found.reply_source_port) == (7, "10.244.1.5", 5353)


def test_a_server_is_asked_for_every_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, other and further records are told, over UDP or TCP, and nobody's as exit code 2."""
    zones = records(STATE, DNSOptions())
    # Each of a thousand endpoints has a name of its own.
    few = {name: zones.entries[name] for name in (NAME, LARGE)}
    zones = evolve(zones, entries=few)
    with serving() as served:
        where = f"{LOOPBACK}:{served.port}"
        objects = tmp_path / "a.yaml"
        objects.write_text(OBJECTS)
        code, shown, _ = run(capsys, "verify", objects, "--dns", where)
        assert code == 1
        assert "missing name: dns.shop.svc.cluster.local. A" in shown
        document = json.loads(run(capsys, "verify", objects, "--dns", where, "--output", "json")[1])
        assert {each["kind"] for each in document["dns"]["differences"]} >= {"missing"}
        found = verify_names(zones, lambda name, rdtype: ask((LOOPBACK, served.port), name, rdtype))
        # A name with a thousand addresses takes TCP.
        assert found.differences == ()
        assert found.questions > 3
    monkeypatch.setattr("svcnet.executors.dns.ask.TIMEOUT_SECONDS", 0.05)
    code, shown, told = run(capsys, "verify", objects, "--dns", where)
    assert (code, shown) == (2, "")
    assert where in told


def test_what_a_server_has_and_should_not_is_told() -> None:
    """Further addresses, and the names of Services that should have none."""
    state = ClusterState.of([make_service("web", cluster_ips=("10.96.0.10",))])
    zones = records(state)

    data = {"A": ["10.96.0.10"], "AAAA": ["fd00::1"]}

    def answers(name: str, rdtype: str) -> Reply:
        if name.startswith("web."):
            return Reply("NOERROR", frozenset(data.get(rdtype, ())))
        return Reply("NXDOMAIN")

    found = verify_names(zones, answers)
    of_web = [each for each in found.differences if each.name.startswith("web.")]
    assert ("extra", "AAAA") in [(each.kind, each.type) for each in of_web]
    assert not any(each.type == "A" for each in of_web)


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP"])
def test_a_server_that_fails_says_nothing_of_a_name(rcode: str) -> None:
    """Not of one that should be there, and not of one that should not."""
    zones = records(ClusterState.of([make_service("web", cluster_ips=("10.96.0.10",))]))
    found = verify_names(zones, lambda _name, _rdtype: Reply(rcode))
    assert len(found.differences) == found.questions > 2
    assert {each.kind for each in found.differences} == {"unanswered"}
    assert rcode in "".join(told_names(found, 100))
