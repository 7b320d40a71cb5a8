"""A range of the node's ports as text, in the forms that kube-proxy takes."""

from __future__ import annotations

import re

PortRange = tuple[int, int]
"""The first and the last port of a range; both belong to it."""

_FORM = re.compile(r"(\d{1,5})(?:([-+])(\d{1,5}))?")
_ANY = ("", "0", "0-0")


def parse_port_range(text: str) -> PortRange | None:
    """Return the range that `text` means, None where it leaves the choice open.

    ``40000-41000`` and ``40000+1000`` are the same, and ``40000`` is one port. Empty text,
    ``0`` and ``0-0`` leave the choice open. Raises ValueError, with what to say, for
    anything else.
    """
    if text in _ANY:
        return None
    match = _FORM.fullmatch(text)
    if match:
        first = int(match[1])
        last = int(match[3] or 0) + (0 if match[2] == "-" else first)
        if 0 < first <= last <= 65535:
            return first, last
    raise ValueError("a port range is like 40000-41000 or 40000+1000, within 1 and 65535")
