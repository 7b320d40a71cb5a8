"""Turns and affinity, with a clock that tests set."""

from __future__ import annotations

from svcnet.renderers.userspace.table import Backend
from svcnet.servers.userspace import balancer
from svcnet.servers.userspace.balancer import ActiveBackend, Affinity, Pool
from svcnet.servers.userspace.service import ServedPort
from tests.servers.userspace.backends import service

A, B, C = (Backend("10.0.0.1", port) for port in (1, 2, 3))


def targets() -> list[ActiveBackend]:
    return [ActiveBackend(A), ActiveBackend(B), ActiveBackend(C)]


def test_turns_go_around() -> None:
    """Each backend has its turn before one has a second."""
    pool = Pool(targets())
    chosen = [pool.next() for _ in range(6)]
    assert chosen == [*pool.targets, *pool.targets]
    assert Pool(()).next() is None


def test_a_client_is_remembered_from_its_last_connection() -> None:
    """Each connection begins the time anew, and at its end another backend is chosen."""
    pool, affinity = Pool(targets()), Affinity(10)
    first = affinity.choose("client", pool, 0)
    assert affinity.choose("client", pool, 9) is first
    assert affinity.choose("client", pool, 18.9) is first
    assert affinity.choose("client", pool, 29) is not first


def test_a_removed_backend_is_nobodys() -> None:
    """A client of a backend that left the pool gets another."""
    pool, affinity = Pool(targets()), Affinity(10)
    first = affinity.choose("client", pool, 0)
    rest = Pool([target for target in pool.targets if target is not first])
    assert affinity.choose("client", rest, 1) in rest.targets


def test_old_clients_make_room(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """The clients that are remembered are bounded: by their time, and by their number."""
    monkeypatch.setattr(balancer, "REMEMBERED_CLIENTS", 3)
    pool, affinity = Pool(targets()), Affinity(10)
    for number in range(5):
        affinity.choose(f"client {number}", pool, number)
    assert list(affinity._clients) == ["client 2", "client 3", "client 4"]
    affinity.choose("late", pool, 100)
    assert list(affinity._clients) == ["late"]


def test_the_timeout_is_that_of_now() -> None:
    """A Service that changes its timeout changes it for clients that are known already."""
    port = ServedPort(service(A, B, affinity=100))
    first = port.choose("client", "cluster", 0)
    port.change(service(A, B, affinity=5))
    assert port.choose("client", "cluster", 50) is not first


def test_the_same_backends_keep_their_counts() -> None:
    """Backends that stay are the same targets; only those that went are told."""
    port = ServedPort(service(A, B))
    kept, gone = port.targets[A], port.targets[B]
    assert port.change(service(A, C)) == {gone}
    assert port.targets[A] is kept
