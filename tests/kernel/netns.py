"""A small cluster of network namespaces, with an agent in each that sends traffic.

::

    client --- node (node-a) --- pod1, pod2
               |      |
         outside    node-b --- pod3

`outside` is where packets go that no rule stops or translates: it has the addresses of
Services and answers, so that such a packet is not taken for a dropped one.

Nothing of the machine's own network is touched. Each pod has a link of its own to its
node, which routes: packets between pods of one node pass its rules.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from svcnet.models import Host, IPFamily


@frozen
class Both:
    """An address in each IP family."""

    v4: str
    v6: str

    def of(self, family: IPFamily) -> str:
        return self.v4 if family == "IPv4" else self.v6


NODE = Both("192.0.2.10", "2001:db8::10")
NODE_INNER = Both("172.30.0.10", "fd00:30::10")
NODE_UPLINK = Both("203.0.113.1", "2001:db8:203::1")
OUTSIDE = Both("203.0.113.2", "2001:db8:203::2")
NODE_B = Both("172.30.0.11", "fd00:30::11")
POD_GATEWAY = Both("10.244.1.1", "fd00:10:244:1::1")
POD_GATEWAY_B = Both("10.244.2.1", "fd00:10:244:2::1")
LOOPBACK = Both("127.0.0.1", "::1")
ANY = Both("0.0.0.0", "::")
POD1 = Both("10.244.1.11", "fd00:10:244:1::11")
POD2 = Both("10.244.1.12", "fd00:10:244:1::12")
POD3 = Both("10.244.2.13", "fd00:10:244:2::13")
CLIENT = Both("198.51.100.9", "2001:db8:100::9")
CLIENT2 = Both("198.51.100.10", "2001:db8:100::10")
CLIENTS = Both("198.51.100.0/24", "2001:db8:100::/64")
CROWD = tuple(Both(f"198.51.100.{n}", f"2001:db8:100::{n}") for n in range(100, 124))

CLUSTER_IP = Both("10.96.0.10", "fd00:10:96::10")
OTHER_CLUSTER_IP = Both("10.96.0.11", "fd00:10:96::11")
LOAD_BALANCER = Both("203.0.113.20", "2001:db8:203::20")
EXTERNAL = Both("203.0.113.40", "2001:db8:203::40")
SERVICES = (CLUSTER_IP, OTHER_CLUSTER_IP, LOAD_BALANCER, EXTERNAL)


@frozen
class Place:
    """Somewhere that traffic comes from: a namespace, its addresses, the node's interface.

    Senders bind to an address of ``addresses``, unless not ``bound``: then that is the
    one that the kernel chooses where routes alone decide.
    """

    namespace: str
    addresses: tuple[Both, ...]
    interface: str = ""
    bound: bool = True


PLACES = {
    "pod1": Place("pod1", (POD1,), "veth1"),
    "pod2": Place("pod2", (POD2,), "veth2"),
    "pod3": Place("pod3", (POD3,), "eth1"),
    "client": Place("client", (CLIENT,), "eth0"),
    "client2": Place("client", (CLIENT2,), "eth0"),
    "crowd": Place("client", CROWD, "eth0"),
    "node": Place("node", (NODE,)),
    "node-unbound": Place("node", (NODE_UPLINK,), bound=False),
    "node-loopback": Place("node", (LOOPBACK,)),
}
ENDPOINTS = {"pod1": POD1, "pod2": POD2, "pod3": POD3, "node": NODE}
MASQUERADED = {"pod1": POD_GATEWAY, "pod2": POD_GATEWAY, "pod3": NODE_INNER, "node": NODE}
"""The node's address on the link to each endpoint: what MASQUERADE makes the source."""

HOST = Host(
    addresses=tuple(
        address
        for both in (LOOPBACK, NODE, NODE_INNER, NODE_UPLINK, POD_GATEWAY)
        for address in (both.v4, both.v6)
    )
)

