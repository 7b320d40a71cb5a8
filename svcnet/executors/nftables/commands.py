"""Running nft, and asking the kernel what became of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import field, frozen

from svcnet.errors import MAX_PART, ApplyError, SvcnetError, one_line
from svcnet.executors.children import Output, Overdue
from svcnet.executors.commands import complaint, hint, not_installed
from svcnet.executors.commits import generation
from svcnet.executors.machine import Machine
from svcnet.executors.nftables.refusal import OriginOf, refusal
from svcnet.netfilter.nft import ListingError, NFTTable, TableState, read_listing

PACKAGE = "nftables"
"""Debian's package that has nft."""

VERSION = re.compile(r"nftables v(\d+)\.(\d+)(?:\.(\d+))?")
VERSION_SECONDS = 10.0
"""How long ``nft --version`` may take."""

LISTING_SECONDS = 30.0
"""How long a listing may take while others commit; that of 10,000 Services takes 6 without."""

_REFUSED = re.compile(r"/dev/stdin:(\d+):\d+(?:-\d+)?: Error: ")
_CHANGE = re.compile(r"^(?!flush |$)", re.MULTILINE)
"""Any line that does more than to empty something."""
_ABSENT = "No such file or directory"
_MOST_QUOTED = 80
"""How many characters of a line that nft repeats are looked for in its complaint."""


class NFTError(SvcnetError):
    """nft refused a text; ``line`` is the number of the text's line, 0 if it did not say."""

    exit_code = 3

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@frozen
class NFT:
    """nft on a machine."""

    machine: Machine = field(eq=False, repr=False)

    def load(self, text: str, *, check: bool = False) -> int:
        """Have nft carry out lines as one transaction, all of them or none.

        Returns how many commits that surely was: to empty what is empty is none. With `check` the
        kernel is asked whether it would, and changes nothing. Raises NFTError where it does not, or
        where the kernel has not counted a commit of what nft says is done; ApplyError where nft is
        not there, may not change anything, or is to end.
        """
        before = 0 if check else self.generation()
        options = ("--check",) if check else ()
        try:
            done = self._run(*options, "-f", "-", stdin=text)
        except Overdue as error:
            raise NFTError(0, str(error)) from None
        if done.code:
            raise _refusal(done, text)
        is_commit = not check and bool(_CHANGE.search(text))
        if before and is_commit and before == self.generation():
            raise NFTError(0, "nft: the kernel has not got what it says is done")
        return int(is_commit)

    def table(self, table: NFTTable, *, is_terse: bool = False) -> TableState | None:
        """Return a table as it is, None where there is none; a terse one has no elements.

        Raises Overdue where others commit faster than nft can list it, which begins anew with each
        commit; another ApplyError where it cannot, or prints what is no listing of it.
        """
        before = self.generation()
        terse = ("--terse",) if is_terse else ()
        command = ("--handle", "--stateless", *terse, "list", "table", *table)
        try:
            done = self._run(*command, seconds=LISTING_SECONDS)
        except Overdue:
            if before != self.generation():
                raise
            done = self._run(*command)
        if done.code and _ABSENT in done.complaint:
            return None
        if done.code:
            raise ApplyError(f"nft: {done}")
        try:
            found = read_listing(done.text).table(*table)
        except ListingError as error:
            raise ApplyError(f"nft: its listing of table {table}: {error}") from None
        if found is None:
            raise ApplyError(f"nft: its listing of table {table} does not have that table")
        return found

    def version(self) -> tuple[int, int, int]:
        """Return the version of nft. Raises ApplyError where it is not there, or says none."""
        done = self._run("--version", seconds=VERSION_SECONDS)
        found = VERSION.match(done.text)
        if done.code or found is None:
            told = one_line(done.text.strip(), MAX_PART) if done.code == 0 else str(done)
            raise ApplyError(f"nft --version: no version: {told}")
        return int(found[1]), int(found[2]), int(found[3] or 0)

    def generation(self) -> int:
        """Return the generation of nf_tables, 0 where the kernel does not say."""
        try:
            return generation(self.machine)
        except OSError:
            return 0

    def _run(self, *options: str, stdin: str = "", seconds: float | None = None) -> Output:
        """Run nft; raise ApplyError for what has nothing to do with any line."""
        path = self.machine.find("nft")
        if path is None:
            raise not_installed("nft", PACKAGE)
        done = self.machine.run(path, *options, stdin=stdin, seconds=seconds)
        if done.code and hint(str(done), machine=self.machine):
            raise complaint("nft", str(done), machine=self.machine)
        return done


def load_all(nft: NFT, texts: tuple[str, ...], origin_of: OriginOf) -> int:
    """Load transactions; return how many commits these surely were. Raises as :func:`load_each`."""
    return sum(load_each(nft, texts, origin_of))


def load_each(nft: NFT, texts: Iterable[str], origin_of: OriginOf) -> Iterator[int]:
    """Load transactions, and yield after each how many commits it surely was.

    Raises ApplyError that names the refused line, and what it came from.
    """
    for text in texts:
        try:
            yield nft.load(text)
        except NFTError as error:
            raise refusal(error, line_at(text, error.line), origin_of) from None


def _refusal(done: Output, text: str) -> NFTError:
    """Return what nft said: the first refusal, without the line that it repeats."""
    told = " ".join(done.complaint.split())
    found = _REFUSED.search(told)
    if found is None:
        return NFTError(0, f"nft: {done}")
    number = int(found[1])
    quoted = " ".join(line_at(text, number).split())[:_MOST_QUOTED]
    reason = told[found.end() :]
    reason = reason.partition(f" {quoted}")[0] if quoted else reason
    return NFTError(number, f"nft: {reason}")


def line_at(text: str, number: int) -> str:
    """Return a line of a text by its number, counted from 1; empty where there is no such line."""
    lines = text.split("\n")
    return lines[number - 1] if 0 < number <= len(lines) else ""
