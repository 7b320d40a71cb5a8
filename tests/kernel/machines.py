"""What each mode makes of a machine: as text to compare, counted, and damaged."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Protocol

from attrs import field, frozen

from svcnet.cli import main
from svcnet.compiler import compile_state, node_view
from svcnet.executors import userspace
from svcnet.family import IP_FAMILIES
from svcnet.netfilter import parse_save
from svcnet.netfilter.nft import TableKey, TableState, read_listing
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE
from svcnet.renderers.nftables import named_buckets
from svcnet.renderers.userspace import full, portal_rules
from svcnet.sources import load, load_config, load_host
from tests.kernel.applying import order_free, tool
from tests.kernel.foreign import ForeignRules, ForeignServers
from tests.kernel.ipvs.conftest import everything, without_draining
from tests.kernel.ipvs.netlink import run

PROXY_PORT = r"(?<=--to-ports )\d+|(?<=:)\d+$|(?<=--dport )\d+(?= -m state)"
"""Where a portal rule leads to, or lets traffic in to, which depends on what was there before."""


class Machine(Protocol):
    """What a mode makes of a machine, in the network namespace of the thread that asks."""

    @property
    def variant(self) -> str:
        """The variant of iptables."""

    @property
    def foreign(self) -> ForeignRules | ForeignServers:
        """What somebody else has there."""

    @property
    def options(self) -> tuple[str, ...]:
        """The options that have svcnet use this mode."""

    def cold(self, dump: Path, options: Sequence[object]) -> list[str]:
        """Make all of a dump of objects on a machine that has nothing, and return its state."""

    def state(self) -> list[str]:
        """Return everything that the mode has made, as lines that can be compared."""

    def counters(self) -> dict[str, int]:
        """Return how often each thing was used, since it was made."""

    def listeners(self) -> int:
        """Return how many sockets of a run's may listen for Services, at most."""

    def damage(self, random: Random) -> None:
        """Take or change something of that as somebody else would."""


class Applied:
    """A mode whose state `svcnet apply` makes."""

    def listeners(self) -> int:
        return 0

    def cold(self: Machine, dump: Path, options: Sequence[object]) -> list[str]:
        main(["apply", str(dump), *map(str, options)], standalone_mode=False)
        return self.state()


def _foreign_rules() -> ForeignRules:
    return ForeignRules(("nft", "legacy"))


@frozen
class IptablesMachine(Applied):
    """The tables of both families in one variant."""

    variant: str
    foreign: ForeignRules = field(factory=_foreign_rules, eq=False)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--mode", "iptables", "--variant", self.variant)

    def state(self) -> list[str]:
        return [
            f"{family} {table} {chain} {rule}"
            for family in IP_FAMILIES
            for table, chains in self._tables(family).items()
            for chain, rules in chains.items()
            for rule in ("", *rules)
        ]

    def _tables(self, family: str) -> dict[str, dict[str, list[str]]]:
        return order_free(parse_save(run(f"{tool(self.variant, family)}-save")))

    def counters(self) -> dict[str, int]:
        found = {}
        for line in run(f"{tool(self.variant, 'IPv4')}-save", "-c").splitlines():
            if line.startswith("["):
                counter, rule = line.split(" ", 1)
                found[rule] = int(counter[1:].partition(":")[0])
        return found

    def damage(self, random: Random) -> None:
        """Flush a table or a chain, delete a rule, or add one."""
        command = tool(self.variant, random.choice(IP_FAMILIES))
        table = random.choice(("nat", "filter"))
        chains = parse_save(run(f"{command}-save")).chains(table)
        chain = random.choice(list(chains) or ["INPUT"])
        if random.random() < 0.2 and self.variant == "nft":
            run("nft", "flush", "ruleset")
        elif random.random() < 0.3:
            run(command, "-t", table, "-F")
        elif chains.get(chain) and random.random() < 0.5:
            run(command, "-w", "-t", table, "-D", chain, "1", check=False)
        else:
            run(command, "-w", "-t", table, "-F", chain, check=False)


class IPVSMachine(Applied):
    """Virtual servers, sets, addresses and rules of both families."""

    def __init__(self) -> None:
        self.foreign = ForeignServers()

    variant = "legacy"
    options = ("--mode", "ipvs", "--variant", "legacy")

    def state(self) -> list[str]:
        lines = without_draining(everything()).splitlines()
        return [line for line in lines if " inet" not in line or DUMMY_DEVICE in line]

    def counters(self) -> dict[str, int]:
        found: dict[str, int] = {}
        server = ""
        for line in run("ipvsadm", "-Ln", "--stats", "--exact").splitlines()[3:]:
            kind, address, count, *_ = line.split()
            server = server if kind == "->" else f"{kind} {address}"
            found[f"{server} {address}"] = int(count)
        return found

    def damage(self, random: Random) -> None:
        """Take virtual servers, rules, entries of sets, or addresses."""
        servers = [line.split() for line in run("ipvsadm", "-Sn").splitlines()]
        match random.choice(("clear", "server", "real", "rules", "set", "address")):
            case "clear":
                run("ipvsadm", "-C")
            case "server" if servers:
                _, *which = random.choice(servers)
                run("ipvsadm", "-D", *which[:2], check=False)
            case "real":
                for which in random.sample(servers, len(servers) // 2):
                    if which[0] == "-a":
                        run("ipvsadm", "-d", *which[1:5], check=False)
            case "rules":
                run(random.choice(("iptables-legacy", "ip6tables-legacy")), "-t", "nat", "-F")
            case "set":
                run("ipset", "flush")
            case "address":
                run("ip", "address", "flush", "dev", "kube-ipvs0", check=False)


TABLES: tuple[TableKey, ...] = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))


