"""What a table is to have, by name."""

from __future__ import annotations

from itertools import chain

from attrs import define, field

from svcnet.executors.nftables.endpoints import EndpointDrift
from svcnet.netfilter.nft import NFTChain, NFTElement, NFTPlace, NFTRule, NFTSet
from svcnet.renderers.nftables import Ruleset


@define
class Aim:
    """What a table is to have, by name."""

    chains: dict[str, NFTChain] = field(factory=dict)
    sets: dict[str, NFTSet] = field(factory=dict)
    rules: dict[str, list[NFTRule]] = field(factory=dict)
    elements: dict[str, list[NFTElement]] = field(factory=dict)

    @classmethod
    def of(cls, ruleset: Ruleset, endpoints: EndpointDrift | None = None) -> Aim:
        """Return all that a ruleset has; of endpoints in maps, if given, only what may differ."""
        found = cls()
        if endpoints is not None:
            for name, wanted in endpoints.wanted.items():
                found.elements[name] = list(wanted.values())
        objects = ruleset.objects() if endpoints is None else ruleset.objects_without_rows()
        for made in chain(ruleset.fixed.objects, objects):
            match made:
                case NFTElement():
                    found.elements.setdefault(made.container, []).append(made)
                case NFTRule():
                    found.rules.setdefault(made.chain, []).append(made)
                case NFTChain():
                    found.chains[made.name] = made
                case NFTSet():
                    found.sets[made.name] = made
        return found

    def leave_out(self, places: frozenset[NFTPlace]) -> None:
        """Leave out what is at some places."""
        keys: dict[str, set[str]] = {}
        for kind, name, key in places:
            if kind == "chain":
                self.chains.pop(name, None)
                self.rules.pop(name, None)
            elif key:
                keys.setdefault(name, set()).add(key)
            else:
                self.sets.pop(name, None)
                self.elements.pop(name, None)
        for name, own in keys.items():
            elements = self.elements.get(name, [])
            self.elements[name] = [each for each in elements if each.key not in own]
