"""The collector is as it was, whatever a run of svcnet did with it."""

from __future__ import annotations

import gc

from svcnet.nogc import seldom_gc, settle


def test_a_run_leaves_the_collector_as_it_was() -> None:
    """Inside it looks seldom and passes over what has settled; afterwards it walks all again."""
    before = gc.get_threshold()
    with seldom_gc():
        assert gc.get_threshold()[0] > before[0]
        settle()
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
