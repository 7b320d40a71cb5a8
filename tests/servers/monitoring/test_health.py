"""/healthz, /livez and /readyz: kube-proxy's answers, from what the loop has seen and done."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from attrs import define

from svcnet.servers.monitoring import (
    HEALTHZ_BIND_ADDRESS,
    METRICS_BIND_ADDRESS,
    Health,
    HTTPServer,
    Metrics,
    health_pages,
    metrics_page,
)
from tests.servers.monitoring.serving import LOOPBACK, Running, get, get_json, running

ZERO = "0001-01-01T00:00:00Z"
BOTH = ("IPv4", "IPv6")


@define
class Clocks:
    """Both clocks, at a time that the test sets: seconds since 2026-11-24 12:00."""

    seconds: float = 0

    def monotonic(self) -> float:
        return 1000 + self.seconds

    def wall(self) -> int:
        return 1_795_521_600 * 10**9 + round(self.seconds * 10**9)


@pytest.fixture(name="clocks")
def some_clocks() -> Clocks:
    return Clocks()


@pytest.fixture(name="health")
def some_health(clocks: Clocks) -> Health:
    health = Health(monotonic=clocks.monotonic, wall=clocks.wall)
    health.node(eligible=True)
    return health


def sync(health: Health) -> None:
    """Have the rules of both families be up to date."""
    for family in BOTH:
        health.note_sync(family)


@pytest.fixture(name="loop", scope="module")
def a_loop() -> Iterator[Running]:
    with running() as loop:
        yield loop


def statuses(health: Health) -> tuple[int, int, int]:
    """Return the statuses of /healthz, /livez and /readyz."""
    return health.healthz().status, health.livez().status, health.readyz().status


def test_while_it_starts(health: Health, clocks: Clocks) -> None:
    """A node that starts is healthy and not yet ready, however long nothing comes."""
    assert statuses(health) == (200, 200, 503)
    clocks.seconds = 10_000
    assert statuses(health) == (200, 200, 503)


def test_ready_is_listed_and_synced(health: Health) -> None:
    """Ready takes both: all objects listed, and rules made of them; and stays so."""
    sync(health)
    assert statuses(health) == (200, 200, 503)
    health.note_list()
    assert statuses(health) == (200, 200, 200)
    health.note_queue(BOTH)
    assert statuses(health) == (200, 200, 200)


def test_listed_alone_is_not_ready(health: Health) -> None:
    """Objects without rules are not enough."""
    health.note_list()
    assert health.readyz().body == b'{"listed":true,"synced":false}'
    assert not health.ready


def test_a_change_that_waits_too_long(health: Health, clocks: Clocks) -> None:
    """The oldest change counts, to the second; a sync makes all well again."""
    health.note_queue(BOTH)
    clocks.seconds = 30
    health.note_queue(BOTH)
    clocks.seconds = 59.999
    assert statuses(health)[:2] == (200, 200)
    clocks.seconds = 60
    assert statuses(health)[:2] == (503, 503)
    sync(health)
    assert statuses(health)[:2] == (200, 200)
    clocks.seconds = 1000
    assert statuses(health)[:2] == (200, 200)


def test_a_change_after_a_sync_has_its_own_time(health: Health, clocks: Clocks) -> None:
    """What comes after a sync begins to wait then."""
    health.note_queue(BOTH)
    clocks.seconds = 50
    sync(health)
    health.note_queue(BOTH)
    clocks.seconds = 109
    assert health.healthy
    clocks.seconds = 110
    assert not health.healthy


def test_a_node_that_is_being_deleted(health: Health) -> None:
    """Only /healthz heeds it: a restart would not help, and the rules are right."""
    health.node(eligible=False)
    assert statuses(health)[:2] == (503, 200)
    assert health.healthy
    health.node(eligible=True)
    assert statuses(health)[:2] == (200, 200)


def test_a_clock_that_is_set_back_or_forth(clocks: Clocks) -> None:
    """How long a change waits does not depend on the time of day."""
    health = Health(monotonic=lambda: 0.0, wall=clocks.wall)
    health.note_queue(BOTH)
    clocks.seconds = 10**6
    assert health.healthy


def test_a_node_that_is_not_known(clocks: Clocks) -> None:
    """Nobody is to send traffic to a node that the cluster does not know, or not yet."""
    health = Health(monotonic=clocks.monotonic, wall=clocks.wall)
    assert statuses(health)[:2] == (503, 200)


def test_one_family_that_is_late(health: Health, clocks: Clocks) -> None:
    """A family whose rules are late makes the node unhealthy, and the document says which."""
    sync(health)
    health.note_queue(BOTH)
    clocks.seconds = 60
    health.note_sync("IPv4")
    found = json.loads(health.livez().body)
    assert found["healthy"] is False
    assert {name: one["healthy"] for name, one in found["status"].items()} == {
        "IPv4": True,
        "IPv6": False,
    }
    assert found["lastUpdated"] == found["status"]["IPv4"]["lastUpdated"]
    health.note_sync("IPv6")
    assert statuses(health)[:2] == (200, 200)


def test_a_family_that_is_followed_no_more(health: Health, clocks: Clocks) -> None:
    """Nothing waits for a family that the node has no address of any more."""
    health.note_queue(BOTH)
    health.note_sync("IPv4")
    health.note_queue(["IPv4"])
    health.note_sync("IPv4")
    clocks.seconds = 1000
    assert statuses(health)[:2] == (200, 200)
    assert list(json.loads(health.livez().body)["status"]) == ["IPv4"]


def test_bodies(health: Health, clocks: Clocks) -> None:
    """The bodies are kube-proxy's: a healthy node was updated now, another when it was."""
    now, later = "2026-11-24T12:00:00Z", "2026-11-24T12:01:40.25Z"
    health.note_sync("IPv6")
    health.note_sync("IPv4")
    good = f'{{"lastUpdated":"{now}","healthy":true}}'
    assert health.healthz().body.decode() == (
        f'{{"lastUpdated":"{now}","currentTime":"{now}","nodeEligible":true,"healthy":true,'
        f'"status":{{"IPv4":{good},"IPv6":{good}}}}}'
    )
    health.note_queue(BOTH)
    clocks.seconds = 100.25
    bad = f'{{"lastUpdated":"{now}","healthy":false}}'
    told = f'"healthy":false,"status":{{"IPv4":{bad},"IPv6":{bad}}}}}'
    times = f'"lastUpdated":"{now}","currentTime":"{later}"'
    assert health.healthz().body.decode() == f'{{{times},"nodeEligible":true,{told}'
    assert health.livez().body.decode() == f"{{{times},{told}"


