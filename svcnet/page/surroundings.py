"""What all Services of a page have in common: places of fields, their text, names of Pods."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from svcnet.errors import one_line
from svcnet.graph import Origin, SliceSource, Translate
from svcnet.meaning.explanation.explanation import Excerpt, SourcePlace, no_excerpt
from svcnet.models import ClusterState, NamespacedName


@frozen
class Surroundings:
    """Where the fields of objects are, and what is written there."""

    state: ClusterState = field(repr=False)
    places: Mapping[Origin, SourcePlace | None] = field(repr=False)
    excerpt: Excerpt = no_excerpt

    def place(self, origin: Origin) -> tuple[object, ...]:
        """Return a field as a page tells of it: object, path, file, line, lines around it."""
        found = self.places.get(origin)
        owner = f"{origin.kind} {origin.namespace}/{origin.name}"
        if found is None:
            return (owner, origin.path, "", 0, ())
        lines = self.excerpt(found) if found.line else ()
        shown = tuple([(number, one_line(text.expandtabs())) for number, text in lines])
        return (owner, origin.path, one_line(found.file), found.line, shown)

    def owner(self, endpoint: Translate) -> str:
        """Return the Pod behind an endpoint and its node, as far as they are told."""
        source = endpoint.source
        if not isinstance(source, SliceSource):
            origin = source.origin(endpoint.position)
            return origin.name if origin.kind == "Pod" else ""
        name = NamespacedName(source.namespace, source.name)
        group = self.state.slices.get(self.state.slice_owners.get(name, name))
        item = None if group is None else group.get(source.name)
        if item is None or endpoint.position >= len(item.endpoints):
            return ""
        found = item.endpoints[endpoint.position]
        pod = "" if found.target_ref is None else found.target_ref.name
        return ", ".join(part for part in (pod, found.node_name) if part)
