"""A rule: a kind of mistake, what it follows from, and examples of it and without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from attrs import frozen

from svcnet.check.repository import Repository
from svcnet.checks import Check, Severity
from svcnet.models.state import ClusterObject

Remark: TypeAlias = tuple[Check, ClusterObject, tuple[str | int, ...], str]
"""A check, an object, the path of a field in it, and what to say of it."""

Find: TypeAlias = Callable[[Repository], Iterable[Remark]]

MANIFESTS = "manifests.yaml"
CONFIGURATION = "config.yaml"


@frozen(kw_only=True)
class CheckRule:
    """What svcnet tells of, and why.

    ``remedy`` says what to do, ``source`` what the behaviour is taken from. ``fires`` is a file
    called ``file`` in which it is found; with the second text of ``mend`` in the place of the first
    it is not. ``beside`` are manifests that a configuration is given with. ``example`` is shown
    instead where a command is needed to see it: Markdown. ``find`` looks for it; without, it is
    found where objects are read and compared, or by other verbs.
    """

    check: Check
    remedy: str
    source: str = ""
    fires: str | Callable[[], str] = ""
    mend: tuple[str, str] = ("", "")
    file: str = MANIFESTS
    beside: str = ""
    example: str = ""
    find: Find | None = None

    @property
    def name(self) -> str:
        """The name, which is stable: it stands in outputs, annotations and baselines."""
        return self.check.name

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.check.severity

    @property
    def summary(self) -> str:
        """Why it is a mistake, in a sentence."""
        return self.check.reason

    @property
    def is_found_in_manifests(self) -> bool:
        """Whether ``svcnet check`` looks for it."""
        return bool(self.fires)

    @property
    def wrong(self) -> str:
        """A file in which it is found."""
        return self.fires if isinstance(self.fires, str) else self.fires()

    @property
    def right(self) -> str:
        """The same file mended."""
        return self.wrong.replace(*self.mend)
