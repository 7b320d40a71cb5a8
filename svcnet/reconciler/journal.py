"""What became of a run so far: the last good state, the last refused one, and counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock

from attrs import evolve, field, frozen

from svcnet.family import IPFamily
from svcnet.graph import RuleGraph
from svcnet.reconciler.events import Event, RefusalEvent, SyncEvent, Trigger


@frozen
class LastSync:
    """The last sync of a family: when it ended in seconds since 1970, why, and how it went."""

    when: float
    trigger: Trigger
    text: str
    seconds: float
    stages: Mapping[str, float]
    lag: float
    warnings: tuple[str, ...]


@frozen
class RefusedRules:
    """Rules that the machine refused: when, why, and the graph that they are of."""

    when: float
    family: IPFamily
    mode: str
    error: str
    graph: RuleGraph
    retry_in: float


@frozen
class RefusedInput:
    """Input that could not be used: when, what is wrong with it, and the files as they were."""

    when: float
    error: str
    files: tuple[RefusedFile, ...] = ()


@frozen
class RefusedFile:
    """What a file held, as text; ``cut`` says that it held more."""

    path: str
    text: str
    cut: bool


@frozen
class FamilyRecord:
    """One IP family: the graph that the machine has, what is wrong, and how often what was done.

    ``good`` is None before the first sync. ``refused`` is what the machine refused last, and
    ``refusing`` says that nothing has been good since. ``repaired`` counts the syncs that
    put right what somebody else did.
    """

    family: IPFamily
    mode: str
    good: RuleGraph | None = None
    last: LastSync | None = None
    refused: RefusedRules | None = None
    refusing: bool = False
    syncs: int = 0
    failures: int = 0
    repaired: int = 0


@frozen
class JournalEntry:
    """All that a journal knows at one moment.

    ``read`` is when input was last good, None before. ``server`` is how it stands with each
    kind of objects of an API server, ``confirmed`` when it last showed that what is known of a
    kind is so, and ``away`` since when kinds do not come; of ``optional`` there may be none.
    ``refused`` is the input that was refused last, and ``refusing`` says that none has been good
    since.
    """

    since: float
    families: Mapping[str, FamilyRecord] = field(factory=dict)
    read: float | None = None
    server: Mapping[str, str] = field(factory=dict)
    confirmed: Mapping[str, float] = field(factory=dict)
    away: Mapping[str, float] = field(factory=dict)
    optional: frozenset[str] = frozenset()
    refused: RefusedInput | None = None
    refusing: bool = False

    @property
    def last_failed(self) -> RefusedInput | RefusedRules | None:
        """What was refused last, input or rules."""
        found: list[RefusedInput | RefusedRules] = [
            *(family.refused for family in self.families.values() if family.refused),
            *((self.refused,) if self.refused else ()),
        ]
        return max(found, key=lambda refused: refused.when, default=None)


class Journal:
    """Keeps a record as the events of a loop, and of its input, have it; from any thread.

    `clock` gives seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._changing = Lock()
        self._record = JournalEntry(clock())
        # Apart, for every event of a server is a confirmation.
        self._confirmed: dict[str, float] = {}

    @property
    def record(self) -> JournalEntry:
        """What is known now."""
        return evolve(self._record, confirmed=self._confirmed.copy())

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:
            case SyncEvent():
                self._write_sync(event)
            case RefusalEvent():
                self._write_refusal(event)

    def input_read(self, *, objects: bool = True) -> None:
        """Input was read, and is good; without `objects`, what there is besides them."""
        with self._changing:
            read = self._clock() if objects else self._record.read
            self._record = evolve(self._record, read=read, refusing=False)

    def input_refused(self, error: str, files: tuple[RefusedFile, ...] = ()) -> None:
        """Input was read, and cannot be used; the one before stays."""
        refused = RefusedInput(self._clock(), error, files)
        with self._changing:
            self._record = evolve(self._record, refused=refused, refusing=True)

    def object_refused(self, error: str) -> None:
        """An object of an API server cannot be used; what was there of it stays."""
        with self._changing:
            self._record = evolve(self._record, refused=RefusedInput(self._clock(), error))

    def server(self, kind: str, text: str, *, synced: bool, needed: bool = True) -> None:
        """Take how it stands with one kind of objects of an API server, which may be needed."""
        with self._changing:
            server = {**self._record.server, kind: text}
            away = {**self._record.away}
            if synced:
                away.pop(kind, None)
            else:
                away.setdefault(kind, self._clock())
            optional = self._record.optional if needed else self._record.optional | {kind}
            self._record = evolve(self._record, server=server, away=away, optional=optional)

    def server_confirmed(self, kind: str) -> None:
        """Take that an API server has just shown that what is known of a kind is so."""
        self._confirmed[kind] = self._clock()

    def _write_sync(self, event: SyncEvent) -> None:
        done, now = event.done, self._clock()
        last = LastSync(
            when=now,
            trigger=event.trigger,
            text=done.text,
            seconds=event.seconds,
            stages=event.stages,
            lag=event.lag,
            warnings=done.warnings,
        )
        with self._changing:
            before = self._before(event)
            repaired = event.trigger == "check" and done.kind != "none"
            self._keep(
                evolve(
                    before,
                    good=event.graph,
                    last=last,
                    refusing=False,
                    syncs=before.syncs + 1,
                    repaired=before.repaired + repaired,
                )
            )

    def _write_refusal(self, event: RefusalEvent) -> None:
        refused = RefusedRules(
            when=self._clock(),
            family=event.family,
            mode=event.mode,
            error=event.error,
            graph=event.graph,
            retry_in=event.retry_in,
        )
        with self._changing:
            before = self._before(event)
            failures = before.failures + 1
            self._keep(evolve(before, refused=refused, refusing=True, failures=failures))

    def _before(self, event: SyncEvent | RefusalEvent) -> FamilyRecord:
        found = self._record.families.get(event.family)
        return found or FamilyRecord(event.family, event.mode)

    def _keep(self, family: FamilyRecord) -> None:
        families = {**self._record.families, family.family: family}
        self._record = evolve(self._record, families=families)
