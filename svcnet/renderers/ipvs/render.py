"""From a rule graph, or a step between two, to what a node has in IPVS mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from immutables import Map

from svcnet.graph import Fragment, FragmentName, GraphDiff, RuleGraph
from svcnet.nogc import without_gc
from svcnet.renderers.ipvs.delta import IPVSDelta, ServerChange
from svcnet.renderers.ipvs.part import (
    Entry,
    ServerKey,
    node_port_addresses,
    render_service_port,
)
from svcnet.renderers.ipvs.sets import SETS, IPSet, max_elements
from svcnet.renderers.ipvs.tables import IPVSTables

Timeouts = tuple[int, int, int]


@without_gc()
def full(graph: RuleGraph) -> IPVSTables:
    """Return everything that the node has."""
    settings = graph.settings
    addresses = node_port_addresses(settings)
    parts = {}
    claims: dict[ServerKey, tuple[FragmentName, ...]] = {}
    uses: dict[Entry, int] = {}
    for name, fragment in graph.fragments.items():
        part = parts[name] = render_service_port(fragment, settings, addresses)
        for server in part.servers:
            claims[server.key] = _claim(claims.get(server.key, ()), name)
        for entry in part.entries:
            uses[entry] = uses.get(entry, 0) + 1
    sizes = Counter(definition for definition, _ in uses)
    return IPVSTables(
        settings=settings,
        parts=Map(parts),
        claims=Map(claims),
        uses=Map(uses),
        sizes=Map(sizes),
    )


def advance(tables: IPVSTables, diff: GraphDiff) -> tuple[IPVSTables, IPVSDelta]:
    """Return the sync of ``diff.new``, and what changes from `tables`, that of ``diff.old``.

    The cost is the change's, unless the node's settings or a rule changed.
    """
    if diff.settings_changed:
        after = full(diff.new)
        return after, between(tables, after)
    gone = [*diff.removed, *(before for before, _ in diff.changed)]
    come = [*diff.added, *(after for _, after in diff.changed)]
    after = _replace(tables, gone, come)
    changed = (*(tables.parts[f.name] for f in gone), *(after.parts[f.name] for f in come))
    keys = dict.fromkeys(server.key for part in changed for server in part.servers)
    entries = {entry for part in changed for entry in part.entries}
    added = {entry for entry in entries if entry in after.uses and entry not in tables.uses}
    removed = {entry for entry in entries if entry in tables.uses and entry not in after.uses}
    same_rules = set(tables.sizes) == set(after.sizes) and not any(p.out_filter for p in changed)
    return after, _delta(tables, after, keys, added, removed, same_rules)


def delta(diff: GraphDiff) -> IPVSDelta:
    """Return what takes a node from ``diff.old`` to ``diff.new``.

    Renders the whole of ``diff.old``: a caller that keeps its tables uses :func:`advance`.
    """
    return advance(full(diff.old), diff)[1]


def between(before: IPVSTables, after: IPVSTables) -> IPVSDelta:
    """Return what takes a node from one sync to any other."""
    keys = {**before.servers, **after.servers}
    added = {entry for entry in after.uses if entry not in before.uses}
    removed = {entry for entry in before.uses if entry not in after.uses}
    return _delta(before, after, keys, added, removed, False)


def _delta(
    before: IPVSTables,
    after: IPVSTables,
    keys: Iterable[ServerKey],
    added: set[Entry],
    removed: set[Entry],
    same_rules: bool,
) -> IPVSDelta:
    changes = (ServerChange(key, before.server(key), after.server(key)) for key in keys)
    rules = ""
    if not same_rules and before.restore_text != after.restore_text:
        rules = after.restore_text
    return IPVSDelta(
        settings=after.settings,
        servers=tuple(change for change in changes if change.before != change.after),
        added=tuple(sorted(added)),
        removed=tuple(sorted(removed)),
        resized=_resize(before, after),
        rules=rules,
        sysctls=_sysctls(before.sysctls, after.sysctls),
        timeouts=_timeouts(before.settings.ipvs.timeouts, after.settings.ipvs.timeouts),
        old=before,
        new=after,
    )


def _sysctls(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return the settings that came or changed; one that is not asked for stays as it is."""
    return {path: value for path, value in after.items() if before.get(path) != value}


def _resize(before: IPVSTables, after: IPVSTables) -> tuple[IPSet, ...]:
    return tuple(
        after.sets[definition]
        for definition in SETS
        if max_elements(before.sizes.get(definition, 0))
        != max_elements(after.sizes.get(definition, 0))
    )


def _timeouts(before: Timeouts, after: Timeouts) -> Timeouts:
    """Return the timeouts that changed, 0 for the others."""
    tcp, fin, udp = (new if new != old else 0 for old, new in zip(before, after, strict=True))
    return tcp, fin, udp


def _claim(names: tuple[FragmentName, ...], name: FragmentName) -> tuple[FragmentName, ...]:
    return tuple(sorted((*names, name))) if names else (name,)


def _replace(tables: IPVSTables, gone: list[Fragment], come: list[Fragment]) -> IPVSTables:
    """Return `tables` without the parts of some fragments, and with those of others."""
    addresses = node_port_addresses(tables.settings)
    parts, claims = tables.parts.mutate(), tables.claims.mutate()
    uses, sizes = tables.uses.mutate(), Counter(tables.sizes)
    for fragment in gone:
        part = parts.pop(fragment.name)
        for server in part.servers:
            names = tuple(name for name in claims.pop(server.key) if name != fragment.name)
            if names:
                claims[server.key] = names
        for entry in part.entries:
            count = uses.pop(entry) - 1
            if count:
                uses[entry] = count
            else:
                sizes[entry[0]] -= 1
    for fragment in come:
        part = parts[fragment.name] = render_service_port(fragment, tables.settings, addresses)
        for server in part.servers:
            claims[server.key] = _claim(claims.get(server.key, ()), fragment.name)
        for entry in part.entries:
            count = uses.get(entry, 0)
            uses[entry] = count + 1
            sizes[entry[0]] += not count
    return IPVSTables(
        settings=tables.settings,
        parts=parts.finish(),
        claims=claims.finish(),
        uses=uses.finish(),
        sizes=Map(+sizes),
    )
