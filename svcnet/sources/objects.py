"""Documents to models: which kind a document is, and lists taken apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from attrs import define, field

from svcnet import checks
from svcnet.checks import Check
from svcnet.models.state import ClusterObject
from svcnet.sources import strangers
from svcnet.sources.annotations import check_annotations, ignored_checks
from svcnet.sources.fields import Fields, quote_value
from svcnet.sources.findings import Findings, ObjectPlace, Path, Source, warn_of_repeated
from svcnet.sources.metadata import (
    DEFAULT_NAMESPACE,
    GeneratedNames,
    read_name,
    read_namespace,
)
from svcnet.sources.nodes import read_node
from svcnet.sources.pods import read_pod
from svcnet.sources.positions import RepeatedKey
from svcnet.sources.scope import PLAIN, InputScope
from svcnet.sources.services import read_service, read_service_cidr
from svcnet.sources.slices import read_endpoints, read_slice
from svcnet.sources.unknown import nearest_of, report_unknown
from svcnet.sources.workloads import OLD_VERSIONS, read_workload

API_VERSIONS = {
    "Service": ("v1",),
    "Endpoints": ("v1",),
    "Node": ("v1",),
    "Pod": ("v1",),
    "EndpointSlice": ("discovery.k8s.io/v1",),
    "ServiceCIDR": (
        "networking.k8s.io/v1alpha1",
        "networking.k8s.io/v1beta1",
        "networking.k8s.io/v1",
    ),
    "Deployment": ("apps/v1",),
    "StatefulSet": ("apps/v1",),
    "DaemonSet": ("apps/v1",),
    "ReplicaSet": ("apps/v1",),
    "ReplicationController": ("v1",),
    "Job": ("batch/v1",),
    "CronJob": ("batch/v1",),
}
NAME_KINDS = {"Service": "label"}
# Lists in lists are unheard of, and an alias can make one hold itself.
MAX_LISTS = 3
MAX_STRANGERS = 100
"""So many documents are looked at to tell what they are; a million alike take no longer."""
MAX_BARE = 58
"""Longer names may be shortened where they are shown."""
MAX_KIND = 63
MAX_KINDS = 100
"""Kinds that are passed over and counted by name."""
AT_ONCE = 32
"""Documents of a kind whose fields are compared at once: the processor has so many at hand."""
WORKLOADS = frozenset(
    (
        *("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"),
        *("Job", "CronJob"),
    )
)
"""Kinds that make Pods, which are read on request."""
ALIKE = ("APIService", "CSINode")
"""Kinds that there are, and that look like one that is read."""
CLUSTER_SCOPED = ("Node", "ServiceCIDR")


@define
class Reading:
    """What came of the files so far: objects with their places, and kinds passed over.

    Workloads are among the objects if ``has_workloads``, else passed over. ``left_out`` are files
    of folders in which there is no object, such as values of a chart.
    """

    findings: Findings
    has_workloads: bool = False
    scope: InputScope = PLAIN
    objects: list[ClusterObject] = field(factory=list)
    places: list[ObjectPlace] = field(factory=list)
    skipped: dict[str, int] = field(factory=dict)
    left_out: list[str] = field(factory=list)
    copies: int = 0
    _kept_back: list[tuple[Source, list[Any]]] = field(factory=list)
    _names: GeneratedNames = field(factory=GeneratedNames)
    # The documents of each kind of which the names of fields are to be looked at.
    _looked_at: dict[str, list[tuple[ObjectPlace, dict[str, Any]]]] = field(factory=dict)
    # Keys written twice in the file that is read, by document and the object's path in there.
    _repeated: dict[tuple[int, Path], list[RepeatedKey]] = field(factory=dict)
    _strangers: int = 0

    def read_documents(
        self, source: Source, documents: list[Any], repeated: Iterable[RepeatedKey] = ()
    ) -> None:
        """Read every document of a file; `repeated` are the keys that are written twice in it.

        A file that nobody named, and in which nothing looks like an object, is kept back.
        """
        if source.is_found and not any(map(_may_be_object, documents)):
            self._kept_back.append((source, documents))
            return
        self._read_documents(source, documents, repeated)

    def read_what_is_left(self) -> None:
        """Refuse files that were kept back, where no object is in any other; else count them."""
        if not self.objects and not self.skipped:
            for source, documents in self._kept_back:
                self._read_documents(source, documents, ())
            return
        self.left_out += [
            source.file for source, documents in self._kept_back if documents != [None]
        ]

    def drop_copies(self) -> None:
        """Leave out objects that are there already, alike in all that counts."""
        keys = [object_key(item) for item in self.objects]
        if len(set(keys)) == len(keys):
            return
        first: dict[tuple[str, str, str], ClusterObject] = {}
        kept = []
        for key, item, place in zip(keys, self.objects, self.places, strict=True):
            if key not in first or first[key] != item:
                kept.append((item, place))
            first.setdefault(key, item)
        self.copies = len(self.objects) - len(kept)
        self.objects[:] = [item for item, _ in kept]
        self.places[:] = [place for _, place in kept]

    def _read_documents(
        self, source: Source, documents: list[Any], repeated: Iterable[RepeatedKey]
    ) -> None:
        self._repeated.clear()
        joined = []
        for number, path, line in repeated:
            at = _object_path(path)
            self._repeated.setdefault((number, at), []).append((number, path, line))
            if path == (*at, "kind"):
                joined.append((number, at))
                message = "is written twice: is a line of --- missing between two objects?"
                place = ObjectPlace(source, number, at)
                self.findings.error(checks.JOINED_DOCUMENTS, place, ("kind",), message)
        for key in joined:
            self._repeated.pop(key, None)
        for number, document in enumerate(documents):
            if document is not None:
                for path, item in members(document):
                    self._read(source, number, path, item)
        for kind in self._looked_at:
            self._report_unknown(kind)

    def _read(self, source: Source, document: int, path: Path, item: Any) -> None:
        place = ObjectPlace(source, document, path)
        if type(item) is not dict:
            self._refuse(
                place, item, checks.NO_MAPPING, f"must be a mapping, not {quote_value(item)}"
            )
            return
        kind = item.get("kind")
        if type(kind) is not str or not kind:
            message = "has no kind: is this a Kubernetes manifest?"
            self._refuse(place, item, checks.NO_KIND, message)
            return
        if kind in WORKLOADS and not self.has_workloads:
            self._count(kind)
            return
        if not _is_known(kind, item.get("apiVersion")):
            self._skip(place, item, kind)
            return
        item = self._names.with_name(kind, item)
        if self.scope.namespace and kind not in CLUSTER_SCOPED:
            item = self._in_namespace(place, kind, item)
        metadata = item.get("metadata")
        place.label, place.ignored = label_of(kind, metadata), ignored_checks(metadata)
        if kind in OLD_VERSIONS and item["apiVersion"] in OLD_VERSIONS[kind]:
            place.is_old, new = True, API_VERSIONS[kind][0]
            message = f"is taken by no API server any more; it is read as {new}"
            self.findings.warning(checks.OLD_VERSION, place, ("apiVersion",), message)
        check_annotations(kind, place, metadata, self.findings)
        if self._repeated and (repeated := self._repeated.get((document, path))):
            warn_of_repeated(place, repeated, self.findings)
        made = read_object(kind, Fields(place, self.findings, item))
        # One without a usable name has been reported, and would be mistaken for another.
        if made.name:
            self.objects.append(made)
            self.places.append(place)
        looked_at = self._looked_at.setdefault(kind, [])
        looked_at.append((place, item))
        if len(looked_at) == AT_ONCE:
            self._report_unknown(kind)

    def _in_namespace(self, place: ObjectPlace, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """Return an object in the namespace that was asked for, unless it names one itself.

        Source: ``RequireNamespace`` in k8s.io/cli-runtime/pkg/resource.
        """
        metadata, wanted = item.get("metadata"), self.scope.namespace
        if type(metadata) is not dict:
            return item
        named = metadata.get("namespace")
        if named in (None, ""):
            return {**item, "metadata": {**metadata, "namespace": wanted}}
        if named != wanted:
            place.label = label_of(kind, metadata)
            message = f"is not {wanted}, which --namespace asks for"
            self.findings.error(checks.OTHER_NAMESPACE, place, ("metadata", "namespace"), message)
        return item

    def _report_unknown(self, kind: str) -> None:
        report_unknown(kind, self._looked_at[kind], self.findings)
        self._looked_at[kind].clear()

    def _refuse(self, place: ObjectPlace, item: Any, check: Check, message: str) -> None:
        """Add an error about what is no object; where it is known what it is, that is said."""
        self._strangers, known = self._strangers + 1, None
        if self._strangers <= MAX_STRANGERS:
            known = strangers.document(item, place.source.file, place.source.data)
        self.findings.error(checks.NOT_MANIFESTS if known else check, place, (), known or message)

    def _skip(self, place: ObjectPlace, item: dict[str, Any], kind: str) -> None:
        """Count a kind that means nothing here; a known kind of no known version is an error."""
        version = item.get("apiVersion")
        if kind in API_VERSIONS and _is_same_group(kind, version):
            known = " or ".join(API_VERSIONS[kind])
            message = f"must be {known}" if version else f"is required: {known}"
            path = ("apiVersion",)
            label = label_of(kind, item.get("metadata"))
            labelled = ObjectPlace(place.source, place.document, place.path, label)
            self.findings.error(checks.API_VERSION, labelled, path, message)
            return
        if _is_list(kind) and item.get("items", ...) is not None:
            has = quote_value(item["items"]) if "items" in item else "nothing"
            message = f"must be the list of the objects, not {has}"
            self.findings.error(checks.TYPE, place, ("items",), message)
            return
        if (stranger := strangers.known_kind(kind, item)) is not None:
            self.findings.error(checks.NOT_MANIFESTS, place, (), stranger)
            return
        if (misplaced := strangers.configuration(kind, item)) is not None:
            self.findings.warning(checks.MISPLACED_CONFIGURATION, place, (), misplaced)
        self._warn_of_kind(place, item, kind)
        self._count(kind)

    def _count(self, kind: str) -> None:
        """Count an object that is passed over."""
        shown_kind = kind if kind.isalnum() and len(kind) <= MAX_KIND else quote_value(kind)
        if shown_kind not in self.skipped and len(self.skipped) >= MAX_KINDS:
            shown_kind = "of other kinds"
        self.skipped[shown_kind] = self.skipped.get(shown_kind, 0) + 1

    def _warn_of_kind(self, place: ObjectPlace, item: dict[str, Any], kind: str) -> None:
        """Warn of a kind that is passed over and looks like one that is read."""
        version = item.get("apiVersion")
        meant = meant_kind(kind, version if type(version) is str else "")
        if meant:
            label = label_of(kind, item.get("metadata"))
            ignored = ignored_checks(item.get("metadata"))
            labelled = ObjectPlace(place.source, place.document, place.path, label, ignored)
            path, hint = ("kind",), meant
            if kind == meant:
                path, hint = ("apiVersion",), " or ".join(API_VERSIONS[meant])
            message = f"names nothing that Kubernetes has: passed over; did you mean {hint}?"
            self.findings.warning(checks.UNKNOWN_KIND, labelled, path, message)


def _may_be_object(document: Any) -> bool:
    """Return whether a document has any of what objects, and lists of them, begin with."""
    return type(document) is dict and (
        not document.keys().isdisjoint(("apiVersion", "kind", "items"))
        or {"metadata", "spec"} <= document.keys()
    )


def _object_path(path: Path) -> Path:
    """Return the path of the object in a document that a path is in."""
    depth = 0
    while len(path) > depth + 1 and path[depth] == "items" and type(path[depth + 1]) is int:
        depth += 2
    return path[:depth]


@lru_cache(1000)
def is_passed_over(kind: str) -> bool:
    """Return whether objects of a kind mean nothing here, whatever they hold.

    One that looks like a kind that is read is none of these, nor what is no object: they are told.
    """
    return kind in WORKLOADS or has_no_part(kind)


@lru_cache(1000)
def has_no_part(kind: str) -> bool:
    """Return whether objects of a kind mean nothing where workloads do."""
    if kind.endswith("List") or kind in strangers.KINDS:
        return False
    return not nearest_of(kind, tuple(API_VERSIONS))


def members(document: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield a document, or the members of a list, with their paths in there.

    Those of a typed list need no kind.
    """
    items = _members_of(document)
    if items is None or len(path) > MAX_LISTS * 2:
        yield path, document
        return
    kind = document["kind"]
    defaults = {"kind": kind[:-4], "apiVersion": document.get("apiVersion")}
    for index, item in enumerate(items):
        at = (*path, "items", index)
        bare = type(item) is dict and kind != "List" and "kind" not in item
        member = {**defaults, **item} if bare else item
        if _members_of(member) is None:
            yield at, member
        else:
            yield from members(member, at)


