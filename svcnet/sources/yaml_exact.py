"""YAML documents to values, as Kubernetes reads them, for whatever the fast way does not cover.

Source of the rules: go.yaml.in/yaml/v2, decode.go (aliases, merge keys, tags, what can be a key)
and sigs.k8s.io/yaml, yaml.go (JSON is made of it: keys become text, infinity is refused).
"""

from __future__ import annotations

import math
from typing import Any

from attrs import define, field
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from svcnet import checks
from svcnet.sources.document import Document, Skips, too_many
from svcnet.sources.scalars import (
    BEGINNINGS,
    MERGE,
    Scalar,
    json_of,
    key_of,
    read_tagged,
    resolve,
    value_of,
)
from svcnet.sources.stream import Chunk, ParseError
from svcnet.sources.yaml_events import Amendment, Event, Events, Next

MAX_DEPTH = 200
"""How deep mappings and lists may nest; what is in a deeper one takes libyaml ever longer."""

LOW, HIGH = 400_000, 4_000_000
"""How many values of a document may come from aliases: 99 % of so many, 10 % of so many."""

FEW_ALIASED, FEW_VALUES = 100, 1000
"""So few values, from aliases or of a document, are always taken. All four are go-yaml's."""

NO_KEY = "a mapping or a list cannot be the key of a mapping"

KEPT_KEYS = ("kind", "apiVersion")
"""What is kept of an object that is passed over."""


_MERGE: Any = object()


class _LateDecision(Exception):  # noqa: N818  (no error: the document is read again)
    """Whether an object is passed over, or refused, shows only when all of it is built."""


@define
class _Anchor:
    """What an anchor names: a value, and what it is as a key; ``size`` counts values in it."""

    value: Any = None
    key: Any = None
    is_mapping: bool = False
    is_scalar: bool = False
    is_open: bool = True
    size: int = 0


def exact_document(chunk: Chunk, skips: Skips | None, room: int) -> Document:
    """Return the first YAML document of a chunk; of objects passed over only the kind is kept.

    It may have `room` values. Raises :class:`ParseError`.
    """
    events = Events(chunk)
    while True:
        try:
            return _Reading(events, skips, room).document()
        except Amendment:
            continue
        except _LateDecision:
            skips = None


