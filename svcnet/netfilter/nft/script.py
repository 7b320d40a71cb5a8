"""Lines for ``nft -f``, carried out on tables as values: what the kernel has after them.

The language is that of lines which begin with a verb and name family and table, as svcnet and
kube-proxy write them. A text is one transaction: it takes effect as a whole, or raises
:class:`ScriptError` where nft or the kernel refuses it.
"""

from __future__ import annotations

from typing import NamedTuple

from svcnet.netfilter.nft.commands import COMMANDS, SYNTAX, ScriptLine
from svcnet.netfilter.nft.families import FAMILIES
from svcnet.netfilter.nft.state import NFTState, TableKey
from svcnet.netfilter.nft.transaction import LineRefusal, Transaction


class ScriptError(ValueError):
    """What nft or the kernel refuses; ``line`` is the number of the text's line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


class Effect(NamedTuple):
    """What is there after a transaction, and the tables that the kernel tells to be changed.

    To add what is there already is a change of a chain or a set, and none of a table or an element;
    to empty what is empty is none.
    """

    state: NFTState
    changed: frozenset[TableKey]


def load(before: NFTState, text: str) -> NFTState:
    """Return what is there after the lines of `text` where there was `before`."""
    return effect(before, text).state


def effect(before: NFTState, text: str) -> Effect:
    """Return what the lines of `text` do where there was `before`."""
    transaction = Transaction(before)
    for number, written in enumerate(text.split("\n"), 1):
        line = written.strip()
        if line and line[0] != "#":
            try:
                _do(transaction, line, number)
            except LineRefusal as refusal:
                raise ScriptError(number, str(refusal)) from None
    return Effect(transaction.state(), frozenset(transaction.changed))


def _do(transaction: Transaction, line: str, number: int) -> None:
    """Carry out one line."""
    words = line.split(None, 5)
    if words[1:2] and words[1] == "ruleset" and words[0] == "flush":
        transaction.changed.update(transaction.tables)
        transaction.tables.clear()
        return
    family = FAMILIES.get(words[2]) if len(words) > 2 else None
    if family is None:
        family = "ip"
        words = [*words[:2], family, *line.split(None, 4)[2:]]
    if len(words) < 4:
        raise LineRefusal(SYNTAX)
    verb, kind, _, table, *rest = words
    command = COMMANDS.get((verb, kind))
    if command is None:
        raise LineRefusal(f"{SYNTAX}, unexpected {verb} {kind}")
    name = rest[0] if rest else ""
    more = rest[1] if len(rest) > 1 else ""
    command(
        transaction,
        ScriptLine(verb=verb, kind=kind, key=(family, table), name=name, rest=more, number=number),
    )
