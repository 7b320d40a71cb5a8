"""What the rules of others are for, of those that decide what becomes of packets."""

from __future__ import annotations

from svcnet.meaning.aims import RuleAim, RuleAims
from svcnet.meaning.nftables.names import RuleWords
from svcnet.meaning.nftables.tables import NFTLine, NFTTables, is_for_services

_REFUSALS = frozenset(("drop", "reject"))
_DECISIONS = frozenset(
    (*_REFUSALS, *("accept", "dnat", "snat", "masquerade", "redirect", "tproxy", "queue"))
)


def aims(tables: NFTTables, words: RuleWords) -> RuleAims:
    """Return the rules of others that decide, with the destinations that they name.

    A rule in a chain is for what the rule names that leads there, if it names nothing itself.
    """
    found: dict[object, RuleAim] = {}
    seen: set[tuple[str, str, RuleAim]] = set()
    waiting = [
        (each.table, each.chain, RuleAim())
        for hooked in tables.hooks.values()
        for each in hooked
        if not is_for_services(each.table)
    ]
    while waiting:
        table, chain, led = waiting.pop()
        if (table, chain, led) in seen:
            continue
        seen.add((table, chain, led))
        for rule in tables.rules.get((table, chain), ()):
            aim = _aim(rule, words) or led
            waiting += [(table, name, aim) for name in words.chains_of(rule)]
            said = _DECISIONS & {*rule.words, *words.verdicts_of(rule)}
            if aim and said:
                old = found.get(rule, RuleAim())
                found[rule] = RuleAim(
                    (*old.addresses, *aim.addresses),
                    (*old.ports, *aim.ports),
                    bool(said & _REFUSALS),
                )
    return found


def _aim(rule: NFTLine, words: RuleWords) -> RuleAim:
    """Return the destinations that a rule names, but for those that it leaves out."""
    named = [each for each in words.destinations_of(rule) if not each.is_negated]
    addresses = tuple(span for each in named for span in each.addresses())
    if addresses:
        return RuleAim(addresses)
    return RuleAim((), tuple(one.ports for each in named for one in each.all if one.ports))
