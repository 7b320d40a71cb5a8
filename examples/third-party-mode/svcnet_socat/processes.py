"""The processes of socat: started, looked after, and ended."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from svcnet.errors import ApplyError
from svcnet.modes import Adapter, DataPlane, Executor, Omission, SyncResult
from svcnet_socat.commands import Commands

if TYPE_CHECKING:
    from svcnet.graph import GraphDiff, RuleGraph
    from svcnet.models import IPFamily
    from svcnet.modes import Mode, ModeSettings

Command = tuple[str, ...]
DEATH_SECONDS = 5.0


class Processes:
    """One process for each command, of all families; to be used from any thread."""

    def __init__(self) -> None:
        self._running: dict[Command, subprocess.Popen[bytes]] = {}
        self._lock = Lock()
        self._has_ended = False

    def follow(self, family: str, wanted: Iterable[Command], known: Collection[Command]) -> int:
        """Have `wanted` run, and of `known` nothing else; return how many were started.

        What has ended by itself is started again. A process that goes leaves its port before
        another takes it. Raises ApplyError where one cannot be started.
        """
        with self._lock:
            if self._has_ended:
                raise ApplyError(f"{family}: socat has been told to end")
            commands = set(wanted)
            for command in set(known) - commands:
                self._end(command)
            missing = sorted(each for each in commands if not self._runs(each))
            for command in missing:
                self._start(command)
            return len(missing)

    def end(self) -> None:
        """End all; nothing is started any more."""
        with self._lock:
            self._has_ended = True
            for command in list(self._running):
                self._end(command)

    def _runs(self, command: Command) -> bool:
        found = self._running.get(command)
        return found is not None and found.poll() is None

    def _start(self, command: Command) -> None:
        try:
            self._running[command] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
            )
        except OSError as error:
            raise ApplyError(f"{command[0]} cannot be started: {error.strerror}") from None

    def _end(self, command: Command) -> None:
        process = self._running.pop(command, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(DEATH_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(DEATH_SECONDS)


class SocatAdapter(Adapter):
    """Has the processes of one IP family run."""

    def __init__(
        self, mode: Mode[Commands, Any], family: str, settings: ModeSettings, processes: Processes
    ) -> None:
        super().__init__(family, mode.name)
        self._mode = mode
        self._settings = settings
        self._processes = processes
        self._artifact: Commands | None = None
        self._known: frozenset[Command] = frozenset()

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Have all commands of a graph run."""
        return self._follow(self._mode.full(graph, self._settings), "full")

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult | None:
        """Start and end what differs."""
        if self._artifact is None:
            return None
        after, _ = self._mode.advance(self._artifact, change)
        return self._follow(after, "delta")

    def look(self, graph: RuleGraph) -> SyncResult:
        """Start again what has ended by itself."""
        if self._artifact is None:
            return self.whole(graph)
        return self._follow(self._artifact, "delta")

    def warnings(self) -> tuple[str, ...]:
        """Return what socat cannot do."""
        artifact = self._artifact
        return (
            () if artifact is None else tuple(str(Omission(each)) for each in artifact.unsupported)
        )

    def _follow(self, artifact: Commands, kind: str) -> SyncResult:
        wanted = {
            each.command for found in artifact.frontends.values() for each in found if each.command
        }
        before, self._known = self._known, self._known | wanted
        self._artifact = None
        started = self._processes.follow(self.family, wanted, before)
        self._known, self._artifact = frozenset(wanted), artifact
        if not started and before == self._known:
            return self.idle("nothing to change")
        text = f"{self.family}, {self.mode}: {started} of {len(wanted)} processes started"
        return SyncResult("full" if kind == "full" else "delta", text, self.warnings())


class SocatProxy(DataPlane):
    """Keeps the processes while ``svcnet run`` goes on; they end with it."""

    def __init__(self, mode: Mode[Commands, Any], stack: ExitStack) -> None:
        self._mode = mode
        self._processes = Processes()
        self._over = Event()
        stack.callback(self._processes.end)

    def begin(
        self, families: Collection[IPFamily], settings: ModeSettings, stack: ExitStack
    ) -> Sequence[Adapter]:
        """Return what starts and ends the processes of each family."""
        return [SocatAdapter(self._mode, each, settings, self._processes) for each in families]

    def serve(self) -> None:
        """Wait for the end: the processes serve by themselves."""
        self._over.wait()

    def stop(self, drain: float) -> None:
        """End the processes at once; socat knows of no other way."""
        self._processes.end()
        self._over.set()


class SocatExecutor(Executor[Commands]):
    """Has processes on this machine; there is nothing to clean up once they have ended."""

    def proxy(self, families: Collection[IPFamily], stack: ExitStack) -> SocatProxy:
        """Return what starts the processes and keeps them."""
        return SocatProxy(self.mode, stack)
