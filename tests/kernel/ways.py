"""The ways to put rules on the small cluster's node, one a mode and kernel tool.

Iptables mode is loaded with the standard tools, the others with svcnet's executors; all
follow a change by the delta alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol

from attrs import define, field, frozen

from svcnet.executors import ipvs as executor
from svcnet.executors.commits import Commits
from svcnet.executors.iptables import Variant, concerns
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import GraphDiff, NodeSettings, RuleGraph
from svcnet.meaning import Facts, MachineRules
from svcnet.meaning import iptables as xtables
from svcnet.meaning import nftables as nft
from svcnet.meaning.dump import read_dump
from svcnet.models import IPFamily
from svcnet.modes.nftables import NFTABLES
from svcnet.modes.userspace.adapter import UserspaceAdapter
from svcnet.reconciler import Keeper
from svcnet.renderers import iptables, ipvs, userspace
from svcnet.renderers.ipvs import IPVSTables
from svcnet.servers.userspace import NodeProxy
from tests.kernel.netns import Cluster
from tests.kernel.scenarios import Mode, Scenario

EMPTY_TABLES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
COMMIT
"""

SPLIT = iptables.Layout("flat", 1)
"""The flat layout, in which already two Services make a tree."""


class Rules(Protocol):
    """The rules of the node in one family."""

    def put(self, graph: RuleGraph) -> None:
        """Load everything that `graph` means, on a node that has nothing."""

    def follow(self, diff: GraphDiff) -> None:
        """Load what changed."""

    def close(self, ports: Sequence[int]) -> None:
        """Add rules of the host's own, behind those of Services, that close TCP ports."""

    def flush(self) -> None:
        """Leave the node with nothing again."""

    def read(self, facts: Facts) -> MachineRules:
        """Return the rules that there are, as tools print them."""


@frozen
class Tables:
    """The iptables of the node, in one family and one variant."""

    cluster: Cluster
    family: IPFamily
    variant: Variant

    @property
    def tool(self) -> str:
        """The name of the command of this family and variant."""
        tool = "iptables" if self.family == "IPv4" else "ip6tables"
        return f"{tool}-{self.variant}"

    def restore(self, text: str, *options: str) -> None:
        self.cluster.run("node", f"{self.tool}-restore", *options, "--wait", "10", stdin=text)

    def close(self, ports: Sequence[int]) -> None:
        self.restore(f"*filter\n{closing_lines('-A', ports)}COMMIT\n", "--noflush")

    def read(self, facts: Facts) -> MachineRules:
        return xtables.read(self.cluster.run("node", f"{self.tool}-save"), facts)

    def flush(self) -> None:
        self.restore(EMPTY_TABLES)
        self.route_localnet(0)

    def route_localnet(self, value: int) -> None:
        setting = f"net.ipv4.conf.all.route_localnet={value}"
        self.cluster.run("node", "sysctl", "-qw", setting)


def closing_lines(verb: str, ports: Sequence[int]) -> str:
    """Return the rules that close TCP ports for new connections; a range takes one."""
    spans = [f"{ports[0]}:{ports[-1]}"] if isinstance(ports, range) else ports
    match = "-m state --state NEW -p tcp --dport"
    return "".join(f"{verb} INPUT {match} {span} -j DROP\n" for span in spans)


@frozen
class IPTablesRules(Tables):
    """iptables mode; node ports on 127.0.0.1 take a setting, which its executor turns on."""

    layout: iptables.Layout = iptables.KUBE_PROXY

    def put(self, graph: RuleGraph) -> None:
        self.route_localnet(1)
        self.restore(iptables.full(graph, layout=self.layout).text_with_jumps, "--noflush")

    def follow(self, diff: GraphDiff) -> None:
        forest = iptables.full(diff.old, layout=self.layout).forest
        self.restore(iptables.delta(diff, forest, self.layout).text, "--noflush")


