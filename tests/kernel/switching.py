"""From one mode to another on the small cluster's node, while a client goes on connecting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from attrs import define

from svcnet.compiler import compile_state, node_view
from svcnet.executors import ipvs
from svcnet.executors.iptables import Variant
from svcnet.executors.iptables.commands import VARIANTS
from svcnet.executors.nftables import cleanup, table_of
from svcnet.family import IP_FAMILIES
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, IPFamily
from svcnet.modes import SyncResult
from svcnet.netfilter import parse_save
from svcnet.netfilter.nft import read_listing
from svcnet.reconciler import Keeper, remove_leftovers
from svcnet.testing import make_node
from tests.kernel.applying import order_free, tool
from tests.kernel.keepers import executor_of
from tests.kernel.machines import nft_lines
from tests.kernel.netns import CLIENT, CLUSTER_IP, HOST, NODE, Cluster
from tests.kernel.scenarios import ALL, load_balancer, slices
from tests.kernel.ways import Tables, UserspaceRules

FIREWALL = "KUBE-FIREWALL"


def graph_of(family: IPFamily) -> RuleGraph:
    """Return a Service of every kind of address, with an endpoint in three places."""
    objects = (load_balancer(), *slices(*ALL), make_node("node-a", NODE.v4, NODE.v6))
    state = ClusterState.of(objects)
    return compile_state(state, node_view(state, None, HOST, node="node-a", family=family))


@define
class Switch:
    """A node that one mode serves after another.

    ``variants`` are those of iptables that the kernel has, and ``everything`` tells what there
    is beside iptables rules. ``found`` is what the mode that serves found before it wrote.
    """

    cluster: Cluster
    family: IPFamily
    variants: tuple[Variant, ...] = VARIANTS
    everything: Callable[[], str] = str
    found: object = None

    def state(self) -> dict[str, object]:
        """Return all that a mode could have put there, but for sysctls and KUBE-FIREWALL.

        Jumps that two modes share are where the first one put them.
        """
        found: dict[str, object] = {}
        for variant in self.variants:
            saved = self.cluster.run("node", f"{tool(variant, self.family)}-save")
            lines = [line for line in saved.splitlines() if FIREWALL not in line]
            found[variant] = {
                table: {
                    chain: rules if chain.startswith("KUBE-") else sorted(rules)
                    for chain, rules in chains.items()
                }
                for table, chains in order_free(parse_save("\n".join(lines))).items()
            }
        listing = self.cluster.run("node", "nft", "--stateless", "list", "ruleset")
        table = table_of(self.family, "kube-proxy")
        there = read_listing(listing).table(*table)
        found["nftables"] = [] if there is None else nft_lines(there)
        with self.cluster.visiting("node"):
            found["everything"] = [
                line for line in self.everything().splitlines() if FIREWALL not in line
            ]
        return found

    @contextmanager
    def served(self, mode: str, variant: Variant) -> Iterator[None]:
        """Put a mode's rules on the node; a proxy ends with the context, and its rules stay."""
        self.found = None
        if mode == "userspace":
            rules = UserspaceRules(Tables(self.cluster, self.family, variant))
            rules.put(graph_of(self.family))
            try:
                yield
            finally:
                rules.stop()
            return
        target = Keeper(executor_of(mode, variant).adapter(self.family))
        done: list[SyncResult] = []
        self.cluster.inside("node", lambda: done.append(target.whole(graph_of(self.family))))
        self.found = done[0].found
        yield

    def remove_leftovers(
        self, mode: str, variant: Variant | None, found: object = None
    ) -> tuple[str, ...]:
        lines: list[str] = []
        self.cluster.inside(
            "node",
            lambda: lines.extend(remove_leftovers(executor_of(mode, variant), self.family, found)),
        )
        return tuple(lines)

    def ask(self, count: int = 5) -> set[tuple[str, ...]]:
        """Open connections to the Service, and return how they went and who answered, if any."""
        answers = self.cluster.agents["client"](
            "attempt",
            count=count,
            sequential=True,
            protocol="TCP",
            timeout=5.0,
            source=CLIENT.of(self.family),
            destination=CLUSTER_IP.of(self.family),
            port=80,
        )
        return {tuple(answer[:2]) for answer in answers}

    def clear(self) -> None:
        """Leave nothing of any mode."""
        for family in IP_FAMILIES:
            self.cluster.inside("node", partial(ipvs.cleanup, family))
            self.cluster.inside("node", partial(cleanup, table_of(family, "kube-proxy")))
        for variant in self.variants:
            Tables(self.cluster, self.family, variant).flush()


def check_switch(switch: Switch, before: tuple[str, Variant], after: tuple[str, Variant]) -> None:
    """Switch modes under load: every connection is served, and only the new mode is left."""
    served = {("reply", name) for name in ALL}
    # The cluster is that of other tests as well.
    switch.clear()
    try:
        with switch.served(*after):
            clean = switch.state()
        switch.clear()
        answers: set[tuple[str, ...]] = set()
        with switch.served(*before), ThreadPoolExecutor(1) as pool:
            assert switch.ask() <= served
            over: list[bool] = []
            rounds: list[int] = []

            def load() -> None:
                while not over:
                    answers.update(switch.ask())
                    rounds.append(len(rounds))

            loading = pool.submit(load)
            try:
                with switch.served(*after):
                    # A connection that the mode before began may end with it.
                    begun = len(rounds)
                    while len(rounds) < begun + 2 and not loading.done():
                        time.sleep(0.01)
                    switch.remove_leftovers(*after, switch.found)
                    assert switch.state() == clean
                    assert switch.remove_leftovers(*after) == ()
                    over.append(True)
                    loading.result()
                    assert switch.ask() <= served
            finally:
                over.append(True)
        assert answers
        assert answers <= served
        assert switch.state() == clean
    finally:
        switch.clear()
