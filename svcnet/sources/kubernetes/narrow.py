"""From an object of the API to its model, less what changes no rule.

An API server sends much that no node needs: who set which field, what was applied last, who
leads an election. None of it is kept, so memory is bounded by what changes rules, and an
object of which only such parts changed is equal to what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from sys import intern
from typing import Any

from attrs import evolve, frozen

from svcnet import checks
from svcnet.errors import Diagnostic
from svcnet.labels import (
    HEADLESS_LABEL,
    HINTS_ANNOTATION,
    LEADER_ANNOTATION,
    OLD_HINTS_ANNOTATION,
    PROXY_NAME_LABEL,
    PROXY_PROTOCOL_ANNOTATION,
    SCHEDULER_ANNOTATION,
    TRIGGER_ANNOTATION,
)
from svcnet.models import Endpoints, EndpointSlice, NamespacedName, Pod, Service
from svcnet.models.state import ClusterObject
from svcnet.sources.annotations import check_annotations, ignored_checks
from svcnet.sources.fields import Fields
from svcnet.sources.findings import Findings, ObjectPlace, Source
from svcnet.sources.metadata import DEFAULT_NAMESPACE
from svcnet.sources.objects import CLUSTER_SCOPED, label_of, read_object

ANNOTATIONS = frozenset(
    {
        SCHEDULER_ANNOTATION,
        PROXY_PROTOCOL_ANNOTATION,
        HINTS_ANNOTATION,
        OLD_HINTS_ANNOTATION,
    }
)
"""The annotations that change rules, the last two by the hints of slices that are made of Pods.

Of that of a leader only its presence counts.
"""

LABELS = frozenset({HEADLESS_LABEL, PROXY_NAME_LABEL})
"""The labels of Services and slices that mean something to a node: what it is not to serve.

The Service that a slice is of has its own field.
"""

_NONE: Mapping[str, str] = {}
"""No annotations or labels, as nearly all objects have: once for all of them."""

MAX_NAME = 253
MAX_DIAGNOSTICS = 10
"""Of an object that has more wrong with it, this many findings are told."""


@frozen
class NarrowResult:
    """What came of an object: ``model`` is None if it cannot be used, and then ``errors`` say why.

    ``wrong`` is a number that stands for the errors, ``odd`` one for the ``warnings`` about one
    that can; 0 if there are none. ``key`` is None if it has not even a name. ``happened`` is when
    the change happened of which the object tells, in seconds since 1970, if it says so.
    """

    key: NamespacedName | None
    model: ClusterObject | None
    errors: tuple[Diagnostic, ...] = ()
    happened: float | None = None
    wrong: int = 0
    warnings: tuple[Diagnostic, ...] = ()
    odd: int = 0

    def untold(self) -> NarrowResult:
        """Return it without its findings, which may be many; the numbers still stand for them."""
        return evolve(self, errors=(), warnings=())


def _unusable(key: NamespacedName | None, errors: tuple[Diagnostic, ...]) -> NarrowResult:
    return NarrowResult(key, None, errors, wrong=hash(errors) or 1)


def narrow(kind: str, item: Any, path: str, *, labelled: bool = True) -> NarrowResult:
    """Return what is kept of an object of `kind`, whatever it may be; `path` is where it came from.

    Unless it is to be `labelled`, no selector stays, and no label that means nothing to a node.
    The errors name the path as their file and have no line.
    """
    if type(item) is not dict:
        wrong = Diagnostic(path, 0, kind, "", "must be a mapping", check=checks.NO_MAPPING)
        return _unusable(None, (wrong,))
    metadata = item.get("metadata")
    findings = Findings(most=MAX_DIAGNOSTICS)
    place = ObjectPlace(
        Source(path, b""), 0, (), label_of(kind, metadata), ignored_checks(metadata)
    )
    check_annotations(kind, place, metadata, findings)
    model = read_object(kind, Fields(place, findings, item))
    key = key_of(kind, metadata)
    if key is not None and not findings.has_errors():
        told = findings.diagnostics() if findings.found else ()
        odd = (hash(told) or 1) if told else 0
        happened, kept = _trigger_time(model), _less(model, labelled=labelled)
        return NarrowResult(key, kept, happened=happened, warnings=told, odd=odd)
    errors = tuple(d for d in findings.diagnostics() if d.severity == "error")
    return _unusable(key, errors)


def key_of(kind: str, metadata: Any) -> NamespacedName | None:
    """Return the name that an object is known by, None if it has none that can be."""
    if type(metadata) is not dict:
        return None
    name = metadata.get("name")
    namespace = "" if kind in CLUSTER_SCOPED else metadata.get("namespace") or DEFAULT_NAMESPACE
    if type(name) is not str or not 0 < len(name) <= MAX_NAME:
        return None
    if type(namespace) is not str or len(namespace) > MAX_NAME:
        return None
    # The same texts as in the model.
    return NamespacedName(intern(namespace), intern(name))


def _trigger_time(model: ClusterObject) -> float | None:
    """Return when the change happened of which a slice tells; no sense is no time."""
    if not isinstance(model, EndpointSlice):
        return None
    try:
        return datetime.fromisoformat(model.annotations[TRIGGER_ANNOTATION]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def _less(model: ClusterObject, *, labelled: bool = True) -> ClusterObject:
    """Return a model without what changes no rule."""
    match model:
        case Service():
            annotations = _meaningful(model.annotations, ANNOTATIONS)
            if labelled:
                return evolve(model, annotations=annotations)
            labels = _meaningful(model.labels, LABELS)
            return evolve(model, annotations=annotations, labels=labels, selector=_NONE)
        case EndpointSlice():
            labels = model.labels if labelled else _meaningful(model.labels, LABELS)
            return evolve(model, annotations=_NONE, labels=labels)
        case Endpoints():
            led = LEADER_ANNOTATION in model.annotations
            return evolve(model, annotations={LEADER_ANNOTATION: ""} if led else {})
        case Pod():
            bare = tuple(evolve(c, env=(), env_from=False) for c in model.containers)
            first = tuple(evolve(c, env=(), env_from=False) for c in model.init_containers)
            return evolve(model, containers=bare, init_containers=first)
        case _:
            return model


def _meaningful(texts: Mapping[str, str], keys: frozenset[str]) -> Mapping[str, str]:
    return {key: text for key, text in texts.items() if key in keys} or _NONE
