"""How strict a reader is with warnings, and who is told of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from attrs import evolve, frozen

from svcnet.checks import Check, is_of
from svcnet.errors import Diagnostic, InputError


def _nothing(_found: Diagnostic) -> None:
    """Do nothing with a finding but what is done with its line."""


def _to_stderr(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


@frozen
class Strictness:
    """Whether warnings are ``errors``, which are ``ignored``, and so neither, and who tells others.

    ``tell`` is given a line at a time. ``note`` is given each finding that is told, as a value.
    """

    errors: bool = False
    ignored: frozenset[Check] = frozenset()
    tell: Callable[[str], object] = _to_stderr
    note: Callable[[Diagnostic], object] = _nothing

    def judge(self, found: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Return errors, and the warnings that are not ignored, as what they count as."""
        heeded = [each for each in found if each.check not in self.ignored]
        return [evolve(each, severity="error") for each in heeded] if self.errors else heeded

    def remark(self, check: Check, text: str) -> None:
        """Tell what no finding is, unless it is ignored; it is no error however strict."""
        self.pass_on(check.line(text))

    def pass_on(self, line: str) -> None:
        """Tell a line that ends with its check already, unless that is ignored."""
        if not is_of(line, self.ignored):
            self.tell(line)

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Have a refusal of the input tell only what is heeded. Also a decorator."""
        try:
            yield
        except InputError as error:
            raise InputError(self.judge(error.diagnostics)) from None


EVERY_WARNING = Strictness()
