"""Tables of nftables that others may have on a node beside svcnet's own, made at random.

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

HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
PRIORITIES = (-310, -160, -110, -105, -90, -5, 0, 5, 10, 95, 105)
"""Before and after kube-proxy's own, and before connection tracking."""

_TRACKED = -200
_PODS = {"IPv4": "10.244.1.0/24", "IPv6": "fd00:10:244:1::/64"}


def random_nft(random: Random, family: IPFamily) -> str:
    """Return what ``nft -f`` loads of somebody else's."""
    ip = "ip" if family == "IPv4" else "ip6"
    lines: list[str] = []
    for table in (f"{random.choice(('inet', ip))} foreign", f"inet zone-{random.randint(1, 9)}"):
        if random.random() < 0.8:
            lines += [f"table {table} {{", *_table(random, ip, family), "}"]
    if random.random() < 0.3:
        lines += ["table netdev edge {", *_edge(random, ip, family), "}"]
    return "".join(f"{line}\n" for line in lines)


def _table(random: Random, ip: str, family: IPFamily) -> Iterator[str]:
    kind = "ipv4_addr" if ip == "ip" else "ipv6_addr"
    some = ", ".join(each.of(family) for each in random.sample((CLIENT, POD1, POD3, NODE), 2))
    yield f"set few {{ type {kind}; elements = {{ {some} }}; }}"
    yield (
        f"set ranges {{ type {kind}; flags interval; "
        f"elements = {{ {_PODS[family]}, {CLIENTS.of(family)} }}; }}"
    )
    yield "set ports { type inet_service; flags interval; elements = { 80, 8000-8999, 30080 }; }"
    yield f"set seen {{ type {kind}; flags dynamic, timeout; timeout 1m; size 100; }}"
    yield f"set pairs {{ type {kind} . inet_service; elements = {{ {POD1.of(family)} . 8080 }}; }}"
    kinds = random.sample(("filter", "filter", "nat", "route"), random.randint(1, 3))
    uses = [(each, *_place(random, each)) for each in kinds]
    # A chain is called from one hook alone, so that its rules fit there.
    kind_of, hook, priority = random.choice(uses)
    for name in ("second", "first"):
        yield f"chain {name} {{"
        for _ in range(random.randint(1, 3)):
            yield _rule(random, ip, family, kind_of, hook, priority)
        if name == "first":
            yield f"{_matches(random, ip, family, hook, priority)} {random.choice(_CALLS)} second"
        yield "}"
    verdicts = "80 : jump first, 443 : drop, 8080 : accept" if priority > _TRACKED else "9 : drop"
    yield f"map verdicts {{ type inet_service : verdict; elements = {{ {verdicts} }}; }}"
    for at, (kind, where, order) in enumerate(uses):
        policy = "drop" if where == "forward" and random.random() < 0.2 else "accept"
        policy = policy if kind == "filter" and order > _TRACKED else "accept"
        yield f"chain base-{at} {{"
        yield f"type {kind} hook {where} priority {order}; policy {policy};"
        if kind != "nat" and order > _TRACKED:
            yield "ct state established,related accept"
            yield "meta l4proto ipv6-icmp accept"
        for _ in range(random.randint(1, 4)):
            yield _rule(random, ip, family, kind, where, order)
        if (kind, where, order) == (kind_of, hook, priority):
            yield f"{_matches(random, ip, family, where, order)} {random.choice(_CALLS)} first"
            if random.random() < 0.4:
                yield "tcp dport vmap @verdicts"
        yield "}"


DEVICES = ("eth0", "eth1", "veth1", "veth2")


def _edge(random: Random, ip: str, family: IPFamily) -> Iterator[str]:
    """Yield chains where packets come by an interface, and where they leave by one."""
    for hook in random.sample(("ingress", "egress"), random.randint(1, 2)):
        yield f"chain {hook} {{"
        yield f"type filter hook {hook} device {random.choice(DEVICES)} priority 0; policy accept;"
        for _ in range(random.randint(1, 3)):
            port = random.choice(("80", "8080", "{ 443, 5353 }", "30080"))
            place = random.choice((CLUSTER_IP, LOAD_BALANCER, POD1, POD3)).of(family)
            where = random.choice(("", f"{ip} daddr {place} ", "meta protocol ip6 "))
            verdict = random.choice(("drop", "drop", "accept", "counter", "meta mark set 0x1"))
            yield f"{where}{random.choice(('tcp', 'udp'))} dport {port} {verdict}"
        yield "}"


_CALLS = ("jump", "jump", "goto")


def _place(random: Random, kind: str) -> tuple[str, int]:
    if kind == "route":
        return "output", random.choice((-160, 5))
    if kind == "nat":
        hook = random.choice(("prerouting", "output", "postrouting", "input"))
        near = 100 if hook in ("postrouting", "input") else -100
        return hook, near + random.choice((-5, 5))
    return random.choice(HOOKS), random.choice(PRIORITIES)


def _rule(random: Random, ip: str, family: IPFamily, kind: str, hook: str, priority: int) -> str:
    matches = _matches(random, ip, family, hook, priority)
    return f"{matches} {_statement(random, ip, family, kind, hook, priority, matches)}"


def _matches(random: Random, ip: str, family: IPFamily, hook: str, priority: int) -> str:
    """Return a port of a protocol and some more questions."""
    ports = ("80", "8080", "443", "5353", "30080", "{ 80, 443 }", "1-1023", "{ 53, 8000-9000 }")
    port = random.choice((*ports, "@ports"))
    no = "!= " if random.random() < 0.15 and priority > _TRACKED else ""
    protocol = random.choice(("tcp", "tcp", "tcp", "udp", "udp", ""))
    found = [f"{protocol} dport {no}{port}"]
    if not protocol:
        found = [f"meta l4proto {{ tcp, udp }} th dport {no}{port}"]
    pool = [
        each
        for each in _questions(random, ip, family, hook, priority)
        if protocol == "tcp" or not each.startswith("tcp flags")
    ]
    return " ".join([*found, *random.sample(pool, random.choice((0, 0, 1, 1, 2)))])


