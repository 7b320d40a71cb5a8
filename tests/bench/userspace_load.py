"""A client, a backend and ways between them: direct, by haproxy and by svcnet's proxy.

The load and the backend are `load.c`. Everything is started in the network namespace of the
calling thread.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import frozen

BACKEND = 7001
PATIENCE = 10.0
TICKS = os.sysconf("SC_CLK_TCK")

HAPROXY = """
global
  nbthread {threads}
  maxconn {connections}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
{options}
frontend clients
  bind 127.0.0.1:{port}
  default_backend servers
backend servers
  server one 127.0.0.1:{backend}
"""
SPLICE = "  option splice-request\n  option splice-response"


@frozen
class Way:
    """How clients reach the backend: ports, its process, and the one between, if there is one."""

    tcp: int
    udp: int | None
    backend: int
    pid: int | None = None

    def cpu(self) -> float:
        """Return the CPU seconds that the process between has used."""
        return 0.0 if self.pid is None else cpu_of(self.pid)

    def cpu_of_all(self) -> float:
        """Return those of the backend and of clients that have ended as well.

        On loopback the kernel does much of a connection's work in the time of whichever of them
        happens to run.
        """
        clients = resource.getrusage(resource.RUSAGE_CHILDREN)
        return self.cpu() + cpu_of(self.backend) + clients.ru_utime + clients.ru_stime

    def memory(self) -> int:
        """Return the resident kB of the process."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@frozen
class Load:
    """The load generator, compiled."""

    program: Path

    @classmethod
    def compiled(cls, folder: Path) -> Load:
        program = folder / "load"
        source = Path(__file__).parent / "load.c"
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", program, source], check=True)
        return cls(program)

    def run(self, *words: object) -> dict[str, float]:
        """Return what a measurement printed; it fails when a byte or a connection was lost."""
        command = [str(self.program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        figures: dict[str, float] = json.loads(done.stdout)
        return figures

    @contextmanager
    def holding(self, way: Way, connections: int) -> Iterator[None]:
        """Keep that many idle connections, each of which has carried a byte there and back."""
        command = [str(self.program), "hold", str(way.tcp), str(connections)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "{}\n"
                yield
            finally:
                process.stdin.close()


@contextmanager
def ways(
    load: Load, folder: Path, connections: int, workers: int = 1
) -> Iterator[Mapping[str, Way]]:
    """Start the backend and each proxy, the latter with room for that many connections.

    HAProxy has as many threads as svcnet has `workers`.
    """
    with ExitStack() as running:
        backend = running.enter_context(server([load.program, "serve", BACKEND], BACKEND))
        found = {"direct": Way(BACKEND, BACKEND, backend)}
        for name, port, options in (("haproxy", 7002, ""), ("haproxy, splice", 7003, SPLICE)):
            file = folder / f"{port}.cfg"
            file.write_text(
                HAPROXY.format(
                    connections=connections,
                    options=options,
                    port=port,
                    backend=BACKEND,
                    threads=workers,
                )
            )
            pid = running.enter_context(server(["haproxy", "-db", "-f", file], port))
            found[name] = Way(port, None, backend, pid)
        found["svcnet"] = running.enter_context(_svcnet(workers, backend))
        yield found


@contextmanager
def _svcnet(workers: int, backend: int) -> Iterator[Way]:
    command = [sys.executable, "-m", "tests.bench.userspace_serving", BACKEND, workers]
    with _process(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        tcp, udp = map(int, process.stdout.readline().split())
        yield Way(tcp, udp, backend, process.pid)


@contextmanager
def server(command: Sequence[object], port: int) -> Iterator[int]:
    """Run a server; it is there when it takes connections at a port. Yields its process id."""
    with _process(command) as process:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, f"{command} has ended"
            assert time.monotonic() < deadline, f"{command} does not listen"
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        yield process.pid


@contextmanager
def _process(command: Sequence[object], **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([str(word) for word in command], text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
