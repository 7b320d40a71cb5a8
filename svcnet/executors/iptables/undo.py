"""Taking back what was written, and nothing that others wrote meanwhile. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from svcnet.executors.iptables.observe import Observed, is_ours, is_own_chain
from svcnet.netfilter.saved import saved
from svcnet.renderers.iptables.artifact import declare, delete

_QUOTED = re.compile(r' "(?:[^"\\]|\\.)*"(?= |$)')


def after(before: Observed, texts: Iterable[str], family: str) -> Observed:
    """Return the tables that restore texts leave where those of `before` were."""
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
                    _remove(chains.setdefault(chain, []), (rule, saved(rule, family)))
                case "-X":
                    chains.pop(chain, None)
                case _ if line.startswith("*"):
                    chains = tables.setdefault(line[1:], {})
                case _ if line.startswith(":"):
                    chains[command[1:]] = []
    return Observed(tables)


def differences(one: Observed, other: Observed) -> int:
    """Return how many chains are not the same."""
    return sum(
        one.chains(table).get(chain) != other.chains(table).get(chain)
        for table in {**one.tables, **other.tables}
        for chain in {**one.chains(table), **other.chains(table)}
    )


def undo(before: Observed, after: Observed, now: Observed) -> Iterator[str]:
    """Yield the texts, one a table, that take back from `now` what led from `before` to `after`.

    A chain that somebody else has changed since has his rules still, and not those that were
    added, and a chain that he deleted stays away. Shared chains come first, so that nothing
    leads to what goes after them.
    """
    for table in after.tables:
        old, new, there = (each.chains(table) for each in (before, after, now))
        changed = [chain for chain in {**old, **new} if old.get(chain) != new.get(chain)]
        changed.sort(key=is_own_chain)
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
                lines += [f"-A {chain} {rule}\n" for rule in was or () if _is_plain(rule)]
            else:
                lines += _single(chain, was or [], made or [], found or [])
            # A built-in chain that comes with its table stays with it.
            came = was is None and is_ours(table, chain)
            if came and not _without(found or [], made or []):
                gone.append(chain)
        if lines or first or gone:
            yield f"*{table}\n{declare(first)}{''.join(lines)}{delete(tuple(gone))}COMMIT\n"


def _single(chain: str, was: list[str], made: list[str], found: list[str]) -> Iterator[str]:
    """Yield what takes back the difference of two lists of rules, rule by rule."""
    added, there = Counter(made) - Counter(was), Counter(found)
    yield from (f"-D {chain} {rule}\n" for rule in (added & there).elements())
    lost = Counter(was) - Counter(made)
    # What was there twice before, and is there by now, was brought back by somebody else.
    lost -= there - Counter(made)
    for rule in reversed(was):
        if lost[rule]:
            lost[rule] -= 1
            if not _is_plain(rule):
                continue
            yield f"-I {chain} {rule}\n"


def _is_plain(rule: str) -> bool:
    return "\n" not in rule and '"' not in _QUOTED.sub("", rule)


def _without(found: list[str], made: list[str]) -> list[str]:
    return list((Counter(found) - Counter(made)).elements())


def _remove(rules: list[str], texts: Iterable[str]) -> None:
    for text in texts:
        if text in rules:
            rules.remove(text)
            return
