"""The destinations that questions of rules name."""

from __future__ import annotations

from collections.abc import Iterable

from svcnet.meaning.facts import Facts, SetPlace
from svcnet.meaning.iptables.rule import InSet, OriginallyTo, Test, ToNetwork, ToPort

CALLED = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
"""Chains that the kernel calls: a text that restores rules need not say their policies."""


def places_of(test: Test, facts: Facts) -> Iterable[SetPlace]:
    """Return the destinations that a test names, but for its protocol."""
    match test:
        case ToNetwork():
            return (SetPlace((test.first, test.last), None, None),)
        case ToPort():
            return [SetPlace(None, None, span) for span in test.spans]
        case OriginallyTo():
            spans = [(None, span) if test.is_port else (span, None) for span in test.spans]
            return [SetPlace(address, None, port) for address, port in spans]
        case InSet():
            return facts.sets[test.name].destinations(test.directions)
    return ()
