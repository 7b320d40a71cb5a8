"""The events of one YAML document, as go-yaml scans it.

libyaml reads the text, through PyYAML. Where it and go-yaml, which began as a translation of it,
have grown apart, go-yaml's way counts: the text is amended and read again, or an event is
refused. Source of the rules: go.yaml.in/yaml/v2, scannerc.go and parserc.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from attrs import define, field

from svcnet import checks
from svcnet.sources.stream import Chunk, ParseError

Event: TypeAlias = Any
"""An event of PyYAML."""

Next: TypeAlias = Callable[[], Event]

MAX_AMENDMENTS = 100
"""How often the text of one document is amended; each is one more reading of it."""

BOM = "\ufeff"
OF_TAGS = ("while scanning a tag", "while parsing a tag")
"""What libyaml says that it did when a tag failed."""

PRIVATE_USE = range(0xE000, 0xF900)

# Text without any of these is the same to both.
_ODD = re.compile(rb"[?!]|\\[/']|\xef\xbb\xbf|:[,\]}]")
_OTHER_BREAK = re.compile(rb"\r|\xc2\x85|\xe2\x80[\xa8\xa9]")
_UNREADABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = re.compile(r"(?:&\S+\s+)?(!\S*)")
_NO_CONTENT = re.compile(r"(?:\s++|#[^\n]*+|\.\.\.(?=\s))*")
_URI = str.maketrans({",": "%2C", "[": "%5B", "]": "%5D"})
# Octets of tags that are no ASCII, which Python's text may not have, and NUL, where C's ends.
_ODD_TAG = re.compile(r"![^\s,\[\]{}\"'!]*?%(?:00|[89a-fA-F])[^\s,\[\]{}\"'!]*")
_ODD_OCTET = re.compile(r"%(?=00|[89a-fA-F])")
# A character of them, as go-yaml takes it.
_NEXT = r"%[89abAB][0-9a-fA-F]"
_CHARACTER = re.compile(
    f"%00|%[cCdD][0-9a-fA-F]{_NEXT}|%[eE][0-9a-fA-F](?:{_NEXT}){{2}}|%[fF][0-7](?:{_NEXT}){{3}}"
)


class Amendment(Exception):  # noqa: N818  (no error: the document is read again)
    """The text was amended, so the document has to be read again from its beginning."""


@define
class Events:
    """The events of the first YAML document of a chunk; what follows it there is not looked at."""

    chunk: Chunk
    _text: str | None = field(init=False)
    # Characters that stand for others in the text: their code points, and what they stand for.
    _stand_ins: dict[int, str] = field(init=False, factory=dict)
    _has_other_breaks: bool = field(init=False)
    _amendments: int = field(init=False, default=0)
    _flow: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._text = None
        self._has_other_breaks = _OTHER_BREAK.search(self.chunk.text) is not None
        if _ODD.search(self.chunk.text):
            self._text = self.chunk.text.decode().removeprefix(BOM)
            if self._text.startswith(BOM):
                # go-yaml takes the second for the first letter of each line, and leaves that out.
                raise ParseError(self.chunk.line + 1, "begins with two byte order marks")
            if BOM in self._text:
                self._text = self._text.replace(BOM, self._stand_in(BOM))
            if "\\/" in self._text:
                # An escape that go-yaml does not know.
                self._text = self._text.replace("\\/", f"\\{self._stand_in('/')}")
            if _ODD_TAG.search(self._text):
                # libyaml stops at these now.
                percent = self._stand_in("%")
                self._text = _ODD_TAG.sub(
                    lambda tag: _ODD_OCTET.sub(percent, tag.group()), self._text
                )

    def begin(self) -> Next:
        """Return what gives one event after the other, from the start of the stream on.

        That raises :class:`Amendment`, :class:`ParseError`, and what :meth:`explain` takes.
        """
        from yaml.cyaml import CParser  # type: ignore[attr-defined]

        self._flow = 0
        if self._text is None:
            plain: Next = CParser(self.chunk.text).get_event
            return plain
        get = CParser(self._text.encode()).get_event
        return lambda: self._check(get())

    def explain(self, error: Exception) -> None:
        """Raise what an error of PyYAML means: :class:`ParseError`, or :class:`Amendment`."""
        import yaml

        if not isinstance(error, yaml.MarkedYAMLError):
            text = self.chunk.text.decode("utf-8", "replace")
            found = _UNREADABLE.search(text, text.startswith(BOM))
            line = text.count("\n", 0, found.start()) if found else 0
            what = f"the control character {ord(found.group()):#04x}" if found else str(error)
            raise ParseError(self.chunk.line + line + 1, f"is no YAML: {what}") from None
        self._amend_for(error)
        mark = error.problem_mark or error.context_mark
        line = self.line(mark) if mark else self.chunk.line + 1
        if "nesting" in str(error.problem):
            raise ParseError(line, "is nested too deeply", checks.DEPTH) from None
        raise ParseError(line, f"is no YAML: {error.problem or error.context}") from None

    def content_after(self, mark: Any) -> int:
        """Return the line, from 1, of the first content after a mark, 0 if none follows."""
        text = self._text or self.chunk.text.decode("utf-8", "replace")
        found = _NO_CONTENT.match(text, mark.index)
        if found is None or found.end() == len(text):
            return 0
        return self.chunk.line + text.count("\n", 0, found.end()) + 1

    def line(self, mark: Any) -> int:
        """Return the line of a mark in the file, from 1; libyaml has more line breaks than that."""
        if self._has_other_breaks:
            text = self._text or self.chunk.text.decode("utf-8", "replace")
            return self.chunk.line + text.count("\n", 0, mark.index) + 1
        return self.chunk.line + int(mark.line) + 1

    def column(self, mark: Any) -> int:
        """Return the column of a mark, from 1, in the text as it is read."""
        if self._has_other_breaks:
            text = self._text or self.chunk.text.decode("utf-8", "replace")
            return int(mark.index) - text.rfind("\n", 0, mark.index)
        return int(mark.column) + 1

    def _stand_in(self, character: str) -> str:
        """Return what stands for a character in the text, one that is not in there."""
        text = self._text or ""
        for code, known in self._stand_ins.items():
            if known == character:
                return chr(code)
        code = next(code for code in PRIVATE_USE if chr(code) not in text)
        self._stand_ins[code] = character
        return chr(code)

    def _amend(self, start: int, end: int, instead: str) -> None:
        """Have other text stand from `start` to `end`, unless that was done too often."""
        if self._text is not None and self._amendments < MAX_AMENDMENTS:
            self._amendments += 1
            self._text = self._text[:start] + instead + self._text[end:]
            raise Amendment

    def _amend_for(self, error: Any) -> None:
        """Amend the text where go-yaml takes what libyaml has just refused."""
        if self._text is None or error.problem_mark is None:
            return
        at = error.problem_mark.index
        if error.problem == "found unexpected ':'" and self._text[at + 1] not in "?[{":
            # A colon before the end of a flow collection belongs to the scalar.
            self._amend(at, at + 1, self._stand_in(":"))
        if error.problem == "found unknown escape character" and self._text[at + 1] == "'":
            self._amend(at, at + 2, "\\x27")
        is_of_tag = error.context in OF_TAGS and error.context_mark is not None
        begin = error.context_mark.index if is_of_tag else at
        self._amend_tags(self._text[:begin])
        if is_of_tag:
            self._amend_tag(begin)

    def _amend_tags(self, text: str) -> None:
        """Amend the first tag that libyaml took to end before it does, in text that it read."""
        import yaml
        from yaml.cyaml import CParser  # type: ignore[attr-defined]

        if "!" not in text:
            return
        with suppress(yaml.YAMLError):
            get = CParser(text.encode()).get_token
            while (token := get()) is not None:
                if type(token) is yaml.TagToken:
                    self._amend_tag(token.start_mark.index)

    def _amend_tag(self, start: int) -> re.Match[str] | None:
        """Return the tag of what begins at `start`; go-yaml's goes up to the next space."""
        found = _TAG.match(self._text or "", start)
        if found is None:
            return None
        if found.group(1).startswith("!<") and not found.group(1).endswith(">"):
            line = self.chunk.line + (self._text or "").count("\n", 0, found.start(1)) + 1
            raise ParseError(line, "is no YAML: did not find expected space after a tag")
        escaped = self._escape(found.group(1))
        if escaped != found.group(1):
            self._amend(found.start(1), found.end(1), escaped)
        return found

    def _escape(self, tag: str) -> str:
        """Return a tag as libyaml takes it, and Python's text has it.

        No tag that means anything has characters beyond ASCII: any may stand for any other.
        """
        tag = tag.translate(_URI).translate(self._stand_ins)
        return _CHARACTER.sub("%EF%BF%BD", tag)

    def _check(self, event: Event) -> Event:
        from yaml import events

        kind = type(event)
        if kind is events.ScalarEvent:
            self._check_scalar(event)
        elif kind is events.MappingStartEvent or kind is events.SequenceStartEvent:
            self._amend_tag(event.start_mark.index)
            if event.flow_style or self._flow:
                self._flow += 1
        elif (kind is events.MappingEndEvent or kind is events.SequenceEndEvent) and self._flow:
            self._flow -= 1
        return event

    def _check_scalar(self, event: Event) -> None:
        tag = self._amend_tag(event.start_mark.index)
        if tag is not None and tag.group(1) == "!":
            # A scalar with this tag is text; libyaml does not tell of it.
            event.tag, event.implicit = "!", (False, False)
        if event.style == "" and self._flow and "?" in event.value:
            message = "is no YAML: did not find expected ',' before '?'"
            raise ParseError(self.line(event.start_mark), message)
        if self._stand_ins:
            event.value = event.value.translate(self._stand_ins)
