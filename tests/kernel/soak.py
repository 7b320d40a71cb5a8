"""A long life in little time: very many events, and what the process has grown by."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from tests.kernel.api import API, endpoints, node, service
from tests.kernel.applying import write_host
from tests.kernel.changes import for_a_node
from tests.kernel.chaos import CONFIG, until
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.machines import Machine
from tests.kernel.nursery import Nursery
from tests.kernel.sizes import MOST_FILES, MOST_KILOBYTES, Size

SERVICES = 20
TOGETHER = 100
"""So many events come at once; all but these come one by one."""
SINGLE = 0.05
"""The share of those that come one by one."""
REMEMBERED = 10_000
"""Of so many events the server knows: a watch that is not further behind goes on."""


def soak(
    folder: Path, machine: Machine, server: API, nursery: Nursery, events: int
) -> tuple[Size, Size]:
    """Have svcnet follow so many events; return its size after a fifth of them and at the end.

    None may make it list again, and in the end the machine must be as a cold apply makes one.
    """
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    options = (
        "--family",
        "ipv4",
        "--node",
        "n1",
        "--config",
        config,
        "--host",
        write_host(folder),
        *machine.options,
    )
    server.put(node("n1", "192.0.2.10"))
    server.put(*(service(f"s{n}", f"10.96.1.{n}") for n in range(SERVICES)))
    where = ("--kubernetes", "--kubeconfig", server.kubeconfig(folder))
    run = nursery.start(folder / "log", "run", *where, *options)
    run.wait_for_words('"event":"synced"')
    follow(server, events // 5)
    settled(folder, machine, server, options)
    warm = Size.at_rest(run.pid)
    follow(server, events - events // 5)
    settled(folder, machine, server, options)
    size = Size.at_rest(run.pid)
    run.end()
    asked = server.call(lambda fake: list(fake.requests))
    # Not those of one object, by which a watch is checked.
    lists = [each for each in asked if each.verb == "list" and each.parameters.get("limit") != "1"]
    assert len(lists) == len({each.path for each in lists})
    return warm, size


def follow(server: API, events: int) -> None:
    """Make so many events: most in crowds, which are followed together, some one by one."""
    single = round(events * SINGLE)
    for first in range(single, events, TOGETHER):
        numbers = range(first, min(first + TOGETHER, events))
        server.put(*(moved(number) for number in numbers))
        server.call(lambda fake: fake.compact(REMEMBERED))
    for number in range(single):
        server.put(moved(number))
        time.sleep(0.005)


def moved(number: int) -> dict[str, object]:
    """Return endpoints that differ from those of the same Service before."""
    addresses = (f"10.244.{number % 250}.{n + number // 250 % 200 + 1}" for n in range(3))
    return endpoints(f"s{number % SERVICES}", *addresses)


def settled(folder: Path, machine: Machine, server: API, options: tuple[object, ...]) -> None:
    """Wait until the machine is as a cold apply makes one."""
    dump = folder / "objects.json"
    dump.write_text(json.dumps(server.call(lambda fake: for_a_node(fake.objects()))))
    with own_namespace():
        cold = machine.cold(dump, options)
    assert until(lambda: machine.state() == cold)


def assert_flat(sizes: tuple[Size, Size], tell: Callable[[str], object] = print) -> None:
    """A process must not have grown."""
    warm, end = sizes
    tell(f"after a fifth {warm}, at the end {end}")
    assert end.memory - warm.memory < MOST_KILOBYTES
    assert end.files - warm.files <= MOST_FILES
    assert end.threads <= warm.threads
