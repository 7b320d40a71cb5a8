"""What becomes of a packet by rules that are there: verdicts, their chances, and the rules' way."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

from attrs import frozen

from svcnet.graph import Deliver, Pass, Refuse


@frozen
class RuleLine:
    """A rule as it was read: its table and chain, its text, and its line, 0 where there is none.

    A line of ipvsadm is of table ``ipvs``, and of no chain. ``file`` is empty for text that has no
    name.
    """

    table: str
    chain: str
    text: str
    line: int = 0
    file: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file and self.line else ""
        chain = f"-A {self.chain} " if self.chain else ""
        return f"{where}{self.table}: {chain}{self.text}".rstrip()

    def to_dict(self) -> dict[str, str | int]:
        """Return it for JSON, with its own names as keys."""
        return {
            "table": self.table,
            "chain": self.chain,
            "text": self.text,
            "line": self.line,
            "file": self.file,
        }


@frozen
class Unknown:
    """Nobody can say what becomes of the packet; ``rules`` are those that are not understood."""

    rules: tuple[RuleLine, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``kind``, which is unknown, and ``rules``."""
        return {"kind": "unknown", "rules": [rule.to_dict() for rule in self.rules]}


@frozen
class Rewrite:
    """The packet goes on with another source; ``source`` is what it gets.

    ``address`` and ``port`` are where it is sent, empty and 0 for where it was headed.
    """

    source: str
    address: str = ""
    port: int = 0

    def to_dict(self) -> dict[str, str | int | None]:
        """Return it for JSON: ``kind``, which is rewrite, ``source``, ``address`` and ``port``."""
        where = {"address": self.address or None, "port": self.port or None}
        return {"kind": "rewrite", "source": self.source, **where}


@frozen
class Redirect:
    """The packet goes to a port of the machine's own, whichever of its addresses that is at.

    ``source`` is what it gets in place of its own, empty if it keeps that.
    """

    port: int
    source: str = ""

    def to_dict(self) -> dict[str, str | int | None]:
        """Return it for JSON: ``kind``, which is redirect, ``port`` and ``source``."""
        return {"kind": "redirect", "port": self.port, "source": self.source or None}


FoundVerdict: TypeAlias = Deliver | Refuse | Pass | Rewrite | Redirect | Unknown
"""What rules may do to a packet."""


@frozen
class FoundOutcome:
    """One possible end of a packet by rules that are there.

    ``probability`` is what the rules' numbers stand for, such as 1/3, and ``kernel`` what the
    kernel does with them: it throws dice of 31 bits. ``rules`` are those that matched, in order,
    and the policy if that ended it.
    """

    verdict: FoundVerdict
    probability: Fraction
    kernel: Fraction
    rules: tuple[RuleLine, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; ``probability`` is text such as ``1/3``, ``kernel`` a number."""
        return {
            "verdict": self.verdict.to_dict(),
            "probability": str(self.probability),
            "kernel": float(self.kernel),
            "rules": [rule.to_dict() for rule in self.rules],
        }
