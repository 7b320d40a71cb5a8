"""svcnet's own annotations: which there are, and the warnings that one of them silences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from svcnet import checks
from svcnet.checks import Check
from svcnet.labels import (
    IGNORE_ANNOTATION,
    OWN_PREFIX,
    PROXY_PROTOCOL_ANNOTATION,
    SCHEDULER_ANNOTATION,
    WEIGHT_ANNOTATION,
)
from svcnet.sources.fields import quote_value
from svcnet.sources.findings import Findings, ObjectPlace, Path
from svcnet.sources.unknown import nearest_of

KINDS: Mapping[str, tuple[str, ...]] = {
    PROXY_PROTOCOL_ANNOTATION: ("Service",),
    SCHEDULER_ANNOTATION: ("Service",),
    WEIGHT_ANNOTATION: ("EndpointSlice", "Endpoints"),
}
"""The annotations that have an effect on some kinds only."""

OF_CONFIGURATIONS = frozenset(
    {
        *(checks.NO_EFFECT, checks.ABSENT_NODE, checks.NO_POD_CIDR),
        *(checks.NO_CLUSTER_CIDR, checks.NO_NODE_PORT_ADDRESS),
    }
)
"""Warnings about a configuration, which may be in a ConfigMap."""
OF_BOTH = frozenset({checks.UNKNOWN_FIELD, checks.REPEATED_KEY, checks.UNKNOWN_ANNOTATION})
OF_NONE = frozenset(
    {
        *(checks.ENCODING, checks.UNREAD_TEXT, checks.EMPTY_FILE, checks.NO_OBJECT),
        *(checks.PASSED_OVER, checks.MISPLACED_CONFIGURATION),
        *(checks.CLEARTEXT, checks.UNVERIFIED_SERVER),
        *(checks.EMPTY_NAMESPACE, checks.ENVIRONMENT_SIZE, checks.CLUSTER_FAMILIES),
        checks.ASSUMED,
        *(checks.UNSUPPORTED_PORT, checks.HEALTH_CHECK_PORT),
        *(checks.FAMILY_LEFT_OUT, checks.MACHINE_STATE),
    }
)
"""Warnings of files, kubeconfigs, requests and machines, which no object has an annotation for."""

PATH: Path = ("metadata", "annotations")
MAX_NAMES = 100
"""Of the names in an annotation, so many are looked at; there are fewer warnings."""


def ignorable(name: str) -> Check:
    """Return the warning that has a name or number.

    Raises ValueError, with what is wrong, for anything else.
    """
    check = checks.find_check(name)
    if check is None:
        guess = nearest_of(name, [one.name for one in checks.every() if one.severity == "warning"])
        hint = f"; did you mean {guess}?" if guess else ""
        raise ValueError(f"there is no check {quote_value(name)}{hint}")
    if check.severity == "error":
        raise ValueError(f"{check} is an error, and only warnings can be ignored")
    return check


def ignored_checks(metadata: Any) -> frozenset[Check]:
    """Return the warnings that the annotation of an object silences."""
    if IGNORE_ANNOTATION not in _annotations(metadata):
        return frozenset()
    found = set()
    for name in _names(metadata):
        try:
            found.add(ignorable(name))
        except ValueError:
            continue  # told by check_annotations
    return frozenset(found)


def check_annotations(kind: str, place: ObjectPlace, metadata: Any, findings: Findings) -> None:
    """Warn of annotations of svcnet's own that have no effect, or name what cannot be ignored."""
    for key in _annotations(metadata):
        if type(key) is not str or not key.startswith(OWN_PREFIX):
            continue
        is_ours = key == IGNORE_ANNOTATION
        for message in _wrong_names(kind, metadata) if is_ours else _wrong(key, kind):
            findings.warning(checks.UNKNOWN_ANNOTATION, place, (*PATH, key), message)


def _wrong(key: str, kind: str) -> Iterator[str]:
    if key not in KINDS:
        guess = nearest_of(key, (*KINDS, IGNORE_ANNOTATION))
        hint = f"; did you mean {guess}?" if guess else ""
        yield f"is no annotation that svcnet has, so it has no effect{hint}"
    elif kind not in KINDS[key]:
        yield f"is for {' and '.join(KINDS[key])}, so it has no effect here"


def _wrong_names(kind: str, metadata: Any) -> Iterator[str]:
    for name in _names(metadata):
        try:
            check = ignorable(name)
        except ValueError as error:
            yield str(error)
        else:
            if not _is_of(kind, check):
                yield f"{check} is told of no {kind}, so it has no effect; --ignore has"


def _is_of(kind: str, check: Check) -> bool:
    """Return whether a warning is ever told of an object of a kind, as its annotation can undo."""
    if kind == "ConfigMap":
        return check in OF_CONFIGURATIONS | OF_BOTH
    return check not in OF_NONE | OF_CONFIGURATIONS


def _names(metadata: Any) -> Iterator[str]:
    text = _annotations(metadata).get(IGNORE_ANNOTATION)
    names = text.split(",") if type(text) is str else []
    return islice(filter(None, map(str.strip, names)), MAX_NAMES)


def _annotations(metadata: Any) -> Mapping[Any, Any]:
    found = metadata.get("annotations") if type(metadata) is dict else None
    return found if type(found) is dict else {}