LOCK = Path(tempfile.gettempdir()) / f"svcnet-{os.getpid()}.lock"
NAMESPACES = ("node", "node-b", "pod1", "pod2", "pod3", "client", "outside")
SERVERS = {
    "pod1": [("TCP", 8080), ("TCP", 8443), ("UDP", 5353), ("SCTP", 9090)],
    "pod2": [("TCP", 8080), ("TCP", 8443), ("UDP", 5353), ("SCTP", 9090)],
    "pod3": [("TCP", 8080), ("TCP", 8443), ("UDP", 5353), ("SCTP", 9090)],
    "node": [("TCP", 8080), ("TCP", 32000), ("TCP", 32001)],
    "client": [],
    "outside": [("TCP", 80), ("TCP", 443), ("TCP", 53), ("UDP", 53)],
}
ROUTER = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
# Refusals must not be rationed, or a second one looks like a drop.
UNRATIONED = ("net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
PLAIN = (
    *(f"net.ipv4.conf.{which}.rp_filter=0" for which in ("all", "default")),
    *(f"net.ipv6.conf.{which}.accept_dad=0" for which in ("all", "default")),
)
SYSCTLS = {
    "node": (*ROUTER, *UNRATIONED),
    "node-b": ROUTER,
    **dict.fromkeys(("pod1", "pod2", "pod3", "client", "outside"), UNRATIONED),
}

SETTINGS_OF_RULES = ("net.ipv4.conf.all.route_localnet=0",)
"""The settings that modes write, as a node has them before."""


class Agent:
    """The agent of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, Path(__file__).parent / "agent.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, do: str, **options: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **options}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("an agent ended: its error is above")
        return json.loads(answer)


@define
class Cluster:
    """The namespaces, ready to be used."""

    prefix: str
    agents: dict[str, Agent] = field(factory=dict)

    def namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def run(self, name: str, *command: str, stdin: str = "") -> str:
        """Run a command in a namespace and return what it prints."""
        return run("ip", "netns", "exec", self.namespace(name), *command, stdin=stdin)

    def inside(self, name: str, work: Callable[[], object]) -> None:
        """Call `work` in a namespace, with a thread that has moved there."""

        def moved() -> None:
            move_to(Path("/run/netns", self.namespace(name)))
            work()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(moved).result()

    @contextmanager
    def visiting(self, name: str) -> Iterator[None]:
        """Put this thread, and what it starts, into a namespace for a while."""
        with Path("/proc/thread-self/ns/net").open() as before:
            move_to(Path("/run/netns", self.namespace(name)))
            try:
                yield
            finally:
                move_to(Path(f"/proc/self/fd/{before.fileno()}"))

    def build(self) -> None:
        for name in NAMESPACES:
            run("ip", "netns", "add", self.namespace(name))
            self.run(name, "sysctl", "-qw", *PLAIN, *SYSCTLS.get(name, ()))
        self.link("node", "eth0", "client", "eth0")
        self.link("node", "eth1", "node-b", "eth0")
        for node, interface, pod in (
            ("node", "veth1", "pod1"),
            ("node", "veth2", "pod2"),
            ("node-b", "veth3", "pod3"),
        ):
            self.link(node, interface, pod, "eth0")
        self.address("node", "eth0", NODE)
        self.address("client", "eth0", CLIENT, CLIENT2, *CROWD)
        self.route("client", "default", NODE, "eth0")
        self.direct("node", CLIENTS, "eth0")
        self.link("node", "eth2", "outside", "eth0")
        self.address("node", "eth2", NODE_UPLINK)
        self.address("outside", "eth0", OUTSIDE, *SERVICES)
        self.direct("node", OUTSIDE, "eth2")
        self.route("node", "default", OUTSIDE, "eth2")
        self.route("outside", "default", NODE_UPLINK, "eth0")
        self.address("node", "eth1", NODE_INNER)
        self.address("node-b", "eth0", NODE_B)
        self.direct("node", NODE_B, "eth1")
        self.route("node-b", "default", NODE_INNER, "eth0")
        self.route("node", POD3, NODE_B, "eth1")
        for node, interface, gateway, pod, address in (
            ("node", "veth1", POD_GATEWAY, "pod1", POD1),
            ("node", "veth2", POD_GATEWAY, "pod2", POD2),
            ("node-b", "veth3", POD_GATEWAY_B, "pod3", POD3),
        ):
            self.address(node, interface, gateway)
            self.address(pod, "eth0", address)
            self.direct(node, address, interface)
            self.route(pod, "default", gateway, "eth0")

    def remains(self) -> list[str]:
        """Return the rules that are on the node and the settings that it was not made with.

        The kernel with IPVS is of one mode's tests, which keep its sets and chains for the next.
        """
        found = [line for line in self.settings() if line not in SETTINGS_OF_RULES]
        if Path("/proc/net/ip_vs").exists():
            return found
        for tool in ("iptables", "ip6tables"):
            saved = self.run("node", f"{tool}-legacy-save")
            found += [line for line in saved.splitlines() if line.startswith("-A")]
        listed = self.run("node", "nft", "--stateless", "list", "ruleset")
        return found + [line for line in listed.splitlines() if is_made_by_somebody(line)]

    def settings(self) -> list[str]:
        """Return the node's settings that rules of Services ask for."""
        names = [line.partition("=")[0] for line in SETTINGS_OF_RULES]
        return self.run("node", "sysctl", *names).replace(" = ", "=").splitlines()

    def forget_connections(self) -> None:
        """Have the node forget the connections of a test.

        A late packet of one that comes when its rules are gone makes an entry without a
        translation, which the kernel keeps for five minutes: the next connection from that
        source port would pass by the rules of another test.
        """
        self.run("node", "conntrack", "-F")

    def clear(self) -> None:
        """Take what remains on the node away, so that one test's fault is not the next one's."""
        self.run("node", "sysctl", "-qw", *SETTINGS_OF_RULES)
        self.run("node", "nft", "flush", "ruleset")
        for tool in ("iptables", "ip6tables"):
            for table in ("filter", "nat"):
                self.run("node", f"{tool}-legacy-restore", stdin=f"*{table}\nCOMMIT\n")

    def link(self, one: str, interface: str, other: str, peer: str) -> None:
        """Join two namespaces with a pair of interfaces."""
        ends = (
            *("netns", self.namespace(one), "type", "veth"),
            *("peer", "name", peer, "netns", self.namespace(other)),
        )
        run("ip", "link", "add", interface, *ends)
        for name, end in ((one, "lo"), (other, "lo"), (one, interface), (other, peer)):
            self.ip(name, "link", "set", end, "up")

    def address(self, name: str, interface: str, *addresses: Both) -> None:
        for address in addresses:
            self.ip(name, "address", "add", f"{address.v4}/32", "dev", interface)
            self.ip(name, "-6", "address", "add", f"{address.v6}/128", "dev", interface, "nodad")

    def direct(self, name: str, to: Both, interface: str) -> None:
        self.ip(name, "route", "add", to.v4, "dev", interface)
        self.ip(name, "-6", "route", "add", to.v6, "dev", interface)

    def route(self, name: str, to: Both | str, gateway: Both, interface: str) -> None:
        to = Both(to, to) if isinstance(to, str) else to
        end = ("dev", interface, "onlink")
        self.ip(name, "route", "add", to.v4, "via", gateway.v4, *end)
        self.ip(name, "-6", "route", "add", to.v6, "via", gateway.v6, *end)

    def ip(self, name: str, *arguments: str) -> None:
        run("ip", "-n", self.namespace(name), *arguments)

    def start(self) -> None:
        """Start the agents and their servers, of the protocols that the kernel knows."""
        known = Path("/proc/net/protocols").read_text().split()
        for name in SERVERS:
            self.agents[name] = Agent(self.namespace(name))
        for name, listen in SERVERS.items():
            addresses = SERVICES if name == "outside" else (ANY,)
            texts = [text for address in addresses for text in (address.v4, address.v6)]
            usable = [(protocol, port) for protocol, port in listen if protocol in known]
            self.agents[name]("serve", name=name, addresses=texts, listen=usable)

    def end(self) -> None:
        for agent in self.agents.values():
            agent.process.communicate()
        existing = run("ip", "netns", "list").split()
        for name in NAMESPACES:
            if self.namespace(name) in existing:
                run("ip", "netns", "delete", self.namespace(name))
        LOCK.unlink(missing_ok=True)


@contextmanager
def small_cluster() -> Iterator[Cluster]:
    """Make the namespaces and start the agents; take all away at the end."""
    cluster = Cluster(f"svcnet-{os.getpid()}")
    try:
        cluster.build()
        cluster.start()
        yield cluster
    finally:
        cluster.end()


def is_made_by_somebody(line: str) -> bool:
    """Whether a line of nft's listing is no table or chain that iptables-nft has left empty."""
    words = line.split()
    return bool(words) and words[0] not in ("table", "chain", "type", "}")


def move_to(namespace: Path) -> None:
    """Move this thread to a network namespace, which a file stands for."""
    with namespace.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")


def run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        # The namespaces' rules are ours alone: the machine's lock need not be waited for.
        env={**os.environ, "XTABLES_LOCKFILE": str(LOCK)},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}\n{stdin}")
    return done.stdout
