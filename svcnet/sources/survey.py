"""What manifests hold although some of it is wrong, for who wants to hear of all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from attrs import define, field

from svcnet import checks
from svcnet.checks import Check
from svcnet.errors import Diagnostic
from svcnet.labels import IGNORE_ANNOTATION
from svcnet.models import Service
from svcnet.models.state import ClusterObject
from svcnet.sources.findings import FieldFinding, Findings, ObjectPlace, Path

Located = tuple[ClusterObject, ObjectPlace]
Remark = tuple[Check, ClusterObject, Path, str]

NO_OBJECTS = frozenset((checks.NO_MAPPING, checks.NO_KIND, checks.NOT_MANIFESTS))
"""Errors about what is no object at all, so that no other lacks it."""

BETWEEN = frozenset((checks.CLUSTER_IP_CONFLICT, checks.NODE_PORT_CONFLICT, checks.FAMILY_POLICY))
"""Errors of objects that are read as they are written all the same."""


@define
class Survey:
    """Findings about objects, to which rules add theirs; ``located`` are those to be believed."""

    located: Sequence[Located]
    doubtful: int
    _findings: Findings
    _places: dict[int, ObjectPlace] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._places = {id(item): place for item, place in self.located}

    def add(self, remarks: Iterable[Remark]) -> None:
        """Add remarks about objects; one about an object that is not to be believed is dropped.

        A remark is a check, an object, the path of a field in it, and what to say of it.
        """
        for check, item, path, message in remarks:
            place = self._places.get(id(item))
            if place is not None:
                self._findings.warning(check, place, path, message)

    def warn_of_unused_ignores(self, is_looked_for: Callable[[Check], bool]) -> None:
        """Add a warning for each check that an object has ignored, and that is not found there.

        Of checks that nobody looked for, nothing is said.
        """
        for _, place in self.located:
            heeded = self._findings.ignored.get(id(place), set())
            for check in sorted(place.ignored - heeded):
                if check is not checks.UNUSED_IGNORE and is_looked_for(check):
                    message = f"ignores {check}, which is not found here"
                    path = ("metadata", "annotations", IGNORE_ANNOTATION)
                    self._findings.warning(checks.UNUSED_IGNORE, place, path, message)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return all findings, errors among them, in the order of files and lines."""
        return self._findings.diagnostics()


def list_believable(located: Sequence[Located], findings: Findings) -> list[Located]:
    """Return the objects that are surely as they were read, and have all that is about them.

    Of a wrong Service others know the name, and nothing more. What a wrong object of another kind
    would have been, any other of its namespace may ask; of a Node, any other at all.
    """
    wrong = list(_wrong(findings.found))
    if not wrong:
        return list(located)
    known = {id(place): item for item, place in located}
    alone, namespaces = set(), set()
    for finding in wrong:
        item = known.get(id(finding.place))
        namespace = getattr(item, "namespace", "")
        if not namespace:
            return []
        if isinstance(item, Service):
            alone.add((namespace, item.name))
        else:
            namespaces.add(namespace)
    return list(_apart_from(located, alone, namespaces))


def _wrong(found: Iterable[FieldFinding]) -> Iterator[FieldFinding]:
    return (
        each
        for each in found
        if each.severity == "error" and each.check not in BETWEEN | NO_OBJECTS
    )


def _apart_from(
    located: Iterable[Located], services: Collection[tuple[str, str]], namespaces: Collection[str]
) -> Iterator[Located]:
    for item, place in located:
        namespace = getattr(item, "namespace", "")
        is_wrong = isinstance(item, Service) and (namespace, item.name) in services
        if namespace not in namespaces and not is_wrong:
            yield item, place