@define
class NFTablesRules:
    """Mode nftables, put on the node by svcnet's own executor."""

    tables: Tables
    layout: str = "kube-proxy"
    keeper: Keeper = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = NFTABLES.settings(given={"layout": self.layout})
        executor = NFTABLES.executor(settings=settings)
        self.keeper = Keeper(executor.adapter(self.tables.family))

    def put(self, graph: RuleGraph) -> None:
        self.tables.cluster.inside("node", lambda: self.keeper.whole(graph))

    def follow(self, diff: GraphDiff) -> None:
        self.tables.cluster.inside("node", lambda: self.keeper.step(diff.new, None))

    def close(self, ports: Sequence[int]) -> None:
        self.tables.close(ports)

    def read(self, facts: Facts) -> MachineRules:
        return nft.read(self.tables.cluster.run("node", "nft", "list", "ruleset"), facts)

    def flush(self) -> None:
        for part in NFTABLES.executor().cleanup(self.tables.family):
            self.tables.cluster.inside("node", part)
        self.tables.flush()


@define
class IPVSRules:
    """IPVS mode, put on the node by svcnet's own executor.

    Between scenarios its sets and chains stay, without anything of a Service.
    """

    tables: Tables
    state: IPVSTables | None = None
    closing: str = ""

    def put(self, graph: RuleGraph) -> None:
        self.state = ipvs.full(graph)
        self.apply(self.state)
        self.wait_for_routes()

    def follow(self, diff: GraphDiff) -> None:
        assert self.state is not None
        self.state, step = ipvs.advance(self.state, diff)

        def apply_step() -> None:
            with executor.IPVS() as socket:
                executor.apply_step(step, socket, variant="legacy")

        self.tables.cluster.inside("node", apply_step)
        self.wait_for_routes()

    def wait_for_routes(self) -> None:
        """Wait until packets for IPv6 addresses of the device are the node's own.

        The kernel makes these routes a moment later, in a work queue (net/ipv6/addrconf.c).
        """
        assert self.state is not None
        wanted = {f"local {address}" for address in self.state.addresses if ":" in address}
        until = time.monotonic() + 5
        while wanted and time.monotonic() < until:
            routes = ("ip", "-6", "route", "show", "table", "local")
            printed = self.tables.cluster.run("node", *routes)
            wanted = {each for each in wanted if f"{each} " not in printed}

    def close(self, ports: Sequence[int]) -> None:
        self.closing = closing_lines("-A", ports)
        self.tables.restore(f"*filter\n{self.closing}COMMIT\n", "--noflush")

    def flush(self) -> None:
        if self.closing:
            opening = self.closing.replace("-A", "-D")
            self.tables.restore(f"*filter\n{opening}COMMIT\n", "--noflush")
        if self.state is not None:
            nothing = RuleGraph(NodeSettings(family=self.tables.family))
            self.apply(ipvs.full(nothing))

    def read(self, facts: Facts) -> MachineRules:
        commands = (f"{self.tables.tool}-save", "ipset save", "ipvsadm -Sn", "ip -j addr")
        # One process: the guest is slow to start them.
        script = "; echo ----; ".join(("set -e", *commands))
        printed = self.tables.cluster.run("node", "sh", "-c", script).split("----\n")
        dump = read_dump(zip(commands, printed[1:], strict=True))
        return dump.rules("ipvs", self.tables.family, facts)

    def apply(self, tables: IPVSTables) -> None:
        self.tables.cluster.inside("node", lambda: executor.apply(tables, variant="legacy"))


@define
class UserspaceRules:
    """Userspace mode: svcnet's own proxy serves on the node, from a thread that moved there."""

    tables: Tables
    pool: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(1))
    node: NodeProxy | None = None
    target: Keeper | None = None
    serving: Future[None] | None = None

    def put(self, graph: RuleGraph) -> None:
        family = self.tables.family
        self.node = node = NodeProxy([userspace.full(RuleGraph(graph.settings))])
        self.serving = self.pool.submit(self.tables.cluster.inside, "node", node.serve)
        self.target = target = Keeper(
            UserspaceAdapter(
                node.proxies[family],
                userspace.PortChoice(),
                variant=self.tables.variant,
                commits=Commits(THIS_MACHINE, concerns),
            )
        )
        self.tables.cluster.inside("node", lambda: target.whole(graph))

    def follow(self, diff: GraphDiff) -> None:
        target = self.target
        assert target is not None
        self.tables.cluster.inside("node", lambda: target.step(diff.new, None))

    def close(self, ports: Sequence[int]) -> None:
        self.tables.close(ports)

    def read(self, facts: Facts) -> MachineRules:
        assert self.node is not None
        cluster, tool = self.tables.cluster, self.tables.tool
        dump = read_dump(
            (
                ("the rules", cluster.run("node", f"{tool}-save")),
                ("the table", "".join(map(userspace.document, self.node.tables))),
                ("the addresses", cluster.run("node", "ip", "-j", "addr")),
            )
        )
        return dump.rules("userspace", self.tables.family, facts)

    def stop(self) -> None:
        """Stop the proxy; its rules stay."""
        try:
            if self.node is not None and self.serving is not None:
                self.node.stop(0)
                self.serving.result()
        finally:
            self.pool.shutdown()

    def flush(self) -> None:
        """Stop the proxy, and remove what there is."""
        try:
            self.stop()
        finally:
            self.tables.flush()


