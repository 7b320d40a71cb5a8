"""What the kernel says of a batch is read, whatever it is, and half of it is never believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from errno import ENOBUFS, ENOENT, EPERM
from functools import cache
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.errors import ApplyError
from svcnet.executors.commits import Commits
from svcnet.executors.netlink import UnsettledDump
from svcnet.executors.nftables import NFTWriter, dump, is_there
from svcnet.executors.nftables.dump import all_handles, handles
from svcnet.executors.nftables.endpoints import endpoint_drift
from svcnet.executors.nftables.netlink import (
    BatchRefusal,
    NFTSocket,
    OvertakenBatch,
    RefusedBatch,
)
from svcnet.netfilter.nft import NFTTable, wire
from svcnet.netlink import NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSGHDR, attribute
from svcnet.renderers.nftables import Ruleset, full
from svcnet.testing import FakeMachine
from tests.fuzz import examples
from tests.fuzz.test_ipvs_answers import Answers
from tests.netfilter.nft_messages import captured
from tests.test_conformance import CASES
from tests.test_conformance_nftables import compile_case

TABLE = NFTTable("ip", "kube-proxy")
MESSAGES = [wire.new_chain(TABLE, "a"), wire.new_chain(TABLE, "b")]


def said(number: int, errno: int = 0, told: str = "", offset: int | None = None) -> bytes:
    """Return an answer in the kernel's form, with the request's header and not the rest of it."""
    body = pack("=i", -errno) + NLMSGHDR.pack(16, 0, 0, number, 0)
    if told:
        body += attribute(1, told.encode() + b"\0")
    if offset is not None:
        body += attribute(2, pack("=I", offset))
    return NLMSGHDR.pack(16 + len(body), NLMSG_ERROR, 0x300, number, 0) + body


class Machine(FakeMachine):
    def __init__(self, *told: bytes) -> None:
        super().__init__()
        self.told = told

    def netlink(self, protocol: int) -> Answers:
        return Answers(self.told)


def commit(*told: bytes) -> None:
    NFTSocket(Machine(*told)).commit(MESSAGES, 7)


def test_the_last_message_is_answered() -> None:
    """Done is what the kernel says is done, and nothing else."""
    commit(said(2))
    commit(said(1), said(2))
    for told in ([], [said(1)], [said(3)]):
        with pytest.raises(OSError, match=r".") as problem:
            commit(*told)
        assert problem.value.errno == ENOBUFS


@pytest.mark.parametrize(
    ("told", "refusal"),
    [
        ([said(1, ENOENT), said(2, ENOENT), said(2)], BatchRefusal(1, ENOENT)),
        ([said(2, ENOENT, offset=60), said(2)], BatchRefusal(2, ENOENT, "", 44)),
        ([said(0, EPERM, "no")], BatchRefusal(0, EPERM, "no")),
        ([said(0, EPERM), said(2, ENOENT)], BatchRefusal(2, ENOENT)),
    ],
)
def test_the_first_refusal_counts(told: list[bytes], refusal: BatchRefusal) -> None:
    """What the kernel says of later messages may follow from the first."""
    with pytest.raises(RefusedBatch) as problem:
        commit(*told)
    assert problem.value.refusal == refusal


def test_a_batch_of_another_generation() -> None:
    """Nothing is done then, and that is no refusal."""
    with pytest.raises(OvertakenBatch):
        commit(said(0, 85))


def listed(body: bytes, flags: int = 0, kind: int = 0xA06) -> bytes:
    return NLMSGHDR.pack(16 + len(body), kind, flags, 0, 0) + body


END = listed(pack("=i", 0), kind=NLMSG_DONE)


class Lists(Answers):
    """A socket that answers each question with the next list, in datagrams."""

    def __init__(self, lists: list[list[bytes]]) -> None:
        super().__init__(())
        self._lists = lists

    def send(self, data: bytes) -> None:
        self._answers.extend(self._lists.pop(0))


class ListMachine(Machine):
    def __init__(self, *lists: list[bytes]) -> None:
        super().__init__()
        self.lists = list(lists)

    def netlink(self, protocol: int) -> Answers:
        return Lists(self.lists)


def test_a_list_that_changes_is_asked_for_again() -> None:
    """What is left of the one that is of no use is not taken for the next one."""
    changed = [listed(b"old.") + listed(b"new.", NLM_F_DUMP_INTR), listed(b"more") + END]
    opened = NFTSocket(ListMachine(changed, [listed(b"one.") + listed(b"two."), END]))
    assert opened.list_whole(0xA07, b"") == [b"one.", b"two."]
    with pytest.raises(UnsettledDump):
        NFTSocket(ListMachine(*[changed] * 99)).list_whole(0xA07, b"")


@pytest.mark.parametrize("told", [[], [listed(b"one.")], [listed(b"one.")[:-1]]])
def test_half_a_list_is_none(told: list[bytes]) -> None:
    """A list without its end is not believed."""
    with pytest.raises(OSError, match=r"without an end|no netlink"):
        NFTSocket(ListMachine(told)).list_whole(0xA07, b"")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(said(draw(st.integers(0, 3)), draw(st.integers(-1, 90)), "no", 60))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(st.lists(damaged() | st.binary(max_size=60), max_size=3))
def test_any_answer(told: list[bytes]) -> None:
    """Whatever comes is an answer, or an error of the kinds that are told of."""
    with suppress(OSError, RefusedBatch, OvertakenBatch):
        commit(*told)
    with suppress(OSError):
        NFTSocket(Machine(*told)).generation()
    with suppress(OSError):
        NFTSocket(Machine(*told)).list_whole(0xA07, b"")


class Story(FakeMachine):
    """A machine whose kernel tells all sockets together what it is given."""

    def __init__(self, told: list[bytes]) -> None:
        super().__init__()
        self.answers = Answers(told)

    def netlink(self, protocol: int) -> Answers:
        return self.answers


GENERATIONS = [attribute(1, pack(">I", number)) for number in (0, 1, 7, 2**32 - 1)]


@st.composite
def stories(draw: st.DrawFn) -> bytes:
    """Answers about a table, as the kernel words them, some bytes of which are others."""
    bodies = [each.body for sent in captured() for each in sent.messages]
    parts = draw(st.lists(st.sampled_from(GENERATIONS) | st.sampled_from(bodies), max_size=3))
    parts = [listed(bytes(4) + each if len(each) == 8 else each) for each in parts]
    data = bytearray(
        b"".join([*parts, *draw(st.lists(st.just(END) | st.just(said(1)), max_size=2))])
    )
    for _ in range(draw(st.integers(0, 4)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@cache
def table_that_is_wanted() -> Ruleset:
    return full(compile_case(CASES / "kitchen-sink", "IPv4"), layout="flat")


QUESTIONS: tuple[Callable[[FakeMachine], object], ...] = (
    lambda machine: Commits(machine, lambda _: True).of_others(),
    lambda machine: is_there(TABLE, machine=machine),
    lambda machine: handles(TABLE, ["services"], machine=machine),
    lambda machine: all_handles(table_that_is_wanted(), machine=machine),
    lambda machine: endpoint_drift(table_that_is_wanted(), machine=machine),
    lambda machine: dump(table_that_is_wanted(), {}, machine=machine, by_netlink=True),
    lambda machine: NFTWriter(machine).is_able(),
)


@settings(max_examples=examples(200))
@given(st.lists(stories(), max_size=5), st.sampled_from(QUESTIONS))
@example([listed(bytes(4) + attribute(1, bytes(5)))], QUESTIONS[0])
@example([listed(bytes(4) + pack("=HH", 99, 1) + bytes(4))], QUESTIONS[0])
def test_any_story(told: list[bytes], ask: Callable[[FakeMachine], object]) -> None:
    """Whoever asks about a table is told something, or has an error that it knows."""
    with suppress(OSError, ApplyError):
        ask(Story(told))
