"""Very many events in IPVS mode: svcnet keeps up, and does not grow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kernel.api import api
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.machines import IPVSMachine
from tests.kernel.nursery import nursery
from tests.kernel.soak import assert_flat, soak

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

EVENTS = int(os.environ.get("SVCNET_SOAK_EVENTS", "5000"))


def test_memory_and_files_are_flat(tmp_path: Path) -> None:
    """After thousands of events the process has the memory, files and threads that it had."""
    with own_namespace(), api() as server, nursery() as runs:
        assert_flat(soak(tmp_path, IPVSMachine(), server, runs, EVENTS))
