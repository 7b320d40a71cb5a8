"""Whose commits of nf_tables are of any concern, on the fake machine and on this one alike."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

import pytest

from svcnet.executors.commits import Commits
from svcnet.executors.iptables import Commands, Marks, concerns
from svcnet.executors.machine import Machine, Netlink
from svcnet.executors.notices import Notices, RulesetPart
from svcnet.netfilter.restore import commits as count
from svcnet.netlink import NLMSGHDR, attribute
from svcnet.testing import FakeMachine
from svcnet.testing.fake_kernel import FakeKernel
from tests.executors.machines import fake, machine
from tests.kernel.ipvs.netlink import run

__all__ = ["fake", "machine"]

OURS = "*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES -j RETURN\nCOMMIT\n"
JUMP = "*nat\n-I PREROUTING -j KUBE-SERVICES\nCOMMIT\n"
THEIRS = "*nat\n:DOCKER - [0:0]\nCOMMIT\n"
IN_THEIRS = "*nat\n-A DOCKER -p udp -j RETURN\nCOMMIT\n"
NATIVE = 10 << 8


def restore(machine: Machine, *texts: str) -> None:
    for text in texts:
        Commands("IPv4", "nft", machine).restore(text)


def commit_elsewhere(machine: Machine, table: str = "docker") -> None:
    """Commit to a table of somebody else's."""
    if isinstance(machine, FakeMachine):
        machine.kernel.commit(table)
    else:
        run("nft", "add", "table", "ip", table)
        run("nft", "add", "chain", "ip", table, "c")
        run("nft", "delete", "table", "ip", table)


def test_commits_elsewhere_are_none(machine: Machine) -> None:
    """However many there are to tables, and to chains, that are nobody's concern."""
    restore(machine, OURS, THEIRS)
    commits = Commits(machine, concerns)
    before, anywhere = commits.of_others(), commits.of_others(anywhere=True)
    for _ in range(3):
        commit_elsewhere(machine)
        restore(machine, IN_THEIRS)
        assert commits.of_others() == before
    assert commits.of_others(anywhere=True) != anywhere


@pytest.mark.parametrize(
    "text",
    [
        *(OURS, JUMP, THEIRS.replace("DOCKER", "KUBE-NEW")),
        "*nat\n-F KUBE-SERVICES\nCOMMIT\n",
        "*nat\n-F KUBE-SERVICES\n-A DOCKER -p udp -j RETURN\nCOMMIT\n",
        # A chain that comes may be one of ours with another name.
        THEIRS.replace("DOCKER", "OTHER"),
    ],
)
def test_commits_to_ours_count(machine: Machine, text: str) -> None:
    """Also those that touch other things as well, and others come before and after them."""
    restore(machine, OURS, THEIRS)
    commits = Commits(machine, concerns)
    before = commits.of_others()
    commit_elsewhere(machine)
    restore(machine, text)
    commit_elsewhere(machine)
    after = commits.of_others()
    assert after != before
    commit_elsewhere(machine)
    assert commits.of_others() == after


def test_what_we_make_is_nobody_elses(machine: Machine) -> None:
    """Commits of ours are taken off as they are counted, among any of others."""
    commits = Commits(machine, concerns)
    before = commits.of_others()
    for text in (OURS, JUMP):
        commit_elsewhere(machine)
        restore(machine, text)
        commits.count_own(count(text))
    assert commits.of_others() == before
    restore(machine, JUMP)
    assert commits.of_others() != before


def test_what_was_not_heard_is_somebodys(machine: Machine) -> None:
    """While nobody listens, and where more was told than there was room for."""
    commits = Commits(machine, concerns)
    numbers = [commits.of_others()]
    commits.deaf()
    commit_elsewhere(machine)
    numbers.append(commits.of_others())
    commit_elsewhere(machine)
    assert commits.of_others() == numbers[-1]
    if isinstance(machine, FakeMachine):
        commit_elsewhere(machine)
        machine.kernel.deafen()
        numbers.append(commits.of_others())
    assert len(set(numbers)) == len(numbers)
    commit_elsewhere(machine)
    assert commits.of_others() == numbers[-1]


