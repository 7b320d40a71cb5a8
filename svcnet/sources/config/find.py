"""Where a file has its KubeProxyConfiguration: alone, among other documents, or in a ConfigMap."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from attrs import evolve

from svcnet import checks
from svcnet.sources.annotations import check_annotations, ignored_checks
from svcnet.sources.fields import Fields, quote_value
from svcnet.sources.findings import Findings, ObjectPlace, Path, Source, warn_of_repeated
from svcnet.sources.objects import label_of, members
from svcnet.sources.positions import duplicates, lines_of
from svcnet.sources.read import read_file
from svcnet.sources.single import MAX_SINGLE_BYTES, parse_text
from svcnet.sources.stream import begins_as_json, json_value, text_of

KIND = "KubeProxyConfiguration"
INTEGERS = frozenset(
    {
        *("oomScoreAdj", "burst", "verbosity", "flushFrequency", "masqueradeBit"),
        *("maxPerCore", "min"),
    }
)
MOST_KINDS = 10


def find_config(path: str | os.PathLike[str], findings: Findings) -> Fields | None:
    """Return the one KubeProxyConfiguration of a file.

    It is a document of the file, a member of a list, or a text in the data of a ConfigMap, as
    kubeadm keeps it. Where the file has none, or several, there is a finding, and None.
    """
    for source in read_file(FilePath(path), findings, MAX_SINGLE_BYTES):
        parsed = parse_text(source, source.data, findings)
        if parsed is None:
            continue
        items = [
            (ObjectPlace(source, number, path), item)
            for number, document in enumerate(parsed.documents)
            if document is not None
            for path, item in members(document)
        ]
        found = [fields for place, item in items for fields in _configs(place, item, findings)]
        if len(found) > 1:
            message = f"is another {KIND}, and one alone may be there"
            found[1].error_at(checks.ONE_DOCUMENT, (), message)
        elif found:
            place = found[0].place
            if place.source is source:
                _check_braces(found[0], source.data)
            if parsed.may_repeat or place.source is not source:
                warn_of_repeated(place, duplicates(place.source.data), findings)
            return found[0]
        elif not findings.has_errors():
            _tell_what_it_is(source, items, findings)
    return None


def _configs(place: ObjectPlace, item: Any, findings: Findings) -> Iterator[Fields]:
    """Yield what is a configuration in a document, or in the texts of a ConfigMap."""
    if type(item) is not dict:
        return
    kind, data = item.get("kind"), item.get("data")
    if kind == KIND:
        yield Fields(evolve(place, label=KIND), findings, item)
    elif kind == "ConfigMap" and type(data) is dict:
        metadata = item.get("metadata")
        map_label = label_of(kind, metadata)
        labelled = evolve(place, label=map_label, ignored=ignored_checks(metadata))
        check_annotations(kind, labelled, metadata, findings)
        for key, text in data.items():
            if type(key) is str and type(text) is str and KIND in text:
                inside = text.encode("utf-8", "replace")
                source = _inside(place, ("data", key), inside)
                parsed = parse_text(source, inside, findings)
                for number, document in enumerate(parsed.documents if parsed else ()):
                    for inner in _configs(ObjectPlace(source, number, ()), document, findings):
                        label = f"{KIND} in {map_label}"
                        at = evolve(inner.place, label=label, ignored=labelled.ignored)
                        found = evolve(inner, place=at)
                        _check_braces(found, inside)
                        yield found


def _check_braces(found: Fields, text: bytes) -> None:
    """Report a configuration whose text begins as JSON and is more, or less, than one value.

    Of such text kube-proxy reads nothing as YAML, unlike kubectl.
    """
    data, _ = text_of(text)
    if not begins_as_json(data):
        return
    try:
        json_value(data)
    except ValueError as error:
        message = f"begins with a brace, and so kube-proxy reads JSON alone: {error}"
        found.error_at(checks.SYNTAX, (), message)
        return
    for path, value in _fractions(found.data, ()):
        message = f"must be an integer, in JSON without fraction and exponent, not {value}"
        found.error_at(checks.TYPE, path, message)


def _fractions(value: Any, path: Path) -> Iterator[tuple[Path, float]]:
    """Yield the whole numbers of integer fields that JSON has with a fraction or an exponent.

    kubectl, and YAML on its way to JSON, make integers of these.
    """
    if type(value) is float and value.is_integer() and path[-1] in INTEGERS:
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _fractions(inner, (*path, key))
    elif type(value) is list:
        for index, inner in enumerate(value):
            yield from _fractions(inner, (*path, index))


def _inside(place: ObjectPlace, path: tuple[str, ...], data: bytes) -> Source:
    """Return a text of a document as a source whose lines are those of the file.

    Of a block each line is one of the file. Any other text is on one line, whatever it holds.
    """
    outer = place.source
    (line,) = lines_of(outer.data, [(place.document, (*place.path, *path))])
    within = [part.strip() for part in data.rstrip(b"\n").split(b"\n")]
    below = outer.data.split(b"\n")[line : line + len(within)]
    is_block = [part.strip() for part in below] == within
    return Source(outer.file, data if is_block else b"", offset=line)


def _tell_what_it_is(
    source: Source, items: list[tuple[ObjectPlace, Any]], findings: Findings
) -> None:
    """Report that no configuration is there, at the first thing that is."""
    counts = Counter(_name(item) for _, item in items).most_common(MOST_KINDS)
    parts = [name if count == 1 else f"{count} of {name}" for name, count in counts]
    holds = f"holds {', '.join(parts)}" if parts else "is empty"
    message = f"the file must hold one {KIND}; it {holds}"
    if items:
        findings.error(checks.CONFIGURATION_KIND, items[0][0], ("kind",), message)
    else:
        findings.file_error(checks.CONFIGURATION_KIND, source.file, 0, message)


def _name(item: Any) -> str:
    """Return what a message calls a document."""
    if type(item) is not dict:
        return quote_value(item)
    kind = item.get("kind")
    if kind is None:
        return "a mapping without a kind"
    return quote_value(kind)[1:-1] if type(kind) is str and kind else "a mapping of no kind"
