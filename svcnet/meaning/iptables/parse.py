"""From the text of a rule to its value. What is not understood makes the rule doubtful."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from svcnet.meaning import spans
from svcnet.meaning.facts import Facts
from svcnet.meaning.iptables.matches import (
    KNOWN,
    PROTOCOLS,
    Handle,
    read_option,
    settle_recent,
    settle_statistic,
)
from svcnet.meaning.iptables.reading import Doubt, XTReading
from svcnet.meaning.iptables.rule import (
    FromNetwork,
    InBy,
    Never,
    OfProtocol,
    ToNetwork,
    ToPort,
    XTRule,
)
from svcnet.meaning.iptables.targets import read_target
from svcnet.netfilter.words import OpenQuote, is_simple, unquote, words

_COMMENT = re.compile(r'-m comment --comment (?:"[^"]*"|[^" ]+)(?: |$)')


def parse(
    rule: XTRule,
    chains: Mapping[str, object],
    facts: Facts,
    is_filled: Callable[[str], bool] = lambda _: False,
) -> XTRule:
    """Fill in a rule from its text; `chains` are those of its table.

    `is_filled` says whether rules put others on a list of ``recent`` than clients of an endpoint.
    """
    _read(XTReading(rule, chains, facts, is_filled))
    return rule


def split(text: str) -> list[str]:
    """Return the words of a rule without its comments, out of quotes. Raises OpenQuote."""
    if '"' not in text or is_simple(text):
        plain = _COMMENT.sub("", text) if "--comment" in text else text
        if '"' not in plain:
            return plain.split()
    found: list[str] = []
    start = 0
    while start <= len(text):
        parts = list(words(text, start))
        found += [unquote(text[begin:end]) for begin, end in parts if end > begin]
        start = parts[-1][1] + 1
    return found


def _read(reading: XTReading) -> None:
    """Read all words; what is wrong with any makes the rule doubtful and nothing else."""
    rule = reading.rule
    try:
        found = split(rule.text)
    except OpenQuote:
        reading.doubts.append("its quoted text has no end")
        rule.action = "unknown"
        rule.doubt = reading.doubts[0]
        return
    reading.rest = iter(found)
    for word in reading.rest:
        if word == "!":
            reading.is_negated = True
            continue
        base = _BASE.get(word)
        try:
            if base is not None:
                base(reading)
            elif word in ("-j", "-g"):
                read_target(reading, word)
                break
            else:
                read_option(reading, word)
        except (Doubt, ValueError):
            _doubt(reading, word)
        reading.is_negated = False
    _finish(reading)


def _doubt(reading: XTReading, word: str) -> None:
    """Note what is not understood; the value of an option is not told beside it."""
    if word in _BASE:
        reading.doubts.append(f"-m {reading.module}" if word == "-m" else word)
    elif word.startswith("-") and f"-m {reading.module}" not in reading.doubts:
        reading.doubts.append(f"{reading.module} {word}".strip())
    elif not word.startswith("-") and not reading.doubts:
        reading.doubts.append(word)


def _finish(reading: XTReading) -> None:
    rule = reading.rule
    if reading.recent:
        settle_recent(reading)
    if reading.options:
        settle_statistic(reading)
    tests = reading.tests
    rule.rest = tuple(tests)
    if reading.to is not None and reading.port is not None and reading.word_protocol:
        rule.key = (reading.to, reading.word_protocol, reading.port)
        tests = [
            ToNetwork((reading.to, reading.to), False),
            OfProtocol(reading.word_protocol, False),
            ToPort(((reading.port, reading.port),), False),
            *tests,
        ]
    else:
        if reading.port is not None:
            tests.insert(0, ToPort(((reading.port, reading.port),), False))
            if reading.word_protocol and reading.to is None:
                rule.portal = (reading.word_protocol, reading.port)
        if reading.word_protocol:
            tests.insert(0, OfProtocol(reading.word_protocol, False))
        if reading.to is not None:
            tests.insert(0, ToNetwork((reading.to, reading.to), False))
    rule.tests = tuple(tests)
    rule.doubt = ", ".join(reading.doubts)


def _source(reading: XTReading) -> None:
    reading.ask(FromNetwork(spans.network(reading.value()), reading.is_negated))


def _destination(reading: XTReading) -> None:
    span = spans.network(reading.value())
    if span[0] == span[1] and not reading.is_negated and reading.to is None:
        reading.to = span[0]
    else:
        reading.ask(ToNetwork(span, reading.is_negated), first=True)


def _protocol(reading: XTReading) -> None:
    text = reading.value().lower()
    name = PROTOCOLS.get(text, text)
    if name == "all":
        if reading.is_negated:
            reading.ask(Never(False))
    elif reading.is_negated:
        reading.ask(OfProtocol(name, True), first=True)
    else:
        reading.word_protocol = name


def _input(reading: XTReading) -> None:
    reading.ask(InBy(reading.value(), reading.is_negated))


def _output(reading: XTReading) -> None:
    reading.rule.way = (reading.value(), reading.is_negated)


def _fragment(reading: XTReading) -> None:
    reading.ask(Never(reading.is_negated))


def _match(reading: XTReading) -> None:
    reading.module = reading.value()
    if reading.module not in KNOWN:
        raise Doubt


_BASE: Mapping[str, Handle] = MappingProxyType(
    {
        "-s": _source,
        "-d": _destination,
        "-p": _protocol,
        "-i": _input,
        "-o": _output,
        "-f": _fragment,
        "-m": _match,
    }
)
