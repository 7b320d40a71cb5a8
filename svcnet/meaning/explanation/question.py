"""What a packet is asked about: the objects, the node, and the mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

from attrs import evolve, field, frozen
from immutables import Map

from svcnet.compiler import NodeView, compile_state, recompile
from svcnet.graph import Fragment, FragmentName, Origin, Packet, RuleGraph
from svcnet.meaning.explanation.account import Account
from svcnet.meaning.explanation.explanation import Excerpt, Locate, no_excerpt, nowhere
from svcnet.models import ClusterState, NamespacedName


class Accountant(Protocol):
    """A mode, as far as packets go: what it makes of a graph, and what that does with one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def forms(self) -> Mapping[str, Any]:
        """How what it makes is printed; ``text`` is among them."""

    def full(self, graph: RuleGraph, settings: Any = None) -> Any:
        """Return what it makes of a graph."""

    def layouts(self, settings: Any) -> Iterable[Any]:
        """Yield settings for what means the same, in other words than with the given ones."""

    def account(self, artifact: Any, graph: RuleGraph, packet: Packet) -> Account:
        """Return what becomes of a packet."""

    def origin_of_line(self, artifact: Any, line: str) -> Origin | None:
        """Return what caused a line of what it makes."""

    def service_port_of_line(self, artifact: Any, line: str) -> FragmentName | None:
        """Return the service port that such a line is for."""


@frozen
class Question:
    """Objects as one node sees them, in a mode whose settings are ``settings``.

    ``locate`` says where fields of the objects are, and ``excerpt`` what is written there.
    ``view_of`` returns another node's view, by the node's name; without it no other node is thought
    of. ``graph`` is that of the objects.
    """

    state: ClusterState = field(repr=False)
    view: NodeView
    mode: Accountant
    settings: Any = None
    locate: Locate = field(default=nowhere, repr=False)
    excerpt: Excerpt = field(default=no_excerpt, repr=False)
    view_of: Callable[[str], NodeView] | None = field(default=None, repr=False)
    graph: RuleGraph = field(repr=False, kw_only=True)

    @graph.default
    def _compile_graph(self) -> RuleGraph:
        return compile_state(self.state, self.view)

    @property
    def node(self) -> str:
        """The name of the node, empty if it has none."""
        return self.view.settings.node_name

    def account(self, packet: Packet) -> Account:
        """Return what becomes of a packet."""
        return self.mode.account(self._artifact, self.graph, packet)

    def text(self, form: str = "text", **given: object) -> str:
        """Return what the mode makes in a form; `given` are values of the mode's options."""
        text: str = self.mode.forms[form].full(self._artifact, given).text
        return text

    def texts(self) -> Iterator[str]:
        """Yield what the mode makes as text, in each of its layouts."""
        for artifact in self._layouts():
            yield self.mode.forms["text"].full(artifact, {}).text

    def origin_of_line(self, line: str) -> Origin | None:
        """Return what caused a line of what the mode makes, None for what no Service caused.

        It may be a line of any layout: a machine may have another than the one that is asked for.
        """
        found = (self.mode.origin_of_line(each, line) for each in self._layouts())
        return next(filter(None, found), None)

    def service_port_of_line(self, line: str) -> FragmentName | None:
        """Return the service port that such a line is for, None where that is not told."""
        found = (self.mode.service_port_of_line(each, line) for each in self._layouts())
        return next(filter(None, found), None)

    def _layouts(self) -> Iterator[Any]:
        """Yield what the mode makes, and what it would make in other layouts."""
        yield self._artifact
        yield from self._others

    @cached_property
    def _others(self) -> list[Any]:
        return [self.mode.full(self.graph, each) for each in self.mode.layouts(self.settings)]

    @cached_property
    def _artifact(self) -> Any:
        return self.mode.full(self.graph, self.settings)

    def briefly(self, packet: Packet) -> Account:
        """Return the same, of which the ends count: only what has a say in them is written."""
        fragments = {f.name: f for f in self.graph if _has_a_say(f, packet)}
        graph = evolve(self.graph, fragments=Map(fragments))
        return self.mode.account(self.mode.full(graph, self.settings), graph, packet)

    def with_state(self, state: ClusterState, touched: Iterable[NamespacedName]) -> Question:
        """Return the same for other objects; `touched` are the Services whose objects differ."""
        graph, _ = recompile(self.graph, self.state, state, self.view, touched)
        return evolve(self, state=state, graph=graph)

    def seen_by(self, view: NodeView) -> Question:
        """Return the same as another node sees it, or this one with other settings."""
        return evolve(self, view=view, graph=compile_state(self.state, view))


def _has_a_say(fragment: Fragment, packet: Packet) -> bool:
    """Return whether a service port may matter to a packet: by where it goes, or by who sends it.

    A mode may know of endpoints what any Service says of them.
    """
    check = fragment.health_check
    return (
        any(
            dispatch.address == packet.destination
            or (not dispatch.address and dispatch.port == packet.port)
            or dispatch.address == packet.source
            for dispatch in fragment.dispatches
        )
        or (check is not None and check.port == packet.port)
        or any(each.address == packet.source for each in fragment.translates)
    )
