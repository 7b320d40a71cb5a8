"""Durations, as Go's ``time.ParseDuration`` answers."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.sources.durations import UNITS, parse_duration
from tests.fuzz import examples

S, H = UNITS["s"], UNITS["h"]
TAKEN = {
    "0": 0,
    "+0": 0,
    "-0": 0,
    "0s": 0,
    "1s": S,
    "+5s": 5 * S,
    "-5s": -5 * S,
    "00001s": S,
    "1.5s": 3 * S // 2,
    ".5s": S // 2,
    "1.s": S,
    "1h30m": 5400 * S,
    "1h1h": 2 * H,
    "1s1h": S + H,
    "3m3.5s": 1835 * S // 10,
    "1ms": 10**6,
    "1us": 1000,
    "1µs": 1000,
    "1μs": 1000,
    "1ns": 1,
    "0.5ns": 0,
    "1.9ns": 1,
    "0.000000001s": 1,
    "0.0000000001s": 0,
    f"{2**63 - 1}ns": 2**63 - 1,
    f"-{2**63}ns": -(2**63),
    "2562047h47m16.854775807s": 2**63 - 1,
}
REFUSED = [
    *("", "1", "300", "1h-30m", "1h+30m", "--1s", "+-1s", "1d", "1w", "s", ".s", ".", "+", "-"),
    *("1e3s", "1 s", " 1s", "1s ", "1s\n", "1S", "1Ms", "1..5s", "1.5.5s", "1,5s", "1_000s"),
    *(
        "0x1s",
        "\u0661s",
        "1\u066b5s",
        "infs",
        "nans",
        "10000000000h",
        f"{2**63}ns",
        "1sm",
        "1mss",
        "1m s",
    ),
    *("2562047h47m16.854775808s", "0" * 500 + "s", "1s" * 500),
]


@pytest.mark.parametrize(("text", "nanoseconds"), TAKEN.items())
def test_what_go_takes(text: str, nanoseconds: int) -> None:
    """A duration is its nanoseconds, and what is less is cut off."""
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", REFUSED)
def test_what_go_refuses(text: str) -> None:
    """Anything else is an error, and so is a text of hundreds of characters."""
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@settings(max_examples=examples(300))
@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(("", "+")))
def test_every_duration_comes_back(nanoseconds: int, sign: str) -> None:
    """Hours, minutes and seconds with a fraction, as Go writes them, are read to the nanosecond."""
    rest, fraction = divmod(abs(nanoseconds), S)
    sign = "-" if nanoseconds < 0 else sign
    text = f"{sign}{rest // 3600}h{rest // 60 % 60}m{rest % 60}.{fraction:09}s"
    assert parse_duration(text) == nanoseconds


@settings(max_examples=examples(300))
@given(st.text(alphabet="0123456789.-+hmsuµn e", max_size=40) | st.text(max_size=20))
def test_no_text_is_more_than_an_error(text: str) -> None:
    """Whatever the text, it is a number of nanoseconds that 64 bits hold, or a ValueError."""
    with suppress(ValueError):
        assert -(2**63) <= parse_duration(text) < 2**63
