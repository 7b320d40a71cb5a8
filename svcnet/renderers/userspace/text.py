"""A table, or a step, as one text for people and for iptables-restore.

What is for people is in comments, one short line after the other: iptables-restore takes
what is beyond 10,240 letters of a line for a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import ndiff
from itertools import zip_longest

from svcnet.netfilter.jumps import of_table
from svcnet.netfilter.restore import append, remove, write
from svcnet.renderers.userspace import portals
from svcnet.renderers.userspace.delta import ProxyDelta
from svcnet.renderers.userspace.listing import HEADINGS, Row, align, rows
from svcnet.renderers.userspace.portals import CHAINS, portal_rules
from svcnet.renderers.userspace.table import ProxiedPort, ProxyTable

_HEAD = (*HEADINGS, "REMARKS")


def text(table: ProxyTable, *, jumps: bool = False) -> str:
    """Return the table as comments, then the portal rules as iptables-restore text.

    With `jumps` it has the jumps from the built-in chains as well, for a clean machine:
    restore text cannot say "unless it is there", so those chains are emptied first.
    """
    lines = align([_HEAD, *(line for service in table for line in _lines(service, table))])
    comments = [_title(table), *lines, *(f"unsupported: {port}" for port in table.unsupported)]
    rules = portals.text(portal_rules(table), with_jumps=jumps)
    return "".join(f"# {comment}\n" for comment in comments) + rules


def step_text(delta: ProxyDelta) -> str:
    """Return what changes in the table as comments, then the rules that go and come.

    In the comments ``-`` marks what goes and ``+`` what comes. Empty for no change.
    """
    return "".join([*_table_changes(delta), *_rule_changes(delta)])


def _title(table: ProxyTable) -> str:
    name = table.settings.node_name
    return f"userspace proxy{f' of {name}' if name else ''}, {table.family}"


def _lines(service: ProxiedPort, table: ProxyTable) -> Iterator[tuple[str, ...]]:
    for row in rows(service, table.ports, table.settings.node_ip):
        yield from _split(row)


def _split(row: Row) -> Iterator[tuple[str, ...]]:
    """Yield the lines of a row: as many as its longest column has items."""
    columns = ([row.service_port], row.portals, [row.served_at], row.backends, row.remarks)
    yield from zip_longest(*columns, fillvalue="")


def _table_changes(delta: ProxyDelta) -> Iterator[str]:
    if delta.changed:
        old = [list(_lines(c.before, delta.old)) if c.before else [] for c in delta.changed]
        new = [list(_lines(c.after, delta.new)) if c.after else [] for c in delta.changed]
        head, *lines = align([_HEAD, *(line for part in (*old, *new) for line in part)])
        yield f"# {_title(delta.new)}\n#   {head}\n"
        left = iter(lines)
        before = [[next(left) for _ in part] for part in old]
        after = [[next(left) for _ in part] for part in new]
        for gone, come in zip(before, after, strict=True):
            yield from (f"# {line}\n" for line in _compare(gone, come))
    old_ports = [f"unsupported: {port}" for port in delta.old.unsupported]
    new_ports = [f"unsupported: {port}" for port in delta.new.unsupported]
    changed = (line for line in _compare(old_ports, new_ports) if line[0] in "-+")
    yield from (f"# {line}\n" for line in changed)


def _compare(old: list[str], new: list[str]) -> Iterator[str]:
    return (line for line in ndiff(old, new) if not line.startswith("?"))


def _rule_changes(delta: ProxyDelta) -> Iterator[str]:
    for table in CHAINS:
        lines = [
            *(remove(jump.chain, [jump.rule]) for jump in of_table(delta.removed_jumps, table)),
            *(remove(rule.chain, [rule.text]) for rule in delta.removed if rule.table == table),
            *(append(rule.chain, [rule.text]) for rule in delta.added if rule.table == table),
            *(jump.line for jump in of_table(delta.added_jumps, table)),
        ]
        yield from write(table, *lines)
