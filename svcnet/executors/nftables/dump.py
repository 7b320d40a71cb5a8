"""A table as the kernel tells it, without nft: for a look in a fraction of the time.

nft asks for each set without a name by its name, which the kernel looks up in a list of all of
them: of 10,000 Services a listing takes six seconds, and each commit of anybody makes nft begin
anew. Here a rule is read by its handle alone. The kernel never changes a rule, nor what is in such
a set, and gives no handle twice, so what once was right and has the same handles is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias, TypeVar

from attrs import evolve, frozen

from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask, list_whole, reason
from svcnet.executors.nftables.aim import Aim
from svcnet.executors.nftables.endpoints import EndpointDrift, endpoint_drift
from svcnet.executors.nftables.netlink import NFTSocket
from svcnet.netfilter.nft import (
    ChainState,
    ElementState,
    NFTPlace,
    NFTRule,
    NFTSet,
    NFTTable,
    OtherState,
    RuleState,
    SetState,
    TableState,
    canonical,
    canonical_key,
    quote_comment,
    wire,
)
from svcnet.netfilter.nft.wire import uapi
from svcnet.netlink import NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES
from svcnet.renderers.nftables import Ruleset, named_buckets

UNKNOWN = "?"
"""The text of a rule of which only the handle is known: no rule has it."""

_Value = TypeVar("_Value")
Handles: TypeAlias = Mapping[str, tuple[int, ...]]
"""The handles of the rules of chains, by the chain's name."""


