"""What a run in IPVS mode tells of each fault: one clear line, and its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.chaos import LEFT_OPEN
from tests.kernel.foreign import words
from tests.kernel.telling import Act, Case, Node, check, made_node, nothing, tools_fail, tools_work

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, LEFT_OPEN]

SYNCED = "^synced$"
OTHERS = "somebody else changed the rules"


def by_hand(*command: str) -> Act:
    return lambda _: words(*command, check=True)


CASES = (
    Case("servers cleared", by_hand("ipvsadm", "-C"), nothing, OTHERS),
    Case("sets flushed", by_hand("ipset", "flush"), nothing, OTHERS),
    Case("the device is gone", by_hand("ip", "link", "del", "kube-ipvs0"), nothing, OTHERS),
    # What an entry is refused with and what a listing is are two lines.
    Case("ipset fails", tools_fail("ipset", 0), tools_work, "refused.*ipset.*chaos", SYNCED, 2),
    Case("ipset is killed", tools_fail("ipset", 2), tools_work, "ipset.*SIGKILL", SYNCED, 2),
    # In place of what it should write, or of a listing. A step may meet it as the tool is mended,
    # after the whole has: these are two lines.
    Case(
        "ipset prints rubbish",
        tools_fail("ipset", 4),
        tools_work,
        "ipset: (printed what it never prints|its listing )",
        SYNCED,
        2,
    ),
    Case(
        "ipset cuts what it prints",
        tools_fail("ipset", 8, by_hand("ipset", "flush", "KUBE-CLUSTER-IP")),
        tools_work,
        "ipset: its listing ",
        SYNCED,
        2,
    ),
    Case(
        "ipset prints nothing",
        tools_fail("ipset", 9, by_hand("ipset", "flush", "KUBE-CLUSTER-IP")),
        tools_work,
        "ipset: its listing lacks ",
        SYNCED,
        2,
    ),
    Case(
        "ipset hangs",
        tools_fail("ipset", 3),
        tools_work,
        "ipset: killed, for it had not",
        SYNCED,
        2,
    ),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder, listing = tmp_path_factory.mktemp("told"), ("ipvsadm", "-S", "-n")
    with made_node(folder, listing, "--mode", "ipvs", "--variant", "legacy") as node:
        yield node


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_told(made: Node, case: Case) -> None:
    """Its line says what is wrong, there are few of them, and the end is told too."""
    check(made, case)
