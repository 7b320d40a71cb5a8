"""A whole table as several transactions, of which none is large and no packet meets a half.

What one transaction takes grows with the square of the chains that it makes, and with what is
there already. What no Service caused comes first, then the chains of service ports, those of one
together, and in the end all elements at once: only these lead a packet to a chain. So a packet
meets the table as it was, or as it is to be, however long the chains take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from svcnet.netfilter.nft import NFTChain, NFTElement, NFTSet
from svcnet.renderers.nftables.block import NFTItem, lines
from svcnet.renderers.nftables.flat.endpoints import ENDPOINT_MAPS
from svcnet.renderers.nftables.frame import COMMENT
from svcnet.renderers.nftables.ruleset import Ruleset
from svcnet.renderers.nftables.text import fixed_part, text

SERVICE_PORTS = 250
"""How many service ports a transaction makes the chains of; 250 with ten endpoints each take the
least time from 5,000 Services on, and nearly the least below."""
ROWS = 5_000
"""Endpoints of how many frontends a transaction makes: nft needs memory for each line."""


def load(ruleset: Ruleset, *, is_new: bool = False) -> Iterator[str]:
    """Yield the transactions that bring a table to what `ruleset` says, but for what goes.

    With `is_new` there is no such table yet; that saves lines which would empty what is there.
    Where somebody has made one meanwhile the first transaction is refused.
    """
    table = str(ruleset.table)
    yield _new_part(ruleset) if is_new else "".join(_emptied_part(ruleset))
    if shared := lines(ruleset.bucket_objects(ruleset.all_buckets()), table, is_new=is_new):
        yield "".join(shared)
    for made in _parts(ruleset):
        if own := lines(made, table, is_new=is_new):
            yield "".join(own)
    if last := "".join(elements(ruleset, is_new=is_new)):
        yield last


def frame(ruleset: Ruleset) -> Iterator[str]:
    """Yield the transactions of :func:`load` for a new table, without what service ports share.

    That is what no Service caused, and the chains of single service ports.
    """
    table = str(ruleset.table)
    yield _new_part(ruleset)
    for made in _chains(ruleset):
        yield "".join(lines(made, table, is_new=True))


def _parts(ruleset: Ruleset) -> Iterator[Sequence[NFTItem]]:
    """Yield what transactions make for some service ports each, but for elements that lead there.

    In the flat layout that is mostly endpoints, which take no longer the more there are.
    """
    yield from _chains(ruleset)
    rows = ruleset.rows()
    while part := list(islice(rows, ROWS)):
        yield part


def _chains(ruleset: Ruleset) -> Iterator[Sequence[NFTItem]]:
    """Yield the chains, sets and rules of service ports, those of some together."""
    blocks = {name: block for name, block in ruleset.blocks.items() if block.has_chains}
    with_chains = [
        [made for made in blocks[name].made if type(made) is not NFTElement]
        for name in sorted(blocks)
    ]
    for first in range(0, len(with_chains), SERVICE_PORTS):
        yield [made for own in with_chains[first : first + SERVICE_PORTS] for made in own]


def _new_part(ruleset: Ruleset) -> str:
    """Return the lines that make a table with what no Service caused, if there is none."""
    _, *rest = fixed_part(ruleset)
    return "".join([ruleset.table.create(COMMENT), *rest])


def _emptied_part(ruleset: Ruleset) -> Iterator[str]:
    """Yield the lines of what no Service caused, with its chains empty before, so a set may go."""
    table = str(ruleset.table)
    yield ruleset.table.add(COMMENT)
    for made in ruleset.fixed.objects:
        if type(made) is NFTChain and made.hook is None:
            yield NFTChain(made.name).add(table)
            yield made.flush(table)
    yield from fixed_part(ruleset)


def elements(ruleset: Ruleset, *, is_new: bool = False) -> Iterator[str]:
    """Yield the lines that give sets and maps which Services share the elements that are wanted.

    They are emptied before, in the same transaction, unless with `is_new`.
    """
    table = str(ruleset.table)
    if not is_new:
        for made in ruleset.fixed.rest + ruleset.fixed.first:
            if type(made) is NFTSet and made.name not in ENDPOINT_MAPS:
                yield made.flush(table)
    for each in ruleset.iterate():
        if type(each) is NFTElement:
            yield each.add(table)


def replacement(ruleset: Ruleset) -> str:
    """Return one transaction that makes a table anew in place of the one that is there.

    No packet meets anything between the two; what the old one remembered of clients is gone.
    """
    table = ruleset.table
    return f"{table.add(COMMENT)}delete table {table}\n{text(ruleset)}"
