"""Checks a value against a JSON schema, as far as the schemas of this repository go.

A word that it does not know is an error, so that no schema says more than is checked.
"""

from __future__ import annotations

import json
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
_NOTES = {"description", "title", "$schema", "$defs", "definitions", "id", "default"}


def faults(schema: Mapping[str, Any], value: Any, whole: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a value; `whole` has the definitions that are referred to."""
    for word, told in schema.items():
        if word not in _NOTES:
            yield from _CHECKS[word](told, value, schema, whole)


def _reference(told: str, value: Any, _: Any, whole: Any) -> Iterator[str]:
    _, place, name = told.split("/")
    yield from faults(whole[place][name], value, whole)


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


def _additional(told: Any, value: Any, schema: Any, whole: Any) -> Iterator[str]:
    """Yield what is wrong with values of no named key; that there may be none is _properties'."""
    if isinstance(value, dict) and isinstance(told, dict):
        for key in value.keys() - schema.get("properties", {}).keys():
            yield from (f".{key}{fault}" for fault in faults(told, value[key], whole))


def _bounds(told: Any, value: Any, schema: Any, _: Any) -> Iterator[str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high:
            yield f" {value} is not from {low} to {high}"


def _least(told: int, value: Any, *_: Any) -> Iterator[str]:
    if isinstance(value, list) and len(value) < told:
        yield f" has {len(value)} members, at least {told}"


def _unique(told: bool, value: Any, *_: Any) -> Iterator[str]:
    if told and isinstance(value, list):
        texts = [json.dumps(each, sort_keys=True) for each in value]
        if len(set(texts)) < len(texts):
            yield " has a member twice"


_FORMATS = {
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:[!#$%&'()*+,/:;=?@\[\]\w.~-]*",
    "uri-reference": r"[!#$%&'()*+,/:;=?@\[\]\w.~-]*",
}


def _format(told: str, value: Any, *_: Any) -> Iterator[str]:
    if isinstance(value, str) and not re.fullmatch(_FORMATS[told], value, re.ASCII):
        yield f" {value!r} is no {told}"


_CHECKS = {
    "$ref": _reference,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "minimum": _bounds,
    "maximum": _bounds,
    "minItems": _least,
    "uniqueItems": _unique,
    "format": _format,
    "required": _required,
    "items": _items,
    "anyOf": _several,
    "oneOf": _one,
    "allOf": _all,
    "enum": _enum,
    "pattern": _pattern,
}