@pytest.mark.kernel
@pytest.mark.parametrize("machine", ["this"], indirect=True)
def test_more_than_there_is_room_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says so, and all of it looks like somebody else's; then it is heard again."""
    monkeypatch.setattr("svcnet.executors.notices.ROOM", 1 << 15)
    commits = Commits(machine, concerns)
    before = commits.of_others()
    lines = "".join(f"add element ip foreign s {{ {n} }}\n" for n in range(3000))
    text = f"add table ip foreign\nadd set ip foreign s {{ type inet_service; }}\n{lines}"
    run("nft", "-f", "-", stdin=text)
    after = commits.of_others()
    assert after != before
    commit_elsewhere(machine)
    assert commits.of_others() == after


def test_who_may_not_listen_counts_all(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel tells its generation and nothing else, each commit of others counts."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(FakeKernel, "listen", refuse)
    commits = Commits(fake, concerns)
    before = commits.of_others()
    assert commits.of_others() == before
    commit_elsewhere(fake)
    assert commits.of_others() != before
    commits.count_own(1)
    assert commits.of_others() == before
    fake.capabilities.clear()
    with pytest.raises(PermissionError):
        commits.of_others()
    assert Marks("IPv4", "nft", commits).now() is None


def test_a_commit_under_way_is_waited_for(fake: FakeMachine) -> None:
    """The kernel counts a commit before it tells of it."""
    commits = Commits(fake, concerns)
    before = commits.of_others()
    told: list[Callable[[], None]] = []

    class Late(FakeMachine):
        def netlink(self, protocol: int) -> Netlink:
            if told:
                told.pop()()
            return fake.netlink(protocol)

    ears, fake.kernel.ears = fake.kernel.ears, []
    fake.kernel.commit("docker")

    def tell() -> None:
        fake.kernel.ears = ears
        fake.kernel.foreign -= 1
        fake.kernel.commit("docker")

    told.append(tell)
    commits.machine = Late()
    assert commits.of_others() == before


def message(kind: int, family: int, *parts: bytes) -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + b"".join(parts)
    return NLMSGHDR.pack(16 + len(body), NATIVE | kind, 0, 1, 0) + body


def ended(number: int) -> bytes:
    return message(15, 0, attribute(1, struct.pack("!I", number)))


RULE = message(6, 2, attribute(1, b"nat\0"), attribute(2, b"C\0"))


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        ([RULE, ended(7)], [{RulesetPart("ip", "nat", "C")}]),
        ([RULE + ended(7) + RULE + ended(8)], [{RulesetPart("ip", "nat", "C")}] * 2),
        ([message(0, 1, attribute(1, b"f\0")) + ended(7)], [{RulesetPart("inet", "f")}]),
        (
            [message(3, 10, attribute(1, b"t\0"), attribute(3, b"C\0")), ended(7)],
            [{("ip6", "t", "")}],
        ),
        (
            [message(5, 10, attribute(1, b"t\0"), attribute(3, b"C\0")), ended(7)],
            [{("ip6", "t", "C")}],
        ),
        # What is not understood is a whole commit, and not the next one.
        (
            [message(99, 77, attribute(1, b"t\0")) + ended(7), RULE, ended(8)],
            [{("ip", "nat", "C")}],
        ),
        ([message(6, 2) + ended(7), RULE, ended(8)], [{("ip", "nat", "C")}]),
        ([RULE[:-3], ended(7), RULE, ended(8)], [{("ip", "nat", "C")}]),
        ([RULE + b"\1", ended(7), RULE, ended(8)], [{("ip", "nat", "C")}]),
        ([RULE, b"\0" * 40 + ended(7), RULE, ended(8)], []),
        ([NLMSGHDR.pack(16, 3 << 8, 0, 1, 0), ended(7), ended(8)], [set()]),
        ([RULE, message(15, 0)], []),
        ([RULE], []),
        ([b""], []),
    ],
)
def test_what_the_kernel_tells(
    fake: FakeMachine, told: Iterable[bytes], heard: list[set[RulesetPart]]
) -> None:
    """A commit that is not told whole, or not as it should be, is passed over."""
    notices = Notices(fake)
    [ear] = fake.kernel.ears
    ear.extend(told)
    assert [set(each.places) for each in notices.take()] == heard
    notices.close()
    assert not fake.kernel.ears
