"""The ways to put rules on the small cluster's node, one a mode and kernel tool.

Each loads what the renderer wrote with the standard tools, and follows a change by the
delta alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Literal, Protocol

from attrs import define, field, frozen

from svcnet.graph import GraphDiff, RuleGraph
from svcnet.models import IPFamily
from svcnet.renderers import iptables, ipvs
from svcnet.renderers.ipvs import IPVSDelta, ServerChange, ServerKey, VirtualServer
from svcnet.renderers.ipvs.part import Entry
from svcnet.renderers.ipvs.sets import IPVS_IPS
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE
from svcnet.renderers.ipvs.text import (
    SECTIONS,
    add_line,
    address_lines,
    del_line,
    jump_text,
    place,
    server_lines,
    service_option,
)
from tests.kernel.netns import Cluster
from tests.kernel.scenarios import Mode

Variant = Literal["nft", "legacy"]

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


class Rules(Protocol):
    """The rules of the node in one family."""

    def put(self, graph: RuleGraph) -> None:
        """Load everything that `graph` means, on a node that has nothing."""

    def follow(self, diff: GraphDiff) -> None:
        """Load what changed."""

    def close(self, ports: tuple[int, ...]) -> None:
        """Add rules of the host's own, behind those of Services, that close TCP ports."""

    def flush(self) -> None:
        """Leave the node with nothing again."""


@frozen
class Tables:
    """The iptables of the node, in one family and one variant."""

    cluster: Cluster
    family: IPFamily
    variant: Variant

    def restore(self, text: str, *options: str) -> None:
        tool = "iptables" if self.family == "IPv4" else "ip6tables"
        command = f"{tool}-{self.variant}-restore"
        self.cluster.run("node", command, *options, "--wait", "10", stdin=text)

    def close(self, ports: tuple[int, ...]) -> None:
        lines = "".join(f"-A INPUT -p tcp --dport {port} -j DROP\n" for port in ports)
        self.restore(f"*filter\n{lines}COMMIT\n", "--noflush")

    def flush(self) -> None:
        self.restore(EMPTY_TABLES)


@frozen
class IPTablesRules(Tables):
    """iptables mode."""

    def put(self, graph: RuleGraph) -> None:
        self.restore(iptables.full(graph).text_with_jumps, "--noflush")

    def follow(self, diff: GraphDiff) -> None:
        self.restore(iptables.delta(diff).text, "--noflush")


@define
class IPVSRules:
    """IPVS mode.

    ``draining`` are the real servers that a change left without weight, so that their
    connections live on, as kube-proxy does it for TCP.
    """

    tables: Tables
    draining: set[tuple[ServerKey, str]] = field(factory=set)

    def put(self, graph: RuleGraph) -> None:
        tables = ipvs.full(graph)
        texts = {name: section(tables) for name, section in SECTIONS.items()}
        self.node("sysctl", "-qp", "-", stdin=texts["sysctl"])
        self.node("ipset", "restore", stdin=texts["ipset"])
        self.tables.restore(texts["iptables"] + jump_text(), "--noflush")
        self.node("ipvsadm", "--restore", stdin=texts["ipvsadm"])
        self.ip(texts["ip"])

    def follow(self, diff: GraphDiff) -> None:
        step = ipvs.delta(diff)
        self.node("ipset", "restore", stdin=set_lines(step))
        if step.rules:
            self.tables.restore(step.rules, "--noflush")
        lines = [line for change in step.servers for line in self.server_lines(change)]
        self.node("ipvsadm", "--restore", stdin="".join(lines))
        self.ip(
            address_lines("add", dummy_addresses(step.added))
            + address_lines("del", dummy_addresses(step.removed))
        )

    def server_lines(self, change: ServerChange) -> Iterator[str]:
        """Yield the lines of ``ipvsadm --restore`` for a virtual server that changed."""
        key, before, after = change
        if after is None:
            self.draining = {(other, real) for other, real in self.draining if other != key}
            yield f"-D {service_option(key)}\n"
        elif before is None:
            yield from server_lines(after)
        else:
            old, new = next(server_lines(before)), next(server_lines(after))
            if old != new:
                yield new.replace("-A", "-E", 1)
            yield from self.real_server_lines(key, before, after)

    def real_server_lines(
        self, key: ServerKey, before: VirtualServer, after: VirtualServer
    ) -> Iterator[str]:
        service = service_option(key)
        draining = {real for other, real in self.draining if other == key}
        old, new = ({place(r): r.weight for r in s.real_servers} for s in (before, after))
        for real in old.keys() - new.keys():
            if key.protocol == "TCP":
                self.draining.add((key, real))
                yield f"-e {service} -r {real} -m -w 0\n"
            else:
                yield f"-d {service} -r {real}\n"
        for real, weight in new.items():
            if old.get(real) != weight:
                self.draining.discard((key, real))
                verb = "-e" if real in old or real in draining else "-a"
                yield f"{verb} {service} -r {real} -m -w {weight}\n"

    def close(self, ports: tuple[int, ...]) -> None:
        self.tables.close(ports)

    def flush(self) -> None:
        self.draining.clear()
        self.node("ipvsadm", "--clear")
        self.tables.flush()
        self.node("ipset", "destroy")
        self.ip(f"link delete {DUMMY_DEVICE}\n")

    def node(self, *command: str, stdin: str = "") -> None:
        self.tables.cluster.run("node", *command, stdin=stdin)

    def ip(self, lines: str) -> None:
        self.node("ip", "-batch", "-", stdin=lines)


def set_lines(step: IPVSDelta) -> str:
    """Return the lines of ``ipset restore`` for a step."""
    added = [add_line(kind.name_in(step.family), entry) for kind, entry in step.added]
    removed = [del_line(kind.name_in(step.family), entry) for kind, entry in step.removed]
    return "".join(added + removed)


def dummy_addresses(entries: Iterable[Entry]) -> list[str]:
    """Return those of the sets' entries that are addresses of the dummy device."""
    return [entry for kind, entry in entries if kind is IPVS_IPS]


@frozen
class Way:
    """How a scenario's rules come on the node.

    ``tries`` are how many a probe sends where one of several endpoints is chosen, and
    ``takes_turns`` is whether they are chosen in turn or by chance. ``brief`` and
    ``patient`` are the seconds to wait where no answer is expected, and where one is.
    ``protocols`` are those that the kernel is sure to have.
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
)
