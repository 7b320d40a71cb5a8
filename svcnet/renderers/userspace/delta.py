"""A step from one proxy table to another, as values."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.graph import FragmentName
from svcnet.netfilter import Jump, Rule
from svcnet.renderers.userspace.portals import CHAINS, jumps, service_rules
from svcnet.renderers.userspace.table import ProxiedPort, ProxyTable


class ServiceChange(NamedTuple):
    """A service port that came (``before`` is None), went (``after`` is), or changed.

    It changed as well when only a proxy port of it did.
    """

    name: FragmentName
    before: ProxiedPort | None
    after: ProxiedPort | None


@frozen(repr=False)
class ProxyDelta(Brief):
    """What changes from ``old`` to ``new``: service ports, rules, and the jumps to them.

    ``removed`` go before ``added`` come. Rules of one service port keep their order when
    what is added is put at the end of its chain.
    """

    old: ProxyTable = field(repr=False)
    new: ProxyTable = field(repr=False)
    changed: tuple[ServiceChange, ...]
    removed: tuple[Rule, ...]
    added: tuple[Rule, ...]
    removed_jumps: tuple[Jump, ...]
    added_jumps: tuple[Jump, ...]

    def __bool__(self) -> bool:
        rules = self.removed or self.added or self.removed_jumps or self.added_jumps
        return bool(self.changed or rules or self.old.unsupported != self.new.unsupported)

    @property
    def family(self) -> IPFamily:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.new.family


def between(old: ProxyTable, new: ProxyTable) -> ProxyDelta:
    """Return the step from one table of a node to another."""
    changed: list[ServiceChange] = []
    removed: list[Rule] = []
    added: list[Rule] = []
    for name in sorted({*old.services, *new.services}):
        before, after = old.services.get(name), new.services.get(name)
        if before != after or _ports(old, before) != _ports(new, after):
            changed.append(ServiceChange(name, before, after))
        elif old.settings == new.settings:
            continue
        gone, come = _replacements(_rules(old, before), _rules(new, after))
        removed += gone
        added += come
    old_jumps, new_jumps = jumps(old.settings), jumps(new.settings)
    return ProxyDelta(
        old=old,
        new=new,
        changed=tuple(changed),
        removed=tuple(removed),
        added=tuple(added),
        removed_jumps=tuple(jump for jump in old_jumps if jump not in new_jumps),
        added_jumps=tuple(jump for jump in new_jumps if jump not in old_jumps),
    )


def _ports(table: ProxyTable, service: ProxiedPort | None) -> tuple[int, ...]:
    return tuple(table.ports[name] for name in service.listener_names) if service else ()


def _rules(table: ProxyTable, service: ProxiedPort | None) -> tuple[Rule, ...]:
    return service_rules(service, table.ports, table.settings) if service else ()


def _replacements(old: Iterable[Rule], new: Iterable[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Return what goes and what comes, where a rule's place among those of its chain counts."""
    gone: list[Rule] = []
    come: list[Rule] = []
    for chain in (chain for chains in CHAINS.values() for chain in chains):
        before = [rule for rule in old if rule.chain == chain]
        after = [rule for rule in new if rule.chain == chain]
        pairs = zip(before, after, strict=False)
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        gone += before[same:]
        come += after[same:]
    return gone, come