def test_body_while_it_starts(health: Health) -> None:
    """Before the first sync there is no status of any family, as in kube-proxy."""
    health.note_queue(BOTH)
    now = "2026-11-24T12:00:00Z"
    assert health.livez().body.decode() == (
        f'{{"lastUpdated":"{now}","currentTime":"{now}","healthy":true}}'
    )


def test_body_without_any_sync(health: Health, clocks: Clocks) -> None:
    """A node that never had rules says so with Go's zero time, as kube-proxy does."""
    health.note_queue(BOTH)
    clocks.seconds = 60
    assert f'"lastUpdated":"{ZERO}"'.encode() in health.livez().body


def test_pages(loop: Running, health: Health) -> None:
    """The pages are served, the others are not there, and answers are counted."""
    metrics = Metrics()
    server = loop.call(lambda: HTTPServer((LOOPBACK, 0), health_pages(health, metrics)))
    port = server.where[1]
    try:
        status, headers, _ = get(port, "/healthz")
        assert status == 200
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Content-Type-Options"] == "nosniff"
        health.node(eligible=False)
        assert get_json(port, "/healthz")[1]["nodeEligible"] is False
        assert get(port, "/livez", method="HEAD")[0] == 200
        assert get_json(port, "/readyz") == (503, {"listed": False, "synced": False})
        assert {get(port, path)[0] for path in ("/", "/healthz/", "/metrics", "/livezz")} == {404}
    finally:
        loop.call(server.close)
    lines = metrics.text().decode().splitlines()
    assert 'kubeproxy_proxy_healthz_total{code="200"} 1.0' in lines
    assert 'kubeproxy_proxy_healthz_total{code="503"} 1.0' in lines
    assert 'kubeproxy_proxy_livez_total{code="200"} 1.0' in lines


def test_metrics_page(loop: Running) -> None:
    """/metrics is in the text format that every Prometheus reads."""
    metrics = Metrics()
    server = loop.call(lambda: HTTPServer((LOOPBACK, 0), metrics_page(metrics)))
    port = server.where[1]
    try:
        status, headers, body = get(port, "/metrics")
        assert get(port, "/")[0] == 404
    finally:
        loop.call(server.close)
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE kubeproxy_sync_proxy_rules_duration_seconds histogram\n" in body


def test_addresses_are_loopback() -> None:
    """Unless told otherwise neither is reachable from other machines; ports are kube-proxy's."""
    assert HEALTHZ_BIND_ADDRESS == ("127.0.0.1", 10256)
    assert METRICS_BIND_ADDRESS == ("127.0.0.1", 10249)
