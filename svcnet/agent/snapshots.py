"""From input to what a loop follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.inputs import Inputs
    from svcnet.models import Host, IPFamily
    from svcnet.reconciler import Snapshot


class Snapshots:
    """Makes snapshots; views of the node are made anew only when something of them may differ.

    ``host`` are facts of this machine that are newer than those of the input.
    """

    def __init__(self, families: list[IPFamily]) -> None:
        self._families = families
        self._made: tuple[Inputs, Mapping[str, NodeView]] | None = None
        self.host: Host | None = None

    def of(self, inputs: Inputs) -> Snapshot:
        from svcnet.reconciler import Snapshot

        return Snapshot(inputs.state, self._views(self._on_host(inputs)), inputs.left_out)

    def would_differ(self, inputs: Inputs) -> bool:
        """Whether views have to be made anew."""
        return self._made is None or not _seen_alike(self._made[0], self._on_host(inputs))

    def _on_host(self, inputs: Inputs) -> Inputs:
        return inputs if self.host is None else evolve(inputs, host=self.host)

    def _views(self, inputs: Inputs) -> Mapping[str, NodeView]:
        if self._made is not None and _seen_alike(self._made[0], inputs):
            return self._made[1]
        views: dict[str, NodeView] = {
            family: inputs.view(family.lower()) for family in self._families
        }
        self._made = inputs, views
        return views


def _seen_alike(one: Inputs, other: Inputs) -> bool:
    """Whether the node's views of two inputs must be the same."""
    nodes = one.state.nodes is other.state.nodes
    return nodes and one.config is other.config and one.host == other.host
