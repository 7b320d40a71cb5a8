"""What a program gives to be read: names of files, text, and objects of the API.

A str or a PathLike is always the name of a file or folder, and bytes are always text. So what is
read never depends on what happens to lie in the folder that a program runs in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from functools import cache
from typing import Any, Protocol, TypeAlias

from attrs import define, field, frozen

from svcnet import checks
from svcnet.sources.document import MAX_VALUES
from svcnet.sources.fields import quote_value
from svcnet.sources.findings import Findings, ObjectPlace, Path, Source
from svcnet.sources.objects import API_VERSIONS, label_of
from svcnet.sources.parse import MAX_BYTES
from svcnet.sources.schema import fieldsets

MAX_DEPTH = 64
"""So deep an object may nest; none of the API does half as much."""


class Model(Protocol):
    """An object of a client library, as which it has all fields in ``to_dict()``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the object as a mapping, with the keys of the API or their Python spelling."""


FileName: TypeAlias = str | os.PathLike[str] | os.PathLike[bytes]
ObjectValue: TypeAlias = bytes | Mapping[str, Any] | Model
Manifests: TypeAlias = FileName | ObjectValue | Iterable[FileName | ObjectValue]
"""What :func:`svcnet.load` reads: the name of a file or folder, text as bytes, an object or a list
of such as a mapping or as a client library has it; or many of these."""


@frozen
class ObjectSource:
    """An object that did not come as text, and the name to report it by."""

    source: Source
    document: Any = field(repr=False)


def arguments(given: Manifests) -> Iterator[tuple[str, str | bytes | Any]]:
    """Yield what is given, one by one: what to call it, and the name of a file, bytes or object.

    Raises TypeError for what is none of these.
    """
    if _is_one(given):
        yield _rename_argument("<argument>", given)
    elif isinstance(given, Iterable):
        for number, one in enumerate(given, 1):
            yield _rename_argument(f"<argument> {number}", one)
    else:
        raise _no_input("<argument>", given)


def _rename_argument(name: str, given: Any) -> tuple[str, Any]:
    if isinstance(given, (str, os.PathLike)):
        path = os.fsdecode(given)
        return "<stdin>" if path == "-" else path, path
    if not _is_one(given):
        raise _no_input(name, given)
    return name, bytes(given) if isinstance(given, (bytearray, memoryview)) else given


def _is_one(given: object) -> bool:
    """Return whether something is one input, and not many: an object may be iterable itself."""
    one = (str, os.PathLike, bytes, bytearray, memoryview, Mapping)
    return isinstance(given, one) or callable(getattr(given, "to_dict", None))


def _no_input(name: str, given: object) -> TypeError:
    wanted = "a path, bytes, a mapping, or an object with to_dict"
    return TypeError(f"{name} is {type(given).__name__}, and must be {wanted}")


def text_source(name: str, data: bytes, findings: Findings) -> Iterator[Source]:
    """Yield text that is given, nothing if it is too large."""
    if len(data) <= MAX_BYTES:
        yield Source(name, data)
    else:
        message = f"is larger than {MAX_BYTES // 1024**2} MiB; split it"
        findings.file_error(checks.LARGE_FILE, name, 0, message)


def is_text(name: str) -> bool:
    """Return whether the name of a file is surely text that was meant to be read itself."""
    return "\n" in name and not os.path.lexists(name)


def object_source(name: str, given: Any, findings: Findings) -> Iterator[ObjectSource]:
    """Yield a mapping or an object of a client library as plain JSON, nothing if it is none."""
    source = Source(name, b"")
    try:
        document = _Plain().of(_mapping(given), ())
    except _Unreadable as error:
        place = ObjectPlace(source, 0, (), _label(given))
        findings.error(error.check, place, error.path, error.message)
    except Exception as error:
        # A mapping of another's may fail in any way.
        place = ObjectPlace(source, 0, ())
        message = f"cannot be read: {type(error).__name__}: {error}"
        findings.error(checks.TYPE, place, (), message)
    else:
        yield ObjectSource(source, _with_api_names(document))


class _Unreadable(Exception):  # noqa: N818  (why, and where)
    def __init__(self, path: Path, message: str, check: checks.Check = checks.TYPE) -> None:
        super().__init__(message)
        self.path, self.message, self.check = path, message, check


def _mapping(given: Any) -> Any:
    """Return the mapping of an object, with the kind that its class tells where it does not."""
    if isinstance(given, Mapping):
        return given
    try:
        found = given.to_dict()
    except Exception as error:
        # What runs there is not ours, and may fail in any way.
        raise _Unreadable((), f"to_dict() failed: {type(error).__name__}: {error}") from error
    if not isinstance(found, Mapping):
        raise _Unreadable((), f"to_dict() returned {type(found).__name__}, and no mapping")
    kind, version = _CLASSES.get(type(given).__name__, ("", ""))
    if not kind:
        return found
    told = {"kind": found.get("kind") or kind}
    told["apiVersion"] = found.get("apiVersion") or found.get("api_version") or version
    return {**{key: found[key] for key in found if key != "api_version"}, **told}


def _classes() -> Iterator[tuple[str, tuple[str, str]]]:
    for kind, versions in API_VERSIONS.items():
        for version in versions:
            name = f"V{version.rpartition('/')[2][1:]}{kind}"
            yield name, (kind, version)
            yield f"{name}List", (f"{kind}List", version)


_CLASSES = dict(_classes())
"""Kind and version of the classes of kubernetes.client, whose objects need not tell them."""


@define
class _Plain:
    """Makes plain JSON of what a program has: new dicts, lists and scalars."""

    _count: int = 0

    def of(self, value: Any, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _Unreadable((), f"holds more than {MAX_VALUES:,} values", checks.LARGE_FILE)
        if len(path) > MAX_DEPTH:
            raise _Unreadable(path[:8], f"nests more than {MAX_DEPTH} deep")
        if value is None or type(value) in (int, bool, float):
            return value
        if isinstance(value, Enum):
            return self.of(value.value, path)
        if isinstance(value, str):
            return _text(value, path)
        if isinstance(value, (int, float)):
            return int(value) if isinstance(value, int) else float(value)
        if isinstance(value, Mapping):
            return {self._key(key, path): self.of(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.of(one, (*path, index)) for index, one in enumerate(value)]
        if isinstance(value, date):
            return _time(value)
        if callable(getattr(value, "to_dict", None)):
            return self.of(_mapping(value), path)
        raise _Unreadable(path, f"is {type(value).__name__}, which no object of the API has")

    def _key(self, key: Any, path: Path) -> str:
        if not isinstance(key, str):
            raise _Unreadable(path, f"has a key that is {type(key).__name__}, and no text")
        return _text(key, path)


def _text(value: str, path: Path) -> str:
    """Return text as a plain str, which has no halves of characters."""
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Unreadable(path, f"is no text: {quote_value(text)}") from None
    return text


def _time(value: date) -> str:
    """Return a time as the API writes it; one without a zone is taken for UTC."""
    if not isinstance(value, datetime):
        return value.isoformat()
    known = value if value.tzinfo else value.replace(tzinfo=UTC)
    return known.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _with_api_names(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the names that fields have in the API.

    Client libraries spell them in snake case. No field of the API has an underscore, so that one
    of the same letters is meant; keys of maps, such as labels, are as they are.
    """
    told = {key: value for key, value in document.items() if value is not None}
    document = {_ENVELOPE.get(key, key): value for key, value in told.items()}
    kind = document.get("kind")
    items = document.get("items")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        bare = {"kind": kind[:-4]} if kind != "List" else {}
        document["items"] = [
            _member(item, bare) if isinstance(item, dict) else item for item in items
        ]
        return document
    if isinstance(kind, str) and kind in API_VERSIONS:
        return _rename_fields(document, kind)
    return document


