"""Taking back what was written, and nothing that others wrote meanwhile. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial

from svcnet.executors.iptables.observe import is_ours, is_own_chain
from svcnet.netfilter import SavedTables
from svcnet.netfilter.restore import append, declare, delete, insert, remove, write

_QUOTED = re.compile(r' "(?:[^"\\]|\\.)*"(?= |$)')


def undo(before: SavedTables, after: SavedTables, now: SavedTables) -> Iterator[str]:
    """Yield the texts, one a table, that take back from `now` what led from `before` to `after`.

    A chain that somebody else has changed since has his rules still, and not those that were
    added, and a chain that he deleted stays away. Shared chains come first, so that nothing
    leads to what goes after them.
    """
    for table in after.tables:
        old, new, there = (each.chains(table) for each in (before, after, now))
        changed = [chain for chain in {**old, **new} if old.get(chain) != new.get(chain)]
        changed.sort(key=partial(is_own_chain, table))
        first: list[str] = []
        lines: list[str] = []
        gone: list[str] = []
        for chain in changed:
            was, made, found = old.get(chain), new.get(chain), there.get(chain)
            if found is None and made is not None:
                continue
            if found == made and is_ours(table, chain):
                first.append(chain)
                # What somebody else had here, and cannot be written, had no business here.
                lines.append(append(chain, filter(_is_plain, was or ())))
            else:
                lines += _single(chain, was or [], made or [], found or [])
            # A built-in chain that comes with its table stays with it.
            came = was is None and is_ours(table, chain)
            if came and not _without(found or [], made or []):
                gone.append(chain)
        yield from write(table, declare(first), *lines, delete(gone))


def _single(chain: str, was: list[str], made: list[str], found: list[str]) -> Iterator[str]:
    """Yield what takes back the difference of two lists of rules, rule by rule."""
    added, there = Counter(made) - Counter(was), Counter(found)
    yield remove(chain, (added & there).elements())
    lost = Counter(was) - Counter(made)
    # What was there twice before, and is there by now, was brought back by somebody else.
    lost -= there - Counter(made)
    for rule in reversed(was):
        if lost[rule]:
            lost[rule] -= 1
            if _is_plain(rule):
                yield insert(chain, [rule])


def _is_plain(rule: str) -> bool:
    return "\n" not in rule and '"' not in _QUOTED.sub("", rule)


def _without(found: list[str], made: list[str]) -> list[str]:
    return list((Counter(found) - Counter(made)).elements())
