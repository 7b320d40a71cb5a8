"""The interface that packets leave a machine by: known from its routes, or assumed."""

from __future__ import annotations

from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Branch
from svcnet.meaning.sources import is_like


def leave(
    facts: Facts,
    pattern: str,
    rule: object,
    flow: Branch,
    after: list[Branch],
    *,
    is_negated: bool,
) -> Branch | None:
    """Return a flow as it is if it leaves by an interface; as it is if it does not goes to `after`.

    What one rule assumes is so for those behind it. `rule` is the one that asks.
    """
    header = flow.header
    way = header.way or facts.way_to(header.address)
    if way:
        if is_like(way, pattern) != is_negated:
            return flow
        after.append(flow)
        return None
    key = ("-o", pattern, header.address)
    for asked, answer, _ in flow.doubts:
        if asked == key:
            if answer != is_negated:
                return flow
            after.append(flow)
            return None
    yes = flow.assuming((key, True, rule))
    if not pattern.endswith("+"):
        yes = yes.with_header(header._replace(way=pattern))
    no = flow.assuming((key, False, rule))
    hit, rest = (no, yes) if is_negated else (yes, no)
    after.append(rest)
    return hit
