"""One service port's share of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeAlias

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.graph import Fragment, Origin
from svcnet.netfilter.nft import NFTChain, NFTElement, NFTObject, NFTRule, NFTSet
from svcnet.renderers.nftables.flat.endpoints import EndpointRow
from svcnet.renderers.nftables.flat.leads import Lead, Leads
from svcnet.renderers.nftables.names import frontend_key, leading_map

Place: TypeAlias = tuple[str, str]
"""Where an element is: in which set or map, and under which key."""


_BLANKS = ("\0", "\1")
"""What stands for names where they are to be filled in; no text of a table has it."""


@frozen
class NFTRow:
    """Objects that are alike but for what ``make`` is given: one of the ``names``, all texts.

    With session affinity nearly all of a table are such. So they are not kept as values, and their
    lines are those of one with the names filled in.
    """

    make: Callable[..., tuple[NFTObject, ...]]
    names: tuple[tuple[str, ...], ...]

    def objects(self) -> Iterator[NFTObject]:
        """Yield them."""
        for each in self.names:
            yield from self.make(*each)


NFTItem: TypeAlias = NFTObject | NFTRow | EndpointRow
"""An object of a table, or many that are kept as one."""


@frozen
class _OwnObjects:
    """The chains of one service port with their rules, and its sets."""

    chains: Mapping[str, tuple[NFTRule, ...]]
    sets: Mapping[str, NFTSet]

    @classmethod
    def of(cls, objects: Iterable[NFTObject]) -> _OwnObjects:
        """Sort objects; the rules of a chain come one after the other."""
        rules: dict[str, list[NFTRule]] = {}
        sets = {}
        for made in objects:
            if type(made) is NFTChain:
                rules[made.name] = []
            elif type(made) is NFTRule:
                rules.setdefault(made.chain, []).append(made)
            elif type(made) is NFTSet:
                sets[made.name] = made
        return cls({name: tuple(own) for name, own in rules.items()}, sets)


@frozen(repr=False, weakref_slot=False)
class NFTablesBlock(Brief):
    """What the table has for one service port, in the order in which it is made.

    ``parts`` are what each of ``made`` is for, as :meth:`svcnet.graph.Fragment.origin_of` takes it;
    of a row they are those of its names. One that ``uses_buckets`` has elements that lead to chains
    which service ports share, as in the flat layout.
    """

    fragment: Fragment = field(repr=False)
    made: tuple[NFTObject | NFTRow, ...]
    parts: tuple[str | tuple[str, ...], ...] = field(repr=False)
    uses_buckets: bool = False

    @property
    def elements(self) -> Mapping[Place, NFTElement]:
        """Its elements, by where they are; it keeps each but once."""
        return {made[:2]: made for made in self.made if type(made) is NFTElement}

    @property
    def leads(self) -> Mapping[Place, Lead]:
        """What is behind those of its elements that lead to a shared chain, by where they are."""
        if not self.uses_buckets:
            return {}
        leads, protocol = Leads(self.fragment), self.fragment.name.protocol.lower()
        return {
            (leading_map(dispatch), frontend_key(dispatch, protocol)): lead
            for dispatch in self.fragment.dispatches
            if (lead := leads.of(dispatch)) is not None
        }

    @property
    def has_chains(self) -> bool:
        """Whether it has anything but elements."""
        return bool({*map(type, self.made)} - {NFTElement})

    @property
    def objects(self) -> tuple[NFTObject, ...]:
        """All that it has."""
        found: list[NFTObject] = []
        for made in self.made:
            if isinstance(made, NFTRow):
                found += made.objects()
            else:
                found.append(made)
        return tuple(found)

    @property
    def chains(self) -> Mapping[str, tuple[NFTRule, ...]]:
        """Its own chains, with their rules."""
        return self._own.chains if self.has_chains else {}

    @property
    def sets(self) -> Mapping[str, NFTSet]:
        """Its own sets, by name."""
        return self._own.sets if self.has_chains else {}

    @cached_property
    def _own(self) -> _OwnObjects:
        """What steps compare; it is kept, but by blocks of elements alone, which have none."""
        return _OwnObjects.of(self.objects)

    def origin_of(self, made: NFTObject) -> Origin | None:
        """Return what caused an object of the table, None if it is none of these."""
        part = self._part_of.get(made)
        return None if part is None else self.fragment.origin_of(part)

    def origin_of_name(self, name: str) -> Origin | None:
        """Return what caused its own chain or set of a name, None if it has none."""
        for made in self.objects:
            if type(made) in (NFTChain, NFTSet) and made[0] == name:
                return self.origin_of(made)
        return None

    def objects_and_parts(self) -> Iterator[tuple[NFTObject, str]]:
        """Yield all that it has, each with what it is for."""
        for made, part in zip(self.made, self.parts, strict=True):
            if isinstance(made, NFTRow):
                for name, each in zip(made.names, part, strict=True):
                    yield from ((one, each) for one in made.make(*name))
            else:
                yield made, str(part)

    @cached_property
    def _part_of(self) -> Mapping[NFTObject, str]:
        return dict(self.objects_and_parts())


def lines(objects: Iterable[NFTItem], table: str, *, is_new: bool = False) -> list[str]:
    """Return the lines that make objects.

    A chain is emptied too, for its rules come anew, unless with `is_new` there is none yet.
    """
    found: list[str] = []
    forms: dict[Callable[..., tuple[NFTObject, ...]], list[str]] = {}
    for made in objects:
        if isinstance(made, NFTRow):
            form = forms.get(made.make)
            if form is None:
                form = forms[made.make] = _form(made, table, is_new=is_new)
            found += _fill(form, made.names)
        elif type(made) is NFTChain and not is_new:
            found.append(made.add(table) + made.flush(table))
        else:
            found.append(made.add(table))
    return found


def _form(row: NFTRow, table: str, *, is_new: bool) -> list[str]:
    """Return the lines of one of a row, in pieces: between them is the first name."""
    count = len(row.names[0])
    return "".join(lines(row.make(*_BLANKS[:count]), table, is_new=is_new)).split(_BLANKS[0])


def _fill(form: list[str], names: tuple[tuple[str, ...], ...]) -> list[str]:
    """Return the lines of each name, those of one as one text."""
    if len(names[0]) == 1:
        return [name.join(form) for (name,) in names]
    return [name.join(form).replace(_BLANKS[1], other) for name, other in names]
