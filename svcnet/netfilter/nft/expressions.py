"""Statements and expressions of nft's JSON in the words of its language.

Source of the forms: libnftables-json(5). What is not among them here raises :class:`StrangeError`,
so that nobody takes for understood what is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

MOST_DEPTH = 16
"""More levels than any expression has."""

_BARE = re.compile(r"@?[A-Za-z0-9_./:*@-]+(?:-[A-Za-z0-9_.:/]+)?|\[[0-9a-f:.]+\]")
_OPERATORS = frozenset(("|", "^", "&", "<<", ">>"))
_NAMES = ("iifname", "oifname", "ibrname", "obrname", "iif", "oif")


class StrangeError(ValueError):
    """A form that is not known here."""


def statement(value: object) -> str:
    """Return a statement of a rule. Raises :class:`StrangeError`."""
    kind, content = _one(value)
    write = _STATEMENTS.get(kind)
    if write is None:
        raise StrangeError(kind)
    return write(kind, content)


def expression(value: object, depth: int = 0) -> str:
    """Return an expression. Raises :class:`StrangeError`."""
    if depth > MOST_DEPTH:
        raise StrangeError("an expression in an expression, and so on")
    match value:
        case bool():
            return "exists" if value else "missing"
        case int():
            return str(value)
        case str():
            return value if _BARE.fullmatch(value) else quote(value)
        case list():
            return ",".join(expression(each, depth + 1) for each in value)
    kind, content = _one(value)
    if kind in _OPERATORS:
        operands = [_operand(each, depth) for each in _list(content)]
        return f" {kind} ".join(operands)
    write = _EXPRESSIONS.get(kind)
    if write is None:
        raise StrangeError(kind)
    return write(content, depth + 1)


def interface_text(value: object, *, is_name: bool) -> str:
    """Return an expression, of which a text is a name of an interface, if `is_name` says so."""
    if is_name and isinstance(value, str) and value[:1] != "@":
        return quote(value)
    if is_name and isinstance(value, dict) and "set" in value:
        return _braces(interface_text(each, is_name=True) for each in _list(value["set"]))
    return expression(value)


def quote(text: str) -> str:
    """Return a text in quotation marks; nothing can stand for one in it. Raises StrangeError."""
    if '"' in text:
        raise StrangeError(text)
    return f'"{text}"'


def _one(value: object) -> tuple[str, Any]:
    """Return the only key and value of an object; a text is a key without a value."""
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict) or len(value) != 1:
        raise StrangeError(str(value))
    return next(iter(value.items()))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise StrangeError(str(value))
    return value


def _object(value: object, known: Collection[str]) -> dict[str, Any]:
    """Return an object that has nothing but what is `known`."""
    if not isinstance(value, dict) or not value.keys() <= set(known):
        raise StrangeError(str(value))
    return value


def _braces(parts: Iterable[str]) -> str:
    return f"{{ {' , '.join(parts)} }}"


def _operand(value: object, depth: int) -> str:
    if isinstance(value, list):
        return f"( {' | '.join(expression(each, depth + 1) for each in value)} )"
    text = expression(value, depth + 1)
    return f"( {text} )" if isinstance(value, dict) and "|" in value else text


def _concatenation(content: Any, depth: int) -> str:
    return " . ".join(expression(each, depth) for each in _list(content))


def _set(content: Any, depth: int) -> str:
    return _braces(_member(each, depth) for each in _list(content))


def _member(value: object, depth: int) -> str:
    """Return an element: a pair of key and value, or only a key."""
    if isinstance(value, list):
        if len(value) != 2:
            raise StrangeError(str(value))
        return f"{expression(value[0], depth)} : {target(value[1], depth)}"
    return expression(value, depth)


def target(value: object, depth: int = 0) -> str:
    """Return what an element leads to: a verdict, or an expression."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _VERDICTS:
        return statement(value)
    return expression(value, depth)


def _map(content: Any, depth: int) -> str:
    made = _object(content, ("key", "data"))
    return f"{expression(made.get('key'), depth)} map {expression(made.get('data'), depth)}"


def _prefix(content: Any, depth: int) -> str:
    made = _object(content, ("addr", "len"))
    return f"{expression(made.get('addr'), depth)}/{_number(made.get('len'))}"


def _range(content: Any, depth: int) -> str:
    ends = _list(content)
    if len(ends) != 2:
        raise StrangeError(str(content))
    return "-".join(expression(each, depth) for each in ends)


def _payload(content: Any, _depth: int) -> str:
    made = _object(content, ("protocol", "field", "base", "offset", "len"))
    if "base" in made:
        return f"@{_word(made['base'])},{_number(made.get('offset'))},{_number(made.get('len'))}"
    return f"{_word(made.get('protocol'))} {_word(made.get('field'))}"


def _meta(content: Any, _depth: int) -> str:
    return f"meta {_word(_object(content, ('key',)).get('key'))}"


