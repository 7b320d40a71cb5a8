"""What a program gives to :func:`svcnet.load`: paths, text, mappings and objects of clients."""

from __future__ import annotations

import re
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml

import svcnet
from svcnet.errors import InputError
from svcnet.sources import load_bytes
from svcnet.sources.arguments import MAX_DEPTH, ObjectValue
from svcnet.sources.schema import fieldsets

EXAMPLES = sorted(Path("examples").rglob("*.yaml"))
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app_name": "web_1"}},
    "spec": {
        "clusterIP": "10.96.0.10",
        "clusterIPs": ["10.96.0.10"],
        "ports": [{"port": 80, "targetPort": "http", "appProtocol": "h2c"}],
        "selector": {"app_name": "web"},
    },
}
EXPECTED = load_bytes(yaml.safe_dump(SERVICE).encode()).objects


def with_words(name: str) -> str:
    """Return a field as kubernetes.client up to 36 and kubernetes_asyncio spell it."""
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", text).lower()


def with_plurals(name: str) -> str:
    """Return a field as kubernetes.client 37 spells it: ``cluster_ips`` is of ``clusterIPs``."""
    return with_words(re.sub(r"([A-Z]+)s$", lambda found: found[0].capitalize(), name))


spellings = pytest.mark.parametrize("spell", [with_words, with_plurals])


def spelled(document: Any, of: str, spell: Callable[[str], str]) -> Any:
    """Return an object with the fields of the API, and of nothing else, spelled otherwise."""
    fields = fieldsets().get(of)
    if fields is None or not isinstance(document, dict):
        return document
    made: dict[str, Any] = dict.fromkeys(map(spell, fields.names))
    for name, value in document.items():
        inner, listed = fields.below.get(name, ("", False))
        below = [spelled(one, inner, spell) for one in value] if listed else value
        made[spell(name)] = below if listed else spelled(value, inner, spell)
    return made


