"""What iptables-save prints, as tables of chains of rules.

A quoted text may have newlines, and then anything: what looks like the next rule, or the end of
the table. So may names, which are not even quoted; there the order of a listing tells, in which
chains come before rules, and the end of a table before a remark or the end of it all. What is no
line of the listing by that is the rest of the rule before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import length_hint

from attrs import frozen

from svcnet.errors import MAX_PART, ApplyError, one_line
from svcnet.netfilter.tables import BUILT_IN, SavedTables, Tables
from svcnet.netfilter.words import OpenQuote, is_simple, words

# What iptables-nft-save prints, with exit code 0, in the place of a table that is there.
_UNPRINTED = re.compile(r"# Table `(.*)' is incompatible\b")


class UnprintedRules(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """A table is there, and its rules are not in the listing; ``tables`` are the others."""

    def __init__(self, message: str, tables: Tables) -> None:
        super().__init__(message)
        self.tables = tables


@frozen
class Listing:
    """What is printed: ``tables``, and ``policies`` of built-in chains by table and chain."""

    tables: Tables
    policies: Mapping[tuple[str, str], str]


def read_listing(text: str, tool: str = "iptables-save", needed: Collection[str] = ()) -> Tables:
    """Return the rules of each chain of each table, without ``-A CHAIN``.

    `text` is what `tool` printed, with surrogates for bytes that are no UTF-8. A rule is as
    it was printed, to the byte. Raises ApplyError, with the tool's name, for what is cut off or no
    listing at all, and :class:`UnprintedRules` where it says that it leaves out a `needed` table.
    """
    return whole_listing(text, tool, needed).tables


def whole_listing(text: str, tool: str = "iptables-save", needed: Collection[str] = ()) -> Listing:
    """Return all that is printed, as :func:`read_listing` returns the rules of it."""
    lines = text.split("\n")
    unsure = [at for at, line in enumerate(lines) if '"' in line and not is_simple(line)]
    try:
        if unsure:
            lines = list(_whole(text, lines, unsure))
        listing, unprinted = _read(lines)
    except _DamagedListing as error:
        raise ApplyError(
            f"{tool}: its listing is damaged: {one_line(str(error), MAX_PART)}"
        ) from None
    except OpenQuote as error:
        raise ApplyError(f"{tool}: its listing is cut off in the text of {error}") from None
    if missing := [table for table in unprinted if table in needed]:
        family = "ip6" if tool.startswith("ip6") else "ip"
        raise UnprintedRules(
            f"{tool}: does not print table {' and '.join(missing)}, for there are rules that only "
            f"nft can print: nft list table {family} {missing[0]} shows them; move them to a table "
            "of their own",
            listing.tables,
        )
    return listing


def parse_save(text: str, tool: str = "iptables-save") -> SavedTables:
    """Return the tables in what `tool` printed.

    Raises ApplyError where that is damaged, and UnprintedRules without a table that ours may be in.
    """
    return SavedTables(read_listing(text, tool, BUILT_IN))


class _DamagedListing(ValueError):  # noqa: N818
    """What is printed is no listing."""


def _whole(text: str, lines: list[str], unsure: Iterable[int]) -> Iterator[str]:
    """Yield lines, those of `unsure` with all that belongs to their quoted texts."""
    done = start = 0
    for at in unsure:
        if at < done:
            continue
        start += sum(map(len, lines[done:at])) + at - done
        yield from lines[done:at]
        *_, (_, end) = words(text, start)
        yield text[start:end]
        done = at + 1 + text.count("\n", start, end)
        start = end + 1
    yield from lines[done:]


def _read(lines: list[str]) -> tuple[Listing, list[str]]:
    """Return what whole lines say, and the tables left out by name."""
    tables: dict[str, dict[str, list[str]]] = {}
    policies: dict[tuple[str, str], str] = {}
    unprinted: list[str] = []
    table = current = ""
    chains: dict[str, list[str]] = {}
    rules: list[str] | None = None
    rest = iter(lines)
    for line in rest:
        if line[:3] == "-A ":
            chain, _, rule = line[3:].partition(" ")
            if chain == current and rules is not None:
                rules.append(rule)
                continue
            if chain in chains:
                current, rules = chain, chains[chain]
                rules.append(rule)
                continue
        elif line[:1] == ":" and rules is None and table:
            chain, _, policy = line[1:].partition(" ")
            if policy and chain not in chains:
                chains[chain] = []
                if policy[0] != "-":
                    policies[table, chain] = policy.partition(" ")[0]
                continue
        elif line == "COMMIT" and table and _is_outside(lines, len(lines) - length_hint(rest)):
            table, chains, rules = "", {}, None
            continue
        if rules is not None:
            rules[-1] += f"\n{line}"
        elif table or (line and line[0] not in "#*"):
            raise _DamagedListing(f"it has a line {line!r}")
        elif line[:1] == "*":
            table = line[1:]
            if not table:
                raise _DamagedListing("it has a table without a name")
            if table in tables:
                raise _DamagedListing(f"it has table {table} twice")
            chains = tables[table] = {}
        elif remark := _UNPRINTED.match(line):
            unprinted.append(remark[1])
    if table:
        raise _DamagedListing(f"it has no COMMIT for table {table}")
    return Listing(tables, policies), unprinted


def _is_outside(lines: list[str], at: int) -> bool:
    """Return whether a line is what can come outside of tables: a remark, a table, or nothing."""
    return at == len(lines) or lines[at][:1] in ("", "#", "*")
