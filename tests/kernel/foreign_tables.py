"""Rules that others may have on a node beside those of Services, made at random.

Each only bears on packets that begin a connection: answers are let through before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from svcnet.models import IPFamily
from tests.kernel.netns import (
    CLIENT,
    CLIENTS,
    CLUSTER_IP,
    EXTERNAL,
    LOAD_BALANCER,
    NODE,
    NODE_INNER,
    POD1,
    POD2,
    POD3,
)

EVERY_TABLE = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
"""The tables of iptables, and the chains in which the kernel calls them."""

EMPTY = "".join(
    f"*{table}\n{''.join(f':{chain} ACCEPT [0:0]' + chr(10) for chain in chains)}COMMIT\n"
    for table, chains in EVERY_TABLE.items()
)
"""What takes all rules of all tables away."""

ANSWERS = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
_PODS = {"IPv4": "10.244.1.0/24", "IPv6": "fd00:10:244:1::/64"}


def random_iptables(random: Random, family: IPFamily) -> str:
    """Return what ``iptables-restore --noflush`` adds of somebody else's."""
    lines = []
    for table in sorted(EVERY_TABLE):
        if random.random() < 0.5:
            continue
        lines += [f"*{table}", *_table(random, table, family), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _table(random: Random, table: str, family: IPFamily) -> Iterator[str]:
    hooks = EVERY_TABLE[table]
    yield from (":FOREIGN-1 - [0:0]", ":FOREIGN-2 - [0:0]")
    if table == "filter" and random.random() < 0.2:
        yield ":FORWARD DROP [0:0]"
    # A chain is called from one hook alone, so that its rules fit there.
    hook = random.choice(hooks)
    for chain in ("FOREIGN-1", "FOREIGN-2"):
        for _ in range(random.randint(1, 3)):
            yield f"-A {chain} {_rule(random, table, hook, family)}"
    yield f"-A FOREIGN-1 {_matches(random, table, hook, family)} -{random.choice('jg')} FOREIGN-2"
    verb, how = random.choice("AI"), random.choice("jjg")
    yield f"-{verb} {hook} {_matches(random, table, hook, family)} -{how} FOREIGN-1"
    for _ in range(random.randint(0, 3)):
        where = random.choice(hooks)
        yield f"-{random.choice('AI')} {where} {_rule(random, table, where, family)}"
    if table not in ("raw", "nat"):
        yield from (f"-I {each} {ANSWERS}" for each in hooks)


def _rule(random: Random, table: str, hook: str, family: IPFamily) -> str:
    matches = _matches(random, table, hook, family)
    return f"{matches} {_target(random, table, hook, family, matches)}"


def _matches(random: Random, table: str, hook: str, family: IPFamily) -> str:
    """Return a protocol, mostly a port, and some more questions."""
    protocol = random.choice(("tcp", "tcp", "udp"))
    ports = ["80", "8080", "443", "53", "5353", "30080", "1:1023", "8000:9000"]
    # Nothing there tells answers apart, which go to ports of their own.
    port = random.choice(ports if table == "raw" else [*ports, "1:65535"])
    negated = "! " if random.random() < 0.15 and table != "raw" else ""
    found = [f"-p {protocol} -m {protocol} {negated}--dport {port}"]
    pool = list(_questions(random, table, hook, family, protocol))
    found += random.sample(pool, random.choice((0, 0, 1, 1, 2)))
    return " ".join(found)


def _questions(
    random: Random, table: str, hook: str, family: IPFamily, protocol: str
) -> Iterator[str]:
    no = random.choice(("", "", "! "))
    sources = [each.of(family) for each in (CLIENT, POD1, POD2, NODE)]
    sources += [CLIENTS.of(family), _PODS[family]]
    places = [each.of(family) for each in (CLUSTER_IP, LOAD_BALANCER, EXTERNAL, POD1, POD3, NODE)]
    yield f"{no}-s {random.choice(sources)}"
    yield f"{no}-d {random.choice(places)}"
    if hook in ("PREROUTING", "INPUT", "FORWARD"):
        yield f"{no}-i {random.choice(('eth0', 'eth1', 'veth1', 'veth+', 'eth+', 'lo', 'tun0'))}"
    if hook in ("FORWARD", "OUTPUT", "POSTROUTING"):
        yield f"{no}-o {random.choice(('eth0', 'eth1', 'eth2', 'veth1', 'veth+', 'lo', 'tun+'))}"
    yield f"-m mark {no}--mark {random.choice(('0x1', '0x1/0x1', '0x4000/0x4000', '0x0'))}"
    yield f"-m addrtype {no}--dst-type {random.choice(('LOCAL', 'UNICAST', 'MULTICAST'))}"
    yield f"-m addrtype {no}--src-type {random.choice(('LOCAL', 'UNICAST'))}"
    low, high = (CLUSTER_IP, EXTERNAL) if random.random() < 0.5 else (POD1, POD2)
    yield f"-m iprange {no}--dst-range {low.of(family)}-{high.of(family)}"
    yield f"-m iprange {no}--src-range {POD1.of(family)}-{POD2.of(family)}"
    yield f"-m multiport {no}--dports {random.choice(('80,443', '8080,8443,5353', '30000:32767'))}"
    yield '-m comment --comment "said -j DROP by somebody"'
    yield f"-m statistic --mode random {no}--probability {random.choice(('0.5', '0.25', '1'))}"
    yield from (
        "-m limit --limit 9999/sec --limit-burst 999",
        "-m length --length 0:65535",
        "-m pkttype --pkt-type unicast",
        "-m recent --name foreign --rcheck --rsource",
        "-m recent --name foreign --set --rsource",
    )
    if protocol == "tcp":
        yield f"-m tcp {no}--syn"
        yield f"-m tcp {no}--tcp-flags SYN,ACK,FIN,RST SYN"
    if table != "raw":
        state = random.choice(("NEW", "DNAT", "NEW,INVALID", "INVALID,RELATED", "UNTRACKED"))
        yield f"-m conntrack {no}--ctstate {state}"
        yield f"-m conntrack --ctstate NEW {no}--ctorigdst {random.choice(places)}"
        yield f"-m conntrack --ctstate NEW {no}--ctorigdstport {random.choice((80, 30080))}"
        yield f"-m conntrack --ctorigsrc {random.choice(sources)}"
        yield f"-m connmark {no}--mark {random.choice(('0x1', '0x2/0x2', '0x0'))}"


def _target(random: Random, table: str, hook: str, family: IPFamily, matches: str) -> str:
    pods = [POD1.of(family), POD2.of(family), POD3.of(family)]
    pod = random.choice(pods)
    boxed = f"[{pod}]" if ":" in pod else pod
    own = random.choice((NODE, NODE_INNER)).of(family)
    common = ["-j RETURN", "-j ACCEPT", "", "-j LOG --log-prefix x", "-j MARK --set-xmark 0x1/0x1"]
    match table, hook:
        case "nat", "PREROUTING" | "OUTPUT":
            port = "5353" if "-p udp" in matches else "8080"
            found = [f"-j DNAT --to-destination {boxed}:{port}", f"-j DNAT --to-destination {pod}"]
            found += ["-j REDIRECT", f"-j REDIRECT --to-ports {random.choice((8080, 32000, 5353))}"]
            return random.choice([*common, *found, *found])
        case "nat", "POSTROUTING":
            found = ["-j MASQUERADE", f"-j SNAT --to-source {own}", "-j MASQUERADE --random-fully"]
            return random.choice([*common, *found, *found])
        case "nat", _:
            return random.choice(common)
        case "mangle" | "raw", _:
            marks = [
                *("-j MARK --set-xmark 0x4000/0x4000", "-j MARK --set-xmark 0x0/0xffffffff"),
                *("-j MARK --xor-mark 0x1", "-j MARK --and-mark 0xfffffffe", "-j DROP"),
                *("-j CONNMARK --set-xmark 0x1/0x1", "-j CONNMARK --save-mark"),
                "-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
            ]
            usable = [each for each in marks if table == "mangle" or "CONNMARK" not in each]
            return random.choice([*common, *usable])
    if table == "security":
        return random.choice([*common, "-j DROP", "-j DROP"])
    refusals = ["-j DROP", "-j DROP", "-j REJECT"]
    refusals += ["-j REJECT --reject-with tcp-reset"] if "-p tcp" in matches else []
    return random.choice([*common, *refusals])