def _members_of(document: Any) -> list[Any] | None:
    """Return the members of a list, None of anything else."""
    if type(document) is not dict:
        return None
    items = document.get("items")
    if type(items) is not list:
        return None
    kind = document.get("kind")
    return items if type(kind) is str and kind.endswith("List") else None


@lru_cache(256)
def meant_kind(kind: str, version: str) -> str:
    """Return the kind that is read and was meant by one that Kubernetes has not, else nothing.

    Nobody but Kubernetes itself has kinds in groups without a dot, or below ``k8s.io``; in others
    anybody may have a kind of any name.
    """
    group = version.rpartition("/")[0]
    if ("." in group and not group.endswith(".k8s.io")) or kind in ALIKE:
        return ""
    return kind if kind in API_VERSIONS else nearest_of(kind, tuple(API_VERSIONS))


def _is_list(kind: str) -> bool:
    """Return whether a kind is a list that may hold objects that are read."""
    return kind == "List" or (kind.endswith("List") and kind[:-4] in API_VERSIONS)


def _is_known(kind: str, version: Any) -> bool:
    known = kind in API_VERSIONS and version in API_VERSIONS[kind]
    return known or (kind in OLD_VERSIONS and version in OLD_VERSIONS[kind])


def _is_same_group(kind: str, version: Any) -> bool:
    """Return whether an API version is absent, no text, or another one of the kind's group."""
    if type(version) is not str or not version:
        return True
    group = API_VERSIONS[kind][0].rpartition("/")[0]
    return version.rpartition("/")[0] == group


