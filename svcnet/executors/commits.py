"""nf_tables counts its commits: a number that tells whether anybody wrote.

The kernel adds one to the *generation* of a network namespace with each transaction that
changes any ruleset there, of whichever family and table (``nf_tables_commit`` in
``net/netfilter/nf_tables_api.c``), and tells it for the asking.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from errno import EBADMSG
from struct import Struct
from threading import RLock
from typing import TypeAlias

from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask, netlink_alone
from svcnet.executors.notices import Notices, RulesetPart
from svcnet.netlink import NETLINK_NETFILTER, NFGENMSG, NFNL_SUBSYS_NFTABLES, attributes

_NFT_MSG_GETGEN = 16  # linux/netfilter/nf_tables.h
_NFTA_GEN_ID = 1
_GENERATION = Struct(">I")
GENERATION_QUESTION = (
    NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_GETGEN,
    NFGENMSG.pack(socket.AF_UNSPEC, 0, 0),
)
"""The kind and the body of the message that asks for the generation."""
_NUMBERS = 1 << 32
"""After so many commits the kernel begins anew."""

ATTEMPTS = 10
"""How often it is asked anew what others write at this moment, before it counts as unknown."""

IsOurs: TypeAlias = Callable[[RulesetPart], bool]


def generation(machine: Machine) -> int:
    """Return the generation of a machine's network namespace. Raises OSError."""
    return read_generation(ask(NETLINK_NETFILTER, *GENERATION_QUESTION, machine=machine))


def read_generation(answers: Iterable[bytes]) -> int:
    """Return the generation that the bodies of messages tell. Raises OSError if they do not."""
    with netlink_alone():
        for answer in answers:
            told = attributes(answer, NFGENMSG.size).get(_NFTA_GEN_ID)
            if told is not None:
                return int(_GENERATION.unpack(told)[0])
    raise OSError(EBADMSG, "nf_tables did not say its generation")


class Commits:
    """The commits of a machine's network namespace that somebody else made, where they concern us.

    `is_ours` says whether a place is of any concern: a table and all in it, where ``chain`` is
    empty, or one chain of it. It must be so of everything that svcnet itself writes there. For a
    mode that has tables of its own it is ``lambda place: place.table == "kube-proxy"``.

    It is used like this, by an adapter and by what it writes with::

        before = commits.of_others()      # then list the tables, and compare
        commits.count_own(1)              # after each transaction of ours that was carried out
        commits.of_others() == before     # nobody else has written since: no listing

    The number is the generation, less the commits that svcnet made, less those of which the kernel
    told that they touch nothing of ours. Whatever is not known for sure is not taken off: a commit
    that nobody told of, that was lost, that is not understood, or that svcnet may not have made.
    So in doubt it looks like somebody else's work, which costs a look and misses nothing. Numbers
    and names of processes play no part in it, and namespaces of processes do no harm.

    The kernel writes a message for all that anybody changes while we listen. For a large write of
    ours that is a tenth more time, and as much again for elements of sets, so :meth:`deaf` goes
    before it. Where the kernel does not let us listen, all commits of others count.

    One value serves all families of a process, since the generation does. Each method may be called
    in any thread; between a write and its :meth:`count_own` the number looks like somebody else's
    work.
    """

    def __init__(self, machine: Machine, is_ours: IsOurs) -> None:
        self.machine = machine
        self._is_ours = is_ours
        self._lock = RLock()
        self._own = 0
        self._elsewhere = 0
        self._notices: Notices | None = None
        self._heard = 0

    def count_own(self, count: int) -> None:
        """Count commits of ours, never more than were made; what may have changed nothing is none.

        A transaction that changes anything is one commit, whatever it holds.
        """
        with self._lock:
            self._own += count

    def deaf(self) -> None:
        """Listen no more, for a large write of ours; the next question listens again."""
        with self._lock:
            if self._notices is not None:
                self._notices.close()
                self._notices = None

    def attend(self) -> None:
        """Listen again after a large write of ours, and not only with the next question."""
        with self._lock, suppress(OSError):
            if self._notices is None:
                self._listen()

    def of_others(self, *, anywhere: bool = False) -> int:
        """Return a number that is the same as before if, and only if, nobody else wrote to ours.

        With `anywhere` a write to whatever table counts. Raises OSError where the kernel has no
        nf_tables, or without CAP_NET_ADMIN.
        """
        with self._lock:
            number = self._generation()
            return (number - self._own - (0 if anywhere else self._elsewhere)) % _NUMBERS

    def _generation(self) -> int:
        """Return the generation, once all commits up to there were heard of, as far as they are."""
        if self._notices is None:
            self._listen()
        for _ in range(ATTEMPTS):
            # In this order: what is heard of after the question must not be taken off its answer.
            self._hear()
            number = generation(self.machine)
            if self._notices is None or number == self._heard:
                break
        return number

    def _listen(self) -> None:
        try:
            self._notices = Notices(self.machine)
        except OSError:
            return
        # A commit that is under way has this generation already, and may not be heard whole.
        self._heard = generation(self.machine)

    def _hear(self) -> None:
        """Count the commits that touch nothing of ours; begin anew where any may be lost."""
        if self._notices is None:
            return
        try:
            for notice in self._notices.take():
                self._note(notice.generation, notice.places)
        except OSError:
            self.deaf()
            self._listen()

    def _note(self, number: int, places: frozenset[RulesetPart]) -> None:
        after = (number - self._heard) % _NUMBERS
        if not 0 < after < _NUMBERS // 2:
            return
        self._heard = number
        if places and not any(map(self._is_ours, places)):
            self._elsewhere += 1
