"""From manifests to models: files, folders and standard input, YAML and JSON.

The one way in. Nothing here knows rules; everything that leaves here is valid.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, BinaryIO, TypeAlias

from attrs import evolve, field, frozen

from svcnet import checks
from svcnet.brief import Brief
from svcnet.checks import Check
from svcnet.errors import Diagnostic, InputError
from svcnet.models import (
    ClusterState,
    Host,
    IPFamily,
    KubeProxyConfiguration,
    NamespacedName,
    Pod,
    Service,
    Workload,
)
from svcnet.models.state import ClusterObject
from svcnet.nogc import without_gc
from svcnet.sources import strangers
from svcnet.sources.arguments import (
    Manifests,
    ObjectSource,
    arguments,
    is_text,
    object_source,
    text_source,
)
from svcnet.sources.budget import check_budget
from svcnet.sources.config import find_config, read_config, read_host
from svcnet.sources.config.nodes import node_remarks, policy_remarks, zone_remarks
from svcnet.sources.config.result import LoadedConfig
from svcnet.sources.crosscheck import check_conflicts, check_mistakes, endpoint_remarks
from svcnet.sources.emptiness import check_empty, check_no_object
from svcnet.sources.excerpt import excerpt, text_lines
from svcnet.sources.families import ClusterFamilies, check_families, fill_families
from svcnet.sources.findings import Findings, ObjectPlace, Source
from svcnet.sources.locate import Place, place_of, places_of
from svcnet.sources.objects import (
    Reading,
    has_no_part,
    is_passed_over,
    name_of,
    object_key,
)
from svcnet.sources.oversights import node_address_remarks
from svcnet.sources.parse import ParseError, parse
from svcnet.sources.positions import duplicates
from svcnet.sources.read import read_sources
from svcnet.sources.scope import PLAIN, InputScope
from svcnet.sources.single import read_single
from svcnet.sources.survey import Survey, list_believable

__all__ = [
    "ClusterFamilies",
    "InputScope",
    "LoadResult",
    "LoadedConfig",
    "Manifests",
    "Place",
    "Survey",
    "endpoint_remarks",
    "load",
    "load_bytes",
    "load_config",
    "load_host",
    "node_address_remarks",
    "node_remarks",
    "open_config",
    "policy_remarks",
    "survey",
    "zone_remarks",
]

_MAX_NAMES = 1000
"""Names of files that are told when nothing is in them."""

_Complete: TypeAlias = Callable[[ClusterState], ClusterState]


@frozen(repr=False)
class LoadResult(Brief):
    """What manifests hold.

    ``objects`` are in the order of the input. ``skipped`` counts the documents of each
    kind that means nothing to svcnet. ``warnings`` are what is legal but surely a mistake.
    ``cluster`` says which IP families Services have that leave that to the cluster. ``left_out``
    are files of folders without an object in them; ``copies`` is how many objects are there again
    that are alike in all that counts.
    """

    objects: tuple[ClusterObject, ...] = field(repr=False)
    state: ClusterState = field(repr=False)
    skipped: Mapping[str, int]
    warnings: tuple[Diagnostic, ...]
    cluster: ClusterFamilies
    _places: tuple[ObjectPlace, ...] = field(repr=False)
    left_out: tuple[str, ...] = field(default=(), repr=False)
    copies: int = 0
    _makers: Mapping[tuple[str, ...], ClusterObject] = field(factory=dict, repr=False)

    @classmethod
    def of_server(cls, state: ClusterState) -> LoadResult:
        """Return a state that an API server told, for :meth:`locate` and :meth:`locate_remarks`.

        Nothing is read: the state is as it is, and nothing is told of it.
        """
        objects, source = tuple(state), Source("API server", b"")
        places = tuple([ObjectPlace(source, 0, (), name_of(item)) for item in objects])
        return cls(objects, state, {}, (), ClusterFamilies(()), places)

    def with_makers(self, makers: Mapping[NamespacedName, Workload]) -> LoadResult:
        """Return the same, with the workloads that Pods were made of: these have their places."""
        pods: Mapping[tuple[str, ...], ClusterObject] = {
            ("Pod", *name): workload for name, workload in makers.items()
        }
        return evolve(self, makers=pods) if pods else self

    def locate(self, origin: tuple[str, str, str, str]) -> Place:
        """Return the place of a field: of what an origin of a node of the graph, or a rule, names.

        `origin` is kind, namespace and name of one of ``objects``, and the path of the field, as
        diagnostics have it. A field that is not written is where the nearest is that would hold it.
        An object of an API server has no file: its place says so, without a line. Raises KeyError
        for an object that was not read. It costs one more reading of the object's file.
        """
        *key, path = self._origin_of(origin)
        return place_of(self._place_by_name[tuple(key)], path)

    def places(self, origins: Iterable[tuple[str, str, str, str]]) -> list[Place | None]:
        """Return the places of many fields, each as :meth:`locate` finds it; one reading a file.

        That of an object that was not read is None.
        """
        known, wanted = self._place_by_name, list(map(self._origin_of, origins))
        there = [(known[origin[:3]], origin[3]) for origin in wanted if origin[:3] in known]
        found = iter(places_of(there))
        return [next(found) if origin[:3] in known else None for origin in wanted]

    def _origin_of(self, origin: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
        """Return where an origin is written: that of a Pod that was made, in its workload."""
        maker = self._makers.get(origin[:3])
        if maker is None:
            return origin
        return (*object_key(maker), "spec.template")

    def excerpt(self, place: Place, around: int = 1) -> list[tuple[int, str]]:
        """Return the line of a place, and so many before and after it, each with its number.

        It is empty for what has no text. Of a long line there is what stands around the place.
        """
        return excerpt(self._lines.get(place.file, []), place, around)

    @cached_property
    def _lines(self) -> Mapping[str, list[str]]:
        sources = {place.source.file: place.source for place in self._places}
        return {name: text_lines(each.data) for name, each in sources.items() if each.data}

    @cached_property
    def _place_by_name(self) -> Mapping[tuple[str, ...], ObjectPlace]:
        return {
            object_key(item): place for item, place in zip(self.objects, self._places, strict=True)
        }

    def locate_remarks(
        self, remarks: Iterable[tuple[Check, ClusterObject, tuple[str | int, ...], str]]
    ) -> tuple[Diagnostic, ...]:
        """Return remarks as warnings with files and lines.

        A remark is a check, one of ``objects``, the path of a field in it, and what to say of it.
        """
        findings = Findings()
        for check, item, path, message in remarks:
            findings.warning(check, self._place_by_id[id(item)], path, message)
        return findings.diagnostics()

    @cached_property
    def _place_by_id(self) -> Mapping[int, ObjectPlace]:
        return {id(item): place for item, place in zip(self.objects, self._places, strict=True)}


def load(
    given: Manifests,
    *,
    stdin: BinaryIO | None = None,
    complete: _Complete | None = None,
    ip_families: tuple[IPFamily, ...] = (),
    workloads: bool = False,
    scope: InputScope = PLAIN,
) -> LoadResult:
    """Read manifests from files, folders (with all below them) and, for ``-``, `stdin`.

    `given` is one input or many. A str or PathLike is the name of a file or folder; bytes are text;
    a mapping is an object or a list of them, and so is what has ``to_dict``, as objects of client
    libraries do. Errors call what is no file ``<argument>``, of many with its number, from 1.

    Services that leave their IP families to the cluster have those of `ip_families`, the
    default one first; without any, those that the objects tell of.

    `complete` may add to the state what a cluster would make of it. Slices that it makes are no
    longer missed, and are not looked through for mistakes. Services and Pods that it gives
    addresses are among the objects as they are then.

    What makes Pods, such as a Deployment, is passed over without `workloads`. `scope` says more of
    how folders and namespaces are to be read.

    Raises :class:`svcnet.errors.InputError` with every error of every file and object, and
    TypeError for what is neither.
    """
    findings = Findings()
    named = list(arguments(given))
    names = " ".join(name if type(one) is str else "<argument>" for name, one in named[:_MAX_NAMES])
    reading = Reading(findings, workloads, scope)
    return _load(_sources(named, stdin, findings, scope), reading, names, complete, ip_families)


def _sources(
    named: Iterable[tuple[str, Any]],
    stdin: BinaryIO | None,
    findings: Findings,
    scope: InputScope,
) -> Iterator[Source | ObjectSource]:
    """Yield what is given as it is to be read; what cannot be becomes a finding."""
    for name, one in named:
        if type(one) is bytes:
            yield from text_source(name, one, findings)
        elif type(one) is not str:
            yield from object_source(name, one, findings)
        elif is_text(one):
            message = "is no name of a file: text is given as bytes, by its method encode"
            findings.file_error(checks.UNREADABLE_FILE, one, 0, message)
        else:
            yield from read_sources([one], stdin, findings, scope)


def load_bytes(
    data: bytes, file: str = "<string>", *, ip_families: tuple[IPFamily, ...] = ()
) -> LoadResult:
    """Read manifests from memory; `file` is the name that diagnostics give.

    Raises :class:`svcnet.errors.InputError` with every error.
    """
    return _load([Source(file, data)], Reading(Findings()), file, None, ip_families)


@without_gc()
def _load(
    sources: Iterable[Source | ObjectSource],
    reading: Reading,
    given: str,
    complete: _Complete | None = None,
    ip_families: tuple[IPFamily, ...] = (),
) -> LoadResult:
    findings = reading.findings
    cluster = _gather(sources, reading, ip_families)
    if findings.has_errors():
        raise findings.refusal()
    located = list(zip(reading.objects, reading.places, strict=True))
    state = _compare(reading, located, findings, given, complete)
    return _result(reading, state, cluster, findings.diagnostics())


@without_gc()
def survey(
    given: Manifests,
    *,
    stdin: BinaryIO | None = None,
    complete: _Complete | None = None,
    ip_families: tuple[IPFamily, ...] = (),
    apart_from: str | os.PathLike[str] | None = None,
    workloads: bool = False,
    scope: InputScope = PLAIN,
) -> tuple[LoadResult, Survey]:
    """Read manifests as :func:`load` does, and go on past objects that are wrong.

    What is wrong is among the findings of the survey, which has only the objects that are surely
    right; what was read has all. A file `apart_from` all others is not read though it is in a
    folder. Raises InputError where a file cannot be read.
    """
    findings = Findings()
    named = list(arguments(given))
    names = " ".join(name if type(one) is str else "<argument>" for name, one in named[:_MAX_NAMES])
    sources = _sources(named, stdin, findings, scope)
    if apart_from is not None:
        left_out = os.path.realpath(apart_from)
        sources = (
            each
            for each in sources
            if isinstance(each, ObjectSource) or os.path.realpath(each.file) != left_out
        )
    reading = Reading(findings, workloads, scope)
    cluster = _gather(sources, reading, ip_families)
    if findings.refuses_files():
        raise findings.refusal()
    located = list(zip(reading.objects, reading.places, strict=True))
    sure = list_believable(located, findings)
    state = _compare(reading, sure, findings, names, complete)
    loaded = _result(reading, state, cluster, ())
    return loaded, Survey(sure, len(located) - len(sure), findings)


def _result(
    reading: Reading,
    state: ClusterState,
    cluster: ClusterFamilies,
    warnings: tuple[Diagnostic, ...],
) -> LoadResult:
    return LoadResult(
        objects=tuple(reading.objects),
        state=state,
        skipped=reading.skipped,
        warnings=warnings,
        cluster=cluster,
        places=tuple(reading.places),
        left_out=tuple(reading.left_out),
        copies=reading.copies,
    )


def _gather(
    sources: Iterable[Source | ObjectSource], reading: Reading, ip_families: tuple[IPFamily, ...]
) -> ClusterFamilies:
    """Read all objects, with the families that they have in a cluster; errors become findings."""
    findings = reading.findings
    skips = has_no_part if reading.has_workloads else is_passed_over
    for source in sources:
        if isinstance(source, ObjectSource):
            reading.read_documents(source.source, [source.document])
            continue
        check_empty(source, findings)
        try:
            parsed = parse(source.data, skips)
        except ParseError as error:
            known = strangers.text(source.data, error.line)
            check = checks.NOT_MANIFESTS if known else error.check
            findings.file_error(check, source.file, error.line, known or error.message)
        else:
            for remark in parsed.remarks:
                findings.remark(remark.check, source.file, remark.line, remark.message)
            repeated = duplicates(source.data) if parsed.may_repeat else []
            reading.read_documents(source, parsed.documents, repeated)
    reading.read_what_is_left()
    reading.drop_copies()
    cluster = fill_families(reading.objects, ip_families)
    located = list(zip(reading.objects, reading.places, strict=True))
    check_conflicts(located, findings)
    check_families(located, ip_families, findings)
    return cluster


def _compare(
    reading: Reading,
    located: list[tuple[ClusterObject, ObjectPlace]],
    findings: Findings,
    given: str,
    complete: _Complete | None,
) -> ClusterState:
    """Return the state of all objects; what is surely not meant of `located` becomes findings."""
    if all(isinstance(item, Workload) for item in reading.objects) and not findings.has_errors():
        check_no_object(given, findings, has_workloads=bool(reading.objects))
    read = ClusterState.of(reading.objects)
    state = read if complete is None else complete(read)
    if state.services is not read.services or state.pods is not read.pods:
        reading.objects[:] = _complete_objects(reading.objects, state)
        complete_ones = list(_complete_objects([item for item, _ in located], state))
        located[:] = zip(complete_ones, [place for _, place in located], strict=True)
    check_mistakes(located, read, findings, state.slices)
    check_budget(located, state, findings)
    return state


def _complete_objects(
    objects: Iterable[ClusterObject], state: ClusterState
) -> Iterator[ClusterObject]:
    """Yield objects as they are in a state in which some have got what they lacked."""
    for item in objects:
        if isinstance(item, Service):
            yield state.services[NamespacedName(item.namespace, item.name)]
        elif isinstance(item, Pod):
            yield state.pods[NamespacedName(item.namespace, item.name)]
        else:
            yield item


def load_config(path: str | os.PathLike[str], mode: str = "") -> KubeProxyConfiguration:
    """Read a KubeProxyConfiguration (v1alpha1) from a file.

    It may be among other documents, or in a ConfigMap. Of its sections for one mode that of `mode`
    counts, without it that of the configuration's own.

    Raises :class:`svcnet.errors.InputError` with every error.
    """
    return open_config(path, mode).config


def open_config(path: str | os.PathLike[str], mode: str = "") -> LoadedConfig:
    """Read a configuration as :func:`load_config` does, with what is surely not meant in it."""
    findings = Findings()
    document = find_config(path, findings)
    config = None if document is None else read_config(document, mode)
    if document is None or config is None or findings.has_errors():
        raise findings.refusal()
    return LoadedConfig(config, findings.diagnostics(), document.place)


def load_host(path: str | os.PathLike[str]) -> Host:
    """Read host facts, as ``svcnet probe`` prints them, from a file.

    Raises :class:`svcnet.errors.InputError` with every error.
    """
    findings = Findings()
    document = read_single(path, "host facts", findings)
    facts = None if document is None else read_host(document)
    if facts is None or findings.has_errors():
        raise InputError(findings.diagnostics())
    return facts
