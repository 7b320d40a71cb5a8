"""What a graph means in mode userspace: a proxy makes the connections that endpoints see."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.graph.evaluate import FrontendEntry, entries
from svcnet.meaning.comparison.intent import Dialect, Heading, Intent
from svcnet.meaning.sources import Sources
from svcnet.meaning.spans import text_of
from svcnet.renderers.userspace import why_not


class UserspaceDialect(Dialect):
    """Mode userspace.

    - Endpoints see an address of the node in every case.
    - What the node itself sends to an external IP that no interface of its has goes out.
    - Addresses that do not answer node ports refuse none of them either.
    - What the proxy cannot carry is no Service's.
    """

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets, None for those that are no Service's."""
        address = text_of(target.address, self.settings.family)
        goes_out = target.is_node and not self.settings.is_node_address(address)
        for each in entries(self.graph, address, target.protocol.upper(), target.port):
            is_left = goes_out and each.dispatch.frontend == "external-ip"
            if not is_left and why_not(each.fragment) is None:
                return each
        return None

    def is_left_out(self, target: Heading, entry: FrontendEntry) -> bool:
        """Return whether a node port is refused where none is served."""
        address = text_of(target.address, self.settings.family)
        where = (address, target.protocol.upper(), target.port)
        return where not in self.graph.frontends and not self.settings.answers_node_ports(address)

    def visit(
        self, entry: FrontendEntry, target: Heading, sources: Sources, mask: int
    ) -> Iterator[Intent]:
        """Yield how packets of some senders end that a frontend takes."""
        for each in super().visit(entry, target, sources, mask):
            if each.ending[0] == "deliver":
                yield each._replace(ending=(*each.ending[:3], "node"))
            else:
                yield each
