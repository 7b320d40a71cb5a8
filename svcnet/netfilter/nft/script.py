"""Lines for ``nft -f``, carried out on tables as values: what the kernel has after them.

The language is that of lines which begin with a verb and name family and table, as svcnet and
kube-proxy write them. A text is one transaction: it takes effect as a whole, or raises
:class:`ScriptError` where nft or the kernel refuses it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from attrs import define, evolve, field

from svcnet.netfilter.nft.numbers import is_number
from svcnet.netfilter.nft.pieces import (
    FAMILIES,
    SetReading,
    parts,
    read_comment,
    read_element,
    read_flags,
    read_hook,
    read_rule,
)
from svcnet.netfilter.nft.state import (
    ChainState,
    ElementState,
    HookState,
    NFTState,
    RuleState,
    SetState,
    TableKey,
    TableState,
    types_of,
)

_SIZE = 65535
"""The size that nft gives a set without one which a rule of the same text fills."""
_MISSING = "No such file or directory"
_THERE = "File exists"
_BUSY = "Device or resource busy"
_UNSUPPORTED = "Operation not supported"
_SYNTAX = "syntax error"
_STATEMENT = re.compile(r'(?:[^";{}]|"[^"]*"|\{[^{}]*\})+')


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
    script = _Script(before)
    for number, written in enumerate(text.split("\n"), 1):
        line = written.strip()
        if line and line[0] != "#":
            try:
                script.do(line, number)
            except _Refusal as refusal:
                raise ScriptError(number, str(refusal)) from None
    return Effect(script.state(), frozenset(script.changed))


class _Refusal(Exception):  # noqa: N818
    """A line that is refused, with nft's words for the reason."""


@define
class _Chain:
    """A chain whose rules change."""

    state: ChainState
    rules: list[RuleState]

    def frozen(self) -> ChainState:
        return evolve(self.state, rules=tuple(self.rules))


@define
class _Set:
    """A set whose elements change."""

    state: SetState
    elements: dict[str, ElementState]

    def frozen(self) -> SetState:
        return evolve(self.state, elements=self.elements)


@define
class _Table:
    """A table that changes. What of it is not touched stays what it was."""

    state: TableState
    chains: dict[str, ChainState]
    sets: dict[str, SetState]
    changed_chains: dict[str, _Chain] = field(factory=dict)
    changed_sets: dict[str, _Set] = field(factory=dict)
    own_sets: set[str] = field(factory=set)
    uses: Counter[str] | None = None
    handle: int = 0

    @classmethod
    def of(cls, state: TableState) -> _Table:
        found = cls(state, dict(state.chains), dict(state.sets))
        found.handle = max(state.last_handle, *found._handles(), 0)
        return found

    def _handles(self) -> Iterator[int]:
        for each in self.chains.values():
            yield each.handle
            yield from (rule.handle for rule in each.rules)
        yield from (each.handle for each in self.sets.values())

    def frozen(self) -> TableState:
        for name, made in self.changed_chains.items():
            self.chains[name] = made.frozen()
        for name, kept in self.changed_sets.items():
            self.sets[name] = kept.frozen()
        return evolve(self.state, chains=self.chains, sets=self.sets, last_handle=self.handle)

    def next_handle(self) -> int:
        self.handle += 1
        return self.handle

    def chain(self, name: str) -> _Chain:
        """Return a chain to be changed."""
        found = self.changed_chains.get(name)
        if found is None:
            there = self.chains.get(name)
            if there is None:
                raise _Refusal(_MISSING)
            found = self.changed_chains[name] = _Chain(there, list(there.rules))
        return found

    def set(self, name: str) -> _Set:
        """Return a set to be changed."""
        found = self.changed_sets.get(name)
        if found is None:
            there = self.sets.get(name)
            if there is None:
                raise _Refusal(_MISSING)
            found = self.changed_sets[name] = _Set(there, dict(there.elements))
        return found

    def use(self, texts: Iterable[str], number: int = 1) -> None:
        """Note that rules or values name chains and sets, or no longer do."""
        for name in chain.from_iterable(map(_names, texts)):
            is_set = name[0] == "@"
            if number > 0 and name[1:] not in (self.sets if is_set else self.chains):
                raise _Refusal(_MISSING)
            if self.uses is not None:
                self.uses[name] += number

    def is_used(self, name: str) -> bool:
        """Return whether a rule or value names a chain (``>NAME``) or set (``@NAME``)."""
        if self.uses is None:
            self.uses = Counter()
            rules = chain.from_iterable(
                self.changed_chains[each].rules if each in self.changed_chains else there.rules
                for each, there in self.chains.items()
            )
            elements = chain.from_iterable(
                (
                    self.changed_sets[each].elements
                    if each in self.changed_sets
                    else there.elements
                ).values()
                for each, there in self.sets.items()
                if there.value == "verdict"
            )
            texts = chain((rule.text for rule in rules), (each.value for each in elements))
            self.uses.update(chain.from_iterable(map(_names, texts)))
        return self.uses[name] > 0


