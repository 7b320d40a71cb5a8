"""From the words of a rule to its steps. Where nobody understands them, that is a step too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from svcnet.family import IPFamily
from svcnet.meaning import spans
from svcnet.meaning.nftables.dice import Dice
from svcnet.meaning.nftables.fields import FIELDS, FieldNames, interface_pattern, span_of
from svcnet.meaning.nftables.steps import (
    Always,
    FieldTest,
    MarkChange,
    MarkTest,
    MarkValue,
    NFTEnd,
    NFTStep,
    OriginTest,
    OutBy,
    SetTest,
    StateTest,
    StatusTest,
    TypeTest,
    Unreadable,
)
from svcnet.meaning.nftables.tables import NFTLine, NFTMembers, NFTTables
from svcnet.meaning.nftables.verdicts import (
    SourceChange,
    StateMap,
    Translation,
    TranslationMap,
    Verdict,
    VerdictMap,
    place_of,
)

_NO_MATTER = (("nftrace", "set"), ("priority", "set"))
"""What rules change of a packet that no rule asks for."""

_STATES = frozenset(("new", "established", "related", "invalid", "untracked"))
_LATER = frozenset(("seen-reply", "assured", "expected", "dying"))
"""What ``ct status`` is never of the first packet of a connection."""

_TYPES = frozenset(("local", "unicast", "broadcast", "multicast", "anycast"))


class RuleReader:
    """Reads rules, each once; sets and maps are those of their tables."""

    def __init__(self, tables: NFTTables, family: IPFamily) -> None:
        self._tables = tables
        self._family = family
        self._known: dict[NFTLine, tuple[NFTStep, ...]] = {}

    def steps(self, rule: NFTLine) -> tuple[NFTStep, ...]:
        """Return what a rule does, up to its end or to what nobody understands."""
        found = self._known.get(rule)
        if found is None:
            found = self._known[rule] = tuple(
                _RuleReading(self._tables, rule, self._family).steps()
            )
        return found


class _RuleReading:
    """One rule while its words are read."""

    def __init__(self, tables: NFTTables, rule: NFTLine, family: IPFamily) -> None:
        self._tables = tables
        self._rule = rule
        self._version = "ip" if family == "IPv4" else "ip6"
        self._words = rule.words
        self._at = 0

    def steps(self) -> Iterator[NFTStep]:
        """Yield steps, each with the place of its first word."""
        while self._at < len(self._words):
            begin = self._at
            step: NFTStep | None
            try:
                step = self._statement(self._words[begin])
            except (ValueError, IndexError, KeyError):
                step = Unreadable()
            if step is None:
                continue
            step.at = begin
            yield step
            if isinstance(step, Unreadable | NFTEnd):
                return

    def _take(self) -> str:
        word = self._words[self._at]
        self._at += 1
        return word

    def _peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def _expect(self, *words: str) -> None:
        for word in words:
            if self._take() != word:
                raise ValueError(word)

    def _is_negated(self) -> bool:
        """Read whether something is to be equal to what follows."""
        is_negated = self._peek() == "!="
        if is_negated or self._peek() == "==":
            self._take()
        return is_negated

    def _statement(self, word: str) -> NFTStep | None:
        """Read a statement; None is one that does nothing to a packet."""
        following = self._words[self._at + 1 : self._at + 3]
        if word in ("accept", "drop", "return", "continue", "reject"):
            return Verdict(self._take())
        if word in ("jump", "goto"):
            self._take()
            return Verdict(f"{word} {self._chain()}")
        if word == "counter":
            self._counter()
            return None
        if word == "log":
            self._log()
            return None
        if word == "meta" and following in _NO_MATTER:
            self._at += 4
            return None
        if word in ("update", "add"):
            while self._take() != "}":
                pass
            return None
        if word == "flow":
            # Nothing is offloaded before its connection is established: the rule ends here.
            self._expect("flow", "add")
            self._take()
            return Always(False)
        if word == "ct":
            return self._mark() if following[:1] == ("mark",) else self._connection()
        if word == "fib":
            return self._route()
        if word == "meta" and following[:1] == ("mark",):
            return self._mark()
        if word == "dnat":
            return self._dnat()
        if word == "snat":
            return self._snat()
        if word == "masquerade":
            return SourceChange("node")
        if word in ("oif", "oifname"):
            self._take()
            is_negated = self._is_negated()
            return OutBy(interface_pattern(self._plain()), is_negated)
        return self._fields()

    def _chain(self) -> str:
        name = self._take()
        if (self._rule.table, name) not in self._tables.rules:
            raise ValueError(name)
        return name

    def _plain(self) -> str:
        """Read a single value."""
        word = self._take()
        if word in ("{", "&", "|", "^", ",", ".") or word.startswith("@"):
            raise ValueError(word)
        return word

    def _counter(self) -> None:
        self._expect("counter")
        if self._peek() == "name":
            self._at += 2
        elif self._peek() == "packets":
            self._at += 4

    def _log(self) -> None:
        """Read what is logged and how, which is of no concern to the packet."""
        self._expect("log")
        while self._peek() in ("prefix", "level", "group", "snaplen", "queue-threshold", "flags"):
            option, value = self._take(), self._take()
            if option == "flags" and value in ("tcp", "ip"):
                self._take()
            while option == "prefix" and (value[-1:] != '"' or value == '"'):
                value = f"{value} {self._take()}"

    # Connection tracking.

    def _connection(self) -> NFTStep:
        self._expect("ct")
        what = self._take()
        if what == "state" and self._peek() == "vmap":
            self._take()
            return StateMap(self._container()[0].elements)
        if what == "original":
            return self._origin()
        if what == "protocol":
            is_negated = self._is_negated()
            return FieldTest(FieldNames(("meta l4proto",)), (self._plain(),), is_negated=is_negated)
        if what == "status":
            return self._status()
        is_negated = self._is_negated()
        if what == "state" and self._peek() == "{":
            names = frozenset(self._container()[0].elements)
        else:
            names = self._names()
        if what == "state" and names <= _STATES:
            return StateTest(names, is_negated=is_negated)
        if what == "direction" and names in ({"original"}, {"reply"}):
            return Always(("original" in names) != is_negated)
        raise ValueError(what)

    def _status(self) -> NFTStep:
        """Read bits of which one is to be there, or none."""
        is_negated = self._peek() == "!"
        if is_negated:
            self._take()
        names = self._names()
        if not names <= {"dnat", "snat", *_LATER}:
            raise ValueError(names)
        return StatusTest(names, is_negated=is_negated)

    def _names(self) -> frozenset[str]:
        """Read names, of which one is enough."""
        names = self._plain().split(",")
        while self._peek() == ",":
            self._take()
            names += self._plain().split(",")
        return frozenset(names)

    def _origin(self) -> NFTStep:
        """Read what is asked of the first packet of a connection, as it came."""
        field = self._take()
        version = ""
        if field in ("ip", "ip6"):
            version, field = field, self._take()
        is_negated = self._is_negated()
        if field == "proto-dst":
            span = spans.numbers(self._plain())
            return OriginTest(span, is_port=True, is_negated=is_negated)
        wanted = self._plain()
        if field == "saddr":
            name = f"{version or ('ip6' if ':' in wanted else 'ip')} saddr"
            return FieldTest(FieldNames((name,)), (wanted,), is_negated=is_negated)
        if field == "daddr" and (":" in wanted) == (version != "ip"):
            return OriginTest(span_of(wanted), is_port=False, is_negated=is_negated)
        if field == "protocol":
            return FieldTest(FieldNames(("meta l4proto",)), (wanted,), is_negated=is_negated)
        raise ValueError(field)

    def _mark(self) -> NFTStep:
        """Read what is asked of a mark, or a change of it."""
        kind = self._take()
        self._expect("mark")
        if self._peek() == "set":
            self._take()
            return MarkChange(self._value(), is_connection=kind == "ct")
        mark = MarkValue(kind, self._signs())
        is_negated = self._is_negated()
        texts = self._container()[0].elements if self._peek() == "{" else (self._plain(),)
        return MarkTest(mark, frozenset(map(_number, texts)), is_negated=is_negated)

    def _value(self) -> MarkValue:
        word = self._take()
        if word not in ("meta", "ct"):
            return MarkValue(_number(word), self._signs())
        self._expect("mark")
        return MarkValue(word, self._signs())

    def _signs(self) -> list[tuple[str, int]]:
        """Read what is done to the bits of a mark."""
        found = []
        while self._peek() in ("|", "^", "&"):
            found.append((self._take(), _number(self._plain())))
        return found

    # Routes.

    def _route(self) -> NFTStep:
        self._expect("fib")
        parts = [self._take()]
        while self._peek() == ".":
            self._take()
            parts.append(self._take())
        asked = self._take()
        is_negated = self._is_negated()
        if parts[0] == "saddr" and asked == "oif":
            # A packet that a network really delivers comes by the way back to its source.
            is_missing = {"missing": True, "0": True, "exists": False}[self._take()]
            if "iif" not in parts:
                raise ValueError(parts)
            return Always(is_missing == is_negated)
        if asked != "type" or parts[0] not in ("saddr", "daddr") or parts[1:] not in ([], ["iif"]):
            raise ValueError(asked)
        types = self._types()
        if not types <= _TYPES or (parts[0] == "saddr" and len(parts) > 1):
            raise ValueError(types)
        by_interface = len(parts) > 1
        return TypeTest(parts[0], types, by_interface=by_interface, is_negated=is_negated)

    def _types(self) -> frozenset[str]:
        """Read a type, or a set of them."""
        if self._peek() == "{":
            return frozenset(self._container()[0].elements)
        return frozenset((self._plain(),))

    # Fields.

    def _fields(self) -> NFTStep:
        """Read fields of the packet, one or several joined by dots, with what they are to be."""
        fields = self._key()
        names = fields.names
        if self._peek() == "vmap":
            self._take()
            return VerdictMap(fields, *self._container())
        if fields.dice is not None:
            raise ValueError(names)  # a test by chance
        is_negated = self._is_negated()
        if self._peek().startswith("@") or self._peek() == "{":
            container, name = self._container()
            if container.is_dynamic:
                return self._dynamic(names, name, container, is_negated=is_negated)
            return FieldTest(fields, container, is_negated=is_negated)
        key = [self._plain()]
        while self._peek() == "." and len(key) < len(names):
            self._take()
            key.append(self._plain())
        if len(key) != len(names):
            raise ValueError(key)
        return FieldTest(fields, tuple(key), is_negated=is_negated)

    def _key(self) -> FieldNames:
        """Read fields that are joined by dots, with ``numgen`` among them or without."""
        names: list[str] = []
        dice: Dice | None = None
        while True:
            if self._peek() != "numgen":
                names.append(self._field())
            elif dice is None:
                dice = self._dice(len(names))
            else:
                raise ValueError(names)
            if self._peek() != ".":
                return FieldNames(names, dice)
            self._take()

    def _dice(self, at: int) -> Dice:
        self._expect("numgen")
        kind = self._take()
        if kind not in ("random", "inc"):
            raise ValueError(kind)
        self._expect("mod")
        count, offset = int(self._take()), 0
        if self._peek() == "offset":
            self._take()
            offset = int(self._take())
        return Dice(count, offset, at, by_chance=kind == "random")

    def _field(self) -> str:
        name = self._take()
        if name == "iif":
            name = "iifname"
        elif name != "iifname":
            name = f"{name} {self._take()}"
        if name not in FIELDS:
            raise ValueError(name)
        return name

    def _dynamic(
        self, fields: Sequence[str], name: str, container: NFTMembers, *, is_negated: bool
    ) -> NFTStep:
        """Return the question of who is in a set that rules fill with clients of endpoints."""
        place = (self._rule.table, name)
        if len(fields) != 1 or not fields[0].endswith("saddr") or place in self._tables.filled:
            raise ValueError(fields)  # who is in it, nobody knows
        return SetTest(fields[0], place, container.seconds, is_negated=is_negated)

    def _container(self) -> tuple[NFTMembers, str]:
        """Read a set or map, one with a name or one that stands in the rule, and its name."""
        word = self._take()
        if word.startswith("@"):
            return self._tables.containers[self._rule.table, word[1:]], word[1:]
        if word != "{":
            raise ValueError(word)
        elements: dict[str, str] = {}
        part: list[str] = []
        while True:
            word = self._take()
            if word in (",", "}"):
                key, _, value = " ".join(part).partition(" : ")
                elements[key] = value
                part = []
                if word == "}":
                    return NFTMembers(elements), ""
            else:
                part.append(word)

    # Where packets go.

    def _dnat(self) -> NFTStep:
        self._expect("dnat")
        version = self._take() if self._peek() in ("ip", "ip6") else ""
        if self._peek() == "addr":
            self._expect("addr", ".", "port")
        self._expect("to")
        if version and version != self._version:
            return Always(False)  # of a table of both families
        if "map" not in self._words[self._at :]:
            return Translation(place_of(self._take()))
        key = self._key()
        self._expect("map")
        return TranslationMap(key, *self._container())

    def _snat(self) -> NFTStep:
        self._expect("snat")
        if self._peek() in ("ip", "ip6"):
            self._take()
        self._expect("to")
        text = self._plain()
        return SourceChange(text, spans.number(text))


def _number(text: str) -> int:
    """Return a number as rules write it. Raises ValueError."""
    return int(text, 16 if text.startswith("0x") else 10)
