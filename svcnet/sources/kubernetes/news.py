"""What is known of a cluster, and what of it has not been told yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from attrs import define, field, frozen

from svcnet.errors import Diagnostic
from svcnet.models import NamespacedName
from svcnet.models.state import ClusterObject
from svcnet.sources.kubernetes.narrow import NarrowResult

MAX_TOLD = 20
"""Objects of one step of which it is told why they cannot be used."""

MAX_OBJECTS = 200_000
"""Objects of one kind: a third more than the 150,000 Pods that Kubernetes is made for."""


@frozen
class ObjectChanges:
    """What changed since the step before; the first step is all there is.

    ``removed`` are the objects as they were last told. ``diagnostics`` are about objects that
    cannot be used, each told once: of these the last good version stays, if there was one. Of very
    many the first are told, and ``more`` is the number of other objects. Warnings among them are
    about objects that are used.
    ``happened`` are the times when changes of endpoints happened, in seconds since 1970, as far
    as slices say so; the first step has none.
    """

    changed: tuple[ClusterObject, ...] = ()
    removed: tuple[ClusterObject, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    happened: tuple[float, ...] = ()
    more: int = 0


@define
class KnownObjects:
    """The objects of one kind: models, and which are not as the server has them.

    Of those there is a number that stands for what is wrong with them, and of models that there
    are warnings about one for these.
    """

    models: dict[NamespacedName, ClusterObject] = field(factory=dict)
    unusable: dict[NamespacedName, int] = field(factory=dict)
    odd: dict[NamespacedName, int] = field(factory=dict)
    listed: bool = False


@define
class News:
    """Gathers what the watches of all kinds bring, and gives it out as steps.

    Changes that come faster than steps are taken add up: an object is told in its last version
    only, and one that is again as it was told is not.

    While a kind is lost, changes of others are held back, for `together` seconds at most: what
    belongs together may have changed in both. Before its first list a kind of ``optional`` is lost
    in the same way; all others are waited for.
    """

    known: dict[str, KnownObjects]
    together: float = 0.0
    optional: frozenset[str] = frozenset()
    _untold: dict[tuple[str, NamespacedName], ClusterObject | None] = field(factory=dict)
    _diagnostics: dict[Diagnostic, None] = field(factory=dict)
    _told: int = 0
    _more: int = 0
    _lost: set[str] = field(factory=set)
    _left: set[str] = field(factory=set)
    _holding: asyncio.TimerHandle | None = None
    _happened: dict[NamespacedName, float] = field(factory=dict)
    _begun: bool = False
    _failure: BaseException | None = None
    _stirred: asyncio.Event = field(factory=asyncio.Event)

    @classmethod
    def of(cls, kinds: Mapping[str, bool], together: float = 0.0) -> News:
        """Return the news of kinds of which nothing is known yet, and which may be needed."""
        optional = frozenset(kind for kind, needed in kinds.items() if not needed)
        known = {kind: KnownObjects() for kind in kinds}
        return cls(known, together, optional, lost=set(optional))

    def came(self, kind: str, item: NarrowResult) -> None:
        """Take an object that is new or has changed."""
        self._note(kind, item)
        if item.key is not None and item.model is not None:
            self._set(kind, item.key, item.model)
            if item.happened is not None and (kind, item.key) in self._untold:
                # The oldest of several: it has waited longest.
                self._happened.setdefault(item.key, item.happened)
        self._stirred.set()

    def went(self, kind: str, key: NamespacedName) -> None:
        """Take that an object is no more."""
        self.known[kind].unusable.pop(key, None)
        self.known[kind].odd.pop(key, None)
        self._set(kind, key, None)
        self._stirred.set()

    def replace_all(self, kind: str, items: Iterable[NarrowResult]) -> None:
        """Take all objects of a kind; those that are known and not among them are gone."""
        known = self.known[kind]
        gone = {*known.models, *known.unusable}
        for item in items:
            self.came(kind, item)
            if item.key is not None:
                gone.discard(item.key)
        for key in gone:
            self.went(kind, key)
        known.listed = True
        self._stirred.set()

    def count(self, kind: str) -> int:
        """Return how many objects of a kind are remembered, those that cannot be used too."""
        known = self.known[kind]
        return len(known.models) + len(known.unusable)

    def lose(self, kind: str) -> None:
        """Take that changes of a kind do not come for now."""
        self._lost.add(kind)

    def recover(self, kind: str) -> None:
        """Take that a kind has caught up."""
        self._lost.discard(kind)
        self._left.discard(kind)
        self._stirred.set()

    def refuse(self, kind: str) -> None:
        """Take that the server will not give the objects of a kind: if it is optional, go on."""
        if kind in self.optional:
            self._left.add(kind)
            self._stirred.set()

    def is_lost(self, kind: str) -> bool:
        """Return whether a kind has been lost and not found."""
        return kind in self._lost

    def end(self, task: asyncio.Task[None]) -> None:
        """Take that a watch has ended, which it never should: the next step raises why."""
        if not task.cancelled():
            self._failure = task.exception()
            self._stirred.set()

    async def step(self) -> ObjectChanges:
        """Return what is new, as soon as something is and no kind is to be waited for.

        That is until every kind has been listed, unless it is optional, and has caught up since it
        was lost.
        """
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            if self._failure is not None:
                raise self._failure
            if self._is_listed() and not self._holds():
                step = self._take()
                if step != ObjectChanges() or not self._begun:
                    self._begun = True
                    return step

    def _is_listed(self) -> bool:
        return all(kind in self.optional or known.listed for kind, known in self.known.items())

    def _holds(self) -> bool:
        """Return whether what is new has to wait; it does not wait for ever."""
        if self._lost <= self._left:
            if self._holding is not None:
                self._holding.cancel()
                self._holding = None
            return False
        if self._holding is None and (self._untold or self._diagnostics or not self._begun):
            loop = asyncio.get_running_loop()
            self._holding = loop.call_later(self.together, self._leave)
        return True

    def _leave(self) -> None:
        """Wait no more for the kinds that are lost now."""
        self._holding = None
        self._left |= self._lost
        self._stirred.set()

    def _set(self, kind: str, key: NamespacedName, model: ClusterObject | None) -> None:
        models = self.known[kind].models
        before = models.get(key)
        if before == model:
            return
        self._untold.setdefault((kind, key), before)
        if model is None:
            del models[key]
        else:
            models[key] = model

    def _note(self, kind: str, item: NarrowResult) -> None:
        """Remember why an object is unusable, or odd, and tell it unless that was told."""
        if item.key is None:
            self._tell(item.errors, is_lost=True)
            return
        known = self.known[kind]
        for told, number, why in (
            (known.unusable, item.wrong, item.errors),
            (known.odd, item.odd, item.warnings),
        ):
            before = told.pop(item.key, 0)
            if number:
                told[item.key] = number
            if number and number != before:
                self._tell(why, is_lost=told is known.unusable)

    def _tell(self, diagnostics: tuple[Diagnostic, ...], *, is_lost: bool) -> None:
        if diagnostics and self._told < MAX_TOLD:
            self._told += 1
            self._diagnostics.update(dict.fromkeys(diagnostics))
        elif is_lost:
            self._more += 1

    def _take(self) -> ObjectChanges:
        changed, removed = [], []
        for (kind, key), before in self._untold.items():
            now = self.known[kind].models.get(key)
            if now is not None and now != before:
                changed.append(now)
            elif now is None and before is not None:
                removed.append(before)
        diagnostics = tuple(sorted(self._diagnostics))
        happened = tuple(self._happened.values()) if self._begun else ()
        more, self._more, self._told = self._more, 0, 0
        for told in (self._untold, self._diagnostics, self._happened):
            told.clear()
        return ObjectChanges(tuple(changed), tuple(removed), diagnostics, happened, more)
