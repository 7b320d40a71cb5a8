"""Durations as Go reads them: ``1h30m``, ``1.5s``, ``-2ms``.

Source of the rules: ``time.ParseDuration`` of Go, which kube-proxy's configuration goes through.
"""

from __future__ import annotations

import re

UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the sign of old character sets
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds in each unit."""

_PART = r"([0-9]+)?(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"[-+]?(?:(?=\.?[0-9]){_PART})+")
_PARTS = re.compile(_PART)
MAX_TEXT = 200


def parse_duration(text: str) -> int:
    """Return a duration in nanoseconds; what is less than one is cut off.

    Raises ValueError where `text` is none, or is more than 290 years.
    """
    if text in ("0", "+0", "-0"):
        return 0
    if len(text) > MAX_TEXT or not _DURATION.fullmatch(text):
        raise ValueError("must be a duration such as 30s or 1m30s")
    total = 0
    for whole, fraction, unit in _PARTS.findall(text):
        total += int(whole or 0) * UNITS[unit]
        total += int(fraction or 0) * UNITS[unit] // 10 ** len(fraction)
    total = -total if text[0] == "-" else total
    if not -(2**63) <= total < 2**63:
        raise ValueError("must be a duration of less than 290 years")
    return total
