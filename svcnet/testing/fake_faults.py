"""What can go wrong with one request to a fake API server."""

from __future__ import annotations

from random import Random
from typing import Literal, TypeAlias

from attrs import define, field, frozen

What: TypeAlias = Literal[
    "",
    "status",
    "page",
    "type",
    "hang up",
    "reset",
    "slow",
    "stall",
    "drip",
    "cut",
    "error",
    "repeat",
    "replay",
    "garbage",
    "stranger",
    "raw",
    "end",
]


@frozen
class Fault:
    """What goes wrong with one request.

    Instead of an answer: ``status`` is one with the status ``code``, ``Retry-After`` and
    ``Location`` if they are given, ``page`` an HTML page with ``code``, as gateways have them.
    ``hang up``: the connection is closed, ``reset``: it is torn down. ``slow``: the answer waits
    for ``seconds``.

    With the answer: ``type``: it calls itself ``text/plain``. ``stall``: it begins, and then
    nothing comes, not even an end. ``drip``: it comes in small pieces with ``seconds`` between.
    ``cut``: a list breaks off in its middle, a watch in the middle of its next event.
    ``garbage``: what comes is no JSON. ``stranger``: it is JSON of something else. ``raw``: it is
    ``body``, after which a watch ends.

    In a watch: ``error``: it ends with an event that says ``code``. ``repeat``: it tells each
    event twice. ``replay``: it begins with older events again. ``end``: it ends, in order, after
    its next event.

    ``on`` and ``kind`` say for which requests it is; empty ones fit all. A ``look`` is a list
    that asks for one object, and so for the server's version.
    """

    what: What
    on: Literal["", "list", "watch", "look"] = ""
    kind: str = ""
    code: int = 500
    seconds: float = 0.05
    retry_after: str = ""
    location: str = ""
    body: bytes = b""

    def fits(self, verb: str, kind: str, *, look: bool) -> bool:
        """Return whether it is for a request."""
        on = self.on in ("", verb) or (look and self.on == "look")
        return on and self.kind in ("", kind)


FINE = Fault("")

CHAOS = (
    Fault("status", code=500),
    Fault("status", code=429),
    Fault("page", code=502),
    Fault("hang up"),
    Fault("reset"),
    Fault("slow"),
    Fault("cut"),
    Fault("status", code=410),
    Fault("error", on="watch", code=410),
    Fault("repeat", on="watch"),
    Fault("replay", on="watch"),
    Fault("garbage"),
    Fault("stranger"),
    Fault("end", on="watch"),
)
"""What befalls requests at random when ``chaos`` is set."""


@define
class Faults:
    """What is to go wrong: faults in an order, and then by `chance`, drawn from `random`."""

    random: Random
    script: list[Fault] = field(factory=list)

    def next(self, verb: str, kind: str, chance: float, *, look: bool) -> Fault:
        """Return what befalls a request: the first of the script that fits, or chance."""
        for fault in self.script:
            if fault.fits(verb, kind, look=look):
                self.script.remove(fault)
                return fault
        if self.random.random() < chance:
            fault = self.random.choice(CHAOS)
            if fault.fits(verb, kind, look=look):
                return fault
        return FINE
