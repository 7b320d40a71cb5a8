"""What each line for ``nft -f`` does to tables under change, by its verb and what it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias

from attrs import evolve, frozen

from svcnet.netfilter.nft.numbers import is_number
from svcnet.netfilter.nft.pieces import (
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
    RuleState,
    TableKey,
    TableState,
    types_of,
)
from svcnet.netfilter.nft.transaction import (
    MISSING,
    ChainDraft,
    LineRefusal,
    SetDraft,
    TableDraft,
    Transaction,
)

SYNTAX = "syntax error"
_SIZE = 65535
"""The size that nft gives a set without one which a rule of the same text fills."""
_THERE = "File exists"
_BUSY = "Device or resource busy"
_UNSUPPORTED = "Operation not supported"
_STATEMENT = re.compile(r'(?:[^";{}]|"[^"]*"|\{[^{}]*\})+')
_FILLED = re.compile(r"(?:^| )(?:update|add) @(\S+) \{")


@frozen
class ScriptLine:
    """A line: its verb, what it is about, the table and the name of that, the rest, its number."""

    verb: str
    kind: str
    key: TableKey
    name: str
    rest: str
    number: int


def _statements(block: str) -> list[str]:
    """Return the statements between braces. Raises LineRefusal for what is no block."""
    block = block.strip()
    if not block:
        return []
    if block[0] != "{" or block[-1] != "}" or block == "{":
        raise LineRefusal(f"{SYNTAX}, unexpected {block[:40]}")
    found = [each.strip() for each in _STATEMENT.findall(block[1:-1])]
    return [each for each in found if each]


def _add_table(transaction: Transaction, line: ScriptLine) -> None:
    comment, flags = "", frozenset[str]()
    for each in _statements(f"{line.name} {line.rest}"):
        if each.startswith("flags "):
            flags = read_flags(each)
        elif (found := read_comment(each)) is not None:
            comment = found
        else:
            raise LineRefusal(f"{SYNTAX}, unexpected {each}")
    there = transaction.tables.get(line.key)
    if there is None:
        transaction.changed.add(line.key)
        transaction.tables[line.key] = TableState(*line.key, comment, flags, line=line.number)
    elif line.verb == "create":
        raise LineRefusal(_THERE)
    elif (there.state if isinstance(there, TableDraft) else there).flags != flags:
        changed = transaction.change(line.key)
        changed.state = evolve(changed.state, flags=flags)


def _delete_table(transaction: Transaction, line: ScriptLine) -> None:
    if transaction.tables.pop(line.key, None) is not None:
        transaction.changed.add(line.key)
    elif line.verb != "destroy":
        raise LineRefusal(MISSING)


def _flush_table(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.table(line.key)
    for name in table.chains:
        if _empty_chain(table, name):
            transaction.changed.add(line.key)


def _add_chain(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.change(line.key)
    hook, comment, said = None, "", _statements(line.rest)
    policy = next((each[7:].strip() for each in said if each.startswith("policy ")), "")
    for each in said:
        if each.startswith("type "):
            hook = read_hook(f"{each} ;", line.key[0])
            if hook is None:
                raise LineRefusal(f"{SYNTAX}, unexpected {each}")
            hook = hook._replace(policy=policy or "accept")
        elif (found := read_comment(each)) is not None:
            comment = found
        elif not each.startswith("policy "):
            raise LineRefusal(f"{SYNTAX}, unexpected {each}")
    there = table.chains.get(line.name)
    if there is None:
        handle = table.next_handle()
        table.chains[line.name] = ChainState(line.name, hook, comment, (), handle, line.number)
        return
    if line.verb == "create":
        raise LineRefusal(_THERE)
    _update_chain(table.chain(line.name), hook, policy)


def _update_chain(there: ChainDraft, hook: HookState | None, policy: str) -> None:
    """Give a chain that is there another policy, the one thing of it that can be changed."""
    was = there.state.hook
    if hook is not None and (was is None or hook._replace(policy=was.policy) != was):
        raise LineRefusal(_THERE if was is not None else _UNSUPPORTED)
    if was is not None and policy:
        there.state = evolve(there.state, hook=was._replace(policy=policy))


def _empty_chain(table: TableDraft, name: str) -> bool:
    """Take all rules out of a chain; return whether there were any."""
    found = table.chain(name)
    table.use((rule.text for rule in found.rules), -1)
    had_rules = bool(found.rules)
    found.rules.clear()
    return had_rules


def _flush_chain(transaction: Transaction, line: ScriptLine) -> None:
    if _empty_chain(transaction.table(line.key), line.name):
        transaction.changed.add(line.key)


def _delete_chain(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.table(line.key)
    if line.name not in table.chains and line.verb == "destroy":
        return
    transaction.changed.add(line.key)
    _empty_chain(table, line.name)
    if table.is_used(f">{line.name}"):
        raise LineRefusal(_BUSY)
    del table.chains[line.name], table.changed_chains[line.name]


def _rule_of(table: TableDraft, text: str, line: ScriptLine) -> RuleState:
    rule = read_rule(text, line.number)._replace(handle=table.next_handle())
    table.use((rule.text,))
    for name in _FILLED.findall(rule.text):
        if name in table.own_sets and not table.sets[name].size:
            found = table.set(name)
            found.state = evolve(found.state, size=_SIZE)
            table.sets[name] = evolve(table.sets[name], size=_SIZE)
    return rule


def _add_rule(transaction: Transaction, line: ScriptLine) -> None:
    """Put a rule to the end or the head of a chain, or beside another."""
    table = transaction.change(line.key)
    found = table.chain(line.name)
    at = len(found.rules) if line.verb == "add" else 0
    text = line.rest
    word, _, more = text.partition(" ")
    if word in ("handle", "position", "index"):
        number, _, text = more.partition(" ")
        at = _place(found, number, is_index=word == "index")
        if line.verb == "add":
            at += 1
    found.rules.insert(at, _rule_of(table, text, line))


def _place(found: ChainDraft, number: str, *, is_index: bool = False) -> int:
    """Return which rule of a chain has a handle, or an index."""
    if not is_number(number):
        raise LineRefusal(f"{SYNTAX}, unexpected {number}")
    if is_index:
        if int(number) >= len(found.rules):
            raise LineRefusal(MISSING)
        return int(number)
    for at, rule in enumerate(found.rules):
        if rule.handle == int(number):
            return at
    raise LineRefusal(MISSING)


def _delete_rule(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.table(line.key)
    found = table.chain(line.name)
    word, _, number = line.rest.partition(" ")
    if word != "handle":
        raise LineRefusal(f"{SYNTAX}, unexpected {word}")
    try:
        rule = found.rules.pop(_place(found, number))
    except LineRefusal:
        if line.verb == "destroy":
            return
        raise
    transaction.changed.add(line.key)
    table.use((rule.text,), -1)


def _replace_rule(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.change(line.key)
    found = table.chain(line.name)
    word, _, more = line.rest.partition(" ")
    number, _, text = more.partition(" ")
    if word != "handle":
        raise LineRefusal(f"{SYNTAX}, unexpected {word}")
    at = _place(found, number)
    table.use((found.rules[at].text,), -1)
    found.rules[at] = _rule_of(table, text, line)


def _add_set(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.change(line.key)
    found = SetReading(line.name)
    for each in _statements(line.rest):
        found.read(each)
    there = table.sets.get(line.name)
    if there is None:
        made = found.state(0, line.number)
        if not made.type or made.kind != line.kind or made.options:
            raise LineRefusal(SYNTAX)
        table.sets[line.name] = evolve(made, handle=table.next_handle())
        table.own_sets.add(line.name)
        return
    same = (there.type, there.value, there.flags) == (found.type, found.value, found.flags)
    if line.verb == "create" or not same:
        raise LineRefusal(_THERE)
    kept = table.set(line.name)
    kept.state = evolve(kept.state, timeout=found.timeout)


def _delete_set(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.table(line.key)
    if line.name not in table.sets and line.verb == "destroy":
        return
    found = table.set(line.name)
    if table.is_used(f"@{line.name}"):
        raise LineRefusal(_BUSY)
    transaction.changed.add(line.key)
    table.use(_values(found), -1)
    del table.sets[line.name], table.changed_sets[line.name]


def _values(found: SetDraft) -> Iterator[str]:
    return (each.value for each in found.elements.values() if found.state.value == "verdict")


def _flush_set(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.table(line.key)
    found = table.set(line.name)
    if found.elements:
        transaction.changed.add(line.key)
    table.use(_values(found), -1)
    found.elements.clear()


def _elements(found: SetDraft, rest: str, line: ScriptLine) -> Iterator[ElementState]:
    """Yield the elements in the braces of a line."""
    rest = rest.strip()
    if rest[:1] != "{" or rest[-1:] != "}" or rest == "{":
        raise LineRefusal(f"{SYNTAX}, unexpected {rest[:40]}")
    types = types_of(found.state.type)
    for text in parts(rest[1:-1]):
        element = read_element(text, types, line.number)
        if element is None or len(element.key.split(" . ")) != len(types):
            raise LineRefusal(f"{SYNTAX}, unexpected {text[:40]}")
        yield element


def _add_element(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.table(line.key)
    found = table.set(line.name)
    for element in _elements(found, line.rest, line):
        if bool(element.value) != bool(found.state.value):
            raise LineRefusal(SYNTAX)
        there = found.elements.get(element.key)
        if there is not None:
            if line.verb == "create" or there.value != element.value:
                raise LineRefusal(_THERE)
            continue
        if found.state.value == "verdict":
            table.use((element.value,))
        transaction.changed.add(line.key)
        found.elements[element.key] = element


def _delete_element(transaction: Transaction, line: ScriptLine) -> None:
    table = transaction.table(line.key)
    found = table.set(line.name)
    for element in _elements(found, line.rest, line):
        there = found.elements.get(element.key)
        if there is None or element.value not in ("", there.value):
            if line.verb == "destroy":
                continue
            raise LineRefusal(MISSING)
        if found.state.value == "verdict":
            table.use((there.value,), -1)
        transaction.changed.add(line.key)
        del found.elements[element.key]


Command: TypeAlias = Callable[[Transaction, ScriptLine], None]
_WORDS: Mapping[tuple[str, str], Command] = MappingProxyType(
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
COMMANDS: Mapping[tuple[str, str], Command] = MappingProxyType(
    {
        (verb, kind): do
        for (verbs, kinds), do in _WORDS.items()
        for verb in verbs.split()
        for kind in kinds.split()
    }
)
"""How each line is carried out, by its verb and what it is about."""
