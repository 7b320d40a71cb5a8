"""Writing a table by netlink: a whole load of the flat layout, and steps of any.

Nothing is listed and no program is started, but for what has no bytes here: the frame of a table,
and what a load has of chains of single service ports, which nft writes from text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

from svcnet.errors import ApplyError
from svcnet.executors.ahead import ahead
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import reason
from svcnet.executors.nftables.commands import NFT, load_all, load_each
from svcnet.executors.nftables.dump import handles
from svcnet.executors.nftables.encoding import (
    ElementForms,
    Encoding,
    load_batches,
    refused_element,
)
from svcnet.executors.nftables.handover import hand_over, rewritten_chains
from svcnet.executors.nftables.netlink import NFTSocket, OvertakenBatch, RefusedBatch
from svcnet.executors.nftables.probe import deletes_late, takes_batches
from svcnet.executors.nftables.refusal import OriginOf, refusal
from svcnet.netfilter.nft import NFTChain, NFTSet, NFTTable
from svcnet.netfilter.nft.wire import NFTMessage
from svcnet.renderers.nftables import (
    Edit,
    NFTablesDelta,
    NFTEdit,
    Ruleset,
)

ATTEMPTS = 20
"""How often a transaction is made anew that somebody else's commit has overtaken."""


class NFTWriter:
    """Writes tables of a machine's network namespace by netlink, through one socket.

    It is for one thread at a time. The transactions that it cannot write are nft's.
    With `before_load` something is done before all of a table is written, such as to listen to
    nf_tables no more.
    """

    def __init__(self, machine: Machine, before_load: Callable[[], None] | None = None) -> None:
        self._machine = machine
        self._before_load = before_load
        self._socket: NFTSocket | None = None
        self._is_able = True
        self._generation = 0
        self._known: tuple[object, ElementForms | None] = (None, None)

    def is_able(self) -> bool:
        """Return whether the machine can be written to so; it is asked once."""
        if self._is_able and self._socket is None:
            with suppress(ApplyError):
                self._open()
            self._is_able = self._socket is not None and takes_batches(self._socket)
            if not self._is_able:
                self._socket = None
        return self._is_able

    @cached_property
    def _is_late(self) -> bool:
        return deletes_late(self._machine)

    def takes(self, ruleset: Ruleset) -> bool:
        """Return whether a table is laid out so that it can be written to by netlink here."""
        return ruleset.layout == "flat" and self.is_able()

    def step(
        self, delta: NFTablesDelta, after: Ruleset, origin_of: OriginOf
    ) -> tuple[int, tuple[str, ...]]:
        """Take a table through a step to another one, from the state an apply left it in.

        Returns how many commits that were, and the chains that are to be deleted later. Raises
        ApplyError; of the transaction that it names nothing is done.
        """
        chains = rewritten_chains(delta)
        if not chains:
            return self.carry_out(delta, after, origin_of)
        with self._machine.lock(delta.family):
            handed = hand_over(delta, self._handles(delta.table, chains))
            return self.carry_out(handed, after, origin_of)

    def _handles(self, table: NFTTable, chains: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """Return the handles of the rules of chains, through the writer's socket if it has one."""
        opened = self._socket if self.is_able() else None
        try:
            return handles(table, chains, machine=self._machine, opened=opened)
        except ApplyError:
            if opened is not None:
                self._open()
            raise

    def carry_out(
        self, delta: NFTablesDelta, after: Ruleset, origin_of: OriginOf
    ) -> tuple[int, tuple[str, ...]]:
        """Carry out transactions, each by nft if it has to. Returns and raises as :meth:`step`."""
        gone = () if self._is_late else delta.stale
        last = (*delta.last, *[NFTEdit("delete", NFTChain(name)) for name in gone])
        parts = [part for part in (delta.first, delta.changes, last) if part]
        forms = self._forms_of(after)
        with self._machine.lock(delta.family):
            commits = self._grow(delta, forms, origin_of)
            commits += sum(self._write(each, forms, delta.table, origin_of) for each in parts)
        return commits, delta.stale if self._is_late else ()

    def _grow(self, delta: NFTablesDelta, forms: ElementForms, origin_of: OriginOf) -> int:
        """Give sets more room: nft makes sets, which nothing looks into, and they are filled here.

        Rules that have no bytes here are nft's as well. Returns how many commits that were.
        """
        nft, table, commits = NFT(self._machine), delta.table, 0
        for part in () if delta.growth is None else delta.growth.parts:
            forms = forms.with_sets(each.made for each in part if isinstance(each, NFTEdit))
            sets = [each for each in part if isinstance(each, NFTEdit) and _is_set(each)]
            rest = [each for each in part if not (isinstance(each, NFTEdit) and _is_set(each))]
            if sets:
                commits += load_all(nft, (_text(sets, table),), origin_of)
            if rest:
                commits += self._write(rest, forms, table, origin_of)
        return commits

    def _write(
        self, part: Sequence[Edit], forms: ElementForms, table: NFTTable, origin_of: OriginOf
    ) -> int:
        """Carry out one transaction, by nft if it has to; return how many commits that is."""
        encoding = None
        if self.is_able():
            with suppress(ValueError):
                encoding = Encoding.of(table, forms, part)
        if encoding is None:
            return load_all(NFT(self._machine), (_text(part, table),), origin_of)
        return self._carry_out(encoding, origin_of)

    def load(self, ruleset: Ruleset, frame: tuple[str, ...]) -> Iterator[int]:
        """Make a table that is not there: its frame by nft, and all else by netlink.

        What leads packets anywhere comes last, at once, and nothing else with it: a large
        transaction takes more than its share. The bytes of elements are made in a thread while nft
        and the kernel are at work. Yields after each part how many commits that was. Raises
        ApplyError; some parts may be done then.
        """
        if self._before_load is not None:
            self._before_load()
        forms = ElementForms.of_table(ruleset)
        with ahead(load_batches(ruleset, forms, self._messages_at_once)) as batches:
            yield from load_each(NFT(self._machine), frame, ruleset.origin_of_line)
            yield self._make_buckets(ruleset, forms)
            for part in batches:
                yield self._fill(part, ruleset, forms)

    def _make_buckets(self, ruleset: Ruleset, forms: ElementForms) -> int:
        """Make the chains that service ports share; return how many commits that is."""
        objects = ruleset.bucket_objects(ruleset.all_buckets())
        buckets = Encoding.of(ruleset.table, forms, [NFTEdit("add", made) for made in objects])
        return self._carry_out(buckets, ruleset.origin_of_line) if buckets.messages else 0

    def _fill(self, part: Sequence[NFTMessage], ruleset: Ruleset, forms: ElementForms) -> int:
        """Give sets some elements; return how many commits that is. Raises ApplyError."""
        try:
            return self._commit(part)
        except RefusedBatch as error:
            made = refused_element(part, error.refusal, forms)
            line = "" if made is None else made.add(str(ruleset.table)).rstrip("\n")
            raise refusal(error, line, ruleset.origin_of_line) from None

    def _forms_of(self, ruleset: Ruleset) -> ElementForms:
        """Return the forms of a table's elements, which nearly all steps leave as they are."""
        fixed, forms = self._known
        if forms is None or fixed is not ruleset.fixed:
            forms = ElementForms.of_table(ruleset)
            self._known = ruleset.fixed, forms
        return forms

    @property
    def _messages_at_once(self) -> int:
        """How many full messages a batch may have, of those that are sent most."""
        assert self._socket is not None
        return max(1, self._socket.room // (1 << 16) // 2)

    def _carry_out(self, encoding: Encoding, origin_of: OriginOf) -> int:
        """Have the kernel carry out a transaction; return how many commits that is.

        Raises ApplyError that names the refused line, and what it came from.
        """
        try:
            return self._commit(encoding.messages)
        except RefusedBatch as error:
            raise refusal(error, encoding.line_of(error.refusal), origin_of) from None

    def _commit(self, messages: Sequence[NFTMessage]) -> int:
        """Have the kernel carry out messages; return how many commits that is.

        The generation goes with them: so what is counted as our commit is ours and nobody else's.
        """
        assert self._socket is not None
        try:
            for _ in range(ATTEMPTS):
                try:
                    self._socket.commit(messages, self._generation)
                except OvertakenBatch:
                    self._generation = self._socket.generation()
                    continue
                before, self._generation = self._generation, self._socket.generation()
                return int(before != self._generation)
        except OSError as error:
            self._open()
            raise ApplyError(f"nf_tables: {reason(error)}") from None
        raise ApplyError("nf_tables: others commit faster than svcnet can")

    def _open(self) -> None:
        try:
            self._socket = NFTSocket(self._machine)
            self._generation = self._socket.generation()
        except OSError as error:
            raise ApplyError(f"nf_tables: {reason(error)}") from None


def _is_set(edit: NFTEdit) -> bool:
    return isinstance(edit.made, NFTSet)


def _text(edits: Sequence[Edit], table: NFTTable) -> str:
    return "".join([each.text(str(table)) for each in edits])