def unused_buckets(table: TableState) -> set[str]:
    """Return the names of the chains for so many endpoints that nothing leads to."""
    buckets = {each.name: each for each in named_buckets(table.chains)}
    goals = {each.value for found in table.sets.values() for each in found.elements.values()}
    rules = {name: chain.rules for name, chain in table.chains.items() if name not in buckets}
    goals.update(rule.text for own in rules.values() for rule in own)
    used = [each for goal in goals if (each := buckets.get(goal.rpartition("goto ")[2]))]
    return buckets.keys() - {each.name for one in used for each in (one, *one.leads_to())}


def nft_lines(table: TableState) -> list[str]:
    """Return what a table has as lines, without handles, and clients that it remembers.

    Of chains for so many endpoints those are left out that nothing leads to: they may stay.
    """
    spare = unused_buckets(table)
    chains = [chain for chain in table.chains.values() if chain.name not in spare]
    lines = [f"{table} {chain.name} {chain.hook}" for chain in chains]
    lines += [
        f"{table} {chain.name} {number} {rule.text} {rule.comment}"
        for chain in chains
        for number, rule in enumerate(chain.rules)
    ]
    for found in table.sets.values():
        lines.append(f"{table} {found.name} {found.type} {found.value} {found.timeout}")
        if not found.timeout:
            lines += [
                f"{table} {found.name} {each.key} : {each.value} {each.comment}"
                for each in found.elements.values()
            ]
    return sorted(lines)


@frozen
class NFTablesMachine(Applied):
    """The tables of mode nftables of both families."""

    variant = "nft"
    options = ("--mode", "nftables")
    foreign: ForeignRules = field(factory=_foreign_rules, eq=False)

    def state(self) -> list[str]:
        return [line for table in self._tables() for line in nft_lines(table)]

    def _tables(self) -> list[TableState]:
        tables = read_listing(run("nft", "--handle", "--stateless", "list", "ruleset")).tables
        return [tables[key] for key in TABLES if key in tables]

    def counters(self) -> dict[str, int]:
        """Return less than nothing for each rule, and the less the later it was made."""
        return {
            f"{table} {chain.name} {rule.text}": -rule.handle
            for table in self._tables()
            for chain in table.chains.values()
            for rule in chain.rules
        }

    def damage(self, random: Random) -> None:
        """Take a table, chains, rules, sets or elements, or put something of one's own there."""
        there = self._tables()
        if not there:
            return
        table = random.choice(there)
        chain = random.choice([*table.chains.values()])
        found = random.choice([*table.sets.values()])
        key = random.choice([*found.elements, ""])
        lines = {
            "all": "flush ruleset",
            "table": f"delete table {table}",
            "rules": f"flush table {table}",
            "chain": f"flush chain {table} {chain.name}",
            "set": f"flush {found.kind} {table} {found.name}",
            "element": f"delete element {table} {found.name} {{ {key} }}",
            "rule": f"insert rule {table} {chain.name} ip saddr 203.0.113.9 drop",
            "strange": f"add chain {table} {random.choice(('a', 'b'))} "
            "{ type filter hook forward priority 5 ; }",
            "asleep": f"add table {table} {{ flags dormant ; }}",
        }
        run("nft", lines[random.choice([*lines])], check=False)


@frozen
class UserspaceMachine:
    """Portal rules of both families, and who listens where they lead."""

    variant: str
    foreign: ForeignRules = field(factory=_foreign_rules, eq=False)

    @property
    def options(self) -> tuple[str, ...]:
        return ("--mode", "userspace", "--variant", self.variant, "--drain", "0")

    def cold(self, dump: Path, options: Sequence[object]) -> list[str]:
        named = dict(zip(options[::2], options[1::2], strict=True))
        state = load([dump]).state
        config, host = (
            load_config(Path(str(named["--config"]))),
            load_host(Path(str(named["--host"]))),
        )
        families = IP_FAMILIES if named["--family"] == "both" else IP_FAMILIES[:1]
        for family in families:
            view = node_view(state, config, host, node=str(named["--node"]), family=family)
            table = full(compile_state(state, view))
            userspace.install(portal_rules(table), variant=self.variant)  # type: ignore[arg-type]
        return self._plain(self._rules())

    def state(self) -> list[str]:
        rules = self._rules()
        leading = [rule for rule in rules if re.search(PROXY_PORT, rule)]
        nobody = [f"nobody has the port of {rule}" for rule in leading if not is_taken(rule)]
        return [*self._plain(rules), *nobody]

    def listeners(self) -> int:
        return len({found[0] for rule in self._rules() if (found := re.search(PROXY_PORT, rule))})

    def counters(self) -> dict[str, int]:
        return IptablesMachine(self.variant).counters()

    def damage(self, random: Random) -> None:
        IptablesMachine(self.variant).damage(random)

    def _rules(self) -> list[str]:
        return IptablesMachine(self.variant).state()

    def _plain(self, rules: list[str]) -> list[str]:
        """Return rules without proxy ports; their order means nothing: no two match the same."""
        return sorted(re.sub(PROXY_PORT, "proxy", rule) for rule in rules)


def is_taken(rule: str) -> bool:
    """Return whether a socket has the port that a portal rule leads to.

    Who is to be refused has one that does not listen, so a listing would not tell.
    """
    found = re.search(PROXY_PORT, rule)
    assert found is not None
    family = socket.AF_INET if rule.startswith("IPv4") else socket.AF_INET6
    kind = socket.SOCK_DGRAM if " udp " in rule else socket.SOCK_STREAM
    with socket.socket(family, kind) as other:
        try:
            other.bind(("", int(found[0])))
        except OSError:
            return True
    return False