def handles(
    table: NFTTable, chains: Iterable[str], *, machine: Machine, opened: NFTSocket | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the handles of the rules of some chains, of which those without rules are left out.

    Through an `opened` socket they are read without another one. Raises ApplyError where the kernel
    does not tell them, or nobody can read it.
    """
    return _Reader(table, machine, opened).handles_of(chains)


def all_handles(ruleset: Ruleset, *, machine: Machine) -> dict[str, tuple[int, ...]]:
    """Return the handles of all rules of a table that is as a ruleset says. Raises ApplyError."""
    reader, wanted = _Reader(ruleset.table, machine), Counter(each[0] for each in ruleset.rules())
    found = reader.handles()
    odd = [name for name, count in wanted.items() if len(found.get(name, ())) != count]
    return found | reader.handles_of(odd)


@frozen
class TableObservation:
    """A table as it is, None where there is none, and what is right of it.

    What is right is not in ``state``; with ``endpoints``, of those in maps only the ones that may
    differ are.
    """

    state: TableState | None
    right: frozenset[NFTPlace] = frozenset()
    endpoints: EndpointDrift | None = None


def dump(
    ruleset: Ruleset, known: Handles, *, machine: Machine, by_netlink: bool = False
) -> TableObservation:
    """Return the table of a ruleset as it is, and what is right of it.

    `known` are handles of chains when these were as wanted. The chains that are right still are not
    in the table, and a rule that is not known has the text ``?``. Endpoints in maps are compared
    with those that are wanted, `by_netlink`, if the kernel has such maps. Raises ApplyError where
    it does not tell the table, or nobody can read that.
    """
    table = ruleset.table
    reader = _Reader(table, machine)
    flags = reader.flags()
    if flags is None:
        return TableObservation(None)
    endpoints = endpoint_drift(ruleset, machine=machine) if by_netlink else None
    found, chains, right = reader.handles(), {}, list[NFTPlace]()
    aim = Aim.of(ruleset.keep(named_buckets(found)), endpoints)
    others = [name for name, own in known.items() if found.get(name) != own]
    found |= dict.fromkeys(others, ()) | reader.handles_of(others)
    for chain in reader.chains(aim.chains):
        name, wanted = chain.name, aim.rules.get(chain.name, [])
        own, were = found.get(name, ()), known.get(name, None if wanted else ())
        meant = aim.chains.get(name)
        is_plain = meant is not None and chain.hook is None and meant.hook is None
        if is_plain and own == were and len(own) == len(wanted):
            right.append(NFTPlace("chain", name))
            continue
        texts = dict(zip(were or (), wanted, strict=False))
        chains[name] = evolve(chain, rules=tuple(_rule(each, texts.get(each)) for each in own))
    sets = _with_elements(reader, reader.sets(aim.sets), aim, endpoints)
    state = TableState(*table, "", flags, chains, sets, tuple(reader.others()))
    return TableObservation(state, frozenset(right), endpoints)


def with_elements(ruleset: Ruleset, there: TableState, *, machine: Machine) -> TableObservation:
    """Return a table of which only the elements are not known, with those. Raises ApplyError."""
    endpoints = endpoint_drift(ruleset, machine=machine)
    reader, aim = _Reader(ruleset.table, machine), Aim.of(ruleset, endpoints)
    sets = _with_elements(reader, there.sets.values(), aim, endpoints)
    return TableObservation(evolve(there, sets=sets), frozenset(), endpoints)


def _with_elements(
    reader: _Reader, sets: Iterable[SetState], aim: Aim, endpoints: EndpointDrift | None
) -> dict[str, SetState]:
    """Return sets by name, with their elements; of endpoints in maps with those that may differ."""
    known = {} if endpoints is None else endpoints.found
    found = {}
    for each in sets:
        wanted = aim.sets.get(each.name)
        there = each if wanted is None else _in_words_of(each, wanted)
        elements = known.get(each.name)
        if elements is None:
            elements = reader.elements(there, aim)
        found[each.name] = evolve(there, elements=elements)
    return found


def _in_words_of(there: SetState, wanted: NFTSet) -> SetState:
    """Return a set that the kernel tells by types, by the fields that it is wanted for."""
    one, other = (
        (wire.types_on_wire(each.type), wire.types_on_wire(each.value)) for each in (there, wanted)
    )
    return evolve(there, type=wanted.type, value=wanted.value) if one == other else there


def _rule(handle: int, wanted: NFTRule | None) -> RuleState:
    if wanted is None:
        return RuleState(UNKNOWN, handle=handle)
    comment = quote_comment(wanted.comment)[1:-1] if wanted.comment else ""
    return RuleState(canonical(wanted.text), comment, handle)


class _Reader:
    """What the kernel tells of one table.

    It tells a long list in parts, by counting, and may leave something out, or say it twice, when a
    commit comes between two. It says so of most, but not where it counts the commit before it takes
    away what that removed. So whatever is missed of what is wanted is asked for by itself.
    """

    def __init__(self, table: NFTTable, machine: Machine, opened: NFTSocket | None = None) -> None:
        self._table = table
        self._machine = machine
        self._opened = opened
        self._head = wire.head(*table)

    def flags(self) -> frozenset[str] | None:
        """Return the table's flags, None where there is no table."""
        found = self._list(uapi.NFT_MSG_GETTABLE, wire.read_flags)
        return found[0] if found else None

    def handles(self, chain: bytes = b"") -> dict[str, tuple[int, ...]]:
        """Return the handles of rules, of one chain or of all that have any."""
        rules = self._list(uapi.NFT_MSG_GETRULE, wire.read_rule, chain)
        by_chain = groupby(rules, attrgetter("chain"))
        return {name: tuple(rule.handle for rule in own) for name, own in by_chain}

    def handles_of(self, chains: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Return the handles of the rules of some chains, each by itself."""
        found: dict[str, tuple[int, ...]] = {}
        for name in chains:
            found |= self.handles(wire.of_chain(name))
        return found

    def chains(self, wanted: Collection[str]) -> list[ChainState]:
        """Return the chains without their rules."""
        found = self._list(uapi.NFT_MSG_GETCHAIN, wire.read_chain)
        for name in set(wanted).difference(each.name for each in found):
            found += self._list(
                uapi.NFT_MSG_GETCHAIN, wire.read_chain, wire.the_chain(name), is_one=True
            )
        return found

    def sets(self, wanted: Collection[str]) -> list[SetState]:
        """Return the sets that have names, without their elements."""
        found = [
            each for each in self._list(uapi.NFT_MSG_GETSET, wire.read_set) if each is not None
        ]
        for name in set(wanted).difference(each.name for each in found):
            one = self._list(uapi.NFT_MSG_GETSET, wire.read_set, wire.of_set(name), is_one=True)
            found += filter(None, one)
        return found

    def others(self) -> list[OtherState]:
        """Return what else there is."""
        objects = self._list(uapi.NFT_MSG_GETOBJ, wire.read_object)
        return objects + self._list(uapi.NFT_MSG_GETFLOWTABLE, wire.read_flowtable)

    def elements(self, there: SetState, aim: Aim) -> dict[str, ElementState]:
        """Return the elements of a set that is wanted so, but for those that rules add.

        The kernel may leave some out while it makes room in the set for more: those are asked for
        one by one.
        """
        wanted = aim.sets.get(there.name)
        if wanted is None or wanted.seconds or wanted.type != there.type:
            return {}
        form = wire.ElementForm.of(there.type, there.value)
        read = partial(wire.read_elements, types=form.key, values=form.value)
        name = wire.of_set(there.name)
        told = self._list(uapi.NFT_MSG_GETSETELEM, read, name)
        found = {each.key: each for part in told for each in part}
        for each in aim.elements.get(there.name, ()):
            if each.key not in found and canonical_key(each.key, form.key) not in found:
                name = wire.of_elements(there.name, form.pack_key(each.key))
                for part in self._list(uapi.NFT_MSG_GETSETELEM, read, name, is_one=True):
                    found |= {one.key: one for one in part}
        return found

    def _list(
        self,
        kind: int,
        read: Callable[[bytes], _Value],
        more: bytes = b"",
        *,
        is_one: bool = False,
    ) -> list[_Value]:
        """Return everything of a kind that the table has, as it was at one moment; or one thing."""
        kind, body = NFNL_SUBSYS_NFTABLES << 8 | kind, self._head + more
        try:
            answers: Iterable[bytes]
            if is_one:
                answers = ask(NETLINK_NETFILTER, kind, body, machine=self._machine)
            elif self._opened is None:
                answers = list_whole(NETLINK_NETFILTER, kind, body, machine=self._machine)
            else:
                answers = self._opened.list_whole(kind, body)
            return [read(each) for each in answers if wire.is_of(each, self._table.name)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            told = reason(error) if isinstance(error, OSError) else str(error)
            raise ApplyError(f"nf_tables does not tell table {self._table}: {told}") from None