def _ct(content: Any, _depth: int) -> str:
    made = _object(content, ("key", "family", "dir"))
    words = [made[each] for each in ("dir", "family", "key") if each in made]
    return " ".join(["ct", *map(_words, words)])


def _fib(content: Any, _depth: int) -> str:
    made = _object(content, ("result", "flags"))
    flags = made.get("flags")
    flags = flags if isinstance(flags, list) else [flags]
    return f"fib {' . '.join(map(_word, flags))} {_word(made.get('result'))}"


def _number_generator(content: Any, _depth: int) -> str:
    made = _object(content, ("mode", "mod", "offset"))
    offset = f" offset {_number(made['offset'])}" if made.get("offset") else ""
    return f"numgen {_word(made.get('mode'))} mod {_number(made.get('mod'))}{offset}"


def _hash(content: Any, depth: int) -> str:
    made = _object(content, ("mod", "offset", "expr", "seed"))
    seed = f" seed {_number(made['seed'])}" if "seed" in made else ""
    offset = f" offset {_number(made['offset'])}" if made.get("offset") else ""
    return (
        f"jhash {expression(made.get('expr'), depth)} mod {_number(made.get('mod'))}{seed}{offset}"
    )


def _symmetric_hash(content: Any, _depth: int) -> str:
    made = _object(content, ("mod", "offset"))
    offset = f" offset {_number(made['offset'])}" if made.get("offset") else ""
    return f"symhash mod {_number(made.get('mod'))}{offset}"


def _option(content: Any, _depth: int) -> str:
    made = _object(content, ("name", "field"))
    field = f" {_word(made['field'])}" if "field" in made else ""
    return f"tcp option {_word(made.get('name'))}{field}"


def _header(content: Any, _depth: int) -> str:
    made = _object(content, ("name", "field"))
    return (
        f"{_word(made.get('name'))} {_word(made['field'])}"
        if "field" in made
        else (f"exthdr {_word(made.get('name'))}")
    )


def _socket(content: Any, _depth: int) -> str:
    return f"socket {_word(_object(content, ('key',)).get('key'))}"


def _route(content: Any, _depth: int) -> str:
    made = _object(content, ("key", "family"))
    family = f"{_word(made['family'])} " if "family" in made else ""
    return f"rt {family}{_word(made.get('key'))}"


def _element(content: Any, depth: int) -> str:
    made = _object(content, ("val", "timeout", "expires", "comment", "counter", "limit", "last"))
    words = [expression(made.get("val"), depth)]
    words += [f"{each} {_number(made[each])}s" for each in ("timeout", "expires") if each in made]
    words += [
        statement({each: made[each]}) for each in ("counter", "limit", "last") if each in made
    ]
    words += [f"comment {quote(str(made['comment']))}"] if "comment" in made else []
    return " ".join(words)


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise StrangeError(str(value))
    return str(value)


def _word(value: object) -> str:
    if not isinstance(value, str) or not _BARE.fullmatch(value):
        raise StrangeError(str(value))
    return value


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise StrangeError(str(value))
    return " ".join(map(_word, value.split(" ")))


def _match(_kind: str, content: Any) -> str:
    made = _object(content, ("op", "left", "right"))
    left, operator = made.get("left"), made.get("op")
    sign = "" if operator == "in" else f"{operator} "
    if operator not in ("in", "==", "!=", "<", ">", "<=", ">="):
        raise StrangeError(str(operator))
    if (masked := _flags_of(left, made.get("right"))) and operator in ("==", "!="):
        field, flags, mask = masked
        return f"{expression(field)} {'!= ' if operator == '!=' else ''}{flags} / {mask}"
    is_name = left in [{"meta": {"key": name}} for name in _NAMES]
    return f"{expression(left)} {sign}{interface_text(made.get('right'), is_name=is_name)}"


def _flags_of(left: object, right: object) -> tuple[object, str, str] | None:
    """Return a field, flags and the flags that are looked at, if a match is about such.

    nft prints ``tcp flags syn / syn,ack`` of them; a mask of numbers is a calculation.
    """
    parts = left.get("&") if isinstance(left, dict) else None
    if not isinstance(parts, list) or len(parts) != 2 or not isinstance(parts[1], list):
        return None
    flags = [str(each) for each in (right if isinstance(right, list) else [right])]
    mask = [str(each) for each in parts[1]]
    if not all(each.isalpha() for each in (*flags, *mask)):
        return None
    return parts[0], ",".join(flags), ",".join(mask)


def _verdict(kind: str, content: Any) -> str:
    if content is None:
        return kind
    return f"{kind} {_text(_object(content, ('target',)).get('target'))}"


def _text(value: object) -> str:
    """Return the name of a chain or set, which the language has no quotation marks for."""
    if not isinstance(value, str) or not re.fullmatch(r'[^\s"{};,]+', value):
        raise StrangeError(str(value))
    return value


