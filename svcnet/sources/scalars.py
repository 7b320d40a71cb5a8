"""What plain scalars of YAML mean to Kubernetes.

Source of the rules: go.yaml.in/yaml/v2, resolve.go, through which kubectl and the API server
read YAML, and sigs.k8s.io/yaml, which makes JSON of that.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from datetime import date
from functools import lru_cache
from typing import TypeAlias

Scalar: TypeAlias = bool | int | float | str | None

BEGINNINGS = frozenset(("", *"+-.0123456789yYnNtTfFoO~"))
"""What begins a scalar that may be something else than text; nothing does too."""

PREFIX = "tag:yaml.org,2002:"
MERGE = f"{PREFIX}merge"
MAX_INT = (1 << 63) - 1
MAX_UNSIGNED = (1 << 64) - 1

_SPELLINGS: tuple[tuple[str, Scalar], ...] = (
    ("y Y yes Yes YES true True TRUE on On ON", True),
    ("n N no No NO false False FALSE off Off OFF", False),
    ("~ null Null NULL", None),
    (".nan .NaN .NAN", math.nan),
    (".inf .Inf .INF +.inf +.Inf +.INF", math.inf),
    ("-.inf -.Inf -.INF", -math.inf),
)
_WORDS = {"": None, **{word: value for words, value in _SPELLINGS for word in words.split()}}
_INT = re.compile(
    r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]([0-7]+)|0[bB]([01]+)|0([0-7]+)|(0|[1-9][0-9]*))"
)
_BASES = (16, 8, 2, 8, 10)
# The sign of a binary number may stand behind its prefix too.
_SIGNED_BINARY = re.compile(r"0b([-+][01]{1,64})")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# One that begins with a dot may have single underscores between digits.
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt](?P<h>[0-9]{1,2}):(?P<m>[0-9]{1,2}):(?P<s>[0-9]{1,2})(?:[.,][0-9]+)?"
    r"(?:Z|[-+][0-9]{2}:[0-9]{2}))"
    r"|(?: +(?P<h2>[0-9]{1,2}):(?P<m2>[0-9]{1,2}):(?P<s2>[0-9]{1,2})(?:[.,][0-9]+)?))?"
)


@lru_cache(1 << 16)
def resolve(text: str) -> Scalar:
    """Return what a plain scalar without a tag is: null, boolean, number or text."""
    if text[:1] not in BEGINNINGS:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        return _float(text, _DOT_FLOAT, text)
    if text[0] not in "+-0123456789":
        return text
    plain = text.replace("_", "")
    number = _int(plain)
    return _float(plain, _FLOAT, text) if number is None else number


def _int(plain: str) -> int | None:
    found = _INT.fullmatch(plain)
    if found is None:
        binary = _SIGNED_BINARY.fullmatch(plain)
        number = int(binary.group(1), 2) if binary else MAX_UNSIGNED
        return number if -MAX_INT - 1 <= number <= MAX_INT else None
    sign, *digits = found.groups()
    base, written = next(pair for pair in zip(_BASES, digits, strict=True) if pair[1] is not None)
    if len(written) > 64:
        return None
    number = int(written, base)
    if sign == "-":
        return -number if number <= MAX_INT + 1 else None
    return number if number <= (MAX_INT if sign else MAX_UNSIGNED) else None


def _float(plain: str, form: re.Pattern[str], text: str) -> float | str:
    if not form.fullmatch(plain):
        return text
    number = float(plain.replace("_", ""))
    return text if math.isinf(number) else number


def json_of(value: Scalar) -> Scalar:
    """Return a value as it is after it was written as JSON and read again.

    A float without a fraction, such as ``1e3``, is an integer then.
    """
    if type(value) is float and abs(value) < 1e21 and value.is_integer():
        return int(value)
    return value


@lru_cache(1 << 16)
def value_of(text: str) -> Scalar:
    """Return what a plain scalar is as a value."""
    return json_of(resolve(text))


def key_of(value: Scalar) -> str | int | None:
    """Return what a value is as the key of a mapping.

    JSON has only text there; null, and numbers above 64 bits with a sign, are returned as they
    are, for they cannot be keys.
    """
    if type(value) is str or value is None:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value) if value <= MAX_INT else value
    return _short_float(float(value))


def _short_float(value: float) -> str:
    """Return the shortest text that is the same float of 32 bits, as sigs.k8s.io/yaml has keys."""
    if math.isnan(value):
        return ".nan"
    try:
        packed = struct.pack("f", value)
    except OverflowError:
        packed = struct.pack("f", math.copysign(math.inf, value))
    (short,) = struct.unpack("f", packed)
    if math.isinf(short):
        return ".inf" if short > 0 else "-.inf"
    for digits in range(9):
        text = f"{short:.{digits}e}"
        if struct.pack("f", float(text)) == packed:
            break
    mantissa, _, exponent = text.partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        return f"{short:.{max(digits - power, 0)}f}"
    return f"{mantissa}e{power:+03d}"


def read_tagged(tag: str, text: str) -> Scalar:
    """Return what a scalar with a tag is. Raises ValueError where the two do not fit.

    A tag that is not known makes it text, as ``!!str`` does.
    """
    kind = tag.removeprefix(PREFIX) if tag.startswith(PREFIX) else ""
    if kind == "binary":
        return _binary(text)
    if kind not in ("bool", "int", "float", "null", "timestamp"):
        return text
    if kind == "timestamp":
        if _is_time(text):
            return text
    elif kind == "float" and type(found := resolve(text)) is int and found <= MAX_INT:
        return float(found)
    elif _kind(found := resolve(text)) == kind:
        return found
    raise ValueError(f"{text[:20]!r} is no !!{kind}")


def _kind(value: Scalar) -> str:
    if value is None:
        return "null"
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "str")


def _binary(text: str) -> str:
    try:
        data = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("what is tagged !!binary is no base64") from None
    # Each byte that is no UTF-8 becomes U+FFFD when JSON is made of it.
    text = data.decode("utf-8", "surrogateescape")
    return text if text.isascii() else re.sub("[\udc80-\udcff]", "\ufffd", text)


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    try:
        date(*map(int, found.group(1, 2, 3)))
    except ValueError:
        # Go knows the year 0, which was a leap year.
        if found.group(1) != "0000":
            return False
    hour, minute, second = (int(found[name] or found[f"{name}2"] or 0) for name in ("h", "m", "s"))
    return hour < 24 and minute < 60 and second < 60
