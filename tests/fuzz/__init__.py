"""Random input for what reads from outside: it may refuse, never break.

Smallest inputs that once broke something are kept, as ``@example`` or as files in ``corpus``.
"""

from __future__ import annotations

import os


def examples(count: int) -> int:
    """Return how many examples a test tries: `count`, unless `SVCNET_FUZZ` names a number."""
    return int(os.environ.get("SVCNET_FUZZ", count))
