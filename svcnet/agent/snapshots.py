"""From input to what a loop follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.inputs import Inputs
    from svcnet.models import Host, IPFamily, KubeProxyConfiguration, Node
    from svcnet.reconciler import Snapshot


class Snapshots:
    """Makes snapshots; views of the node are made anew only when something of them may differ.

    ``host`` are facts of this machine that are newer than those of the input.
    """

    def __init__(self, families: list[IPFamily]) -> None:
        self._families = families
        self._made: tuple[_ViewSource, Mapping[str, NodeView]] | None = None
        self.host: Host | None = None

    def of(self, inputs: Inputs) -> Snapshot:
        from svcnet.reconciler import Snapshot

        return Snapshot(inputs.state, self._views(self._on_host(inputs)), inputs.left_out)

    def would_differ(self, inputs: Inputs) -> bool:
        """Whether views have to be made anew."""
        return self._made is None or not self._made[0].is_of(self._on_host(inputs))

    def _on_host(self, inputs: Inputs) -> Inputs:
        return inputs if self.host is None else evolve(inputs, host=self.host)

    def _views(self, inputs: Inputs) -> Mapping[str, NodeView]:
        if self._made is not None and self._made[0].is_of(inputs):
            return self._made[1]
        views: dict[str, NodeView] = {
            family: inputs.view(family.lower()) for family in self._families
        }
        self._made = _ViewSource(inputs.state.nodes, inputs.config, inputs.host), views
        return views


@frozen
class _ViewSource:
    """What the node's views are made of; of the rest of the input nothing is kept for them."""

    nodes: Mapping[str, Node]
    config: KubeProxyConfiguration
    host: Host | None

    def is_of(self, inputs: Inputs) -> bool:
        """Whether the views of an input must be the same."""
        nodes = self.nodes is inputs.state.nodes
        return nodes and self.config is inputs.config and self.host == inputs.host
