"""An agent: what keeps a machine true to its input, from Python."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from svcnet.agent.log import Log, standard_log
from svcnet.agent.request import Cluster, Request
from svcnet.agent.run import Audience, Listen, Run
from svcnet.brief import shorten
from svcnet.errors import ApplyError, SvcnetError, UsageError, describe_error
from svcnet.files import Paths

if TYPE_CHECKING:
    from svcnet.agent.proxy import Show
    from svcnet.executors.machine import Machine
    from svcnet.inputs.orders import Orders
    from svcnet.models import IPFamily
    from svcnet.modes import AnyMode, OptionValues
    from svcnet.reconciler import Event
    from svcnet.sources import InputScope


def _nobody(_: object) -> None:
    """Pass over what there is to see."""


class Agent:
    """Keeps this machine true to the Services of manifests or of a cluster, as ``svcnet run`` does.

    `source` are manifests, followed as they change, or a :class:`Cluster`. `mode` is a name or a
    value, by default the configuration's; `options` are values of the mode's own options by name
    (:attr:`svcnet.modes.Mode.options`), such as ``{"no-redirect": True}``. `config` and `host` are
    files: a KubeProxyConfiguration, and facts of a machine. `node` is the node's name, and
    `families` are those to serve, by default each that the Node has an address of.

    With `from_pods` Services without EndpointSlices get those that Pods make, and `ip_families`
    are a cluster's. An input without any object is refused unless `allow_empty`. `scope`
    says how folders and namespaces of manifests are read. With `strict` warnings are errors, but
    for those whose names or numbers are in `ignore`.

    `healthz` and `metrics` are addresses with a port at which to answer; None stands for the
    configuration's or else the usual ones, and an empty text for nowhere. `socket` is where
    ``svcnet status`` asks, by default the network namespace's usual place.

    Rules are written on `machine`, by default this one; a test has it a
    :class:`svcnet.testing.FakeMachine`.

    What there is to tell goes to `log`: a logger of structlog, or whatever else takes a text and
    values by name; without one to Python's logger ``svcnet``. In a mode that serves, `show` is
    given what does once it serves the first state. `listen` is given every event of the loop, in
    the thread where it happens. What one of the three raises ends the agent.

    Rules stay at the end unless `cleanup_on_exit`; those of a mode that serves always go.

    An agent runs once: :meth:`main`, :meth:`run`, or :meth:`start`, which a ``with`` calls. To make
    one begins nothing; it raises :class:`svcnet.errors.UsageError` for a request of no sense.
    """

    def __init__(
        self,
        source: Paths | Cluster,
        *,
        mode: str | AnyMode | None = None,
        options: OptionValues | None = None,
        config: str | PathLike[str] | None = None,
        node: str = "",
        host: str | PathLike[str] | None = None,
        families: Collection[IPFamily] = (),
        from_pods: bool = False,
        ip_families: Collection[IPFamily] = (),
        allow_empty: bool = False,
        scope: InputScope | None = None,
        strict: bool = False,
        ignore: Iterable[str] = (),
        cleanup_on_exit: bool = False,
        healthz: str | None = None,
        metrics: str | None = None,
        socket: str | PathLike[str] | None = None,
        machine: Machine | None = None,
        log: Log | None = None,
        show: Show = _nobody,
        listen: Listen = _nobody,
    ) -> None:
        self._request = Request.of(
            source,
            mode=mode,
            options=options or {},
            config=_path(config),
            node=node,
            host=_path(host),
            families=families,
            from_pods=from_pods,
            ip_families=ip_families,
            allow_empty=allow_empty,
            scope=scope,
            strict=strict,
            ignore=ignore,
            cleanup_on_exit=cleanup_on_exit,
            healthz=healthz,
            metrics=metrics,
            socket=_path(socket),
            machine=machine,
        )
        self._at_start = self._request.at_start()
        self._log = standard_log() if log is None else log
        self._audience = Audience(self._log, show, self._hear)
        self._listen = listen
        self._lock = threading.RLock()
        self._has_begun = False
        self._is_told_to_end = False
        self._orders: Orders | None = None
        self._run: Run | None = None
        self._thread: threading.Thread | None = None
        self._is_ready = threading.Event()
        self._error: BaseException | None = None
        self._refusal = ""

    def __repr__(self) -> str:
        return f"<Agent for {shorten(self._request.source)}>"

    def main(self) -> None:
        """Do what :meth:`run` does, in a process that is there for nothing else.

        SIGTERM and SIGINT end it, a second one at once; SIGHUP has all input read again. systemd is
        told, if it started the process, and Python's collector of cycles seldom looks. To be called
        in the main thread, before there is any other.
        """
        if threading.current_thread() is not threading.main_thread():
            raise UsageError("main() is for the main thread, which hears signals; run() for others")
        self._run_here(has_process=True)

    def run(self) -> None:
        """Keep the machine true until :meth:`stop` is called, in another thread.

        Nothing of the process is changed, such as its signal handlers. In mode userspace processes
        are begun, with the option ``workers``, for which there must be no other thread yet.

        Raises :class:`svcnet.errors.InputError` for input that is wrong at the beginning,
        :class:`svcnet.errors.UsageError` for a request that is,
        :class:`svcnet.executors.lock.Busy` where another svcnet keeps these rules, and
        :class:`svcnet.errors.ApplyError` where the machine refuses what there is no going on
        without. Rules that it refuses are told of and tried again.
        """
        self._run_here(has_process=False)

    def start(self, timeout: float | None = None) -> Self:
        """Do what :meth:`run` does in a thread of its own; return once the first state is there.

        That is, once the machine has its rules or they are served, or :meth:`stop` was called.
        Raises what keeps it from that, and ApplyError if it takes longer than `timeout` seconds;
        it has ended then.
        """
        self._begin()
        stack = ExitStack()
        with stack:
            run = self._make_run(stack, has_process=False)
            held = stack.pop_all()
        self._thread = threading.Thread(target=self._work, args=(run, held), name="svcnet agent")
        self._thread.start()
        try:
            is_ready = self._is_ready.wait(timeout)
        except BaseException:
            self.stop()
            self._thread.join()
            raise
        if is_ready:
            if self._error is not None:
                self.join()
            return self
        self.stop()
        self._thread.join()
        why = f": {self._refusal}" if self._refusal else ""
        raise ApplyError(f"the first state is not there after {timeout:g} s{why}")

    def stop(self) -> None:
        """Have it end; from any thread, and without waiting for that. Before it runs, it will not.

        Called again, it has connections that mode userspace still serves end at once.
        """
        with self._lock:
            self._is_told_to_end = True
            if self._orders is not None:
                self._orders.end()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of what :meth:`start` began; return whether it came in so many seconds.

        Raises what it ended with, if that was no :meth:`stop`.
        """
        if self._thread is None:
            raise UsageError("this agent was not started")
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def reload(self) -> None:
        """Have all input read again, with the configuration and host facts, as SIGHUP does."""
        with self._lock:
            if self._orders is not None:
                self._orders.reload()

    def status(self) -> dict[str, Any]:
        """Return what it does and keeps, as ``svcnet status -o json`` prints it."""
        with self._lock:
            if self._run is None:
                raise UsageError("this agent does not run yet")
            return self._run.reporter.status()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_told_to_end:
            self.stop()
        try:
            self.join()
        except BaseException:
            if error is None:
                raise

    def _run_here(self, *, has_process: bool) -> None:
        if asyncio._get_running_loop() is not None:
            raise UsageError("this thread has a running event loop: start() makes one of its own")
        self._begin()
        with ExitStack() as stack:
            asyncio.run(self._make_run(stack, has_process=has_process).run(self._take))

    def _begin(self) -> None:
        """Take that it runs now. Raises UsageError where it cannot."""
        with self._lock:
            if self._has_begun:
                raise UsageError("an agent runs once: make another")
            self._has_begun = True

    def _make_run(self, stack: ExitStack, *, has_process: bool) -> Run:
        run = Run(self._request, self._at_start, self._audience, stack, has_process=has_process)
        with self._lock:
            self._run = run
        return run

    def _work(self, run: Run, stack: ExitStack) -> None:
        """Run in a thread of its own; what it ends with is kept for whoever joins."""
        try:
            with stack:
                asyncio.run(run.run(self._take))
        except BaseException as error:
            self._error = error
            if self._is_ready.is_set():
                # Nobody may be waiting.
                self._log.warning(f"ended: {_describe(error)}")
        finally:
            self._is_ready.set()

    def _take(self, orders: Orders) -> None:
        """Take who ends the run; it may have been told so before there was one."""
        with self._lock:
            self._orders = orders
            if self._is_told_to_end:
                orders.end()

    def _hear(self, event: Event) -> None:
        from svcnet.reconciler import InSyncEvent, RefusalEvent

        self._listen(event)
        match event:
            case RefusalEvent():
                self._refusal = event.error
            case InSyncEvent():
                self._refusal = ""
                self._is_ready.set()


def _describe(error: BaseException) -> str:
    from svcnet.reconciler.fault import description

    return describe_error(error) if isinstance(error, SvcnetError) else description(error)


def _path(name: str | PathLike[str] | None) -> Path | None:
    return None if name is None else Path(name)
