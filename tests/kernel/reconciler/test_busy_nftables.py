"""Somebody else commits to nf_tables all the time, to tables of their own or to svcnet's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from svcnet.executors.children import Overdue
from svcnet.executors.commits import generation
from svcnet.executors.nftables import apply, plan
from svcnet.executors.nftables.commands import NFT
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.renderers.nftables import Layout, full, text
from tests.kernel.test_nftables import listed, listed_and_meant, load, made_by
from tests.kernel.test_nftables_apply import graphs, keeper
from tests.kernel.test_twice import elsewhere

pytestmark = pytest.mark.kernel

ROUNDS = 8
LAYOUTS: tuple[Layout, ...] = ("kube-proxy", "flat")
ELSEWHERE = "ip busy s"
OURS = "ip kube-proxy cluster-ips"


@contextmanager
def busy(where: str) -> Iterator[None]:
    """Have another nft add an element and delete it, again and again."""
    load("add table ip busy\nadd set ip busy s { type ipv4_addr ; }\n")
    element = f"element {where} {{ 192.0.2.77 }}"
    # It ends between two runs of nft, so that what it began is done when it has ended.
    again = f"trap exit TERM; while :; do nft 'add {element}'; nft 'delete {element}'; done"
    with subprocess.Popen(["sh", "-c", again], stderr=subprocess.DEVNULL) as other:
        try:
            yield
        finally:
            other.terminate()
    load("delete table ip busy\n")


def wait_for_commits() -> None:
    """Wait until somebody else has committed."""
    before = generation(THIS_MACHINE)
    while generation(THIS_MACHINE) == before:
        pass


@pytest.mark.parametrize("layout", LAYOUTS)
def test_commits_elsewhere_are_nobodys_concern(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is one run of nft, or a message, and a look lists nothing."""
    before, after = graphs()

    def listing(*_: object, **__: object) -> None:
        raise AssertionError("nft is to list")

    def work() -> None:
        kept = keeper(layout)
        kept.whole(before)
        kept.look(before)
        monkeypatch.setattr(NFT, "table", listing)
        with busy(ELSEWHERE):
            for number in range(ROUNDS):
                wait_for_commits()
                now = (after, before)[number % 2]
                assert kept.step(now, None).kind == "delta"
                assert not kept.is_disturbed()
                assert "nothing has changed" in kept.look(now).text
        monkeypatch.undo()
        there, meant = listed_and_meant(full(before, layout=layout))
        assert there == meant

    elsewhere(work)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_commits_to_the_table_are_put_right_beside_changes(layout: Layout) -> None:
    """No change is refused or waits for an end of it, and when it ends all is right."""
    before, after = graphs()

    def work() -> None:
        kept = keeper(layout)
        kept.whole(before)
        kept.look(before)
        now = before
        with busy(OURS):
            for new in (after, before) * (ROUNDS // 2):
                wait_for_commits()
                inspection = kept.inspection(now)
                assert inspection is not None
                assert kept.step(new, None).kind == "delta"
                inspection.read()
                now = new
                if kept.repair(inspection) is None:
                    kept.look(now)
        kept.look(now)
        assert not kept.is_disturbed()
        there, meant = listed_and_meant(full(now, layout=layout))
        assert there == meant

    elsewhere(work)


@pytest.mark.parametrize("most", [10_000, -1])
def test_nft_that_never_ends_to_list_keeps_nobody_from_serving(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is written anew by what the kernel tells, and foreign things in it go."""
    before, after = graphs()

    def listing(*_: object, **__: object) -> None:
        raise Overdue("nft took too long")

    def work() -> None:
        apply(full(before))
        load("add chain ip kube-proxy z\nadd set ip kube-proxy z { type ipv4_addr ; }\n")
        load("insert rule ip kube-proxy services drop\nflush map ip kube-proxy service-ips\n")
        with monkeypatch.context() as patch, busy(ELSEWHERE):
            patch.setattr(NFT, "table", listing)
            patch.setattr(plan, "MOST_LINES", most)
            kept = keeper()
            kept.whole(after)
            assert "nothing has changed" in kept.look(after).text
        assert listed() == made_by(text(full(after)))

    elsewhere(work)
