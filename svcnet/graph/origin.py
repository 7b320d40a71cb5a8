"""What in the input caused a part of the graph: an object, and the field of it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Origin(NamedTuple):
    """A field of an object: ``path`` is like ``spec.ports[0].nodePort``."""

    kind: str
    namespace: str
    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}: {self.path}"

    def to_dict(self) -> dict[str, str]:
        """Return the origin for JSON: ``kind``, ``namespace``, ``name`` and ``path``."""
        return self._asdict()


class SliceSource(NamedTuple):
    """The endpoints of an EndpointSlice, which stand there one after the other."""

    namespace: str
    name: str

    def origin(self, index: int) -> Origin:
        """Return where the endpoint is that has this index."""
        path = f"endpoints[{index}].addresses[0]"
        return Origin("EndpointSlice", self.namespace, self.name, path)


class OriginList(NamedTuple):
    """Endpoints in a slice that no input has: each comes from a place of its own."""

    origins: tuple[Origin, ...]

    def origin(self, index: int) -> Origin:
        """Return what the endpoint with this index was made of."""
        return self.origins[index]


EndpointSource: TypeAlias = SliceSource | OriginList
"""Where endpoints come from. One of them is found by its index, so that each carries no path."""
