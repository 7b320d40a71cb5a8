"""What service ports share in the flat layout: buckets, endpoints in maps, and the maps' sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import Literal

from attrs import evolve, frozen
from immutables import Map

from svcnet.graph import FragmentName
from svcnet.netfilter.nft import NFTChain, NFTElement, NFTRule, NFTSet
from svcnet.renderers.nftables import names
from svcnet.renderers.nftables.block import NFTablesBlock, Place
from svcnet.renderers.nftables.delta import Edit, NFTEdit, NFTGrowth
from svcnet.renderers.nftables.flat.buckets import Bucket
from svcnet.renderers.nftables.flat.endpoints import EndpointRow
from svcnet.renderers.nftables.flat.frame import add_maps
from svcnet.renderers.nftables.flat.leads import Lead
from svcnet.renderers.nftables.flat.sizes import have_sizes, resize
from svcnet.renderers.nftables.flat.tally import LeadTally
from svcnet.renderers.nftables.frame import rules_of
from svcnet.renderers.nftables.ruleset import Ruleset
from svcnet.renderers.nftables.turns import turn
from svcnet.renderers.nftables.words import words


def count(
    ruleset: Ruleset,
    blocks: Mapping[FragmentName, NFTablesBlock],
    claims: Mapping[Place, tuple[FragmentName, ...]],
) -> Ruleset:
    """Return a table with the maps that the layout has beside, in their sizes, and its counts."""
    sizes = Map(Counter([container for container, _ in claims])).mutate()
    tally = LeadTally(sizes, Map[Bucket, int]().mutate())
    goals = Counter(
        [
            made.value
            for name, block in blocks.items()
            for made in block.made
            if type(made) is NFTElement
            and made.container in names.LEADING
            and claims[made[:2]][-1] == name
        ]
    )
    for goal, number in goals.items():
        bucket = Bucket.of_name(goal.removeprefix("goto "))
        if bucket is not None:
            tally.lead(bucket, number)
    fixed, counts = add_maps(ruleset.fixed, words(ruleset.settings)), sizes.finish()
    fixed = resize(fixed, counts)
    return evolve(ruleset, fixed=fixed, counts=counts, buckets=tally.buckets.finish())


def recount(before: Ruleset, after: Ruleset, places: Collection[Place]) -> Ruleset:
    """Return the later of two tables with its counts, given where their elements may differ."""
    sizes, buckets = before.counts.mutate(), before.buckets.mutate()
    tally = LeadTally(sizes, buckets)
    for place in places:
        were, are = place in before.claims, place in after.claims
        if were != are:
            tally.count(place[0], are - were)
    # Most changes are of endpoints behind an element that leads to the same bucket.
    moved = [
        place
        for place in places
        if place[0] in names.LEADING and before.element(place) != after.element(place)
    ]
    for leads, step in ((after.leads(moved), 1), (before.leads(moved), -1)):
        for lead in leads.values():
            tally.lead(lead.bucket, step)
    counts = sizes.finish()
    same = counts == before.counts or have_sizes(counts, before.counts)
    fixed = before.fixed if same else resize(before.fixed, counts)
    return evolve(after, fixed=fixed, counts=counts, buckets=buckets.finish())


@frozen
class SharedChanges:
    """What changes in what service ports share, in parts of a step."""

    first: tuple[Edit, ...]
    changes: tuple[Edit, ...]
    stale: tuple[str, ...]
    growth: NFTGrowth | None
    last: tuple[Edit, ...]


def shared_changes(
    before: Ruleset, after: Ruleset, places: Collection[Place], room: Mapping[str, int]
) -> SharedChanges:
    """Return what changes in buckets and endpoints, at the `places` where elements may differ.

    Sets get more room that have not more than `before`, and on the machine not as much `room`.
    """
    candidates: dict[Bucket, None] = {}
    come: list[Edit] = []
    gone: list[Edit] = []
    last: list[Edit] = []
    old_leads, new_leads = before.leads(places), after.leads(places)
    for place in places:
        old, new = old_leads.get(place), new_leads.get(place)
        for lead in (old, new):
            if lead is not None:
                candidates |= dict.fromkeys((lead.bucket, *lead.bucket.leads_to()))
        for verb, row in _row_changes(old, new):
            (come if verb == "add" else gone).append(NFTEdit(verb, row))
        # A packet on its way may come from where the frontend led before.
        last += [NFTEdit("delete", row) for row in _whole_rows(old, new)]
    were = {each for each in candidates if before.has_bucket(each)}
    are = {each for each in candidates if after.has_bucket(each)}
    stale = [each.name for each in sorted(were - are)]
    first = [NFTEdit("add", made) for made in after.bucket_objects(sorted(are - were))]
    rules = _other_rules(before, after)
    last += [NFTEdit("flush", NFTChain(name)) for name in stale]
    # What goes is in front: a key may come again with another endpoint.
    changes = (*gone, *come, *rules)
    growth = _growth(before, after, room)
    return SharedChanges(tuple(first), changes, tuple(stale), growth, tuple(last))


def _other_rules(before: Ruleset, after: Ruleset) -> Iterator[Edit]:
    """Yield what gives buckets that stay the words of another node."""
    old, new = words(before.settings), words(after.settings)
    if old == new:
        return
    for bucket in filter(after.has_bucket, before.all_buckets()):
        rules = bucket.rules(new)
        if bucket.rules(old) != rules:
            yield NFTEdit("flush", NFTChain(bucket.name))
            yield from [NFTEdit("add", rule) for rule in rules]


def _row_changes(
    old: Lead | None, new: Lead | None
) -> Iterator[tuple[Literal["add", "delete"], EndpointRow]]:
    """Yield the endpoints that go and that come, in runs of numbers, but for whole rows that go."""
    if old == new or new is None:
        return
    were = {} if old is None else {row.container: row for row in old.rows}
    for after in new.rows:
        before = were.get(after.container)
        if before is None:
            yield "add", after
            continue
        for begin, end in _runs(before, after):
            gone, come = before.part(begin, end), after.part(begin, end)
            if gone.endpoints:
                yield "delete", gone
            if come.endpoints:
                yield "add", come


def _whole_rows(old: Lead | None, new: Lead | None) -> Iterator[EndpointRow]:
    """Yield the endpoints of which a frontend has none any more where they are."""
    if old is not None and old != new:
        kept = () if new is None else [row.container for row in new.rows]
        yield from (row for row in old.rows if row.container not in kept)


def _runs(before: EndpointRow, after: EndpointRow) -> Iterator[tuple[int, int]]:
    """Yield from where to where endpoints differ."""
    begin: int | None = None
    pairs = zip_longest(before.endpoints, after.endpoints)
    for number, (old, new) in enumerate(pairs):
        is_same = old is not None and new is not None and old.id == new.id
        if is_same and begin is not None:
            yield begin, number
        begin = None if is_same else number if begin is None else begin
    if begin is not None:
        yield begin, max(len(before.endpoints), len(after.endpoints))


def _growth(before: Ruleset, after: Ruleset, room: Mapping[str, int]) -> NFTGrowth | None:
    """Return what gives sets more room, with what is in them before."""
    if before.fixed is after.fixed:
        return None
    sizes = {each.name: each.size for each in before.fixed.objects if type(each) is NFTSet}
    sets = [
        each
        for each in after.fixed.objects
        if type(each) is NFTSet and each.size > room.get(each.name, sizes.get(each.name, each.size))
    ]
    if not sets:
        return None
    names = {f"@{each.name}" for each in sets}
    rules = {
        chain: own
        for chain, own in _rules(before)
        if any(not names.isdisjoint(rule.text.split(" ")) for rule in own)
    }
    return turn(sets, rules, partial(_filling, before))


def _filling(ruleset: Ruleset, others: Mapping[str, str]) -> Iterator[Edit]:
    """Yield what puts all elements of some sets each into another one."""
    found: dict[str, list[Edit]] = {name: [] for name in others}
    for item in ruleset.iterate():
        if isinstance(item, NFTElement | EndpointRow) and item.container in found:
            made = item._replace(container=others[item.container])
            found[item.container].append(NFTEdit("add", made))
    yield from chain.from_iterable(found.values())


def _rules(ruleset: Ruleset) -> Iterator[tuple[str, Sequence[NFTRule]]]:
    """Yield the chains that may look into sets which service ports share, and their rules."""
    yield from rules_of(ruleset.fixed).items()
    say = words(ruleset.settings)
    for bucket in ruleset.all_buckets():
        yield bucket.name, bucket.rules(say)
