"""Reading typed fields out of parsed documents, with a finding for each that is wrong.

Source of the rules of names: k8s.io/apimachinery/pkg/util/validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from sys import intern
from typing import Any

from attrs import define

from svcnet import checks
from svcnet.checks import Check
from svcnet.sources.addresses import canonical_address, canonical_cidr
from svcnet.sources.findings import Findings, ObjectPlace, Path

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PORT = re.compile(r"(?=[-0-9]*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")

NAMES = {
    "label": "must be an RFC 1123 label: at most 63 of a-z, 0-9 and '-', no '-' at the ends",
    "port": "must be an IANA service name: at most 15 of a-z, 0-9 and '-', a letter among them",
    "subdomain": "must be an RFC 1123 subdomain: labels with dots between, at most 253 characters",
}

MAX_INT32 = 2**31 - 1
MIN_INT32 = -(2**31)
"""What a Go int32 holds, as most numbers of the API are."""

MAX_NAME = 253


def is_name(text: str, kind: str) -> bool:
    """Return whether `text` is a name of a kind that :data:`NAMES` describes."""
    # What is too long for any is not remembered.
    return len(text) <= MAX_NAME and _is_name(text, kind)


@lru_cache(4096)
def _is_name(text: str, kind: str) -> bool:
    match kind:
        case "label":
            return _LABEL.fullmatch(text) is not None
        case "port":
            return _PORT.fullmatch(text) is not None
        case _:
            return _SUBDOMAIN.fullmatch(text) is not None


def is_text(text: str) -> bool:
    """Return whether `text` can be written; halves of surrogate pairs, which escapes make, cannot.

    Such text would be refused wherever it is to be encoded.
    """
    return text.isascii() or not _SURROGATE.search(text)


@define  # Frozen it would take twice the time to make, and there are several an object.
class Fields:
    """One mapping of a document, and where it is.

    Every getter returns a value of the type that it promises; where the input has
    something else there is a finding, and the default stands in for it. A null is an
    absent field, as it is for the API server.
    """

    place: ObjectPlace
    findings: Findings
    data: Mapping[str, Any]
    path: Path = ()

    def error(self, check: Check, key: str, message: str) -> None:
        """Report an error about a key."""
        self.error_at(check, (key,), message)

    def error_at(self, check: Check, path: Path, message: str) -> None:
        """Report an error about a path of keys below this mapping, empty for itself."""
        self.findings.error(check, self.place, (*self.path, *path), message)

    def warning(self, check: Check, key: str, message: str) -> None:
        """Report a warning about a key."""
        self.warning_at(check, (key,), message)

    def warning_at(self, check: Check, path: Path, message: str) -> None:
        """Report a warning about a path of keys below this mapping, empty for itself."""
        self.findings.warning(check, self.place, (*self.path, *path), message)

    def string(self, key: str, default: str = "") -> str:
        """Return a string."""
        value = self.data.get(key)
        if value is None:
            return default
        if type(value) is not str or not is_text(value):
            self.error(checks.TYPE, key, f"must be a string, not {quote_value(value)}")
            return default
        return value

    def choice(
        self, key: str, choices: tuple[str, ...], default: str, *, empty: bool = True
    ) -> Any:
        """Return one of `choices`; without `empty`, empty text does not stand for the default."""
        value = self.data.get(key)
        if value is None or (value == "" and empty):
            return default
        if type(value) is not str:
            return self.string(key, default)
        if value not in choices:
            self.error(
                checks.CHOICE, key, f"must be {list_choices(choices)}, not {quote_value(value)}"
            )
            return default
        return intern(value)

    def integer(self, key: str, low: int, high: int, default: int = 0) -> int:
        """Return an integer from `low` to `high`; the default need not be in that range."""
        value = self.data.get(key)
        if value is None:
            return default
        if type(value) is not int:
            if type(value) is not float or not value.is_integer():
                self.error(checks.TYPE, key, f"must be an integer, not {quote_value(value)}")
                return default
            value = int(value)  # kubectl passes 80.0 and 1e3 on as 80 and 1000.
        if not low <= value <= high:
            self.error(checks.RANGE, key, f"must be from {low} to {high}, not {quote_value(value)}")
            return default
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """Return a boolean."""
        value = self.data.get(key)
        if value is None:
            return default
        if type(value) is not bool:
            self.error(checks.TYPE, key, f"must be true or false, not {quote_value(value)}")
            return default
        return value

    def mapping(self, key: str) -> Fields:
        """Return a mapping, empty if it is absent."""
        value = self.data.get(key)
        if type(value) is not dict:
            if value is not None:
                self.error(checks.TYPE, key, f"must be a mapping, not {quote_value(value)}")
            value = {}
        return Fields(self.place, self.findings, value, (*self.path, key))

    def items(self, key: str) -> list[Any]:
        """Return a list, empty if it is absent."""
        value = self.data.get(key)
        if type(value) is not list:
            if value is not None:
                self.error(checks.TYPE, key, f"must be a list, not {quote_value(value)}")
            return []
        return value

    def mappings(self, key: str) -> Iterable[Fields]:
        """Return the members of a list of mappings; a null is an empty one."""
        return () if self.data.get(key) is None else self._mappings(key)

    def _mappings(self, key: str) -> Iterator[Fields]:
        for index, value in enumerate(self.items(key)):
            if value is None or type(value) is dict:
                yield Fields(self.place, self.findings, value or {}, (*self.path, key, index))
            else:
                self.error_at(
                    checks.TYPE, (key, index), f"must be a mapping, not {quote_value(value)}"
                )

    def strings(self, key: str) -> Iterable[tuple[int, str]]:
        """Return the members of a list of strings with their places; a null is an empty one."""
        return () if self.data.get(key) is None else self._strings(key)

    def _strings(self, key: str) -> Iterator[tuple[int, str]]:
        for index, value in enumerate(self.items(key)):
            if value is None:
                yield index, ""
            elif type(value) is str and is_text(value):
                yield index, value
            else:
                self.error_at(
                    checks.TYPE, (key, index), f"must be a string, not {quote_value(value)}"
                )

    def string_map(self, key: str) -> Mapping[str, str]:
        """Return a mapping of strings to strings, such as labels."""
        value = self.data.get(key)
        if value is None:
            return {}
        inner = self.mapping(key)
        kept = {}
        for name, text in inner.data.items():
            if type(name) is str and type(text) is str and is_text(name) and is_text(text):
                kept[name] = text
            elif text is None and type(name) is str and is_text(name):
                kept[name] = ""
            else:
                message = f"must map a string to a string, not {quote_value(text)}"
                inner.error(checks.TYPE, name if type(name) is str else quote_value(name), message)
        return kept

    def address(self, key: str) -> str:
        """Return an address in canonical form, or the empty string."""
        text = self.string(key)
        if not text:
            return ""
        found = canonical_address(text)
        if found is None:
            self.error(checks.ADDRESS, key, f"must be an IP address, not {quote_value(text)}")
        return found or ""

    def addresses(self, key: str) -> list[tuple[int, str]]:
        """Return the addresses of a list in canonical form, with their places."""
        return self._canonical(key, checks.ADDRESS, "an IP address", canonical_address)

    def cidrs(self, key: str) -> list[tuple[int, str]]:
        """Return the CIDRs of a list without host bits, with their places."""
        return self._canonical(key, checks.CIDR, "a CIDR such as 10.0.0.0/8", canonical_cidr)

    def _canonical(
        self, key: str, check: Check, what: str, canonical: Callable[[str], str | None]
    ) -> list[tuple[int, str]]:
        kept = []
        for index, text in self.strings(key):
            found = canonical(text)
            if found is None:
                self.error_at(check, (key, index), f"must be {what}, not {quote_value(text)}")
            else:
                kept.append((index, found))
        return kept

    def name(self, key: str, kind: str) -> str:
        """Return a name of a kind of :data:`NAMES`; absent is an error too.

        Names recur all over a cluster: one that occurs often is kept in memory once.
        """
        text = self.string(key)
        if not text:
            if type(self.data.get(key)) in (str, type(None)):
                self.error(checks.REQUIRED, key, "is required")
        elif not is_name(text, kind):
            self.error(checks.NAME, key, f"{NAMES[kind]}; not {quote_value(text)}")
            return ""
        return intern(text)

    def optional_name(self, key: str, kind: str, *, empty: bool = True) -> str:
        """Return a name of a kind of :data:`NAMES` or the empty string.

        Without `empty` an empty string is an error, as it is where the API tells it from a null.
        """
        text = self.string(key)
        if (text or (not empty and self.data.get(key) == "")) and not is_name(text, kind):
            check = checks.PORT_NAME if kind == "port" else checks.NAME
            self.error(check, key, f"{NAMES[kind]}; not {quote_value(text)}")
            return ""
        return intern(text)


def _is_plain(text: str) -> bool:
    """Return whether nothing in a short text has to be escaped; so it is with most names."""
    plain = len(text) < 58 and text.isascii() and text.isprintable()
    return plain and "'" not in text and "\\" not in text


def quote_value(value: object) -> str:
    """Return a value for a message: in quotes, on one line, not too long."""
    if type(value) is str and _is_plain(value):
        return f"'{value}'"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of many digits"  # which Python itself may refuse to print
    text = repr(value[:100]) if isinstance(value, str) else str(value)
    text = text.encode("ascii", "backslashreplace").decode()
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:100])
    return text if len(text) < 60 else f"{text[:56]}…"


def list_choices(choices: tuple[str, ...]) -> str:
    """Return choices as "a, b or c"."""
    named = [choice or '""' for choice in choices]
    return " or ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else named[0]
