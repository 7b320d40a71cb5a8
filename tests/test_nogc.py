"""The collector is as it was, whatever a run of svcnet did with it."""

from __future__ import annotations

import gc

from svcnet.nogc import SELDOM, seldom_gc, settle, without_gc


def test_a_run_leaves_the_collector_as_it_was() -> None:
    """Inside it looks seldom and passes over what has settled; afterwards it walks all again."""
    before = gc.get_threshold()
    with seldom_gc():
        assert gc.get_threshold()[0] > before[0]
        settle()
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_many_new_values_are_not_walked_when_the_collector_is_back() -> None:
    """They are old ones at once, and the next walk over all of these finds cycles among them."""
    with without_gc():
        values: list[list[object]] = [[] for _ in range(SELDOM + 1)]
        values[0].append(values)
    assert gc.isenabled()
    assert any(value is values for value in gc.get_objects(generation=2))
    before = gc.get_stats()[2]["collected"]
    del values
    gc.collect()
    assert gc.get_stats()[2]["collected"] > before + SELDOM


def test_what_has_settled_stays_settled() -> None:
    """Many new values in a block do not bring back what the collector was told to pass over."""
    with seldom_gc():
        settle()
        with without_gc():
            values: list[list[object]] = [[] for _ in range(SELDOM + 1)]
        assert gc.get_freeze_count() > 0
    assert len(values) == SELDOM + 1
