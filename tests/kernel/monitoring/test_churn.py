"""Many Services whose health-check node ports open and close while load balancers ask."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from svcnet.family import IPFamily
from svcnet.renderers.monitoring import HealthCheck
from svcnet.servers.monitoring import Health, ServiceHealth
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.servers.monitoring.serving import LOOPBACK, Running, get_json, running

pytestmark = pytest.mark.kernel

STABLE = [HealthCheck("shop", f"stable-{n}", 20000 + n, "IPv4", n + 1) for n in range(20)]
COMING = [HealthCheck("shop", f"coming-{n}", 21000 + n, "IPv4", n % 3) for n in range(400)]
EVERYWHERE: dict[IPFamily, tuple[str, ...]] = {"IPv4": ("0.0.0.0",)}
ROUNDS = 100
ENDED = ("ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError")


@pytest.fixture(name="loop")
def loop_in_a_namespace() -> Iterator[Running]:
    # The loop's thread and the clients' are started in the namespace, so they are in it.
    with own_namespace(), running() as loop:
        yield loop


def listening_ports() -> list[int]:
    """Return the TCP ports that are listened on in this thread's namespace."""
    # ss asks the kernel for these alone; /proc/net/tcp6 would list what is closed as well.
    lines = run("ss", "--no-header", "--listening", "--tcp", "--numeric").splitlines()
    return sorted(int(line.split()[3].rpartition(":")[2]) for line in lines)


def ask_again_and_again(checks: list[HealthCheck], over: threading.Event) -> Counter[str]:
    """Ask for Services in turn, and count what came of it."""
    found: Counter[str] = Counter()
    while not over.is_set():
        for check in checks:
            found[ask(check)] += 1
    return found


def ask(check: HealthCheck) -> str:
    try:
        status, document = get_json(check.port)
    except OSError as error:
        return type(error).__name__
    except ValueError:
        return "no answer"
    assert document["service"]["name"] == check.name
    assert document["localEndpoints"] == check.local_endpoints
    return str(status)


class Client(threading.Thread):
    """Asks in a thread of its own; ``found`` is None if an answer was wrong."""

    def __init__(self, checks: list[HealthCheck], over: threading.Event) -> None:
        super().__init__()
        self.checks, self.over = checks, over
        self.found: Counter[str] | None = None

    def run(self) -> None:
        self.found = ask_again_and_again(self.checks, self.over)


def test_ports_that_come_and_go_under_load(loop: Running) -> None:
    """Those that stay are always answered, those that come and go only for themselves."""
    served = ServiceHealth(Health())
    loop.call(lambda: served.follow(STABLE, EVERYWHERE))
    over = threading.Event()
    clients = [Client(STABLE, over), Client(COMING, over), Client(COMING[::-1], over)]
    for client in clients:
        client.start()
    chance = random.Random(1)
    try:
        for _ in range(ROUNDS):
            some = chance.sample(COMING, chance.randrange(len(COMING)))
            assert loop.call(partial(served.follow, [*STABLE, *some], EVERYWHERE)) == ()
            wanted = sorted(check.port for check in (*STABLE, *some))
            assert listening_ports() == wanted
        loop.call(lambda: served.follow(STABLE, EVERYWHERE))
    finally:
        over.set()
        for client in clients:
            client.join(60)
    stable, *coming = (client.found for client in clients)
    assert stable is not None
    assert set(stable) == {"200"}
    for found in coming:
        assert found is not None
        # A port that closes refuses, or ends a connection that it has not answered yet.
        assert set(found) <= {"200", "503", *ENDED}
        assert found.keys() >= {"200", "503", "ConnectionRefusedError"}
    loop.call(served.close)
    assert listening_ports() == []


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left(loop: Running) -> None:
    """After thousands of clients, honest and not, every descriptor is closed."""
    before = descriptors()
    served = ServiceHealth(Health())
    loop.call(lambda: served.follow(STABLE, EVERYWHERE))
    for number in range(2000):
        check = STABLE[number % len(STABLE)]
        client = socket.create_connection((LOOPBACK, check.port), timeout=10)
        client.sendall((b"", b"GET / HT", b"GET / HTTP/1.0\r\n\r\n", b"\0" * 100)[number % 4])
        if number % 3:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert {ask(check) for check in STABLE} == {"200"}
    loop.call(served.close)
    deadline = time.monotonic() + 10
    while descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert descriptors() == before
