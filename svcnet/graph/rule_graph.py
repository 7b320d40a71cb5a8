"""The rule graph of one node and one IP family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from attrs import field, frozen
from immutables import Map

from svcnet.brief import Brief
from svcnet.graph.fragment import Fragment, FragmentName
from svcnet.graph.nodes import Dispatch, Masquerade
from svcnet.graph.settings import NodeSettings

LARGE_CLUSTER_ENDPOINTS = 1000


@frozen(repr=False)
class RuleGraph(Brief):
    """What a node should do with packets of one IP family.

    ``fragments`` is persistent: a graph made from another shares every fragment that
    did not change. Two graphs are equal when their settings and fragments are.
    ``endpoint_count`` is the sum of the fragments'. ``left_out`` are the Services that have no
    fragments because they ask too much of a node, by namespace and name, and what is wrong with
    them; ``entry_count`` is what all others ask, those that are one too many included.
    """

    settings: NodeSettings
    fragments: Map[FragmentName, Fragment] = Map()
    endpoint_count: int = field(default=0, eq=False)
    left_out: Map[tuple[str, str], str] = field(default=Map(), eq=False)
    entry_count: int = field(default=0, eq=False)

    @property
    def is_large(self) -> bool:
        """Whether renderers leave out what only helps people read (kube-proxy's bound)."""
        return self.endpoint_count > LARGE_CLUSTER_ENDPOINTS

    def __iter__(self) -> Iterator[Fragment]:
        """Yield the fragments in the order of their names, whatever order they came in."""
        fragments = self.fragments
        for name in sorted(fragments):
            yield fragments[name]

    @cached_property
    def frontends(self) -> Mapping[tuple[str, str, int], tuple[tuple[Fragment, Dispatch], ...]]:
        """Every dispatch by (address, protocol, port), in the fragments' order."""
        index: dict[tuple[str, str, int], list[tuple[Fragment, Dispatch]]] = {}
        for fragment in self:
            for dispatch in fragment.dispatches:
                key = (dispatch.address, fragment.name.protocol, dispatch.port)
                index.setdefault(key, []).append((fragment, dispatch))
        return {key: tuple(found) for key, found in index.items()}

    @cached_property
    def cluster_ips(self) -> Mapping[str, Masquerade]:
        """Every cluster IP, and whose source is hidden in packets for it."""
        return {
            dispatch.address: dispatch.masquerade
            for fragment in self
            for dispatch in fragment.dispatches
            if dispatch.frontend == "cluster-ip"
        }

    @cached_property
    def health_checks(self) -> frozenset[int]:
        """The ports that the node itself answers, for who asks whether it serves a Service."""
        checks = (fragment.health_check for fragment in self)
        return frozenset(check.port for check in checks if check is not None)
