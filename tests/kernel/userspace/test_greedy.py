"""``svcnet run`` with few files, and clients that take all they can get of everything it serves."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from svcnet.servers import questions
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.userspace.test_run import (
    NODE_MANIFEST,
    OTHER_IP,
    UNPRIVILEGED,
    Running,
    ask,
    service,
)
from tests.servers.monitoring.serving import get
from tests.servers.userspace.backends import Server, greet

pytestmark = pytest.mark.kernel

LOOPBACK = "127.0.0.1"
HEALTH, METRICS = 10256, 10249
PATIENCE = 1.0
THIRD = service(name="third", ips={"IPv4": "10.96.0.12", "IPv6": "fd00:96::12"})
QUESTION = b'{"ask": "status"}'


@pytest.fixture(autouse=True)
def node() -> Iterator[None]:
    with own_namespace():
        run("ip", "address", "add", "10.0.0.2/32", "dev", "lo")
        yield


@pytest.fixture(name="folder")
def manifests(tmp_path: Path) -> Iterator[Path]:
    """Two Services; each endpoint says its name and then holds the connection."""
    servers = [Server(greet, name, host="") for name in ("a", "b")]
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "node.yaml").write_text(NODE_MANIFEST)
    text = service(servers[0]) + service(servers[1], name="other", ips=OTHER_IP)
    (folder / "web.yaml").write_text(text)
    yield folder
    for server in servers:
        server.close()


def cpu(pid: int) -> float:
    """Return how many seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def within(work: Callable[[], object]) -> object:
    """Return what an honest client gets, which it must get soon."""
    begun = time.monotonic()
    got = work()
    assert time.monotonic() - begun < PATIENCE
    return got


@contextmanager
def greedy(address: tuple[str, int] | str, sources: int, number: int) -> Iterator[None]:
    """Hold so many connections of each of some sources, as far as they are accepted."""
    with ExitStack() as stack:
        for _ in range(number):
            for source in range(sources):
                kind = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
                sock = stack.enter_context(socket.socket(kind))
                if kind == socket.AF_INET:
                    sock.bind((f"127.0.0.{source + 10}", 0))
                sock.setblocking(False)
                sock.connect_ex(address)
        yield


def read(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(path))
        return sock.makefile("rb").read()


@pytest.mark.parametrize("files", [256, 4096])
def test_clients_that_hold_all_they_get_of_one_service(folder: Path, files: int) -> None:
    """Other Services, health, metrics, status and statistics answer at once; it does not spin."""
    status, stats = folder.parent / "status.sock", folder.parent / "stats.sock"
    options = ("--family", "ipv4", "--no-redirect", "--socket", str(status), "--stats", str(stats))
    wrap = ("prlimit", f"--nofile={files}:{files}", *UNPRIVILEGED)
    with Running(folder, *options, wrap=wrap) as running:
        services = json.loads(read(stats))["services"]
        ports = {each["name"]: each["proxyPorts"]["cluster"] for each in services}
        web, other = (LOOPBACK, ports["web"]), (LOOPBACK, ports["other"])
        with greedy(web, 5, files // 8), greedy((LOOPBACK, HEALTH), 3, 60):
            for _ in range(10):
                assert within(lambda: ask(*other)) == "b"
                assert within(lambda: ask(*web)) == "a"
                assert within(lambda: get(HEALTH, "/livez")[0]) == 200
                assert within(lambda: get(METRICS, "/metrics")[0]) == 200
                assert within(lambda: b'"families"' in questions.ask(status, QUESTION))
                assert within(lambda: b'"services"' in read(stats))
            counted = json.loads(read(stats))
            running.wait("no room for more: shop/web:main/TCP has ")
            by_name = {each["name"]: each for each in counted["services"]}
            assert by_name["web"]["refused"] > 0
            assert by_name["other"]["refused"] == by_name["other"]["waited"] == 0
            before = cpu(running.process.pid)
            time.sleep(1)
            assert cpu(running.process.pid) - before < 0.3
        assert within(lambda: ask(*web)) == "a"
        assert sum("no room" in line for line in running.lines) == 1
        assert not any("Traceback" in line for line in running.lines)


@pytest.mark.parametrize("what", ["health", "metrics", "status", "statistics"])
def test_clients_that_hold_all_they_get_of_a_server(folder: Path, what: str) -> None:
    """Whoever holds a server's connections, an honest client of it and of a Service is served."""
    status, stats = folder.parent / "status.sock", folder.parent / "stats.sock"
    options = ("--family", "ipv4", "--no-redirect", "--socket", str(status), "--stats", str(stats))
    wrap = ("prlimit", "--nofile=256:256", *UNPRIVILEGED)
    honest: dict[str, tuple[tuple[str, int] | str, Callable[[], object]]] = {
        "health": ((LOOPBACK, HEALTH), lambda: get(HEALTH, "/livez")[0] == 200),
        "metrics": ((LOOPBACK, METRICS), lambda: get(METRICS, "/metrics")[0] == 200),
        "status": (str(status), lambda: b'"families"' in questions.ask(status, QUESTION)),
        "statistics": (str(stats), lambda: b'"services"' in read(stats)),
    }
    address, is_answered = honest[what]
    with Running(folder, *options, wrap=wrap) as running:
        port = int(running.listing.split()[2].rpartition(":")[2])
        with greedy(address, 3, 100):
            for _ in range(5):
                assert within(is_answered)
                assert within(lambda: ask(LOOPBACK, port)) in ("a", "b")
        assert within(is_answered)


def test_a_limit_that_is_lowered_while_it_runs(folder: Path) -> None:
    """Without descriptors, of a sudden, it neither spins nor ends, and then serves who waited."""
    status, stats = folder.parent / "status.sock", folder.parent / "stats.sock"
    options = ("--family", "ipv4", "--no-redirect", "--socket", str(status), "--stats", str(stats))
    with Running(folder, *options) as running:
        pid = running.process.pid
        port = int(running.listing.split()[2].rpartition(":")[2])
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
        with (
            greedy((LOOPBACK, port), 5, 20),
            greedy((LOOPBACK, HEALTH), 3, 20),
            ExitStack() as held,
        ):
            used = cpu(pid)
            for _ in range(5):
                assert within(lambda: get(HEALTH, "/livez")[0]) == 200
                assert within(lambda: b'"families"' in questions.ask(status, QUESTION))
                assert within(lambda: b'"services"' in read(stats))
            time.sleep(1)
            assert cpu(pid) - used < 1
            late = held.enter_context(socket.create_connection((LOOPBACK, port), 10))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            assert late.recv(1) in (b"a", b"b")
        assert within(lambda: ask(LOOPBACK, port)) in ("a", "b")


def test_a_full_proxy_still_reads_its_input(folder: Path) -> None:
    """Whatever many sources hold of every Service, files can be opened and changes are followed."""
    wrap = ("prlimit", "--nofile=256:256", *UNPRIVILEGED)
    stats = folder.parent / "stats.sock"
    options = ("--family", "ipv4", "--no-redirect", "--stats", str(stats))
    with Running(folder, *options, wrap=wrap) as running:
        services = json.loads(read(stats))["services"]
        web, other = ((LOOPBACK, each["proxyPorts"]["cluster"]) for each in services)
        with greedy(web, 200, 2), greedy(other, 200, 2):
            running.wait("no room for more: ")
            running.process.send_signal(signal.SIGHUP)
            running.wait("the input was read again")
            (folder / "third.yaml").write_text(THIRD)
            running.wait("shop/third:main/TCP")
            assert within(lambda: get(HEALTH, "/livez")[0]) == 200
