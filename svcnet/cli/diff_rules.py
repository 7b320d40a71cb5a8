"""``svcnet diff --rules``: what differs between the rules of two dumps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svcnet.cli.dump import given_dump
from svcnet.cli.manner import warn
from svcnet.errors import UsageError
from svcnet.modes.options import enumerate_words

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.meaning import MachineRules, MeaningDiff
    from svcnet.meaning.dump import MachineDump

ASSUMED: dict[str, str] = {"IPv4": "198.18.0.1", "IPv6": "2001:2::1"}
"""Addresses that stand for the node's own where nobody says them: those for benchmarks."""


def rules_diffs(
    pairs: Sequence[tuple[Path, Path]],
    families: Sequence[IPFamily],
    to_mode: str | None,
    options: dict[str, Any],
) -> Iterator[MeaningDiff]:
    """Yield what differs between the rules of two dumps, for each IP family that both have."""
    from svcnet.meaning.comparison.diff import rules_diff

    refuse_objects(options)
    old, new = (given_dump(files) for files in zip(*pairs, strict=True))
    host = options["host"]
    mode = options["mode"] or old.mode
    modes = mode, to_mode or options["mode"] or new.mode
    for family in _families(old, new, modes, families):
        before, after = _own(old, new, host, family)
        yield rules_diff(
            _rules(old, modes[0], family, before), _rules(new, modes[1], family, after)
        )


def refuse_objects(options: dict[str, Any]) -> None:
    """Raise UsageError for options that are about objects: rules are compared with rules."""
    if options["paths"]:
        raise UsageError("--rules compares two dumps, and PATHs two states of objects: say one")
    for name in ("config", "node", "from_pods", "ip_families", "given"):
        if options[name]:
            said = next(iter(options[name])) if name == "given" else name.replace("_", "-")
            raise UsageError(f"--{said} is for objects; --rules compares what is there")


def _families(
    old: MachineDump, new: MachineDump, modes: tuple[str, str], asked: Sequence[IPFamily]
) -> list[IPFamily]:
    from svcnet.meaning.dump import LANGUAGES

    for mode in modes:
        if mode not in LANGUAGES:
            raise UsageError(
                f"rules of modes {enumerate_words(LANGUAGES)} are read, not of mode {mode}"
            )
    there = old.families(modes[0]), new.families(modes[1])
    both = [each for each in there[0] if each in there[1]]
    if missing := [each for each in asked if each not in both]:
        raise UsageError(f"there are not on both sides rules of {enumerate_words(missing)}")
    if not both:
        sides = [enumerate_words(list(each)) or "no family" for each in there]
        raise UsageError(
            f"OLD has rules of {sides[0]} and mode {modes[0]}, NEW of {sides[1]} "
            f"and mode {modes[1]}: nothing to compare"
        )
    only = [each for each in dict.fromkeys([*there[0], *there[1]]) if each not in both]
    if only and not asked:
        warn(f"warning: rules of {enumerate_words(only)} are on one side alone")
    return list(asked) or both


def _own(
    old: MachineDump, new: MachineDump, host: Path | None, family: IPFamily
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the node's addresses before and after, as far as somebody says them."""
    from svcnet.sources import load_host

    facts = load_host(host).addresses if host is not None else None
    before = old.addresses or facts or new.addresses
    after = new.addresses or facts or old.addresses
    if before is None or after is None:
        warn(
            f"warning: nobody says which addresses are the node's, and {ASSUMED[family]} stands "
            "for them: give what ip -j addr prints with one more --rules, or --host"
        )
        before = after = (ASSUMED[family],)
    return tuple(before), tuple(after)


def _rules(
    dump: MachineDump,
    mode: str,
    family: IPFamily,
    own: Sequence[str],
) -> MachineRules:
    from svcnet.meaning import Facts
    from svcnet.meaning.spans import number

    is_six = family == "IPv6"
    addresses = frozenset(number(each) for each in own if (":" in each) == is_six)
    return dump.rules(mode, family, Facts(family, addresses))