def label_of(kind: str, metadata: Any) -> str:
    """Return what diagnostics call an object."""
    name = metadata.get("name") if type(metadata) is dict else None
    namespace = metadata.get("namespace") if type(metadata) is dict else None
    text = name if type(name) is str and name else "(no name)"
    if kind in CLUSTER_SCOPED:
        return f"{kind} {_bare(text)}"
    scope = namespace if type(namespace) is str and namespace else DEFAULT_NAMESPACE
    both = f"{scope}/{text}"
    return f"{kind} {both if _bare(both) is both else f'{_bare(scope)}/{_bare(text)}'}"


def object_key(item: ClusterObject) -> tuple[str, str, str]:
    """Return what no two objects of a cluster have in common: kind, namespace and name."""
    return type(item).__name__, getattr(item, "namespace", ""), item.name


def name_of(item: ClusterObject) -> str:
    """Return what diagnostics call an object that was read."""
    metadata = {"namespace": getattr(item, "namespace", ""), "name": item.name}
    return label_of(type(item).__name__, metadata)


def _bare(text: str) -> str:
    """Return text as :func:`quote_value` has it, without quotes; most names are so already."""
    is_plain = text.isascii() and text.isprintable() and not ("'" in text or "\\" in text)
    return text if is_plain and len(text) < MAX_BARE else quote_value(text)[1:-1]


def read_object(kind: str, document: Fields) -> ClusterObject:
    """Return the object of a known kind; its name is empty where it has no usable one."""
    metadata = document.mapping("metadata")
    name = read_name(metadata, NAME_KINDS.get(kind, "subdomain"))
    if kind in CLUSTER_SCOPED:
        if kind == "Node":
            return read_node(document, name)
        return read_service_cidr(document, name)
    namespace = read_namespace(metadata)
    if kind == "Service":
        return read_service(document, namespace, name)
    if kind == "EndpointSlice":
        return read_slice(document, namespace, name)
    if kind == "Pod":
        return read_pod(document, namespace, name)
    if kind == "Endpoints":
        return read_endpoints(document, namespace, name)
    return read_workload(document, kind, namespace, name)
