"""Text for ``iptables-restore --noflush``: written, read, and carried out on tables as values.

It is lines of one or several tables, each a transaction: all of it takes effect or nothing does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from svcnet.family import IPFamily
from svcnet.netfilter.save_form import saved
from svcnet.netfilter.tables import SavedTables

_LINE = re.compile(r"line:? (\d+)")
_WRITES = ("-A ", "-D ", "-I ", "-X ")


def transaction(table: str, *parts: str) -> str:
    """Return the text of one table, made of `parts` that are whole lines."""
    return "".join((f"*{table}\n", *parts, "COMMIT\n"))


def write(table: str, *parts: str) -> Iterator[str]:
    """Yield the text of one table, and nothing where all `parts` of it are empty."""
    if any(parts):
        yield transaction(table, *parts)


def declare(chains: Iterable[str]) -> str:
    """Return the lines that make each chain, or empty it where it exists."""
    return "".join([f":{chain} - [0:0]\n" for chain in chains])


def delete(chains: Iterable[str]) -> str:
    """Return the lines that delete each chain."""
    return "".join([f"-X {chain}\n" for chain in chains])


def append(chain: str, rules: Iterable[str]) -> str:
    """Return the lines that put rules at the end of a chain."""
    return "".join([f"-A {chain} {rule}\n" for rule in rules])


def insert(chain: str, rules: Iterable[str]) -> str:
    """Return the lines that put each rule at the head of a chain, the last one foremost."""
    return "".join([f"-I {chain} {rule}\n" for rule in rules])


def remove(chain: str, rules: Iterable[str]) -> str:
    """Return the lines that take rules out of a chain, each of them once."""
    return "".join([f"-D {chain} {rule}\n" for rule in rules])


def rules_by_chain(lines: str) -> dict[str, list[str]]:
    """Return the rules that lines of our own append, without ``-A CHAIN``, for each chain."""
    found: dict[str, list[str]] = {}
    for line in lines.splitlines():
        _, chain, rule = line.split(" ", 2)
        found.setdefault(chain, []).append(rule)
    return found


def table_of(text: str) -> str:
    """Return the table that a transaction is of."""
    return text[1 : text.index("\n")]


def chains_by_table(texts: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return the chains of each table that are made or deleted, or get or lose a rule."""
    found: dict[str, set[str]] = {}
    # Rules may quote what others wrote, with more than one kind of line break.
    for line in "".join(texts).split("\n"):
        if line.startswith("*"):
            chains = found.setdefault(line[1:], set())
        elif line.startswith(":"):
            chains.add(line[1:].split(" ", 1)[0])
        elif line.startswith("-"):
            chains.add(line.split(" ", 2)[1])
    return {table: frozenset(chains) for table, chains in found.items()}


def without_deletions(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text without its deletions of chains, and the chains that it deletes."""
    if "\n-X " not in text:
        return text, ()
    lines = text.split("\n")
    rest = "\n".join(line for line in lines if not line.startswith("-X "))
    return rest, tuple(line[3:] for line in lines if line.startswith("-X "))


def commits(text: str) -> int:
    """Return how many tables surely change, and so how many commits of nf_tables it takes."""
    tables = text.split("COMMIT\n")[:-1]
    return sum(any(line.startswith(_WRITES) for line in table.split("\n")) for table in tables)


def refused_line(message: str) -> int:
    """Return the number of the line that iptables-restore says it refuses, 0 if it says none."""
    found = _LINE.search(message)
    return int(found[1]) if found else 0


def line_at(text: str, number: int) -> str:
    """Return a line of a text by its number, counted from 1; empty where there is no such line."""
    lines = text.split("\n")
    return lines[number - 1] if 0 < number <= len(lines) else ""


def load(before: SavedTables, texts: Iterable[str], family: IPFamily) -> SavedTables:
    """Return the tables that restore texts leave where those of `before` were.

    Rules come in the form in which iptables-save prints them.
    """
    tables = {
        table: {chain: list(rules) for chain, rules in chains.items()}
        for table, chains in before.tables.items()
    }
    for text in texts:
        chains: dict[str, list[str]] = {}
        for line in text.split("\n"):
            command, _, rest = line.partition(" ")
            chain, _, rule = rest.partition(" ")
            match command:
                case "-A":
                    chains.setdefault(chain, []).append(saved(rule, family))
                case "-I":
                    chains.setdefault(chain, []).insert(0, saved(rule, family))
                case "-D":
                    _take(chains.setdefault(chain, []), (rule, saved(rule, family)))
                case "-X":
                    chains.pop(chain, None)
                case _ if line.startswith("*"):
                    chains = tables.setdefault(line[1:], {})
                case _ if line.startswith(":"):
                    chains[command[1:]] = []
    return SavedTables(tables)


def assume(before: SavedTables, texts: Iterable[str], family: IPFamily) -> SavedTables:
    """Return tables with all that restore texts name as it is once they are loaded.

    `before` was listed while they were loaded, so it may have seen any of them, or none: a chain
    that a text declares has the rules of that text, a rule that it adds is there once, and one that
    it deletes is not. All else is as it was listed.
    """
    tables = {table: dict(chains) for table, chains in before.tables.items()}
    for text in texts:
        chains: dict[str, list[str]] = {}
        for line in text.split("\n"):
            command, _, rest = line.partition(" ")
            chain, _, rule = rest.partition(" ")
            match command:
                case "-A" | "-I" if (printed := saved(rule, family)) not in chains.get(chain, ()):
                    there = chains.get(chain, [])
                    chains[chain] = [*there, printed] if command == "-A" else [printed, *there]
                case "-D":
                    gone = (rule, saved(rule, family))
                    chains[chain] = [each for each in chains.get(chain, ()) if each not in gone]
                case "-X":
                    chains.pop(chain, None)
                case _ if line.startswith("*"):
                    chains = tables.setdefault(line[1:], {})
                case _ if line.startswith(":"):
                    chains[command[1:]] = []
    return SavedTables(tables)


def are_apart(texts: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether restore texts and others lead to the same, in whichever order they come.

    So they do where none names a rule of the others', nor declares or deletes a chain that they
    name.
    """
    one, other = _named(texts), _named(others)
    for place in one.keys() & other.keys():
        rules = one[place], other[place]
        if None in rules[0] | rules[1] or rules[0] & rules[1]:
            return False
    return True


def _named(texts: Iterable[str]) -> dict[tuple[str, str], set[str | None]]:
    """Return the rules that texts name, by table and chain; None for the whole chain."""
    found: dict[tuple[str, str], set[str | None]] = {}
    table = ""
    for line in "".join(texts).split("\n"):
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            found.setdefault((table, line[1:].split(" ", 1)[0]), set()).add(None)
        elif line.startswith("-"):
            command, chain, *rule = line.split(" ", 2)
            named = rule[0] if rule and command != "-F" else None
            found.setdefault((table, chain), set()).add(named)
    return found


def _take(rules: list[str], texts: Iterable[str]) -> None:
    """Take the first rule out that is one of the texts."""
    for text in texts:
        if text in rules:
            rules.remove(text)
            return
