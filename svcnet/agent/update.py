"""Input that a feed gives to the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from svcnet.inputs import Inputs
    from svcnet.reconciler import Change


@frozen
class Update:
    """Input of a verb that makes rules.

    ``change`` is what differs in it from the input before, None if nobody knows. ``happened``
    are times of changes of endpoints that are in it, in seconds since 1970.
    """

    inputs: Inputs
    change: Change | None = None
    happened: tuple[float, ...] = ()