@frozen
class Way:
    """How a scenario's rules come on the node.

    ``tries`` are how many a probe sends where one of several endpoints is chosen, and
    ``takes_turns`` is whether they are chosen in turn or by chance. ``brief`` and
    ``patient`` are the seconds to wait where no answer is expected, and where one is.
    ``protocols`` are those that the kernel is sure to have. With ``hides_sources``
    endpoints see an address of the node's in every case: the difference `HIDDEN_SOURCE`. ``only``
    are the names and families of scenarios that are played, where not all are.
    """

    name: str
    mode: Mode
    tries: int
    brief: float
    patient: float
    rules: Callable[[Cluster, IPFamily], Rules]
    takes_turns: bool = False
    needs_guest: bool = False
    protocols: frozenset[str] = frozenset({"TCP", "UDP"})
    hides_sources: bool = False
    only: frozenset[tuple[str, IPFamily]] | None = None

    def plays(self, scenario: Scenario, family: IPFamily) -> bool:
        """Return whether a scenario is played this way."""
        is_asked = self.only is None or (scenario.name, family) in self.only
        return is_asked and scenario.protocols <= self.protocols


FLAT: frozenset[tuple[str, IPFamily]] = frozenset(
    {
        ("several-ports", "IPv4"),
        ("several-ports", "IPv6"),
        ("external-policy-local", "IPv4"),
        ("external-policy-local-without-local-endpoints", "IPv6"),
        ("external-ip-policy-local", "IPv6"),
        ("internal-policy-local", "IPv4"),
        ("load-balancer-source-ranges", "IPv6"),
        ("hairpin", "IPv6"),
        ("node-port", "IPv4"),
        ("masquerade-all", "IPv6"),
        ("one-address-twice", "IPv4"),
        ("session-affinity-comes-and-goes", "IPv4"),
        ("service-comes-and-goes", "IPv6"),
    }
)
"""Scenarios in which other chains translate than in kube-proxy's layout; the frame is the same."""


WAYS = (
    *(
        Way(
            f"iptables-{variant}",
            "iptables",
            tries=60,
            brief=0.4,
            patient=5.0,
            rules=partial(IPTablesRules, variant=variant),
        )
        for variant in ("nft", "legacy")
    ),
    Way(
        "iptables-flat",
        "iptables",
        tries=60,
        brief=0.4,
        patient=5.0,
        rules=lambda cluster, family: IPTablesRules(
            cluster, family, "nft" if family == "IPv4" else "legacy", SPLIT
        ),
        only=FLAT,
    ),
    Way(
        "ipvs",
        "ipvs",
        tries=6,
        brief=1.0,
        patient=5.0,
        rules=lambda cluster, family: IPVSRules(Tables(cluster, family, "legacy")),
        takes_turns=True,
        needs_guest=True,
        protocols=frozenset({"TCP", "UDP", "SCTP"}),
    ),
    Way(
        "nftables",
        "nftables",
        tries=60,
        brief=0.4,
        patient=5.0,
        rules=lambda cluster, family: NFTablesRules(Tables(cluster, family, "nft")),
    ),
    Way(
        "nftables-flat",
        "nftables",
        tries=60,
        brief=0.4,
        patient=5.0,
        rules=lambda cluster, family: NFTablesRules(Tables(cluster, family, "nft"), "flat"),
        only=FLAT,
    ),
    Way(
        "userspace",
        "userspace",
        tries=6,
        brief=0.4,
        patient=5.0,
        rules=lambda cluster, family: UserspaceRules(Tables(cluster, family, "nft")),
        takes_turns=True,
        hides_sources=True,
    ),
)
