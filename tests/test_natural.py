"""Names in the order in which people look for them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svcnet.natural import natural_key

NAMES = st.text("ab-0123456789.", max_size=12)


def test_numbers_count_as_numbers() -> None:
    names = [
        "web-10",
        "web-2",
        "web",
        "web-1",
        "a9b",
        "a10b",
        "web-02",
        "10.244.1.10",
        "10.244.1.9",
    ]
    assert sorted(names, key=natural_key) == [
        *("10.244.1.9", "10.244.1.10", "a9b", "a10b", "web", "web-1", "web-02", "web-2", "web-10")
    ]


@given(st.lists(NAMES | st.text(max_size=5)))
def test_there_is_one_order(names: list[str]) -> None:
    """Whatever order names come in, and whatever is in them."""
    assert sorted(names, key=natural_key) == sorted(sorted(names), key=natural_key)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_of_numbers_it_is_their_order(one: int, other: int) -> None:
    assert (natural_key(f"web-{one}") < natural_key(f"web-{other}")) is (one < other)


def test_a_number_may_be_as_long_as_it_likes() -> None:
    names = ["9" * 100_000, "1" + "0" * 100_000]
    assert natural_key(names[0]) < natural_key(names[1])
