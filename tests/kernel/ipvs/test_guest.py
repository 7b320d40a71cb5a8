"""The guest is what the tests in it rely on."""

import subprocess
from pathlib import Path

import pytest

from svcnet.models.config import IPVS_SCHEDULERS

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]


@pytest.mark.parametrize("scheduler", IPVS_SCHEDULERS)
def test_every_scheduler_is_there(scheduler: str) -> None:
    """The guest's kernel has each scheduler that svcnet knows."""
    assert Path(f"/sys/module/ip_vs_{scheduler}").exists()


def test_dummy_devices_are_there() -> None:
    """The guest's kernel has dummy devices."""
    subprocess.run(["ip", "link", "add", "d0", "type", "dummy"], check=True)
    subprocess.run(["ip", "link", "delete", "d0"], check=True)
