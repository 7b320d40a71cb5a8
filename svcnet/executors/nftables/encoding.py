"""Changes of a table as messages for the kernel, and which change each message is of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeAlias

from attrs import define, field, frozen

from svcnet.executors.nftables.netlink import BatchRefusal
from svcnet.netfilter.nft import NFTChain, NFTElement, NFTRule, NFTSet, NFTTable, wire
from svcnet.netfilter.nft.wire import ElementFilling, ElementForm, ElementRows, NFTMessage
from svcnet.renderers.nftables import (
    ENDPOINT_MAPS,
    Edit,
    EndpointRow,
    NFTEdit,
    NFTRuleDeletion,
    NFTStatement,
    Ruleset,
    names,
)

_Change: TypeAlias = NFTEdit | NFTRuleDeletion


@frozen
class ElementForms:
    """What the elements of each set and map of a table are made of, by name."""

    of: Mapping[str, ElementForm]
    rows: Mapping[str, ElementRows]

    @classmethod
    def of_table(cls, ruleset: Ruleset) -> ElementForms:
        """Return the forms of what no Service caused, which is all that Services share."""
        return cls({}, {}).with_sets(ruleset.fixed.objects)

    def with_sets(self, made: Iterable[object]) -> ElementForms:
        """Return these forms, and those of the sets among some objects."""
        sets = [each for each in made if isinstance(each, NFTSet)]
        of = {each.name: ElementForm.of(each.type, each.value) for each in sets}
        counted = {name: form for name, form in of.items() if form.key[-1] == "integer"}
        rows = {name: ElementRows(form) for name, form in counted.items()}
        return ElementForms({**self.of, **of}, {**self.rows, **rows})


@define
class Encoding:
    """Messages of one transaction, and for each the changes that it is of.

    Changes of one set's elements that stand beside one another are one message, if they fit it.
    """

    table: NFTTable
    forms: ElementForms
    messages: list[NFTMessage] = field(factory=list)
    changes: list[tuple[_Change, ...]] = field(factory=list)

    @classmethod
    def of(cls, table: NFTTable, forms: ElementForms, changes: Iterable[Edit]) -> Encoding:
        """Return the messages of changes. Raises ValueError for one that only nft can write."""
        found, edits = cls(table, forms), list[_Change]()
        for change in changes:
            if isinstance(change, NFTStatement):
                raise ValueError(f"a line for nft alone: {change.line}")
            edits.append(change)
        for (verb, container), run in groupby(edits, _goal):
            if container:
                own = (change for change in run if isinstance(change, NFTEdit))
                found._take_elements(verb, container, own)
            else:
                for change in run:
                    for message in found._messages(change):
                        found._take((change,), message)
        return found

    def _take(self, changes: tuple[_Change, ...], message: NFTMessage) -> None:
        self.messages.append(message)
        self.changes.append(changes)

    def _take_elements(self, verb: str, container: str, run: Iterable[NFTEdit]) -> None:
        """Take changes of elements of one set, as many together as fit one message."""
        make = wire.new_elements if verb == "add" else wire.delete_elements
        packed = ((change, self._pack(change)) for change in self._parts(run))
        for part in _divide(packed):
            message = make(self.table, container, b"".join([told for _, told in part]))
            self._take(tuple([change for change, _ in part]), message)

    def _messages(self, change: _Change) -> list[NFTMessage]:
        """Return the messages of a change: a rule's are several if it brings a set with it."""
        if isinstance(change, NFTEdit) and change.verb == "add":
            # The number of a message is the id of the set that it makes.
            table, number = self.table, len(self.messages) + 1
            if isinstance(change.made, NFTRule):
                return wire.new_rule(table, change.made, number)
            if isinstance(change.made, NFTSet):
                return [wire.new_set(table, change.made, number)]
        return [self._message(change)]

    def _message(self, change: _Change) -> NFTMessage:
        table = self.table
        match change:
            case NFTEdit("add", NFTChain(name, None, "")):
                return wire.new_chain(table, name)
            case NFTEdit("flush", NFTChain(name)):
                return wire.flush_chain(table, name)
            case NFTEdit("delete", NFTChain(name)):
                return wire.delete_chain(table, name)
            case NFTEdit("delete", NFTSet(name)):
                return wire.delete_set(table, name)
            case NFTRuleDeletion(chain, handle):
                return wire.delete_rule(table, chain, handle)
        raise ValueError(f"a change for nft alone: {change}")

    def _pack(self, change: NFTEdit) -> bytes:
        """Return the elements of a change, with their values if they are added."""
        match change:
            case NFTEdit("add", NFTElement(container) as element):
                return self._form(container).pack(element)
            case NFTEdit(_, NFTElement(container, key)):
                return self._form(container).pack_key(key)
            case NFTEdit(verb, EndpointRow(container, key, endpoints, first)):
                rows = self.forms.rows[container]
                if verb == "add":
                    return rows.row(key, endpoints, first)
                return rows.deletion(key, range(first, first + len(endpoints)))
        raise ValueError(f"a change of no elements: {change}")

    def _parts(self, run: Iterable[NFTEdit]) -> Iterator[NFTEdit]:
        """Yield changes of elements, rows in parts of which each fits one message."""
        for change in run:
            row = change.made
            if isinstance(row, EndpointRow):
                size = self.forms.rows[row.container].size
                yield from [NFTEdit(change.verb, part) for part in _row_parts(row, size)]
            else:
                yield change

    def _form(self, container: str) -> ElementForm:
        form = self.forms.of.get(container)
        if form is None:
            raise ValueError(f"a set of which svcnet knows no form: {container}")
        return form

    def line_of(self, refusal: BatchRefusal) -> str:
        """Return the line, as nft would have it, of what the kernel refused; empty if unknown.

        Of several elements that is the one, if the kernel says where it is.
        """
        if not 0 < refusal.number <= len(self.changes):
            return ""
        found = refused_element(self.messages, refusal, self.forms)
        changes = self.changes[refusal.number - 1]
        change = changes[0]
        if found is not None and isinstance(change, NFTEdit):
            change = NFTEdit(change.verb, found)
        elif len(changes) > 1:
            return ""
        return change.text(str(self.table)).rstrip("\n")


