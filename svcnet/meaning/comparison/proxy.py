"""What a graph means in mode userspace: a proxy makes the connections that endpoints see."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.graph.evaluate import FrontendEntry
from svcnet.meaning.claims import proxy_entry
from svcnet.meaning.comparison.intent import Heading, Intent, OneClaimDialect
from svcnet.meaning.sources import Sources


class UserspaceDialect(OneClaimDialect):
    """Mode userspace.

    - Endpoints see an address of the node in every case.
    - What the node itself sends to an external IP that no interface of its has goes out.
    - Addresses that do not answer node ports refuse none of them either.
    - What the proxy cannot carry is no Service's.
    """

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets, None for those that are no Service's."""
        return proxy_entry(self.graph, *self.where(target), is_of_node=target.is_node)

    def is_left_out(self, target: Heading, entry: FrontendEntry) -> bool:
        """Return whether a node port is refused where none is served."""
        where = self.where(target)
        return where not in self.graph.frontends and not self.settings.answers_node_ports(where[0])

    def visit(
        self, entry: FrontendEntry, target: Heading, sources: Sources, mask: int
    ) -> Iterator[Intent]:
        """Yield how packets of some senders end that a frontend takes."""
        for each in super().visit(entry, target, sources, mask):
            if each.ending[0] == "deliver":
                yield each._replace(ending=(*each.ending[:3], "node"))
            else:
                yield each