class Model:
    """An object of a client library."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def to_dict(self) -> dict[str, Any]:
        return self._fields


class V1Service(Model):
    """A Service as kubernetes.client has it: nothing but its class says what it is."""


class V1ServiceList(Model):
    """A list as the API sends it: its members have no kind."""


@spellings
def test_each_field_is_known_by_each_spelling(spell: Callable[[str], str]) -> None:
    """Of no type have two fields the same letters, so that a spelling means one."""
    for of, fields in fieldsets().items():
        letters = [name.replace("_", "").lower() for name in fields.names]
        assert len(set(letters)) == len(letters), of
        for name in fields.names:
            assert spell(name).replace("_", "") == name.lower()


@spellings
@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_objects_are_read_as_their_text_is(path: Path, spell: Callable[[str], str]) -> None:
    """A manifest, and its objects with the fields of a client library, are the same."""
    documents = [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]
    given = [spelled(one, one["kind"], spell) for one in documents]
    text = svcnet.load(path)
    found = svcnet.load(given)
    assert found.objects == text.objects
    assert found.skipped == text.skipped
    assert [one.message for one in found.warnings] == [one.message for one in text.warnings]
    assert svcnet.load(documents).objects == text.objects


def test_text_is_bytes_and_a_name_is_a_str(tmp_path: Path) -> None:
    """Bytes are read, and a str is opened, whatever they hold."""
    text = yaml.safe_dump(SERVICE).encode()
    (tmp_path / "web.yaml").write_bytes(text)
    given = [text, bytearray(text), memoryview(text), tmp_path / "web.yaml", str(tmp_path)]
    for one in given:
        assert svcnet.load(one).objects == EXPECTED  # type: ignore[arg-type]  # views too
    both: list[ObjectValue] = [
        text,
        {**SERVICE, "metadata": {"name": "other"}, "spec": {"ports": [{"port": 1}]}},
    ]
    assert [one.name for one in svcnet.load(both).objects] == ["web", "other"]


def test_text_that_is_given_as_a_name_is_told() -> None:
    """A str with several lines that is no file is surely a text, and that is said."""
    with pytest.raises(InputError, match="is no name of a file: text is given as bytes"):
        svcnet.load("kind: Service\nmetadata: {}\n")


@spellings
def test_models_say_by_their_class_what_they_are(spell: Callable[[str], str]) -> None:
    """Objects of kubernetes.client, and lists of them, have no kind themselves."""
    fields = spelled(SERVICE, "Service", spell) | {"kind": None, spell("apiVersion"): None}
    fields["metadata"]["creation_timestamp"] = datetime(2026, 1, 2, tzinfo=UTC)
    for given in (
        V1Service(**fields),
        [V1Service(**fields)],
        V1ServiceList(items=[fields], kind=None, api_version=None, metadata={"continue": None}),
        (one for one in [V1Service(**fields)]),
    ):
        found = svcnet.load(given)
        assert found.objects == EXPECTED
        assert not found.warnings


def test_lists_and_other_mappings() -> None:
    """A List is its members, and a mapping need not be a dict."""
    items = {"apiVersion": "v1", "kind": "List", "items": [SERVICE]}
    for given in (items, UserDict(items), Model(**items)):
        assert svcnet.load(given).objects == EXPECTED


class Protocol(StrEnum):
    TCP = "TCP"


class Port(IntEnum):
    HTTP = 80


class Word(str):
    __slots__ = ()


def test_values_of_python_are_those_of_json() -> None:
    """Enumerations, tuples, times and kinds of text are what they are written as."""
    port = {"port": Port.HTTP, "protocol": Protocol.TCP, "targetPort": Word("http")}
    spec = {"clusterIP": Word("10.96.0.10"), "ports": (port,)}
    times = {"managedFields": [{"time": date(2026, 1, 2)}, {"time": datetime(2026, 1, 2, 3)}]}
    metadata = {"name": Word("web"), "creationTimestamp": datetime.now(UTC), **times}
    made = SERVICE | {"metadata": metadata, "spec": spec}
    (found,) = svcnet.load(made).objects
    plain = {"clusterIP": "10.96.0.10", "ports": [{"port": 80, "targetPort": "http"}]}
    expected = SERVICE | {"metadata": {"name": "web"}, "spec": plain}
    assert svcnet.load(expected).objects == (found,)
    assert type(found.name) is str


class Faulty(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise OSError("the server is gone")

    def __iter__(self) -> Iterator[str]:
        return iter(("kind",))

    def __len__(self) -> int:
        return 1


class Failing:
    def to_dict(self) -> dict[str, Any]:
        raise RuntimeError("not loaded\n yet")


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def circle() -> dict[str, Any]:
    value: dict[str, Any] = {"kind": "Service"}
    value["spec"] = value
    return value


LATE = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({**SERVICE, "spec": {"ports": [{"port": 0}]}}, "Service shop/web: spec.ports[0].port: "),
        ({**SERVICE, "spec": {"cluster_ip": b"x"}}, "Service shop/web: spec.cluster_ip: is bytes,"),
        ({**SERVICE, "spec": {1: 2}}, "Service shop/web: spec: has a key that is int, and no text"),
        ({**SERVICE, "spec": {"type": "\ud800"}}, "Service shop/web: spec.type: is no text"),
        ({**SERVICE, "spec": {"ports": {80}}}, "Service shop/web: spec.ports: is set,"),
        ({**SERVICE, "spec": {"x": LATE}}, "cannot be read: OverflowError: "),
        (nested(MAX_DEPTH + 1), f"nests more than {MAX_DEPTH} deep"),
        (circle(), "nests more than"),
        ({}, "has no kind"),
        ({"api_version": "v1", "kind": None}, "has no kind"),
        (Faulty(), "cannot be read: OSError: the server is gone"),
        (Failing(), r"to_dict() failed: RuntimeError: not loaded\n yet"),
        (Model, "to_dict() failed: TypeError: "),
        (b"kind: [", "error: "),
    ],
)
def test_errors_say_which_object_and_field(given: ObjectValue, message: str) -> None:
    """What is wrong with one of many is told with its number, name and field."""
    with pytest.raises(InputError) as caught:
        svcnet.load([b"", given])
    (told,) = str(caught.value).splitlines()
    assert told.startswith("<argument> 2:")
    assert message in told
    with pytest.raises(InputError, match=r"^<argument>:"):
        svcnet.load(given)


@pytest.mark.parametrize("given", [1, None, [3], [SERVICE, object()], [[SERVICE]]])
def test_what_is_no_input_is_a_type_error(given: Any) -> None:
    """What nobody could mean as input is a mistake of the program."""
    with pytest.raises(TypeError, match="must be a path, bytes, a mapping, or an object with"):
        svcnet.load(given)


def test_nothing_of_what_is_given_changes() -> None:
    """Objects are read, and stay the caller's."""
    before = yaml.safe_dump(SERVICE)
    metadata = SERVICE["metadata"] | {"annotations": None}
    svcnet.load(SERVICE | {"metadata": metadata})
    assert metadata["annotations"] is None
    assert yaml.safe_dump(SERVICE) == before


def test_nothing_is_told_to_have_no_object() -> None:
    """Without an object there is a warning, as of files."""
    (warning,) = svcnet.load([{"kind": "ConfigMap", "api_version": "v1", "items": []}]).warnings
    assert str(warning).startswith("<argument>: warning: has no object that svcnet reads")


def test_a_place_of_an_object_has_no_line() -> None:
    """What did not come as text is in the argument, and in no line."""
    found = svcnet.load([SERVICE])
    place = found.locate(("Service", "shop", "web", "spec.ports[0].port"))
    assert str(place) == "Service shop/web (<argument> 1)"
