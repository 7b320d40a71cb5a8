"""New rules take over from old ones so that no packet is lost between the two. Pure.

A rule of kube-proxy's layout chooses an endpoint in a map of its own, by a random number. The
kernel has a packet that is on its way go on by the rules that it began with (``nft_do_chain`` in
``net/netfilter/nf_tables_core.c`` reads the generation once), but that map is empty to it from the
moment when a commit takes the rule away: looking up takes the generation of now
(``nft_genmask_cur``), in which the map's elements are off (``nft_map_deactivate`` in
``nf_tables_api.c``, which the deletion of the rule comes to). So it finds no endpoint, and goes on
untranslated.

The remedy is an order. One commit puts the new rules behind the old ones, and the next takes those
away: a packet that began between the two and finds an old map empty comes to the new rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve

from svcnet.netfilter.nft import NFTChain, NFTRule
from svcnet.renderers.nftables import NFTablesDelta, NFTEdit, NFTRuleDeletion


def has_own_map(rules: Iterable[NFTRule]) -> bool:
    """Return whether any of some rules chooses an endpoint in a map that goes with it."""
    return any("numgen" in each.text and "{" in each.text for each in rules)


def rewritten_chains(delta: NFTablesDelta) -> list[str]:
    """Return the chains that a step writes anew and in which rules have to take over."""
    rules: dict[str, list[NFTRule]] = {}
    for edit in delta.changes:
        if isinstance(edit, NFTEdit) and isinstance(edit.made, NFTRule):
            rules.setdefault(edit.made.chain, []).append(edit.made)
    return [name for name, own in rules.items() if has_own_map(own)]


def hand_over(delta: NFTablesDelta, old: Mapping[str, Sequence[int]]) -> NFTablesDelta:
    """Return a step in which old rules go only when the new ones are behind them.

    `old` are the handles of the rules that chains have before it, by chain.
    """
    kept = {NFTEdit("flush", NFTChain(name)) for name in old}
    changes = tuple([edit for edit in delta.changes if edit not in kept])
    gone = [NFTRuleDeletion(name, each) for name, own in old.items() for each in own]
    return evolve(delta, changes=changes, last=(*gone, *delta.last))