def _goal(change: _Change) -> tuple[str, str]:
    """Return what a change does, and to elements of which set; none if it is of something else."""
    if isinstance(change, NFTRuleDeletion):
        return "delete", ""
    made = change.made
    is_of_elements = isinstance(made, NFTElement | EndpointRow)
    return change.verb, made[0] if is_of_elements else ""


def _divide(packed: Iterable[tuple[NFTEdit, bytes]]) -> Iterator[list[tuple[NFTEdit, bytes]]]:
    """Yield changes of elements with their bytes, as many together as fit one message."""
    found: list[tuple[NFTEdit, bytes]] = []
    size = 0
    for each in packed:
        size += len(each[1])
        if size > wire.MOST_ELEMENTS:
            yield found
            found, size = [], len(each[1])
        found.append(each)
    if found:
        yield found


def refused_element(
    messages: Sequence[NFTMessage], refusal: BatchRefusal, forms: ElementForms
) -> NFTElement | None:
    """Return the element that the kernel refused, None if it was none, or it does not say which."""
    if not 0 < refusal.number <= len(messages) or refusal.offset is None:
        return None
    message = messages[refusal.number - 1]
    offset = refusal.offset - message.elements
    if not message.elements or offset < 0:
        return None
    container = wire.read_container(message.body)
    form = forms.of[container]
    for found, end in wire.each_element(message.body, form.key, form.value):
        if offset < end:
            return NFTElement(container, *found[:3])
    return None


def load_batches(
    ruleset: Ruleset, forms: ElementForms, most: int
) -> Iterator[Sequence[NFTMessage]]:
    """Yield the transactions that give a table all its elements, of at most so many messages.

    The last one, of any size, has those that lead packets anywhere.
    """
    batch, last = list[NFTMessage](), list[NFTMessage]()
    for name, message in load_messages(ruleset.table, forms, ruleset.contents()):
        if name not in ENDPOINT_MAPS and name != names.HAIRPIN_CONNECTIONS:
            last.append(message)
            continue
        batch.append(message)
        if len(batch) == most:
            yield batch
            batch = []
    yield from filter(None, (batch, last))


def load_messages(
    table: NFTTable, forms: ElementForms, contents: Iterable[NFTElement | EndpointRow]
) -> Iterator[tuple[str, NFTMessage]]:
    """Yield the messages that fill sets, each as soon as it is full, with the name of its set."""
    fillings = defaultdict[str, ElementFilling](ElementFilling)
    for container, packed in _pack_all(forms, contents):
        if full := fillings[container].put(packed):
            yield container, wire.new_elements(table, container, full)
    for container, filling in fillings.items():
        yield container, wire.new_elements(table, container, filling.rest())


def _pack_all(
    forms: ElementForms, contents: Iterable[NFTElement | EndpointRow]
) -> Iterator[tuple[str, bytes]]:
    """Yield the names of sets, each with elements that fit one message."""
    for made in contents:
        container = made.container
        if isinstance(made, EndpointRow):
            rows = forms.rows[container]
            for _, key, endpoints, first in _row_parts(made, rows.size):
                yield container, rows.row(key, endpoints, first)
        else:
            yield container, forms.of[container].pack(made)


def _row_parts(row: EndpointRow, size: int) -> Iterator[EndpointRow]:
    """Yield a row in parts of which each fits one message, with elements of so many bytes."""
    step, end = wire.MOST_ELEMENTS // size, row.first + len(row.endpoints)
    if end - row.first <= step:
        yield row
        return
    for begin in range(row.first, end, step):
        yield row.part(begin, min(begin + step, end))
