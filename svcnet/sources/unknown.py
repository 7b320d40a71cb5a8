"""Fields that Kubernetes does not know, found at next to no cost where there are none.

The API server drops such a field and says so; ``kubectl apply`` refuses it. Names are compared
letter by letter, as k8s.io/apimachinery's strict decoding does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain
from typing import Any

from svcnet import checks
from svcnet.sources.fields import quote_value
from svcnet.sources.findings import Findings, ObjectPlace, Path
from svcnet.sources.schema import fieldsets

MAX_GUESSED = 64
"""The longest name that is compared with others; none that is known is nearly as long."""


def report_unknown(
    kind: str, located: Sequence[tuple[ObjectPlace, dict[str, Any]]], findings: Findings
) -> None:
    """Warn of the fields of documents of one kind that Kubernetes does not know."""
    if _all_known(kind, [item for _, item in located]):
        return
    found = ((place, path, of) for place, item in located for path, of in _unknown(kind, item, ()))
    for place, path, of in found:
        if findings.is_full("warning"):
            return  # to guess what was meant takes time, and nobody would be told
        guess = nearest(str(path[-1]), of)
        hint = f"; did you mean {guess}?" if guess else ""
        message = f"is no field that Kubernetes knows, so it has no effect{hint}"
        findings.warning(checks.UNKNOWN_FIELD, place, path, message)


def _all_known(of: str, mappings: list[Any]) -> bool:
    """Return True only if all keys of `mappings`, and of all below them, are fields of a type.

    All mappings of a type are looked at together, which takes a fraction of the time that one
    after the other would. What is no mapping makes it False, or does not matter.
    """
    fields = fieldsets()[of]
    try:
        keys: set[Any] = set().union(*mappings)
        if not keys <= fields.names:
            return False
        for key in keys & fields.below.keys():
            inner, listed = fields.below[key]
            values = [value for mapping in mappings if (value := mapping.get(key))]
            if not _all_known(inner, list(chain.from_iterable(values)) if listed else values):
                return False
    except (TypeError, AttributeError):
        return False
    return True


def _unknown(of: str, mapping: dict[Any, Any], path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path of each unknown field, and the type that has no such field."""
    fields = fieldsets()[of]
    for key, value in mapping.items():
        if key not in fields.names:
            yield (*path, key if type(key) is str else quote_value(key)), of
        elif key in fields.below:
            inner, listed = fields.below[key]
            for index, member in _members(value, listed):
                yield from _unknown(inner, member, (*path, key, *index))


def _members(value: Any, listed: bool) -> Iterable[tuple[Path, dict[Any, Any]]]:
    """Return the mappings that a field holds; other values have findings of their own."""
    if listed and type(value) is list:
        return [((index,), item) for index, item in enumerate(value) if type(item) is dict]
    return [((), value)] if not listed and type(value) is dict else []


@lru_cache(256)
def nearest(name: str, of: str) -> str:
    """Return the field of a type that is most like a name, empty where none is."""
    return nearest_of(name, sorted(fieldsets()[of].names))


def nearest_of(name: str, known: Sequence[str]) -> str:
    """Return which of the known names is most like `name`, empty where none is."""
    if len(name) > MAX_GUESSED:
        return ""
    folded = {one.casefold(): one for one in known}
    found = get_close_matches(name.casefold(), list(folded), 1, 0.75)
    return folded[found[0]] if found else ""