def _questions(
    random: Random, ip: str, family: IPFamily, hook: str, priority: int
) -> Iterator[str]:
    no = random.choice(("", "", "!= "))
    sources = [each.of(family) for each in (CLIENT, POD1, POD2, NODE)]
    sources += [CLIENTS.of(family), _PODS[family], f"{POD1.of(family)}-{POD2.of(family)}"]
    places = [each.of(family) for each in (CLUSTER_IP, LOAD_BALANCER, EXTERNAL, POD1, POD3, NODE)]
    yield f"{ip} saddr {no}{random.choice([*sources, '@few', '@ranges'])}"
    yield f"{ip} daddr {no}{random.choice([*places, '@few', '@ranges'])}"
    yield f"{ip} saddr {no}{{ {', '.join(random.sample(sources[:4], 2))} }}"
    yield f"{ip} daddr . th dport {{ {CLUSTER_IP.of(family)} . 80, {POD1.of(family)} . 8080 }}"
    yield f"{ip} daddr . th dport {no}@pairs"
    if hook in ("prerouting", "input", "forward"):
        names = ('"eth0"', '"eth1"', '"veth*"', '"lo"', '{ "eth0", "veth1" }', '"tun0"')
        yield f"iifname {no}{random.choice(names)}"
        yield f"iif {no}{random.choice(('lo', 'eth0', 'veth1'))}"
    if hook in ("forward", "output", "postrouting"):
        names = ('"eth0"', '"eth1"', '"veth*"', '"lo"', '{ "eth2", "veth2" }', '"tun*"')
        yield f"oifname {no}{random.choice(names)}"
        yield f"oif {no}{random.choice(('lo', 'eth1', 'veth2'))}"
    marks = ("0x1", "& 0x1 == 0x1", "and 0x4000 == 0x4000", "{ 0x1, 0x4001 }", "!= 0")
    yield f"meta mark {random.choice(marks)}"
    if hook in ("prerouting", "input", "output"):
        yield f"fib daddr type {no}{random.choice(('local', 'unicast', '{ local, broadcast }'))}"
        yield f"fib saddr type {no}local"
        yield f"fib daddr type {no}{random.choice(('multicast', '{ broadcast, anycast }'))}"
    if hook == "prerouting":
        yield f"fib saddr . iif oif {random.choice(('exists', 'missing'))}"
        yield f"fib daddr . iif type {no}{random.choice(('local', '{ local, multicast }'))}"
    yield f"numgen random mod {random.choice((3, 4))} {random.choice(('0', '< 2', '{ 0, 1 }'))}"
    yield from (
        "limit rate 9999/second burst 999 packets",
        "meta length < 65535",
        "meta pkttype { host, unicast, other }",
        f"update @seen {{ {ip} saddr }}",
        f"{ip} saddr @seen",
        "counter",
        'log prefix "foreign drop "',
        "tcp flags syn / fin,syn,rst,ack",
        "tcp flags & (fin | syn | rst | ack) == syn",
    )
    if priority > _TRACKED:
        states = ("new", "{ new, untracked }", "invalid,new", "!= new", "established")
        yield f"ct state {random.choice(states)}"
        yield f"ct status {random.choice(('dnat', 'snat', '! dnat'))}"
        yield f"ct direction {random.choice(('original', 'reply'))}"
        yield f"ct state new ct original {ip} daddr {random.choice(places)}"
        yield f"ct state new ct original proto-dst {random.choice((80, 30080))}"
        yield f"ct mark {no}{random.choice(('0x1', '0x0'))}"


def _statement(
    random: Random, ip: str, family: IPFamily, kind: str, hook: str, priority: int, matches: str
) -> str:
    pods = [POD1.of(family), POD2.of(family), POD3.of(family)]
    pod = random.choice(pods)
    boxed = f"[{pod}]" if ":" in pod else pod
    common = ["return", "accept", "continue", "counter", "meta mark set 0x1", 'accept comment "x"']
    common += ["th dport vmap { 443 : accept, 8080 : return }", "meta mark set mark or 0x4000"]
    if kind == "nat" and hook in ("prerouting", "output"):
        port = "5353" if "udp" in matches else "8080"
        place = f"dnat {ip} to {boxed}:{port}"
        needs_one = "l4proto {" not in matches
        return random.choice([*common, place, place] if needs_one else common)
    if kind == "nat" and hook == "postrouting":
        own = random.choice((NODE, NODE_INNER)).of(family)
        found = ["masquerade", "masquerade fully-random", f"snat {ip} to {own}"]
        return random.choice([*common, *found])
    if kind == "nat":
        return random.choice(common)
    common += ["drop", "drop", "meta mark set 0x4000", "meta mark set meta mark ^ 0x1"]
    common += [
        "th dport vmap { 80 : drop, 8080 : continue }",
        "numgen random mod 2 vmap { 0 : drop }",
    ]
    if priority > _TRACKED:
        common += ["ct state vmap { established : accept, invalid : drop, new : continue }"]
        common += ["ct mark set 0x1", "ct mark set meta mark", "meta mark set ct mark"]
    if kind == "filter" and hook in ("input", "forward", "output"):
        common += ["reject", "reject"]
        common += ["reject with tcp reset"] if matches.startswith("tcp") else []
    return random.choice(common)
