"""The pieces that a listing and the lines that nft reads have in common: rules, hooks, elements."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import define, field

from svcnet.netfilter.nft.canonical import canonical, canonical_key, words_of
from svcnet.netfilter.nft.families import NFTFamily
from svcnet.netfilter.nft.numbers import is_number, priority, seconds
from svcnet.netfilter.nft.state import ElementState, HookState, RuleState, SetState, types_of

"""The families of tables."""

_HOOK = re.compile(
    r"type (\w+) hook (\w+)(?: (?:device (\S+)|devices = \{ ?([^{}]*?) ?\}))? priority ([^;]+?) ?;"
    r"(?: ?policy (\w+) ?;)?"
)
_PART = re.compile(r'(?:[^",]|"[^"]*")+')
_PLAIN_ELEMENT = re.compile(r"[^\s\"{}]+(?: \. [^\s\"{}]+)*(?: : [^\"{}]+)?")
_STATE = frozenset(("counter", "quota", "limit", "last", "ct"))
_BEFORE_COMMENT = re.compile(r'"[^"]*"|(?<= )comment(?= ")')
_FLAGS = re.compile(r"[ ,;]+")


def without_handle(line: str) -> tuple[str, int]:
    """Return a line without the handle at its end, and that; 0 if it has none."""
    rest, remark, number = line.rpartition(" # handle ")
    if remark and is_number(number):
        return rest, int(number)
    return line, 0


def read_rule(line: str, number: int = 0) -> RuleState:
    """Return the rule that a line of a chain is."""
    source, handle = without_handle(line)
    if source[-1:] == '"':
        text, comment = _split_comment(source)
        return RuleState(canonical(text), comment, handle, number, source)
    return RuleState(canonical(source), "", handle, number, source)


def _split_comment(text: str) -> tuple[str, str]:
    """Return a text without the comment at its end, and that."""
    if text.count('"') == 2:
        rest, found, comment = text.partition(' comment "')
        return (rest, comment[:-1]) if found else (text, "")
    for word in _BEFORE_COMMENT.finditer(text):
        if word[0] == "comment":
            return text[: word.start()].rstrip(), text[word.end() + 2 : -1]
    return text, ""


def read_hook(line: str, family: NFTFamily) -> HookState | None:
    """Return where a chain is called, as the line says; None for what is not understood."""
    found = _HOOK.fullmatch(line)
    if found is None:
        return None
    type_, hook, device, devices, when, policy = found.groups()
    number = priority(when, family)
    if number is None:
        return None
    names = (device or devices or "").split(",")
    listed = tuple(name.strip().strip('"') for name in names if name.strip())
    return HookState(type_, hook, number, policy or "accept", listed)


def read_comment(line: str) -> str | None:
    """Return the comment that a line of a table, chain or set is; None if it is none."""
    line = line.rstrip("; ")
    is_one = line.startswith('comment "') and len(line) > len('comment "') and line[-1] == '"'
    return line[len('comment "') : -1] if is_one else None


def read_flags(line: str) -> frozenset[str]:
    """Return the flags in a line ``flags …``."""
    return frozenset(_FLAGS.split(line.removeprefix("flags ").strip("; ")))


def parts(line: str) -> list[str]:
    """Return the elements in a line, which commas are between."""
    found = _PART.findall(line) if '"' in line else line.split(",")
    return [text for part in found if (text := part.strip())]


def read_element(text: str, types: tuple[str, ...], number: int = 0) -> ElementState | None:
    """Return an element; `types` are those of the parts of its key.

    None for what is not understood.
    """
    if _PLAIN_ELEMENT.fullmatch(text):
        key, colon, value = text.partition(" : ")
        if colon:
            value = canonical(value)
        return ElementState(canonical_key(key, types), value, line=number)
    words = words_of(text)
    end = words.index(":") if ":" in words else len(words)
    key_words, about = _about(words[:end])
    if not _is_key(key_words) or words[end:] == [":"] or any(word in '{}"' for word in words):
        return None
    key, value = " ".join(key_words), " ".join(words[end + 1 :])
    found = ElementState(canonical_key(key, types), canonical(value), line=number)
    return _with(found, about)


def _is_key(words: list[str]) -> bool:
    """Return whether words are parts with dots between, and flags in them with ``|`` between."""
    return len(words) % 2 == 1 and all(word in (".", "|") for word in words[1::2])


def _about(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of a key, and those about the element."""
    for at, word in enumerate(words):
        if at and (word in _STATE or word in ("timeout", "expires", "comment")):
            return words[:at], words[at:]
    return words, []


def _with(element: ElementState, about: list[str]) -> ElementState | None:
    """Return an element with what is said about it; None for what is not understood."""
    words: Iterator[str] = iter(about)
    state: list[str] = []
    for word in words:
        match word:
            case "comment":
                text = next(words, "")
                if len(text) < 2 or text[0] != '"':
                    return None
                element = element._replace(comment=text[1:-1])
            case "timeout" | "expires":
                time = seconds(next(words, ""))
                if time is None:
                    return None
                if word == "timeout":
                    element = element._replace(timeout=time)
                else:
                    element = element._replace(expires=time)
            case _:
                state.append(word)
    return element._replace(state=canonical(" ".join(state))) if state else element


@define
class SetReading:
    """A set or map as its lines come."""

    name: str
    type: str = ""
    value: str = ""
    flags: frozenset[str] = frozenset()
    timeout: float = 0
    size: int = 0
    comment: str = ""
    elements: dict[str, ElementState] = field(factory=dict)
    options: list[str] = field(factory=list)

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the parts of a key."""
        return types_of(self.type)

    def read(self, line: str) -> None:
        """Take in a line that is not about elements."""
        word, _, rest = line.partition("\t#")[0].rstrip("; ").partition(" ")
        match word:
            case "type" | "typeof":
                type_, _, self.value = rest.partition(" : ")
                self.type = type_ if word == "type" else f"typeof {type_}"
            case "flags":
                self.flags = read_flags(line)
            case "timeout" if (found := seconds(rest)) is not None:
                self.timeout = found
            case "size" if is_number(rest):
                self.size = int(rest)
            case "comment" if (comment := read_comment(line)) is not None:
                self.comment = comment
            case _:
                self.options.append(line)

    def state(self, handle: int, line: int) -> SetState:
        """Return what was read."""
        return SetState(
            self.name,
            self.type,
            self.value,
            self.flags,
            self.timeout,
            self.size,
            self.comment,
            self.elements,
            tuple(self.options),
            handle,
            line,
        )
