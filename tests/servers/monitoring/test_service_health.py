"""Health-check node ports over real sockets: kube-proxy's answers, and ports that come and go."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from attrs import evolve

from svcnet.family import IPFamily
from svcnet.renderers.monitoring import HealthCheck
from svcnet.servers.monitoring import Health, ServiceHealth, listening
from svcnet.servers.monitoring.service_health import CLIENTS
from tests.servers.monitoring.serving import (
    LOOPBACK,
    Running,
    free_port,
    get,
    get_json,
    read_all,
    running,
)

HERE: dict[IPFamily, tuple[str, ...]] = {"IPv4": (LOOPBACK,)}


@pytest.fixture(name="loop", scope="module")
def a_loop() -> Iterator[Running]:
    with running() as loop:
        yield loop


@pytest.fixture(name="health")
def some_health() -> Health:
    return Health()


@pytest.fixture(name="served")
def serving(loop: Running, health: Health) -> Iterator[ServiceHealth]:
    served = ServiceHealth(health)
    yield served
    loop.call(served.close)


def a_check(count: int = 1, name: str = "web", port: int = 0) -> HealthCheck:
    return HealthCheck("shop", name, port or free_port(), "IPv4", count)


def refused(port: int, address: str = LOOPBACK) -> bool:
    try:
        socket.create_connection((address, port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("count", "late", "status", "healthy"),
    [
        (1, False, 200, "true"),
        (25, False, 200, "true"),
        (0, False, 503, "true"),
        (1, True, 503, "false"),
        (0, True, 503, "false"),
    ],
)
def test_answers_are_kube_proxys(
    loop: Running, count: int, late: bool, status: int, healthy: str
) -> None:
    """Status, headers and each byte of the body: with and without endpoints, and with old rules."""
    health = Health(timeout=0 if late else 60)
    health.note_queue(["IPv4"])
    served = ServiceHealth(health)
    check = a_check(count)
    loop.call(lambda: served.follow([check], HERE))
    try:
        found, headers, body = get(check.port, "/")
    finally:
        loop.call(served.close)
    assert found == status
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Load-Balancing-Endpoint-Weight"] == str(count)
    assert body.decode() == (
        "{\n"
        '\t"service": {\n'
        '\t\t"namespace": "shop",\n'
        '\t\t"name": "web"\n'
        "\t},\n"
        f'\t"localEndpoints": {count},\n'
        f'\t"serviceProxyHealthy": {healthy}\n'
        "}"
    )


def test_any_path_is_answered(loop: Running, served: ServiceHealth) -> None:
    """Load balancers ask for different paths, and kube-proxy looks at none."""
    check = a_check()
    loop.call(lambda: served.follow([check], HERE))
    assert {get(check.port, path)[0] for path in ("/", "/healthz", "/a/b?c")} == {200}
    assert get(check.port, "/", method="HEAD")[0] == 200


def test_a_node_that_is_deleted_still_answers_for_services(
    loop: Running, served: ServiceHealth, health: Health
) -> None:
    """A node that is being deleted does not make Services unhealthy: that is for /healthz."""
    check = a_check()
    health.node(eligible=False)
    loop.call(lambda: served.follow([check], HERE))
    assert get(check.port)[0] == 200


def test_ports_come_and_go(loop: Running, served: ServiceHealth) -> None:
    """Ports are opened and closed with the table."""
    one, two = a_check(), a_check(name="other")
    loop.call(lambda: served.follow([one], HERE))
    assert (refused(one.port), refused(two.port)) == (False, True)
    loop.call(lambda: served.follow([two], HERE))
    assert (refused(one.port), refused(two.port)) == (True, False)
    assert served.ports == {two.port}
    loop.call(served.close)
    assert refused(two.port)


def test_a_port_that_stays_is_not_closed(loop: Running, served: ServiceHealth) -> None:
    """A client that is connected while other ports come and go gets the newest answer."""
    stays = a_check(0)
    loop.call(lambda: served.follow([stays, a_check(name="goes")], HERE))
    with socket.create_connection((LOOPBACK, stays.port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.0\r\n")
        assert get(stays.port)[0] == 503
        now = [evolve(stays, local_endpoints=3), a_check(name="comes")]
        loop.call(lambda: served.follow(now, HERE))
        client.sendall(b"\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 200 ")


def test_a_port_that_changes_hands(loop: Running, served: ServiceHealth) -> None:
    """A port that another Service takes over answers for it, without a gap."""
    check = a_check(1, "before")
    loop.call(lambda: served.follow([check], HERE))
    after = evolve(check, name="after", local_endpoints=2)
    loop.call(lambda: served.follow([after], HERE))
    assert get_json(check.port) == (
        200,
        {
            "service": {"namespace": "shop", "name": "after"},
            "localEndpoints": 2,
            "serviceProxyHealthy": True,
        },
    )


def test_closing_a_port_ends_its_connections_only(loop: Running, served: ServiceHealth) -> None:
    """Connections to a port that goes are ended, those to others are not."""
    goes, stays = a_check(name="goes"), a_check(name="stays")
    loop.call(lambda: served.follow([goes, stays], HERE))
    with (
        socket.create_connection((LOOPBACK, goes.port), timeout=10) as ended,
        socket.create_connection((LOOPBACK, stays.port), timeout=10) as kept,
    ):
        assert {get(goes.port)[0], get(stays.port)[0]} == {200}
        loop.call(lambda: served.follow([stays], HERE))
        assert read_all(ended) == b""
        kept.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(kept).startswith(b"HTTP/1.1 200 ")


def test_a_port_in_use_is_a_warning_and_tried_again(loop: Running, served: ServiceHealth) -> None:
    """The warning names the Service; others are served, and at the next change it is too."""
    fine = a_check(name="fine")
    with socket.create_server((LOOPBACK, 0)) as other:
        taken = a_check(port=other.getsockname()[1])
        troubles = loop.call(lambda: served.follow([taken, fine], HERE))
        (trouble,) = troubles
        assert str(trouble) == (
            "warning: Service shop/web: spec.healthCheckNodePort: "
            f"port {taken.port} of 127.0.0.1 cannot be listened on: Address already in use; "
            "nobody is told of this node's endpoints there [S902 health-check-port]"
        )
        assert get(fine.port)[0] == 200
        assert loop.call(lambda: served.follow([taken, fine], HERE)) == troubles
    assert loop.call(lambda: served.follow([taken, fine], HERE)) == ()
    assert get(taken.port)[0] == 200


def test_two_services_with_one_port(loop: Running, served: ServiceHealth) -> None:
    """The one that has the port keeps it, whatever the order of names; the other is named."""
    has = a_check(name="b")
    wants = evolve(has, name="a")
    loop.call(lambda: served.follow([has], HERE))
    (trouble,) = loop.call(lambda: served.follow([wants, has], HERE))
    assert trouble.object == "Service shop/a"
    assert trouble.message.startswith(f"port {has.port} is the one of Service shop/b;")
    assert get_json(has.port)[1]["service"]["name"] == "b"
    assert loop.call(lambda: served.follow([wants], HERE)) == ()
    assert get_json(has.port)[1]["service"]["name"] == "a"


def test_each_family_answers_for_itself(loop: Running, served: ServiceHealth) -> None:
    """All addresses of a family answer with the endpoints of that family, and with no others."""
    check = a_check(1)
    other = evolve(check, family="IPv6", local_endpoints=0)
    everywhere: dict[IPFamily, tuple[str, ...]] = {"IPv4": ("0.0.0.0",), "IPv6": ("::",)}
    assert loop.call(lambda: served.follow([check, other], everywhere)) == ()
    assert get(check.port)[0] == 200
    assert get(check.port, address="127.0.0.2")[0] == 200
    assert get(check.port, address="::1")[0] == 503
    loop.call(lambda: served.follow([check], everywhere))
    assert get(check.port)[0] == 200
    assert refused(check.port, "::1")


def test_given_addresses_only(loop: Running, served: ServiceHealth) -> None:
    """Given addresses answer and no other, and may change."""
    check = a_check()
    loop.call(lambda: served.follow([check], {"IPv4": ("127.0.0.2", "127.0.0.4")}))
    assert refused(check.port)
    assert get(check.port, address="127.0.0.2")[0] == 200
    loop.call(lambda: served.follow([check], {"IPv4": ("127.0.0.3", "127.0.0.4")}))
    assert refused(check.port, "127.0.0.2")
    assert get(check.port, address="127.0.0.3")[0] == 200


def test_an_address_that_the_node_lacks(loop: Running, served: ServiceHealth) -> None:
    """One address that cannot be had does not take the others away."""
    check = a_check()
    (trouble,) = loop.call(lambda: served.follow([check], {"IPv4": ("192.0.2.77", LOOPBACK)}))
    assert "192.0.2.77 cannot be listened on: Cannot assign requested address" in trouble.message
    assert get(check.port)[0] == 200


def test_a_kernel_without_ipv6(
    loop: Running, served: ServiceHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no IPv6 sockets, that is a warning, and IPv4 answers."""

    real = socket.socket

    def without_ipv6(family: int = -1, *rest: int, **named: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return real(family, *rest, **named)

    check = a_check()
    both = [check, evolve(check, family="IPv6")]
    monkeypatch.setattr(socket, "socket", without_ipv6)
    (trouble,) = loop.call(lambda: served.follow(both, {"IPv4": ("0.0.0.0",), "IPv6": ("::",)}))
    monkeypatch.undo()
    assert "Address family not supported" in trouble.message
    assert get(check.port)[0] == 200


def test_clients_that_hold_all_they_get(
    loop: Running, served: ServiceHealth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources that hold connections of one Service's port keep nobody out, there or elsewhere."""
    # None goes because its time is up.
    monkeypatch.setattr(listening, "HEAD_SECONDS", 600.0)
    checks = [a_check(1), a_check(2, "other")]
    loop.call(lambda: served.follow(checks, HERE))
    with ExitStack() as stack:
        for number in range(CLIENTS + 100):
            source = (f"127.0.0.{2 + number % 3}", 0)
            address = (LOOPBACK, checks[0].port)
            stack.enter_context(socket.create_connection(address, 10, source))
        for check in checks:
            assert get(check.port)[0] == 200