@define
class _Reading:
    """One reading of a document."""

    events: Events
    skips: Skips | None
    room: int
    get: Next = field(init=False)
    keeps: bool = True
    depth: int = 0
    count: int = 1
    aliased: int = 0
    may_repeat: bool = False
    anchors: dict[str, _Anchor] = field(factory=dict)
    # The first value or key that JSON does not have; a later key may yet replace it.
    doubtful: ParseError | None = None

    def document(self) -> Document:
        import yaml

        try:
            self.get = self.events.begin()
            if len(self.events.chunk.text) > 2 * self.room:
                self.get = self._limit(self.get)
            return self._document()
        except (yaml.YAMLError, UnicodeError) as error:
            self.events.explain(error)
            raise

    def _limit(self, get: Next) -> Next:
        """Return what gives the same events, as long as there is room for what is made of them."""
        made = 0

        def next_event() -> Event:
            nonlocal made
            event = get()
            made += self.keeps
            if made > self.room:
                raise too_many(self.events.line(event.start_mark))
            return event

        return next_event

    def _document(self) -> Document:
        self.get()
        if isinstance(self.get(), StreamEndEvent):
            return Document(None)
        value = self._value(self.get(), is_object=True)
        end = self.get()
        self._check_aliases(end)
        if self.doubtful is not None:
            if self.skips is not None:
                raise _LateDecision
            if _is_unusable(value):
                raise self.doubtful
        ignored = self.events.content_after(end.end_mark)
        return Document(value, self.may_repeat, ignored, self.count - self.aliased)

    def _value(self, event: Event, *, is_object: bool = False) -> Any:
        """Return the value that begins with an event."""
        kind = type(event)
        if kind is ScalarEvent:
            return self._finite(event, json_of(self._scalar(event)))
        if kind is AliasEvent:
            return self._alias(event).value
        anchor = self._begin(event)
        value: Any
        if kind is MappingStartEvent:
            value = self._mapping(anchor, is_object=is_object)
        else:
            value = self._list(anchor)
        self.depth -= 1
        return value

    def _begin(self, event: Event) -> _Anchor | None:
        """Go into a mapping or a list."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            line = self.events.line(event.start_mark)
            raise ParseError(line, "is nested too deeply", checks.DEPTH)
        return self._anchor(event) if event.anchor else None

    def _anchor(self, event: Event) -> _Anchor:
        anchor = self.anchors[event.anchor] = _Anchor(size=-self.count)
        return anchor

    def _list(self, anchor: _Anchor | None, *, of_objects: bool = False) -> list[Any]:
        found: list[Any] = []
        if anchor is not None:
            anchor.value = found
        get, keeps, add = self.get, self.keeps, found.append
        while type(event := get()) is not SequenceEndEvent:
            if type(event) is ScalarEvent and event.implicit[0] and not event.anchor:
                self.count += 1
                value = event.value
                if value[:1] in BEGINNINGS:
                    value = self._finite(event, value_of(value))
            else:
                value = self._value(event, is_object=of_objects)
            if keeps:
                add(value)
        self._end(anchor)
        return found

    def _mapping(self, anchor: _Anchor | None, *, is_object: bool = False) -> dict[str, Any]:
        """Return a mapping; once it is sure that an object is passed over, little is kept of it."""
        found: dict[str, Any] = {}
        if anchor is not None:
            anchor.value, anchor.is_mapping = found, True
        get, kept = self.get, self.keeps
        is_skipped = False
        while type(event := get()) is not MappingEndEvent:
            key = self._key(event)
            if key is _MERGE:
                if is_skipped:
                    raise _LateDecision
                self._merge(get(), found)
                continue
            if key == "items" and is_object and type(event := get()) is SequenceStartEvent:
                value: Any = self._list(self._begin(event), of_objects=True)
                self.depth -= 1
            else:
                event = event if key == "items" and is_object else get()
                if type(event) is ScalarEvent and event.implicit[0] and not event.anchor:
                    self.count += 1
                    value = event.value
                    if value[:1] in BEGINNINGS:
                        value = self._finite(event, value_of(value))
                else:
                    value = self._value(event)
            if is_skipped:
                if key == "kind":
                    raise _LateDecision
                if key == "apiVersion":
                    found[key] = value
            elif kept:
                if key in found:
                    self.may_repeat = True
                found[key] = value
                if is_object and key == "kind" and self._is_skipped(value):
                    is_skipped, self.keeps = True, False
                    for other in found.keys() - KEPT_KEYS:
                        del found[other]
        self.keeps = kept
        self._end(anchor)
        return found

    def _is_skipped(self, kind: Any) -> bool:
        return self.skips is not None and type(kind) is str and self.skips(kind)

    def _end(self, anchor: _Anchor | None) -> None:
        """Leave a mapping or a list."""
        self.count += 1
        if anchor is not None:
            anchor.is_open = False
            anchor.size += self.count

    def _key(self, event: Event) -> Any:
        """Return a key as text, or what stands for a merge key."""
        if type(event) is AliasEvent:
            anchor = self._alias(event)
            if not anchor.is_scalar:
                raise self._error(event, NO_KEY)
            key = anchor.key
        elif type(event) is not ScalarEvent:
            raise self._error(event, NO_KEY)
        else:
            text = event.value
            if text == "<<" and (event.implicit[0] or event.tag == MERGE):
                return _MERGE
            if text[:1] not in BEGINNINGS and event.tag is None and not event.anchor:
                self.count += 1
                return text
            key = key_of(self._scalar(event))
        if type(key) is not str and self.doubtful is None:
            what = "null" if key is None else "a number of more than 64 bits"
            self.doubtful = self._error(event, f"{what} cannot be the key of a mapping")
        return key

    def _scalar(self, event: Event) -> Scalar:
        """Return what a scalar is, before it is made JSON."""
        self.count += 1
        value: Scalar
        if event.tag is not None:
            try:
                value = read_tagged(event.tag, event.value)
            except ValueError as error:
                raise self._error(event, str(error)) from None
        else:
            value = resolve(event.value) if event.implicit[0] else event.value
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(
                json_of(value), key_of(value), is_scalar=True, is_open=False, size=1
            )
        return value

    def _finite(self, event: Event, value: Any) -> Any:
        if type(value) is float and not math.isfinite(value) and self.doubtful is None:
            self.doubtful = self._error(event, f"{event.value} is no number that JSON has")
        return value

    def _alias(self, event: Event) -> _Anchor:
        """Return what an alias stands for, and count it, as if it stood here."""
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            raise self._error(event, f"unknown anchor {event.anchor[:40]!r} referenced")
        if anchor.is_open:
            raise self._error(event, f"anchor {event.anchor[:40]!r} contains itself")
        self._check_aliases(event)
        self.count += 1 + anchor.size
        self.aliased += anchor.size
        self._check_aliases(event)
        return anchor

    def _check_aliases(self, event: Event) -> None:
        """Raise where more values come from aliases than the size of the document allows."""
        if self.aliased > FEW_ALIASED and self.count > FEW_VALUES:
            part = min(max((self.count - LOW) / (HIGH - LOW), 0.0), 1.0)
            if self.aliased / self.count > 0.99 - 0.89 * part:
                line = self.events.line(event.start_mark)
                message = "its aliases multiply into too many values"
                raise ParseError(line, message, checks.ALIASES)

    def _merge(self, event: Event, found: dict[str, Any]) -> None:
        """Put what a merge key names into a mapping; keys that are there already are replaced."""
        if type(event) is SequenceStartEvent:
            anchor = self._begin(event)
            merged = []
            while type(event := self.get()) is not SequenceEndEvent:
                merged.append(self._read_merge(event))
            self.depth -= 1
            self._end(anchor)
            for mapping in reversed(merged):
                found.update(mapping)
        else:
            found.update(self._read_merge(event))

    def _read_merge(self, event: Event) -> dict[str, Any]:
        anchor = self._alias(event) if type(event) is AliasEvent else None
        if not (anchor.is_mapping if anchor else type(event) is MappingStartEvent):
            raise self._error(event, "a merge key, '<<', needs a mapping or a list of mappings")
        merged: dict[str, Any] = anchor.value if anchor else self._value(event)
        return merged

    def _error(self, event: Event, message: str) -> ParseError:
        return ParseError(self.events.line(event.start_mark), f"is no YAML: {message}")


def _is_unusable(value: Any) -> bool:
    """Return whether a key of a mapping is no text, or a number not finite."""
    values = [value]
    while values:
        value = values.pop()
        if type(value) is dict:
            if any(type(key) is not str for key in value):
                return True
            values += value.values()
        elif type(value) is list:
            values += value
        elif type(value) is float and not math.isfinite(value):
            return True
    return False