_ENVELOPE = {"api_version": "apiVersion"}


def _member(item: dict[str, Any], bare: dict[str, str]) -> dict[str, Any]:
    """Return a member of a list; those of a list of one kind need not tell theirs."""
    told = {key: value for key, value in item.items() if value is not None}
    named = _with_api_names({**bare, **told})
    if "kind" not in told:
        named.pop("kind", None)
    return named


def _rename_fields(mapping: dict[str, Any], of: str) -> dict[str, Any]:
    """Return what a type holds, without what is None, which stands for what is not there."""
    made = {}
    for key, value in mapping.items():
        if value is not None:
            name = _by_letters(of).get(_letters(key), key) if "_" in key else key
            if name == key or name not in mapping:
                made[name] = _below(value, of, name)
    return made


def _below(value: Any, of: str, name: str) -> Any:
    inner, listed = fieldsets()[of].below.get(name, ("", False))
    if not inner:
        return value
    if listed and isinstance(value, list):
        return [_rename_fields(one, inner) if isinstance(one, dict) else one for one in value]
    return _rename_fields(value, inner) if not listed and isinstance(value, dict) else value


@cache
def _by_letters(of: str) -> Mapping[str, str]:
    return {_letters(name): name for name in fieldsets()[of].names}


def _letters(name: str) -> str:
    return name.replace("_", "").lower()


def _label(given: Any) -> str:
    """Return what to call an object that could not be read, as far as that is known."""
    try:
        mapping = _mapping(given)
        kind, metadata = mapping.get("kind"), mapping.get("metadata")
        known = isinstance(kind, str) and isinstance(metadata, Mapping)
        return label_of(kind, dict(metadata)) if known else ""
    except Exception:
        return ""
