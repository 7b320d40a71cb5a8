"""A load by netlink, of which parts are made while others are sent, and what may come between."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, get_args

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.executors import nftables
from svcnet.executors.commits import generation
from svcnet.executors.nftables.commands import NFT
from svcnet.executors.nftables.netlink import NFTSocket
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState
from svcnet.netfilter.nft.wire import NFTMessage
from svcnet.renderers.nftables import Layout, Ruleset, buckets_ahead, full, text
from tests.bench.dataplanes import endpoints_of, service, slice_of, vip
from tests.kernel.test_nft_traffic import graph_of
from tests.kernel.test_nftables import listed, load, made_by
from tests.kernel.test_nftables_apply import keeper
from tests.kernel.test_twice import elsewhere

pytestmark = pytest.mark.kernel

TAKEN = "ip kube-proxy service-endpoints-tcp"
SERVICES, ENDPOINTS = 300, 30
IN_THE_MIDDLE = 4
"""Before this batch something happens: there are seven with endpoints of 300 Services."""


@cache
def graph() -> RuleGraph:
    numbers = range(SERVICES)
    slices = [slice_of(number, endpoints_of(number, ENDPOINTS)) for number in numbers]
    state = ClusterState.of([*map(service, numbers), *slices])
    return compile_state(state, node_view(state))


def wanted() -> Ruleset:
    return full(graph(), layout="flat")


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], list[int]]:
    """Give what has something happen in the middle of a load, in batches of one message each."""
    commit = NFTSocket.commit
    monkeypatch.setattr("svcnet.executors.nftables.netlink.ROOM", 1 << 17)

    def arrange(happen: Callable[[], object]) -> list[int]:
        sizes: list[int] = []

        def commit_after(opened: NFTSocket, messages: Sequence[NFTMessage], *more: Any) -> None:
            sizes.append(len(messages))
            # The first one is a question, and the second makes chains.
            if len(sizes) == 2 + IN_THE_MIDDLE:
                happen()
            commit(opened, messages, *more)

        monkeypatch.setattr(NFTSocket, "commit", commit_after)
        return sizes

    return arrange


def no_thread_is_left() -> bool:
    return not any(each.name.startswith("ahead") for each in threading.enumerate())


def test_many_batches(between: Callable[[Callable[[], object]], list[int]]) -> None:
    """All of them together are the table that nft makes."""

    def work() -> None:
        sizes = between(lambda: None)
        before = generation(THIS_MACHINE)
        report = nftables.apply(wanted())
        assert len(sizes) > 2 + IN_THE_MIDDLE + 2
        assert report.commits == generation(THIS_MACHINE) - before
        assert listed() == made_by(text(report.ruleset))
        assert no_thread_is_left()

    elsewhere(work)


def test_a_refusal_in_the_middle(
    between: Callable[[Callable[[], object]], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which endpoint, and where that is from; no part of the table stays."""
    size = "svcnet.renderers.nftables.flat.sizes.size_of"

    def work() -> None:
        sizes = between(lambda: None)
        monkeypatch.setattr(size, lambda count: max(1024, count // 2))
        with pytest.raises(ApplyError) as problem:
            nftables.apply(wanted())
        assert len(sizes) > IN_THE_MIDDLE
        told = str(problem.value)
        assert "Too many open files" in told
        assert f"refused: add element {TAKEN} {{ 10.96." in told
        assert "(from EndpointSlice shop/svc-" in told
        assert not listed()
        assert no_thread_is_left()

    elsewhere(work)


def take_one_that_is_to_come() -> None:
    for number in range(SERVICES):
        element = f"{TAKEN} {{ {vip(number)} . 80 . 3 : 192.0.2.77 . 7 }}"
        command = ("nft", "add", "element", element)
        if not subprocess.run(command, capture_output=True, check=False).returncode:
            return


OTHERS = {
    "an element that is to come": take_one_that_is_to_come,
    "an element that nobody wants": lambda: load(
        f"add element {TAKEN} {{ 10.1.2.3 . 7 . 0 : 10.1.2.4 . 7 }}"
    ),
    "all is flushed": lambda: load("flush ruleset"),
    "a table of their own": lambda: load(f"flush ruleset\n{text(full(graph()))}"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_others_write_in_the_middle(
    what: str, between: Callable[[Callable[[], object]], list[int]]
) -> None:
    """What they did to the table is put right before svcnet says that it is done."""

    def work() -> None:
        between(OTHERS[what])
        nftables.apply(wanted())
        assert nftables.apply(wanted(), dry_run=True).plan.kind == "none"
        assert no_thread_is_left()

    elsewhere(work)


@pytest.mark.parametrize("layout", get_args(Layout))
def test_others_make_the_table_first(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for one that svcnet made, nor deleted: it is brought to be right."""
    theirs = text(full(graph(), layout="flat" if layout == "kube-proxy" else "kube-proxy"))
    nft_load, first = NFT.load, [theirs]

    def load_second(nft: NFT, lines: str, *, check: bool = False) -> int:
        if first and not check:
            load(first.pop())
        return nft_load(nft, lines, check=check)

    def work() -> None:
        ruleset = full(graph(), layout=layout)
        monkeypatch.setattr(NFT, "load", load_second)
        nftables.apply(ruleset)
        assert not first
        assert nftables.apply(ruleset, dry_run=True).plan.kind == "none"

    elsewhere(work)


def test_another_writer_in_the_middle(between: Callable[[Callable[[], object]], list[int]]) -> None:
    """Their commit is not counted as ours, and what they took away comes again."""

    def work() -> None:
        between(lambda: load("flush map ip kube-proxy service-endpoints-tcp"))
        kept = keeper("flat")
        kept.whole(graph())
        assert kept.is_disturbed()
        done = kept.look(graph())
        assert done.differed
        assert not kept.is_disturbed()
        assert listed() == made_by(text(wanted().keep(buckets_ahead(wanted().buckets))))

    elsewhere(work)


def test_an_interrupt_in_the_middle(
    between: Callable[[Callable[[], object]], list[int]],
) -> None:
    """The thread has ended; nothing leads into what is there, and the next one puts it right."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def work() -> None:
        between(interrupt)
        with pytest.raises(KeyboardInterrupt):
            nftables.apply(wanted())
        assert no_thread_is_left()
        between(lambda: None)
        report = nftables.apply(wanted())
        assert listed() == made_by(text(report.ruleset))

    elsewhere(work)


class Break(BaseException):
    """The end of a process, in the middle of its work."""


def break_off(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], number: int) -> bool:
    """Do some work up to before a transaction of this number; return whether there was one."""
    count = 0

    def counted(transact: Callable[..., Any]) -> Callable[..., Any]:
        def transact_or_end(*given: Any, **options: Any) -> Any:
            nonlocal count
            count += not options.get("check")
            if count > number:
                raise Break
            return transact(*given, **options)

        return transact_or_end

    with monkeypatch.context() as patch:
        patch.setattr(NFT, "load", counted(NFT.load))
        patch.setattr(NFTSocket, "commit", counted(NFTSocket.commit))
        try:
            work()
        except Break:
            return True
    return False


WEB = ("pod1", "pod2", "pod3")
WAYS: dict[str, tuple[Layout | None, int, Layout, int]] = {
    "a load": (None, 0, "flat", 3),
    "a load as kube-proxy's": (None, 0, "kube-proxy", 3),
    "a map that grows": ("flat", 1, "flat", 3),
    "another layout": ("kube-proxy", 3, "flat", 2),
}


@pytest.mark.parametrize("name", WAYS)
def test_the_end_in_the_middle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it breaks off, what comes next is as on a machine of its own; nothing else stays."""
    layout, first, other, second = WAYS[name]
    if layout == other:
        monkeypatch.setattr("svcnet.renderers.nftables.flat.sizes.LEAST", 1)
    before = full(graph_of("IPv4", WEB[:first]), layout=layout or "flat")
    after = full(graph_of("IPv4", WEB[:second]), layout=other)

    def work() -> None:
        number = 0
        is_over = False
        while not is_over:
            wish = (before, after)[number % 2]
            load("flush ruleset")
            if layout is not None:
                nftables.apply(before)
            is_over = not break_off(monkeypatch, lambda: nftables.apply(after), number)
            there = nftables.apply(wish).ruleset
            assert without_sizes(listed()) == without_sizes(made_by(text(there)))
            number += 1
        assert number > 2

    elsewhere(work)


def without_sizes(objects: dict[str, Any]) -> dict[str, Any]:
    """Return what a table has, but for how much room there is in sets, which may be more."""
    return {
        name: {**each, "size": 0} if isinstance(each, dict) else each
        for name, each in objects.items()
    }
