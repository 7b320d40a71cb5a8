"""What a fake API server keeps: objects, their versions, and what happened to them lately."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import islice
from operator import attrgetter
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

Object: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str]

PLURALS = {
    ("v1", "Service"): "services",
    ("v1", "Endpoints"): "endpoints",
    ("v1", "Node"): "nodes",
    ("v1", "Pod"): "pods",
    ("discovery.k8s.io/v1", "EndpointSlice"): "endpointslices",
    ("networking.k8s.io/v1", "ServiceCIDR"): "servicecidrs",
    ("networking.k8s.io/v1beta1", "ServiceCIDR"): "servicecidrs",
    ("networking.k8s.io/v1alpha1", "ServiceCIDR"): "servicecidrs",
}
CLUSTER_SCOPED = ("Node", "ServiceCIDR")


def path_of(api_version: str, kind: str) -> str:
    """Return the path at which a server lists a kind."""
    root = "/apis" if "/" in api_version else "/api"
    return f"{root}/{api_version}/{PLURALS[api_version, kind]}"


PATHS = {path_of(version, kind): (version, kind) for version, kind in PLURALS}


FIELDS = ("metadata.name", "metadata.namespace", "spec.clusterIP")
"""The fields that a selector may name; the last is one of Services alone."""


class SelectorError(ValueError):
    """A selector that the fake does not understand; a server answers 400."""


@frozen
class Selection:
    """The objects that a request's selectors take.

    Understood are ``key``, ``!key``, ``key=value`` and ``key!=value`` for labels, and
    for fields those of ``FIELDS`` with ``=`` and ``!=``.
    """

    labels: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Selection:
        """Return the selection that a request's parameters make."""
        labels = parameters.get("labelSelector", "")
        fields = parameters.get("fieldSelector", "")
        for term in filter(None, fields.split(",")):
            if term.partition("=")[0].removesuffix("!") not in FIELDS:
                raise SelectorError(term)
        if "(" in labels:
            raise SelectorError(labels)
        return cls(
            tuple(filter(None, labels.split(","))),
            tuple(filter(None, fields.split(","))),
        )

    def takes(self, item: Object | None) -> bool:
        """Return whether an object is there and selected."""
        if item is None:
            return False
        labels = item["metadata"].get("labels") or {}
        fields = {name: _field(item, name) for name in FIELDS} if self.fields else {}
        return all(_holds(term, labels) for term in self.labels) and all(
            _holds(term, fields) for term in self.fields
        )


def _field(item: Object, name: str) -> str:
    section, _, key = name.partition(".")
    value = (item.get(section) or {}).get(key, "")
    return value if type(value) is str else ""


def _holds(term: str, labels: Mapping[str, str]) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key) != value
    if "=" in term:
        key, _, value = term.partition("=")
        return labels.get(key) == value.removeprefix("=")
    return term[1:] not in labels if term.startswith("!") else term in labels


@frozen
class StoreEvent:
    """One thing that happened: what an object was before and is after, None if it is not."""

    version: int
    path: str
    before: Object | None
    after: Object | None

    def event(self, selection: Selection) -> Object | None:
        """Return what a watch with a selection is told of it, if anything."""
        was, now = selection.takes(self.before), selection.takes(self.after)
        if not was and not now:
            return None
        kind: Literal["ADDED", "MODIFIED", "DELETED"]
        kind = "DELETED" if not now else "MODIFIED" if was else "ADDED"
        item = self.after if now else self.before
        assert item is not None
        metadata = {**item["metadata"], "resourceVersion": str(self.version)}
        return {"type": kind, "object": {**item, "metadata": metadata}}


@frozen
class Backup:
    """A store as it was."""

    version: int
    objects: Mapping[str, Mapping[Key, Object]] = field(repr=False)


@define
class Store:
    """Objects by the path they are listed at, at a version that each change increases."""

    version: int = 100
    oldest: int = 100
    objects: dict[str, dict[Key, Object]] = field(factory=lambda: {path: {} for path in PATHS})
    history: list[StoreEvent] = field(factory=list)

    def put(self, manifest: Mapping[str, Any]) -> None:
        """Create or replace an object, whatever is in it beyond its kind and name."""
        item = copy.deepcopy(dict(manifest))
        kind, metadata = item["kind"], item["metadata"]
        if kind not in CLUSTER_SCOPED:
            metadata.setdefault("namespace", "default")
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        path = path_of(item["apiVersion"], kind)
        key = (metadata.get("namespace", ""), metadata["name"])
        self._change(path, key, item)

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete an object, which must be there."""
        key = ("" if kind in CLUSTER_SCOPED else namespace, name)
        for path, (_, own) in PATHS.items():
            if own == kind and key in self.objects[path]:
                self.version += 1
                self._change(path, key, None)
                return
        raise KeyError(f"{kind} {namespace}/{name}")

    def list_objects(self, path: str, selection: Selection) -> list[Object]:
        """Return the objects at a path in the order of a server, that of their names."""
        items = self.objects[path]
        return [items[key] for key in sorted(items) if selection.takes(items[key])]

    def since(self, version: int, path: str) -> Iterator[StoreEvent]:
        """Yield what happened at a path after a version."""
        first = bisect_right(self.history, version, key=attrgetter("version"))
        return (change for change in islice(self.history, first, None) if change.path == path)

    def compact(self, keep: int = 0) -> None:
        """Forget what happened but the last `keep` changes.

        Who comes with an older version is told 410.
        """
        kept = self.history[max(len(self.history) - keep, 0) :]
        self.oldest = kept[0].version - 1 if kept else self.version
        self.history = kept

    def backup(self) -> Backup:
        """Return what there is now."""
        return Backup(self.version, {path: dict(items) for path, items in self.objects.items()})

    def restore(self, backup: Backup) -> None:
        """Go back in time."""
        self.version = self.oldest = backup.version
        self.objects = {path: dict(items) for path, items in backup.objects.items()}
        self.history.clear()

    def _change(self, path: str, key: Key, item: Object | None) -> None:
        items = self.objects[path]
        before = items.pop(key, None)
        if item is not None:
            items[key] = item
        self.history.append(StoreEvent(self.version, path, before, item))
