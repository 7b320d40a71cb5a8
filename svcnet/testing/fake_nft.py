"""nf_tables without a kernel, and nft."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

from svcnet.executors.children import Output
from svcnet.netfilter.nft import (
    FAMILIES,
    ChainState,
    ElementState,
    NFTState,
    ScriptError,
    SetState,
    TableKey,
    TableState,
    effect,
    quote_comment,
)

VERSION = "1.0.6"

MODULES = MappingProxyType(
    {
        "nft_ct": "ct",
        "nft_fib": "fib",
        "nft_masq": "masquerade",
        "nft_nat": "dnat",
        "nft_numgen": "numgen",
        "nft_reject": "reject",
    }
)
"""Words of rules by the module that they need; a kernel that lacks it refuses them."""

_ABSENT = "No such file or directory"
_FLAGS = ("timeout", "interval", "dynamic", "constant")
_SHORT = MappingProxyType(
    {
        "--check": "c",
        "--file": "f",
        "--handle": "a",
        "--json": "j",
        "--numeric": "n",
        "--numeric-priority": "y",
        "--stateless": "s",
        "--terse": "t",
        "--version": "v",
    }
)


class FakeNFT:
    """The tables of nf_tables in a network namespace, changed and listed by nft.

    Those of iptables, which nf_tables holds as well, are not among them. ``state`` has what there
    is. ``commits`` counts the transactions that changed anything, and ``on_commit`` is told the
    tables of each. `lacks` are modules that the kernel does not have.
    """

    def __init__(self, lacks: set[str]) -> None:
        self.state = NFTState()
        self.commits = 0
        self.on_commit: Callable[[frozenset[TableKey]], None] = _nobody
        self._lacks = lacks

    def load(self, text: str, *, check: bool = False) -> None:
        """Carry out lines as one transaction. Raises :class:`svcnet.netfilter.nft.ScriptError`."""
        self._check_modules(text)
        done = effect(self.state, text)
        if not check and done.changed:
            self.state = done.state
            self.commits += 1
            self.on_commit(done.changed)

    def run(self, options: Sequence[str], stdin: str, *, may: bool) -> Output:
        """Do what nft does with options, and what it reads; `may` is whether it has the right."""
        flags = {_SHORT.get(each, each[1:]) for each in options if each[:1] == "-"}
        words = [each for each in options if each[:1] != "-"]
        if "v" in flags:
            return Output(0, f"nftables v{VERSION} (svcnet.testing)\n", "")
        if words[:1] == ["list"]:
            if not may:
                told = "netlink: Error: cache initialization failed: Operation not permitted\n"
                return Output(1, "", f"Operation not permitted (you must be root)\n{told}")
            return self._list(words[1:], flags)
        text = stdin if "f" in flags else " ".join(words)
        name = "/dev/stdin:{}:1-{}: " if "f" in flags else ""
        try:
            if not may:
                raise ScriptError(1, "Operation not permitted")
            self.load(text, check="c" in flags)
        except ScriptError as error:
            return Output(1, "", _complaint(error, text, name))
        return Output(0, "", "")

    def _check_modules(self, text: str) -> None:
        words = {word for module, word in MODULES.items() if module in self._lacks}
        for number, line in enumerate(text.split("\n"), 1):
            if words and line.startswith("add rule ") and words & set(line.split()):
                raise ScriptError(number, _ABSENT)

    def _table(self, words: Sequence[str]) -> TableState | None:
        family = FAMILIES.get(words[0])
        return None if family is None else self.state.table(family, words[1])

    def _list(self, words: Sequence[str], flags: set[str]) -> Output:
        if words[:1] == ["ruleset"]:
            tables = list(self.state.tables.values())
        else:
            found = self._table(words[1:]) if words[:1] == ["table"] else None
            if found is None:
                return Output(1, "", f"Error: {_ABSENT}\nlist {' '.join(words)}\n")
            tables = [found]
        if "j" in flags:
            items = [{"metainfo": {"version": VERSION, "json_schema_version": 1}}]
            items += [item for table in tables for item in _items(table)]
            return Output(0, f"{json.dumps({'nftables': items})}\n", "")
        text = "".join(line for table in tables for line in _lines(table, flags))
        return Output(0, text, "")


def _nobody(_changed: frozenset[TableKey]) -> None:
    """Tell nobody of a commit."""


def _complaint(error: ScriptError, text: str, name: str) -> str:
    """Return what nft says of a line that is refused."""
    line = text.split("\n")[error.line - 1]
    reason = error.message
    if not reason.startswith("syntax error"):
        reason = f"Could not process rule: {reason}"
    return f"{name.format(error.line, len(line))}Error: {reason}\n{line}\n{'^' * len(line)}\n"


def _lines(table: TableState, flags: set[str]) -> Iterator[str]:
    """Yield the lines in which nft lists a table."""
    yield f"table {table} {{{_handle(table.handle, flags)}\n"
    if table.flags:
        yield f"\tflags {','.join(sorted(table.flags))}\n"
    if table.comment:
        yield f"\tcomment {quote_comment(table.comment)}\n"
    for kept in table.sets.values():
        yield f"\t{kept.kind} {kept.name} {{{_handle(kept.handle, flags)}\n"
        yield from _set_lines(kept, flags)
        yield "\t}\n\n"
    for chain in table.chains.values():
        yield f"\tchain {chain.name} {{{_handle(chain.handle, flags)}\n"
        yield from _chain_lines(chain, flags)
        yield "\t}\n\n"
    yield "}\n"


def _handle(number: int, flags: set[str]) -> str:
    return f" # handle {number}" if "a" in flags else ""


def _set_lines(kept: SetState, flags: set[str]) -> Iterator[str]:
    yield f"\t\ttype {kept.type}{f' : {kept.value}' if kept.value else ''}\n"
    if kept.size:
        yield f"\t\tsize {kept.size}\n"
    if kept.flags:
        yield f"\t\tflags {','.join(sorted(kept.flags, key=_FLAGS.index))}\n"
    if kept.timeout:
        yield f"\t\ttimeout {kept.timeout}s\n"
    if kept.comment:
        yield f"\t\tcomment {quote_comment(kept.comment)}\n"
    if kept.elements and "t" not in flags:
        elements = [_element(each) for each in kept.elements.values()]
        separator = ",\n\t\t\t     "
        yield f"\t\telements = {{ {separator.join(elements)} }}\n"


def _element(element: ElementState) -> str:
    comment = f" comment {quote_comment(element.comment)}" if element.comment else ""
    return f"{element.key}{comment}{f' : {element.value}' if element.value else ''}"


def _chain_lines(chain: ChainState, flags: set[str]) -> Iterator[str]:
    if chain.hook is not None:
        hook = chain.hook
        where = f"type {hook.type} hook {hook.hook} priority {hook.priority}"
        yield f"\t\t{where}; policy {hook.policy};\n"
    if chain.comment:
        yield f"\t\tcomment {quote_comment(chain.comment)}\n"
    for rule in chain.rules:
        comment = f" comment {quote_comment(rule.comment)}" if rule.comment else ""
        text = rule.text.replace(" , ", ", ")
        yield f"\t\t{text}{comment}{_handle(rule.handle, flags)}\n"


def _items(table: TableState) -> Iterator[dict[str, Any]]:
    """Yield what nft lists of a table as JSON; rules and sets without what is in them."""
    family, name = table.family, table.name
    yield {"table": {"family": family, "name": name, "handle": table.handle}}
    own = {"family": family, "table": name}
    for kept in table.sets.values():
        type_ = kept.type.split(" . ")
        value = {"map": kept.value} if kept.value else {}
        yield {kept.kind: {**own, "name": kept.name, "type": type_, "handle": kept.handle, **value}}
    for chain in table.chains.values():
        yield {"chain": {**own, "name": chain.name, "handle": chain.handle}}
    for chain in table.chains.values():
        for rule in chain.rules:
            yield {"rule": {**own, "chain": chain.name, "handle": rule.handle, "expr": []}}
