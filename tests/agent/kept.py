"""A mode that keeps nothing but a note of the graphs that it was given, and an agent in it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from svcnet.agent import Agent
from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine
from svcnet.graph import FragmentName, RuleGraph
from svcnet.models import IPFamily
from svcnet.modes import Adapter, Executor, ModeSettings, SyncResult
from svcnet.testing import FakeMachine
from tests.modes.plain import Lines, PlainMode

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints: [{{addresses: [10.244.1.5]}}]
"""


class NotedAdapter(Adapter):
    """Notes graphs."""

    def __init__(self, family: IPFamily, mode: NotedMode) -> None:
        super().__init__(family, mode.name)
        self._noted = mode

    def whole(self, graph: RuleGraph) -> SyncResult:
        self._noted.take(graph)
        return SyncResult("full", f"{self.family}: noted")


class NotedExecutor(Executor[Lines]):
    """Has an adapter, and nothing else."""

    mode: NotedMode

    def adapter(self, family: IPFamily) -> Adapter:
        return NotedAdapter(family, self.mode)


class NotedMode(PlainMode):
    """Notes each graph, in this process; `refusal` is why it does not."""

    name = "noted"

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.graphs: list[RuleGraph] = []
        self.threads: set[threading.Thread] = set()
        self._changed = threading.Condition()

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> NotedExecutor:
        return NotedExecutor(self, machine, settings)

    def take(self, graph: RuleGraph) -> None:
        """Note a graph. Raises ApplyError while there is a refusal."""
        with self._changed:
            self.threads.add(threading.current_thread())
            self._changed.notify_all()
            if self.refusal:
                raise ApplyError(self.refusal)
            self.graphs.append(graph)

    def wait(self, *services: str) -> None:
        """Wait for a graph with the ports of these Services alone."""
        self.wait_until(lambda graph: names(graph) == set(services))

    def wait_until(self, is_it: Callable[[RuleGraph], bool], seconds: float = 60.0) -> None:
        """Wait for a graph that is as it should be."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: bool(self.graphs) and is_it(self.graphs[-1]), seconds
            )


class Noise:
    """A log that keeps all lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def info(self, event: str, **about: Any) -> None:
        self._take("info", event)

    def warning(self, event: str, **about: Any) -> None:
        self._take("warning", about.get("error", event))

    def wait(self, text: str, seconds: float = 60.0) -> None:
        """Wait for a line with `text`."""
        with self._changed:
            assert self._changed.wait_for(lambda: text in str(self.lines), seconds), self.lines

    def _take(self, level: str, event: str) -> None:
        with self._changed:
            self.lines.append((level, event))
            self._changed.notify_all()


def write(folder: Path, **services: str) -> None:
    """Write the manifest of Services, by their names, with their addresses."""
    texts = [SERVICE.format(name=name, ip=ip) for name, ip in services.items()]
    beside = folder / ".new"
    beside.write_text("---\n".join(texts))
    beside.rename(folder / "cluster.yaml")


def agent(folder: Path, mode: Any, **asked: Any) -> Agent:
    """Return an agent that opens no port, for the manifest in a folder."""
    alone: dict[str, Any] = {
        "families": ["IPv4"],
        "machine": FakeMachine(),
        "healthz": "",
        "metrics": "",
        "socket": folder / "svcnet.sock",
        "log": Noise(),
    }
    return Agent(folder / "cluster.yaml", mode=mode, **{**alone, **asked})


def names(graph: RuleGraph) -> set[str]:
    """Return the names of a graph's Services."""
    found: set[FragmentName] = set(graph.fragments)
    return {name.name for name in found}