_NAMED = re.compile(r"(?:^| )(?:(?:jump|goto) (\S+)|@(\S+))")
_FILLED = re.compile(r"(?:^| )(?:update|add) @(\S+) \{")
_RAW = re.compile(r"(?:ll|nh|th|ih),\d+,\d+")


def _names(text: str) -> Iterator[str]:
    """Yield the chains that a rule or a value leads to as ``>NAME``, and sets as ``@NAME``."""
    if '"' in text:
        text = re.sub(r'"[^"]*"', '""', text)
    for chain_name, set_name in _NAMED.findall(text):
        if chain_name:
            yield f">{chain_name}"
        elif not _RAW.fullmatch(set_name):
            yield f"@{set_name}"


class _Script:
    """Lines as they are carried out."""

    def __init__(self, before: NFTState) -> None:
        self.tables: dict[TableKey, _Table | TableState] = dict(before.tables)
        self.changed: set[TableKey] = set()

    def state(self) -> NFTState:
        return NFTState(
            {
                key: table.frozen() if isinstance(table, _Table) else table
                for key, table in self.tables.items()
            }
        )

    def do(self, line: str, number: int) -> None:
        """Carry out one line."""
        words = line.split(None, 5)
        if words[1:2] and words[1] == "ruleset" and words[0] == "flush":
            self.changed.update(self.tables)
            self.tables.clear()
            return
        if len(words) > 2 and words[2] not in FAMILIES:
            words = [*words[:2], "ip", *line.split(None, 4)[2:]]
        if len(words) < 4:
            raise _Refusal(_SYNTAX)
        verb, kind, family, table, *rest = words
        do = _DO.get((verb, kind))
        if do is None:
            raise _Refusal(f"{_SYNTAX}, unexpected {verb} {kind}")
        name = rest[0] if rest else ""
        do(self, (family, table), name, rest[1] if len(rest) > 1 else "", _Line(verb, number, line))

    def change(self, key: TableKey) -> _Table:
        """Return a table that changes."""
        self.changed.add(key)
        return self.table(key)

    def table(self, key: TableKey) -> _Table:
        """Return a table that may change."""
        found = self.tables.get(key)
        if found is None:
            raise _Refusal(_MISSING)
        if isinstance(found, TableState):
            found = self.tables[key] = _Table.of(found)
        return found


@define
class _Line:
    """A line: its verb, its number, and all of it."""

    verb: str
    number: int
    text: str


def _statements(block: str) -> list[str]:
    """Return the statements between braces. Raises _Refusal for what is no block."""
    block = block.strip()
    if not block:
        return []
    if block[0] != "{" or block[-1] != "}" or block == "{":
        raise _Refusal(f"{_SYNTAX}, unexpected {block[:40]}")
    found = [each.strip() for each in _STATEMENT.findall(block[1:-1])]
    return [each for each in found if each]


