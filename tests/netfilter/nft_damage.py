"""What somebody may do to a table of mode nftables."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from svcnet.netfilter.nft import TableState

NAMES = (
    "kitchen-sink",
    "affinity-lb-external",
    "nft-no-endpoints",
    "lb-source-ranges",
    "nft-sctp-dual",
)
"""Cases with all that a table can have."""

RULES = (
    *("drop", "accept", "counter", "ip saddr 10.9.9.9 drop", "jump reject-chain", "jump services"),
    *("ip daddr @cluster-ips accept", "meta mark set 0x1", 'accept comment "mine"'),
    *("ip daddr . meta l4proto . th dport vmap @service-ips",),
)


def said(table: TableState) -> dict[str, Any]:
    """Return what a table says to packets, without numbers of the kernel and places in a text."""
    found: dict[str, Any] = {
        f"chain {name}": (chain.hook, [rule[:2] for rule in chain.rules])
        for name, chain in table.chains.items()
    }
    for name, kept in table.sets.items():
        elements = (
            {} if "dynamic" in kept.flags else {e.key: e[1:3] for e in kept.elements.values()}
        )
        size = 0 if "dynamic" in kept.flags else kept.size
        facts = kept.type, kept.value, kept.flags, kept.timeout, size, kept.options
        found[f"{kept.kind} {name}"] = (*facts, elements)
    return found | {"": (table.flags, table.others, table.unknown)}


@st.composite
def damages(draw: st.DrawFn, table: TableState) -> list[str]:
    """Lines that change a table; some of them may be refused."""
    chains, sets = st.sampled_from(sorted(table.chains)), st.sampled_from(sorted(table.sets))
    found = []
    for _ in range(draw(st.integers(1, 6))):
        chain, kept = draw(chains), table.sets[draw(sets)]
        rule = draw(st.sampled_from(RULES)).replace(
            "ip ", "ip6 " if table.family == "ip6" else "ip "
        )
        rule = rule.replace("10.9.9.9", "fd09::9" if table.family == "ip6" else "10.9.9.9")
        handles = [each.handle for each in table.chains[chain].rules] or [99999]
        keys = sorted(kept.elements) or ["10.9.9.9"]
        key = draw(st.sampled_from(keys))
        value = draw(st.sampled_from(["drop", f"goto {draw(chains)}", "accept"]))
        value = f" : {value}" if kept.value else ""
        handle = draw(st.sampled_from(handles))
        hook = draw(
            st.sampled_from(["input priority 0", "output priority -100", "forward priority 7"])
        )
        line = draw(
            st.sampled_from(
                [
                    f"add rule {table} {chain} {rule}",
                    f"insert rule {table} {chain} {rule}",
                    f"delete rule {table} {chain} handle {handle}",
                    f"replace rule {table} {chain} handle {handle} {rule}",
                    f"add rule {table} {chain} handle {handle} {rule}",
                    f"flush chain {table} {chain}",
                    f"delete chain {table} {chain}",
                    f"add chain {table} mine",
                    f"add rule {table} mine {rule}",
                    f"add chain {table} hooked {{ type filter hook {hook} ; policy drop ; }}",
                    f"add chain {table} {chain} {{ type filter hook {hook} ; policy drop ; }}",
                    f"add rule {table} services goto mine",
                    f"add set {table} own {{ type ipv4_addr ; }}",
                    f"add rule {table} services ip6 daddr @own drop"
                    if table.family == "ip6"
                    else f"add rule {table} services ip daddr @own drop",
                    f"flush {kept.kind} {table} {kept.name}",
                    f"delete {kept.kind} {table} {kept.name}",
                    f"delete element {table} {kept.name} {{ {key} }}",
                    f"add element {table} {kept.name} {{ {key}{value} }}",
                    f"add element {table} {kept.name} {{ {key[:-1]}7{value} }}",
                    f"flush table {table}",
                ]
            )
        )
        found.append(line)
    return found
