"""What a rule does with the packets that it matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from svcnet.meaning import spans
from svcnet.meaning.iptables.marks import WORD, read_marks
from svcnet.meaning.iptables.reading import XTReading
from svcnet.meaning.iptables.rule import Action

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


def read_target(reading: XTReading, word: str) -> None:
    """Read all that follows ``-j`` or ``-g``; what is not understood is an unknown action."""
    rule, name = reading.rule, reading.value()
    if name in reading.chains and name not in _ACTIONS:
        rule.action = "goto" if word == "-g" else "jump"
        rule.chain = name
        return
    handle = _ACTIONS.get(name)
    if handle is not None:
        try:
            handle(reading, list(reading.rest))
        except (ValueError, IndexError, KeyError):
            rule.action = "unknown"
    elif name not in HARMLESS:
        rule.action = "unknown"


def _mark(reading: XTReading, rest: list[str]) -> None:
    reading.rule.action, reading.rule.change = "mark", _change(rest)


def _change(rest: list[str]) -> tuple[int, int]:
    """Return which bits of a mark are cleared, and which are turned over then."""
    option, text = rest
    value, bits = read_marks(text)
    match option:
        case "--set-xmark":
            return bits, value
        case "--set-mark":
            return bits | value, value
        case "--or-mark":
            return value, value
        case "--and-mark":
            return ~value & WORD, 0
        case "--xor-mark":
            return 0, value
    raise ValueError(option)


def _connmark(reading: XTReading, rest: list[str]) -> None:
    rule = reading.rule
    if rest[0] in ("--save-mark", "--restore-mark"):
        masks = dict.fromkeys(("--nfmask", "--ctmask"), WORD)
        for option, value in zip(rest[1::2], rest[2::2], strict=True):
            if option == "--mask":
                masks["--nfmask"] = masks["--ctmask"] = int(value, 0)
            elif option in masks:
                masks[option] = int(value, 0)
            else:
                raise ValueError(option)
        is_save = rest[0] == "--save-mark"
        rule.action = "save-mark" if is_save else "restore-mark"
        rule.change = masks["--nfmask"], masks["--ctmask"]
    else:
        rule.action, rule.change = "connmark", _change(rest)


def _dnat(reading: XTReading, rest: list[str]) -> None:
    found = _options(rest, {"--random", "--persistent"})
    reading.rule.endpoint = _place(found["--to-destination"])
    reading.rule.action = "dnat"


def _snat(reading: XTReading, rest: list[str]) -> None:
    found = _options(rest, {"--random", "--random-fully", "--persistent"})
    address, _ = _place(found["--to-source"], ports=False)
    if address is None:
        raise ValueError(rest)
    reading.rule.source = found["--to-source"]
    reading.rule.endpoint = address, None
    reading.rule.action = "snat"


def _masquerade(reading: XTReading, rest: list[str]) -> None:
    _options(rest, {"--random", "--random-fully"})
    reading.rule.action, reading.rule.source = "snat", "node"


def _redirect(reading: XTReading, rest: list[str]) -> None:
    found = _options(rest, {"--random"})
    text = found.get("--to-ports", "")
    reading.rule.endpoint = None, int(text) if text else None
    reading.rule.action = "redirect"


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


def _untrack(reading: XTReading, rest: list[str]) -> None:
    if rest == ["--notrack"] or not rest:
        reading.rule.action = "untrack"
    elif set(rest[::2]) <= {"--helper", "--zone", "--zone-orig", "--zone-reply", "--timeout"}:
        reading.rule.action = "nothing"
    else:
        raise ValueError(rest)


def _plain(action: Action) -> Callable[[XTReading, list[str]], None]:
    def act(reading: XTReading, rest: list[str]) -> None:
        reading.rule.action = action

    return act


_ACTIONS: Mapping[str, Callable[[XTReading, list[str]], None]] = MappingProxyType(
    {
        "ACCEPT": _plain("accept"),
        "DROP": _plain("drop"),
        "REJECT": _plain("reject"),
        "RETURN": _plain("return"),
        "MARK": _mark,
        "CONNMARK": _connmark,
        "DNAT": _dnat,
        "SNAT": _snat,
        "MASQUERADE": _masquerade,
        "REDIRECT": _redirect,
        "CT": _untrack,
        "NOTRACK": _untrack,
        **dict.fromkeys(_OTHER, _plain("unknown")),
    }
)
