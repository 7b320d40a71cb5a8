"""What objects of all kinds have: names, labels, annotations and the time of their deletion.

Source of the rules: ``ValidateObjectMeta`` in k8s.io/apimachinery/pkg/api/validation, and the
names that the API server makes up (``SimpleNameGenerator``), Kubernetes v1.36.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from attrs import define, field

from svcnet import checks
from svcnet.sources.fields import NAMES, Fields, is_name, quote_value
from svcnet.sources.labels import LABEL_KEY, LABEL_VALUE, is_label_key, is_label_value
from svcnet.words import count_noun

DEFAULT_NAMESPACE = "default"
MAX_ANNOTATIONS = 256 * 1024
"""How many bytes all annotations of an object may have together."""

NO_LABELS: Mapping[str, str] = {}
"""Once for all objects that have none."""

MAX_PREFIX = 58
"""How much of ``generateName`` comes before the five characters that are added."""

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T([01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?"
    r"(?:Z|[+-](?:[01]\d|2[0-4]):[0-5]\d)",
    re.ASCII,
)


def read_name(metadata: Fields, kind: str) -> str:
    """Return the name of an object, empty if it has none that can be used."""
    prefix = metadata.string("generateName")
    if prefix and not (prefix.isascii() and is_name(_as_name(prefix), kind)):
        metadata.error(checks.NAME, "generateName", f"{NAMES[kind]}; not {quote_value(prefix)}")
        return ""
    return metadata.name("name", kind)


def _as_name(prefix: str) -> str:
    """Return what the API server checks in the place of a prefix.

    A hyphen may end it, and any character but two may be before that.
    """
    masks = len(prefix) > 1 and prefix.endswith("-") and prefix[-2] not in "/%"
    return f"{prefix[:-2]}a" if masks else prefix


@define
class GeneratedNames:
    """Names for objects that have only ``generateName``.

    The API server adds five letters by chance. These are numbered in the order of the input, so
    that the same input has the same names; no name that a server makes up has a 0 or a 1.
    """

    _counts: dict[tuple[str, str, str], int] = field(factory=dict)

    def with_name(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """Return an object with the name that it gets, as it is if it has one, or no prefix."""
        metadata = item.get("metadata")
        if type(metadata) is not dict or metadata.get("name") not in (None, ""):
            return item
        prefix = metadata.get("generateName")
        if type(prefix) is not str or not prefix:
            return item
        key = (kind, str(metadata.get("namespace") or DEFAULT_NAMESPACE), prefix[:MAX_PREFIX])
        self._counts[key] = self._counts.get(key, 0) + 1
        name = f"{prefix[:MAX_PREFIX]}{self._counts[key]:05}"
        return {**item, "metadata": {**metadata, "name": name}}


def read_namespace(metadata: Fields) -> str:
    """Return the namespace of an object."""
    return metadata.optional_name("namespace", "label") or DEFAULT_NAMESPACE


def read_labels(fields: Fields, key: str = "labels") -> Mapping[str, str]:
    """Return labels, or a selector, which is of the same form."""
    value = fields.data.get(key)
    if value is None:
        return NO_LABELS
    if type(value) is dict and all(map(_is_label, value, value.values())):
        return dict(value)
    found = fields.string_map(key)
    for name, text in found.items():
        if not is_label_key(name):
            fields.error_at(
                checks.LABEL, (key, name), f"the key {LABEL_KEY}; not {quote_value(name)}"
            )
        elif not is_label_value(text):
            fields.error_at(checks.LABEL, (key, name), f"{LABEL_VALUE}; not {quote_value(text)}")
    return found


def _is_label(key: Any, value: Any) -> bool:
    """Return whether a label is plainly right."""
    texts = type(key) is str and type(value) is str
    return texts and is_label_key(key) and is_label_value(value)


def read_annotations(metadata: Fields) -> Mapping[str, str]:
    """Return annotations."""
    if metadata.data.get("annotations") is None:
        return {}
    found = metadata.string_map("annotations")
    size = 0
    for name, text in found.items():
        size += len(name.encode()) + len(text.encode())
        if not is_label_key(name.lower()):
            message = f"the key {LABEL_KEY}; not {quote_value(name)}"
            metadata.error_at(checks.LABEL, ("annotations", name), message)
    if size > MAX_ANNOTATIONS:
        message = f"have {count_noun(size, 'byte')} together; at most {MAX_ANNOTATIONS:,}"
        metadata.error(checks.ANNOTATION_SIZE, "annotations", message)
    return found


def is_deleted(metadata: Fields) -> bool:
    """Return whether the object has a time of its deletion."""
    text = metadata.string("deletionTimestamp")
    if metadata.data.get("deletionTimestamp") is None:
        return False
    if type(metadata.data["deletionTimestamp"]) is str and not _is_time(text):
        message = f"must be a time such as 2026-01-02T03:04:05Z, not {quote_value(text)}"
        metadata.error(checks.TYPE, "deletionTimestamp", message)
    return True


def _is_time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    year, month, day = (int(part) for part in match.group(1, 2, 3))
    try:
        # The year 0 is one to Go, a leap year as 4 is.
        date(year or 4, month, day)
    except ValueError:
        return False
    return True