def _add_table(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    comment, flags = "", frozenset[str]()
    for each in _statements(f"{name} {rest}"):
        if each.startswith("flags "):
            flags = read_flags(each)
        elif (found := read_comment(each)) is not None:
            comment = found
        else:
            raise _Refusal(f"{_SYNTAX}, unexpected {each}")
    there = script.tables.get(key)
    if there is None:
        script.changed.add(key)
        script.tables[key] = TableState(*key, comment, flags, line=line.number)
    elif line.verb == "create":
        raise _Refusal(_THERE)
    elif (there.state if isinstance(there, _Table) else there).flags != flags:
        changed = script.change(key)
        changed.state = evolve(changed.state, flags=flags)


def _delete_table(script: _Script, key: TableKey, _name: str, _rest: str, line: _Line) -> None:
    if script.tables.pop(key, None) is not None:
        script.changed.add(key)
    elif line.verb != "destroy":
        raise _Refusal(_MISSING)


def _flush_table(script: _Script, key: TableKey, _name: str, _rest: str, _line: _Line) -> None:
    table = script.table(key)
    for name in table.chains:
        if _empty_chain(table, name):
            script.changed.add(key)


def _add_chain(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    table = script.change(key)
    hook, comment, said = None, "", _statements(rest)
    policy = next((each[7:].strip() for each in said if each.startswith("policy ")), "")
    for each in said:
        if each.startswith("type "):
            hook = read_hook(f"{each} ;", key[0])
            if hook is None:
                raise _Refusal(f"{_SYNTAX}, unexpected {each}")
            hook = hook._replace(policy=policy or "accept")
        elif (found := read_comment(each)) is not None:
            comment = found
        elif not each.startswith("policy "):
            raise _Refusal(f"{_SYNTAX}, unexpected {each}")
    there = table.chains.get(name)
    if there is None:
        handle = table.next_handle()
        table.chains[name] = ChainState(name, hook, comment, (), handle, line.number)
        return
    if line.verb == "create":
        raise _Refusal(_THERE)
    _update_chain(table.chain(name), hook, policy)


def _update_chain(there: _Chain, hook: HookState | None, policy: str) -> None:
    """Give a chain that is there another policy, the one thing of it that can be changed."""
    was = there.state.hook
    if hook is not None and (was is None or hook._replace(policy=was.policy) != was):
        raise _Refusal(_THERE if was is not None else _UNSUPPORTED)
    if was is not None and policy:
        there.state = evolve(there.state, hook=was._replace(policy=policy))


def _empty_chain(table: _Table, name: str) -> bool:
    """Take all rules out of a chain; return whether there were any."""
    found = table.chain(name)
    table.use((rule.text for rule in found.rules), -1)
    had_rules = bool(found.rules)
    found.rules.clear()
    return had_rules


def _flush_chain(script: _Script, key: TableKey, name: str, _rest: str, _line: _Line) -> None:
    if _empty_chain(script.table(key), name):
        script.changed.add(key)


def _delete_chain(script: _Script, key: TableKey, name: str, _rest: str, line: _Line) -> None:
    table = script.table(key)
    if name not in table.chains and line.verb == "destroy":
        return
    script.changed.add(key)
    _empty_chain(table, name)
    if table.is_used(f">{name}"):
        raise _Refusal(_BUSY)
    del table.chains[name], table.changed_chains[name]


def _rule_of(table: _Table, text: str, line: _Line) -> RuleState:
    rule = read_rule(text, line.number)._replace(handle=table.next_handle())
    table.use((rule.text,))
    for name in _FILLED.findall(rule.text):
        if name in table.own_sets and not table.sets[name].size:
            found = table.set(name)
            found.state = evolve(found.state, size=_SIZE)
            table.sets[name] = evolve(table.sets[name], size=_SIZE)
    return rule


def _add_rule(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    """Put a rule to the end or the head of a chain, or beside another."""
    table = script.change(key)
    found = table.chain(name)
    at = len(found.rules) if line.verb == "add" else 0
    word, _, more = rest.partition(" ")
    if word in ("handle", "position", "index"):
        number, _, rest = more.partition(" ")
        at = _place(found, number, is_index=word == "index")
        if line.verb == "add":
            at += 1
    found.rules.insert(at, _rule_of(table, rest, line))


def _place(found: _Chain, number: str, *, is_index: bool = False) -> int:
    """Return which rule of a chain has a handle, or an index."""
    if not is_number(number):
        raise _Refusal(f"{_SYNTAX}, unexpected {number}")
    if is_index:
        if int(number) >= len(found.rules):
            raise _Refusal(_MISSING)
        return int(number)
    for at, rule in enumerate(found.rules):
        if rule.handle == int(number):
            return at
    raise _Refusal(_MISSING)


def _delete_rule(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    table = script.table(key)
    found = table.chain(name)
    word, _, number = rest.partition(" ")
    if word != "handle":
        raise _Refusal(f"{_SYNTAX}, unexpected {word}")
    try:
        rule = found.rules.pop(_place(found, number))
    except _Refusal:
        if line.verb == "destroy":
            return
        raise
    script.changed.add(key)
    table.use((rule.text,), -1)


def _replace_rule(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    table = script.change(key)
    found = table.chain(name)
    word, _, more = rest.partition(" ")
    number, _, text = more.partition(" ")
    if word != "handle":
        raise _Refusal(f"{_SYNTAX}, unexpected {word}")
    at = _place(found, number)
    table.use((found.rules[at].text,), -1)
    found.rules[at] = _rule_of(table, text, line)


def _add_set(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    table = script.change(key)
    found = SetReading(name)
    for each in _statements(rest):
        found.read(each)
    kind = line.text.split(None, 2)[1]
    there = table.sets.get(name)
    if there is None:
        made = found.state(0, line.number)
        if not made.type or made.kind != kind or made.options:
            raise _Refusal(_SYNTAX)
        table.sets[name] = evolve(made, handle=table.next_handle())
        table.own_sets.add(name)
        return
    same = (there.type, there.value, there.flags) == (found.type, found.value, found.flags)
    if line.verb == "create" or not same:
        raise _Refusal(_THERE)
    kept = table.set(name)
    kept.state = evolve(kept.state, timeout=found.timeout)


def _delete_set(script: _Script, key: TableKey, name: str, _rest: str, line: _Line) -> None:
    table = script.table(key)
    if name not in table.sets and line.verb == "destroy":
        return
    found = table.set(name)
    if table.is_used(f"@{name}"):
        raise _Refusal(_BUSY)
    script.changed.add(key)
    table.use(_values(found), -1)
    del table.sets[name], table.changed_sets[name]


def _values(found: _Set) -> Iterator[str]:
    return (each.value for each in found.elements.values() if found.state.value == "verdict")


def _flush_set(script: _Script, key: TableKey, name: str, _rest: str, _line: _Line) -> None:
    table = script.table(key)
    found = table.set(name)
    if found.elements:
        script.changed.add(key)
    table.use(_values(found), -1)
    found.elements.clear()


def _elements(found: _Set, rest: str, line: _Line) -> Iterator[ElementState]:
    """Yield the elements in the braces of a line."""
    rest = rest.strip()
    if rest[:1] != "{" or rest[-1:] != "}" or rest == "{":
        raise _Refusal(f"{_SYNTAX}, unexpected {rest[:40]}")
    types = types_of(found.state.type)
    for text in parts(rest[1:-1]):
        element = read_element(text, types, line.number)
        if element is None or len(element.key.split(" . ")) != len(types):
            raise _Refusal(f"{_SYNTAX}, unexpected {text[:40]}")
        yield element


def _add_element(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    table = script.table(key)
    found = table.set(name)
    for element in _elements(found, rest, line):
        if bool(element.value) != bool(found.state.value):
            raise _Refusal(_SYNTAX)
        there = found.elements.get(element.key)
        if there is not None:
            if line.verb == "create" or there.value != element.value:
                raise _Refusal(_THERE)
            continue
        if found.state.value == "verdict":
            table.use((element.value,))
        script.changed.add(key)
        found.elements[element.key] = element


def _delete_element(script: _Script, key: TableKey, name: str, rest: str, line: _Line) -> None:
    table = script.table(key)
    found = table.set(name)
    for element in _elements(found, rest, line):
        there = found.elements.get(element.key)
        if there is None or element.value not in ("", there.value):
            if line.verb == "destroy":
                continue
            raise _Refusal(_MISSING)
        if found.state.value == "verdict":
            table.use((there.value,), -1)
        script.changed.add(key)
        del found.elements[element.key]


_Do: TypeAlias = Callable[[_Script, TableKey, str, str, _Line], None]
_WORDS: Mapping[tuple[str, str], _Do] = MappingProxyType(
    {
        ("add create", "table"): _add_table,
        ("delete destroy", "table"): _delete_table,
        ("flush", "table"): _flush_table,
        ("add create", "chain"): _add_chain,
        ("delete destroy", "chain"): _delete_chain,
        ("flush", "chain"): _flush_chain,
        ("add insert", "rule"): _add_rule,
        ("delete destroy", "rule"): _delete_rule,
        ("replace", "rule"): _replace_rule,
        ("add create", "set map"): _add_set,
        ("delete destroy", "set map"): _delete_set,
        ("flush", "set map"): _flush_set,
        ("add create", "element"): _add_element,
        ("delete destroy", "element"): _delete_element,
    }
)
_DO: Mapping[tuple[str, str], _Do] = MappingProxyType(
    {
        (verb, kind): do
        for (verbs, kinds), do in _WORDS.items()
        for verb in verbs.split()
        for kind in kinds.split()
    }
)
"""How each line is carried out, by its verb and what it is about."""
