"""From the text of a rule to its value. What is not understood makes the rule doubtful."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias

from svcnet.meaning import chance, spans
from svcnet.meaning.facts import Facts
from svcnet.meaning.iptables.rule import (
    Action,
    FromLocal,
    FromNetwork,
    HasMark,
    InBy,
    InSet,
    InState,
    Never,
    OfProtocol,
    OriginallyTo,
    Remembers,
    SentBy,
    Test,
    ToNetwork,
    ToPort,
    ToType,
    XTRule,
)
from svcnet.meaning.spans import Span
from svcnet.netfilter.words import OpenQuote, is_simple, unquote, words

_COMMENT = re.compile(r'-m comment --comment (?:"[^"]*"|[^" ]+)(?: |$)')
_MODULES_WITHOUT_A_SAY = frozenset(("comment", "nfacct"))
_KNOWN = frozenset(
    (
        *("addrtype", "comment", "connmark", "conntrack", "dccp", "iprange", "mark", "multiport"),
        *("ipvs", "nfacct", "recent", "rpfilter", "sctp", "set", "state", "statistic", "tcp"),
        *("udp", "udplite"),
    )
)
_PORTAL = MappingProxyType(
    {"6": "tcp", "17": "udp", "132": "sctp", "0": "all", "136": "udplite", "33": "dccp"}
)
_FULL_MASKS = frozenset(("255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
_WORD = 0xFFFFFFFF

HARMLESS = frozenset(
    (
        *("AUDIT", "CHECKSUM", "CLASSIFY", "CONNSECMARK", "DSCP", "ECN", "HL", "IDLETIMER", "LED"),
        *("LOG", "NFLOG", "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS"),
        *("TRACE", "TTL", "ULOG"),
    )
)
"""Targets after which a packet goes on to the next rule, as it was for the sake of what follows."""

_OTHER = frozenset(
    (
        *("NFQUEUE", "QUEUE", "TPROXY", "SYNPROXY", "HMARK", "NETMAP", "DNPT", "SNPT"),
        *("CLUSTERIP", "MIRROR", "SAME", "BALANCE", "ROUTE", "XOR", "SYSRQ", "TARPIT", "DELUDE"),
    )
)
"""Targets of which nobody here knows what becomes of a packet."""


def parse(
    rule: XTRule,
    chains: Mapping[str, object],
    facts: Facts,
    is_filled: Callable[[str], bool] = lambda _: False,
) -> XTRule:
    """Fill in a rule from its text; `chains` are those of its table.

    `is_filled` says whether rules put others on a list of ``recent`` than clients of an endpoint.
    """
    _Parser(rule, chains, facts, is_filled).read()
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


class _Doubt(Exception):  # noqa: N818  (said of a text)
    """A match that nobody here understands."""


class _Parser:
    """One rule while it is read."""

    __slots__ = (
        *(
            "chains",
            "doubts",
            "facts",
            "is_filled",
            "is_negated",
            "module",
            "options",
            "port",
            "recent",
        ),
        *("rest", "rule", "tests", "to", "word_protocol"),
    )

    def __init__(
        self,
        rule: XTRule,
        chains: Mapping[str, object],
        facts: Facts,
        is_filled: Callable[[str], bool],
    ) -> None:
        self.rule = rule
        self.is_filled = is_filled
        self.chains = chains
        self.facts = facts
        self.tests: list[Test] = []
        self.doubts: list[str] = []
        self.recent: dict[str, str] = {}
        self.module = ""
        self.is_negated = False
        self.to: int | None = None
        self.port: int | None = None
        self.word_protocol = ""
        self.options: dict[str, str] = {}
        self.rest: Iterator[str] = iter(())

    def read(self) -> None:
        """Read all words; what is wrong with any makes the rule doubtful and nothing else."""
        rule = self.rule
        try:
            found = split(rule.text)
        except OpenQuote:
            self.doubts.append("its quoted text has no end")
            rule.action = Action.UNKNOWN
            rule.doubt = self.doubts[0]
            return
        self.rest = iter(found)
        for word in self.rest:
            if word == "!":
                self.is_negated = True
                continue
            base = _BASE.get(word)
            try:
                if base is not None:
                    base(self)
                elif word in ("-j", "-g"):
                    self._target(word)
                    break
                else:
                    self._option(word)
            except (_Doubt, ValueError):
                self._doubt(word)
            self.is_negated = False
        self._finish()

    def _doubt(self, word: str) -> None:
        """Note what is not understood; the value of an option is not told beside it."""
        if word in _BASE:
            self.doubts.append(f"-m {self.module}" if word == "-m" else word)
        elif word.startswith("-") and f"-m {self.module}" not in self.doubts:
            self.doubts.append(f"{self.module} {word}".strip())
        elif not word.startswith("-") and not self.doubts:
            self.doubts.append(word)

    def _finish(self) -> None:
        rule = self.rule
        if self.recent:
            self._recent()
        if self.options:
            self._statistic()
        tests = self.tests
        rule.rest = tuple(tests)
        if self.to is not None and self.port is not None and self.word_protocol:
            rule.key = (self.to, self.word_protocol, self.port)
            tests = [
                ToNetwork((self.to, self.to), False),
                OfProtocol(self.word_protocol, False),
                ToPort(((self.port, self.port),), False),
                *tests,
            ]
        else:
            if self.port is not None:
                tests.insert(0, ToPort(((self.port, self.port),), False))
                if self.word_protocol and self.to is None:
                    rule.portal = (self.word_protocol, self.port)
            if self.word_protocol:
                tests.insert(0, OfProtocol(self.word_protocol, False))
            if self.to is not None:
                tests.insert(0, ToNetwork((self.to, self.to), False))
        rule.tests = tuple(tests)
        rule.doubt = ", ".join(self.doubts)

    def value(self) -> str:
        """Return the next word. Raises _Doubt where there is none."""
        try:
            return next(self.rest)
        except StopIteration:
            raise _Doubt from None

    def ask(self, test: Test, *, first: bool = False) -> None:
        """Add a question, in front of all others if it costs little and is often answered no."""
        if first:
            self.tests.insert(0, test)
        else:
            self.tests.append(test)

    # What every rule may have.

    def source(self) -> None:
        self.ask(FromNetwork(spans.network(self.value()), self.is_negated))

    def destination(self) -> None:
        span = spans.network(self.value())
        if span[0] == span[1] and not self.is_negated and self.to is None:
            self.to = span[0]
        else:
            self.ask(ToNetwork(span, self.is_negated), first=True)

    def protocol(self) -> None:
        text = self.value().lower()
        name = _PORTAL.get(text, text)
        if name == "all":
            if self.is_negated:
                self.ask(Never(False))
        elif self.is_negated:
            self.ask(OfProtocol(name, True), first=True)
        else:
            self.word_protocol = name

    def input(self) -> None:
        self.ask(InBy(self.value(), self.is_negated))

    def output(self) -> None:
        self.rule.way = (self.value(), self.is_negated)

    def fragment(self) -> None:
        self.ask(Never(self.is_negated))

    def match(self) -> None:
        self.module = self.value()
        if self.module not in _KNOWN:
            raise _Doubt

    # What matches have.

    def _option(self, word: str) -> None:
        module = self.module
        if module in _MODULES_WITHOUT_A_SAY:
            if word in ("--comment", "--nfacct-name"):
                self.value()
                return
            raise _Doubt
        handle = _OPTIONS.get((module, word)) or _ANYWHERE.get(word)
        if handle is None:
            raise _Doubt
        handle(self)

    def to_port(self) -> None:
        span = spans.ports(self.value())
        if span[0] == span[1] and not self.is_negated and self.port is None:
            self.port = span[0]
        else:
            self.ask(ToPort((span,), self.is_negated), first=True)

    def to_ports(self) -> None:
        found = tuple(spans.ports(each) for each in self.value().split(","))
        self.ask(ToPort(found, self.is_negated), first=True)

    def tcp_flags(self) -> None:
        mask, wanted = (set(self.value().split(",")) for _ in range(2))
        known = {"SYN", "ACK", "FIN", "RST", "URG", "PSH"}
        mask = known if "ALL" in mask else mask - {"NONE"}
        wanted = known if "ALL" in wanted else wanted - {"NONE"}
        if not mask <= known or not wanted <= known:
            raise _Doubt
        if (mask & {"SYN"} == wanted) == self.is_negated:
            self.ask(Never(False))

    def syn(self) -> None:
        if self.is_negated:
            self.ask(Never(False))

    def state(self) -> None:
        names = frozenset(self.value().split(","))
        if not names <= {
            *("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "DNAT", "SNAT"),
        }:
            raise _Doubt
        self.ask(InState(names, self.is_negated), first=True)

    def original_destination(self) -> None:
        span = spans.network(self.value())
        self.ask(OriginallyTo((span,), False, self.is_negated), first=True)

    def original_port(self) -> None:
        self.ask(OriginallyTo((spans.ports(self.value()),), True, self.is_negated), first=True)

    def original_source(self) -> None:
        self.ask(FromNetwork(spans.network(self.value()), self.is_negated))

    def connection_protocol(self) -> None:
        name = self.value().lower()
        self.ask(OfProtocol(_PORTAL.get(name, name), self.is_negated), first=True)

    def direction(self) -> None:
        word = self.value()
        if word not in ("ORIGINAL", "REPLY"):
            raise _Doubt
        if (word == "ORIGINAL") == self.is_negated:
            self.ask(Never(False))

    def mark(self) -> None:
        value, bits = _marks(self.value())
        is_connection = self.module == "connmark"
        self.ask(HasMark(value, bits, self.is_negated, is_connection), first=True)

    def to_type(self) -> None:
        types = frozenset(self.value().split(","))
        if not types <= {"LOCAL", "UNICAST", "MULTICAST"}:
            raise _Doubt
        self.ask(ToType(types, self.is_negated), first=True)

    def from_type(self) -> None:
        types = frozenset(self.value().split(","))
        if not types <= {"LOCAL", "UNICAST"}:
            raise _Doubt
        self.ask(FromLocal(types, self.is_negated))

    def from_range(self) -> None:
        self.ask(FromNetwork(spans.between(self.value()), self.is_negated))

    def to_range(self) -> None:
        self.ask(ToNetwork(spans.between(self.value()), self.is_negated), first=True)

    def set(self) -> None:
        name, directions = self.value(), tuple(self.value().split(","))
        found = self.facts.sets.get(name)
        if found is None or ("port", "src") in zip(found.parts, directions, strict=False):
            raise _Doubt
        if found.family not in (None, self.facts.family) or len(directions) < len(found.parts):
            self.ask(Never(self.is_negated))
        else:
            self.ask(InSet(name, directions, self.is_negated))

    def mark_balanced(self) -> None:
        """A virtual server has sent the packet on."""
        self._sent_by()

    def server_address(self) -> None:
        self._sent_by(address=spans.network(self.value()))

    def server_protocol(self) -> None:
        name = self.value().lower()
        self._sent_by(protocol=_PORTAL.get(name, name))

    def server_port(self) -> None:
        self._sent_by(port=spans.ports(self.value())[0])

    def _sent_by(
        self, address: Span | None = None, protocol: str | None = None, port: int | None = None
    ) -> None:
        if not self.facts.balances:
            raise _Doubt
        test = SentBy(address, protocol, port, is_negated=self.is_negated)
        self.ask(test, first=True)

    def reverse_path(self) -> None:
        """A packet that a network really delivers comes by the way back to its source."""

    def reverse_path_lost(self) -> None:
        self.ask(Never(False))

    def recent_flag(self, name: str) -> None:
        self.recent[name] = "!" if self.is_negated else ""

    def recent_value(self, name: str) -> None:
        self.recent[name] = self.value()

    def _recent(self) -> None:
        found = self.recent
        is_full = found.get("--mask", "255.255.255.255") in _FULL_MASKS
        if {"--hitcount", "--rttl", "--rdest", "--remove"} & set(found) or not is_full:
            self.doubts.append("recent")
            return
        question = found.get("--rcheck", found.get("--update"))
        if question is None:
            return
        if self.is_filled(found.get("--name", "DEFAULT")):
            self.doubts.append("recent")
            return
        seconds = int(found["--seconds"]) if found.get("--seconds", "").isdecimal() else None
        if "--seconds" in found and seconds is None:
            self.doubts.append("recent --seconds")
            return
        self.ask(Remembers(found.get("--name", "DEFAULT"), seconds, question == "!"))

    def statistic(self, name: str) -> None:
        self.options[name] = self.value()
        if self.is_negated:
            self.options[f"! {name}"] = ""

    def _statistic(self) -> None:
        found = self.options
        try:
            if found.get("--mode") == "random":
                likely = chance.of_statistic(found["--probability"])
                is_negated = "! --probability" in found
            elif found.get("--mode") == "nth":
                likely = chance.of_turns(int(found["--every"]))
                is_negated = "! --every" in found
            else:
                raise ValueError
        except (KeyError, ValueError, ZeroDivisionError):
            self.doubts.append("statistic")
            return
        self.rule.chance = chance.against(likely) if is_negated else likely

    # What is done.

    def _target(self, word: str) -> None:
        rule, name = self.rule, self.value()
        if name in self.chains and name not in _ACTIONS:
            rule.action = Action.GOTO if word == "-g" else Action.JUMP
            rule.chain = name
            return
        handle = _ACTIONS.get(name)
        if handle is not None:
            try:
                handle(self, list(self.rest))
            except (ValueError, IndexError, KeyError):
                rule.action = Action.UNKNOWN
        elif name not in HARMLESS:
            rule.action = Action.UNKNOWN


def _marks(text: str) -> tuple[int, int]:
    """Return a value and the bits that count of ``0x1/0x1``."""
    value, slash, bits = text.partition("/")
    return int(value, 0), int(bits, 0) if slash else _WORD


def _mark(parser: _Parser, rest: list[str]) -> None:
    parser.rule.action, parser.rule.change = Action.MARK, _change(rest)


def _change(rest: list[str]) -> tuple[int, int]:
    """Return which bits of a mark are cleared, and which are turned over then."""
    option, text = rest
    value, bits = _marks(text)
    match option:
        case "--set-xmark":
            return bits, value
        case "--set-mark":
            return bits | value, value
        case "--or-mark":
            return value, value
        case "--and-mark":
            return ~value & _WORD, 0
        case "--xor-mark":
            return 0, value
    raise ValueError(option)


def _connmark(parser: _Parser, rest: list[str]) -> None:
    rule = parser.rule
    if rest[0] in ("--save-mark", "--restore-mark"):
        masks = dict.fromkeys(("--nfmask", "--ctmask"), _WORD)
        for option, value in zip(rest[1::2], rest[2::2], strict=True):
            if option == "--mask":
                masks["--nfmask"] = masks["--ctmask"] = int(value, 0)
            elif option in masks:
                masks[option] = int(value, 0)
            else:
                raise ValueError(option)
        is_save = rest[0] == "--save-mark"
        rule.action = Action.SAVE_MARK if is_save else Action.RESTORE_MARK
        rule.change = masks["--nfmask"], masks["--ctmask"]
    else:
        rule.action, rule.change = Action.CONNMARK, _change(rest)


def _dnat(parser: _Parser, rest: list[str]) -> None:
    found = _options(rest, {"--random", "--persistent"})
    parser.rule.endpoint = _place(found["--to-destination"])
    parser.rule.action = Action.DNAT


def _snat(parser: _Parser, rest: list[str]) -> None:
    found = _options(rest, {"--random", "--random-fully", "--persistent"})
    address, _ = _place(found["--to-source"], ports=False)
    if address is None:
        raise ValueError(rest)
    parser.rule.source = found["--to-source"]
    parser.rule.endpoint = address, None
    parser.rule.action = Action.SNAT


def _masquerade(parser: _Parser, rest: list[str]) -> None:
    _options(rest, {"--random", "--random-fully"})
    parser.rule.action, parser.rule.source = Action.SNAT, "node"


def _redirect(parser: _Parser, rest: list[str]) -> None:
    found = _options(rest, {"--random"})
    text = found.get("--to-ports", "")
    parser.rule.endpoint = None, int(text) if text else None
    parser.rule.action = Action.REDIRECT


def _options(rest: list[str], flags: set[str]) -> dict[str, str]:
    """Return options with their values. Raises ValueError for what is none."""
    found: dict[str, str] = {}
    words_left = iter(rest)
    for word in words_left:
        if word in flags:
            continue
        if not word.startswith("--to-"):
            raise ValueError(word)
        found[word] = next(words_left, "")
    return found


def _place(text: str, *, ports: bool = True) -> tuple[int | None, int | None]:
    """Return the address and port of ``1.2.3.4:80``, ``[fd00::1]:80``, ``:80`` or an address.

    Raises ValueError for several, of which the kernel chooses.
    """
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    else:
        address, port = text, ""
    if not ports:
        port = ""
    return spans.number(address) if address else None, int(port) if port else None


def _untrack(parser: _Parser, rest: list[str]) -> None:
    if rest == ["--notrack"] or not rest:
        parser.rule.action = Action.UNTRACK
    elif set(rest[::2]) <= {"--helper", "--zone", "--zone-orig", "--zone-reply", "--timeout"}:
        parser.rule.action = Action.NOTHING
    else:
        raise ValueError(rest)


def _plain(action: Action) -> Callable[[_Parser, list[str]], None]:
    def act(parser: _Parser, rest: list[str]) -> None:  # noqa: ARG001
        parser.rule.action = action

    return act


_Handle: TypeAlias = Callable[[_Parser], None]

_BASE: Mapping[str, _Handle] = MappingProxyType(
    {
        "-s": _Parser.source,
        "-d": _Parser.destination,
        "-p": _Parser.protocol,
        "-i": _Parser.input,
        "-o": _Parser.output,
        "-f": _Parser.fragment,
        "-m": _Parser.match,
    }
)

_ANYWHERE: Mapping[str, _Handle] = MappingProxyType({"--dport": _Parser.to_port})


def _recent_flag(name: str) -> _Handle:
    return lambda parser: parser.recent_flag(name)


def _recent_value(name: str) -> _Handle:
    return lambda parser: parser.recent_value(name)


def _statistic(name: str) -> _Handle:
    return lambda parser: parser.statistic(name)


_OPTIONS: Mapping[tuple[str, str], _Handle] = MappingProxyType(
    {
        ("multiport", "--dports"): _Parser.to_ports,
        ("tcp", "--tcp-flags"): _Parser.tcp_flags,
        ("tcp", "--syn"): _Parser.syn,
        ("conntrack", "--ctstate"): _Parser.state,
        ("state", "--state"): _Parser.state,
        ("conntrack", "--ctorigdst"): _Parser.original_destination,
        ("conntrack", "--ctorigdstport"): _Parser.original_port,
        ("conntrack", "--ctorigsrc"): _Parser.original_source,
        ("conntrack", "--ctproto"): _Parser.connection_protocol,
        ("conntrack", "--ctdir"): _Parser.direction,
        ("mark", "--mark"): _Parser.mark,
        ("connmark", "--mark"): _Parser.mark,
        ("addrtype", "--dst-type"): _Parser.to_type,
        ("addrtype", "--src-type"): _Parser.from_type,
        ("iprange", "--src-range"): _Parser.from_range,
        ("iprange", "--dst-range"): _Parser.to_range,
        ("set", "--match-set"): _Parser.set,
        ("ipvs", "--ipvs"): _Parser.mark_balanced,
        ("ipvs", "--vaddr"): _Parser.server_address,
        ("ipvs", "--vproto"): _Parser.server_protocol,
        ("ipvs", "--vport"): _Parser.server_port,
        ("ipvs", "--vdir"): _Parser.direction,
        **dict.fromkeys(
            (("rpfilter", each) for each in ("--loose", "--validmark", "--accept-local")),
            _Parser.reverse_path,
        ),
        ("rpfilter", "--invert"): _Parser.reverse_path_lost,
        **{
            ("recent", each): _recent_flag(each)
            for each in (
                *("--rcheck", "--update", "--set", "--remove", "--reap"),
                *("--rsource", "--rdest", "--rttl"),
            )
        },
        **{
            ("recent", each): _recent_value(each)
            for each in ("--seconds", "--hitcount", "--name", "--mask")
        },
        **{
            ("statistic", each): _statistic(each)
            for each in ("--mode", "--probability", "--every", "--packet")
        },
    }
)

_ACTIONS: Mapping[str, Callable[[_Parser, list[str]], None]] = MappingProxyType(
    {
        "ACCEPT": _plain(Action.ACCEPT),
        "DROP": _plain(Action.DROP),
        "REJECT": _plain(Action.REJECT),
        "RETURN": _plain(Action.RETURN),
        "MARK": _mark,
        "CONNMARK": _connmark,
        "DNAT": _dnat,
        "SNAT": _snat,
        "MASQUERADE": _masquerade,
        "REDIRECT": _redirect,
        "CT": _untrack,
        "NOTRACK": _untrack,
        **dict.fromkeys(_OTHER, _plain(Action.UNKNOWN)),
    }
)
