"""What goes through an outlet: all of it, or a line that says how much is missing."""

from __future__ import annotations

import json
import os
import time
from typing import TextIO, cast

from svcnet.cli.log import logger
from svcnet.cli.outlet import PENDING, Outlet


def test_lines_that_nobody_took_are_counted() -> None:
    """A log whose reader is away goes on; where lines are lost one says so, in the log's form."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as stream, os.fdopen(ours) as reader:
        outlet = Outlet(stream)
        log = logger(cast("TextIO", outlet))
        text = "x" * (PENDING // 100)
        for _ in range(300):
            log.info(text)
        kept = lost = 0
        while kept + lost < 300:
            event = json.loads(reader.readline())
            kept += event["event"] == text
            lost += event.get("lines", 0)
        assert lost
        log.info("here again")
        assert json.loads(reader.readline())["event"] == "here again"


def test_a_reader_that_has_gone() -> None:
    """Writing to a closed pipe is no error, and nothing to wait for."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stream:
        outlet = Outlet(stream)
        for number in range(3):
            print(number, file=outlet, flush=True)
            outlet.drain(time.monotonic() + 10)