def _counter(_kind: str, content: Any) -> str:
    if isinstance(content, str):
        return f"counter name {content}"
    return "counter"


def _mangle(_kind: str, content: Any) -> str:
    made = _object(content, ("key", "value"))
    return f"{expression(made.get('key'))} set {expression(made.get('value'))}"


def _translation(kind: str, content: Any) -> str:
    made = _object(content or {}, ("addr", "family", "port", "flags", "type_flags"))
    words = [kind]
    words += [_word(made["family"])] if "family" in made else []
    address = expression(made["addr"]) if "addr" in made else ""
    if "port" in made and ":" in address:
        address = f"[{address}]"
    port = f":{expression(made['port'])}" if "port" in made else ""
    words += [f"to {address}{port}"] if address or port else []
    flags = made.get("flags", [])
    words += [",".join(map(_word, flags if isinstance(flags, list) else [flags]))] if flags else []
    if made.get("type_flags"):
        raise StrangeError("type_flags")
    return " ".join(words)


def _reject(_kind: str, content: Any) -> str:
    made = _object(content or {}, ("type", "expr"))
    if not made:
        return "reject"
    if made.get("type") == "tcp reset":
        return "reject with tcp reset"
    return f"reject with {_word(made.get('type'))} {_word(made.get('expr'))}"


def _update(_kind: str, content: Any) -> str:
    made = _object(content, ("op", "elem", "set", "stmt"))
    words = [expression(made.get("elem")), *map(statement, _list(made.get("stmt", [])))]
    return f"{_word(made.get('op'))} {_text(made.get('set'))} {{ {' '.join(words)} }}"


def _verdict_map(_kind: str, content: Any) -> str:
    made = _object(content, ("key", "data"))
    return f"{expression(made.get('key'))} vmap {expression(made.get('data'))}"


def _limit(_kind: str, content: Any) -> str:
    if isinstance(content, str):
        return f"limit name {content}"
    made = _object(content, ("rate", "rate_unit", "per", "burst", "burst_unit", "inv"))
    over = "over " if made.get("inv") else ""
    unit = made.get("rate_unit", "packets")
    rate = _number(made.get("rate")) + ("" if unit == "packets" else f" {_word(unit)}")
    text = f"limit rate {over}{rate}/{_word(made.get('per'))}"
    if "burst" in made:
        text += f" burst {_number(made['burst'])} {_word(made.get('burst_unit', 'packets'))}"
    return text


def _log(_kind: str, content: Any) -> str:
    made = _object(
        content or {}, ("prefix", "group", "snaplen", "queue-threshold", "level", "flags")
    )
    words = ["log"]
    words += [f"prefix {quote(str(made['prefix']))}"] if "prefix" in made else []
    words += [f"level {_word(made['level'])}"] if "level" in made else []
    words += [
        f"{each} {_number(made[each])}"
        for each in ("group", "snaplen", "queue-threshold")
        if each in made
    ]
    if "flags" in made:
        raise StrangeError("flags of log")
    return " ".join(words)


def _named_object(kind: str, content: Any) -> str:
    return f"{kind} set {quote(str(content))}" if isinstance(content, str) else _strange(content)


def _strange(content: object) -> str:
    raise StrangeError(str(content))


def _alone(kind: str, _content: Any) -> str:
    return kind


def _connections(_kind: str, content: Any) -> str:
    made = _object(content, ("val", "inv"))
    return f"ct count {'over ' if made.get('inv') else ''}{_number(made.get('val'))}"


_Expression: TypeAlias = Callable[[Any, int], str]
_Statement: TypeAlias = Callable[[str, Any], str]
_VERDICTS = frozenset(("accept", "drop", "continue", "return", "jump", "goto"))
_EXPRESSIONS: Mapping[str, _Expression] = MappingProxyType(
    {
        "concat": _concatenation,
        "set": _set,
        "map": _map,
        "prefix": _prefix,
        "range": _range,
        "payload": _payload,
        "meta": _meta,
        "ct": _ct,
        "fib": _fib,
        "numgen": _number_generator,
        "jhash": _hash,
        "symhash": _symmetric_hash,
        "tcp option": _option,
        "exthdr": _header,
        "socket": _socket,
        "rt": _route,
        "elem": _element,
    }
)
_STATEMENTS: Mapping[str, _Statement] = MappingProxyType(
    {
        **dict.fromkeys(_VERDICTS, _verdict),
        **dict.fromkeys(("snat", "dnat", "masquerade", "redirect"), _translation),
        **dict.fromkeys(("ct helper", "ct timeout", "ct expectation"), _named_object),
        **dict.fromkeys(("notrack", "last"), _alone),
        "match": _match,
        "counter": _counter,
        "mangle": _mangle,
        "reject": _reject,
        "set": _update,
        "vmap": _verdict_map,
        "limit": _limit,
        "log": _log,
        "ct count": _connections,
    }
)
