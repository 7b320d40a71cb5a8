"""Checks a value against a JSON schema, as far as the schemas of this repository go.

A word that it does not know is an error, so that no schema says more than is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_NOTES = {"description", "title", "$schema", "$defs"}


def faults(schema: Mapping[str, Any], value: Any, whole: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a value; `whole` has the definitions that are referred to."""
    for word, told in schema.items():
        if word not in _NOTES:
            yield from _CHECKS[word](told, value, schema, whole)


def _reference(told: str, value: Any, _: Any, whole: Any) -> Iterator[str]:
    yield from faults(whole["$defs"][told.removeprefix("#/$defs/")], value, whole)


def _type(told: Any, value: Any, *_: Any) -> Iterator[str]:
    names = told if isinstance(told, list) else [told]
    right = any(
        isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in names
    )
    if not right:
        yield f"{value!r} is no {' or '.join(names)}"


def _properties(told: Any, value: Any, schema: Any, whole: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in told:
                yield from (f".{key}{fault}" for fault in faults(told[key], item, whole))
            elif not schema.get("additionalProperties", True):
                yield f".{key} is not in the schema"


def _required(told: Any, value: Any, *_: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f".{key} is missing" for key in told if key not in value)


def _items(told: Any, value: Any, _: Any, whole: Any) -> Iterator[str]:
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from (f"[{at}]{fault}" for fault in faults(told, item, whole))


def _several(told: Any, value: Any, _: Any, whole: Any) -> Iterator[str]:
    found = [list(faults(each, value, whole)) for each in told]
    if all(found):
        yield f" is none of {len(told)}: {min(found, key=len)[0]}"


def _one(told: Any, value: Any, _: Any, whole: Any) -> Iterator[str]:
    right = sum(not list(faults(each, value, whole)) for each in told)
    if right != 1:
        yield from _several(told, value, _, whole)
        if right:
            yield f" is {right} of {len(told)} at once"


def _all(told: Any, value: Any, _: Any, whole: Any) -> Iterator[str]:
    for each in told:
        yield from faults(each, value, whole)


def _enum(told: Any, value: Any, *_: Any) -> Iterator[str]:
    if value not in told:
        yield f" {value!r} is none of {told}"


def _pattern(told: str, value: Any, *_: Any) -> Iterator[str]:
    if isinstance(value, str) and not re.search(told, value):
        yield f" {value!r} is not like {told}"


def _nothing(*_: Any) -> Iterator[str]:
    return iter(())


_CHECKS = {
    "$ref": _reference,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _nothing,
    "required": _required,
    "items": _items,
    "anyOf": _several,
    "oneOf": _one,
    "allOf": _all,
    "enum": _enum,
    "pattern": _pattern,
}
