"""What a run tells of each fault: one clear line, its end, and never a hundred.

One run of svcnet meets one fault after another. Of each the lines are kept that it told from
the fault's beginning until all was well again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen

from svcnet.testing import Fault
from tests.kernel.api import API, api, endpoints, node, service
from tests.kernel.applying import write_host
from tests.kernel.chaos import CONFIG, LEFT_OPEN
from tests.kernel.foreign import words
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.nursery import Run, nursery
from tests.kernel.tools import FailingTools

pytestmark = [pytest.mark.kernel, LEFT_OPEN]

PATIENCE_SECONDS = 40
LONGEST_LINE = 3000
SAVE, RESTORE = "iptables-nft-save", "iptables-nft-restore"


@define
class Node:
    """A run that follows a server, its log, and what can be done to both."""

    folder: Path
    server: API
    tools: FailingTools
    run: Run
    changes: int = 0
    read: int = field(default=0, init=False)

    def lines(self) -> list[dict[str, Any]]:
        """Return what was told since this was asked last."""
        found = self.run.log.read_text().splitlines(keepends=True)[self.read :]
        whole = [line for line in found if line.endswith("\n")]
        self.read += len(whole)
        assert all(len(line) < LONGEST_LINE for line in whole), whole
        return [json.loads(line) for line in whole]

    def change(self) -> None:
        """Have the endpoints of a Service be others."""
        self.changes += 1
        self.server.put(endpoints("web", f"10.244.1.{self.changes % 250 + 1}"))

    def disturb(self) -> None:
        """Have another program write a rule, so that the next look lists all."""
        words("iptables-nft", "-w", "-A", "FORWARD", "-p", "udp", "-j", "ACCEPT", check=True)

    def followed(self) -> bool:
        """Whether the machine has the last change."""
        wanted = f"10.244.1.{self.changes % 250 + 1}:8080".encode()
        return wanted in words("iptables-nft", "-t", "nat", "-S")


Act = Callable[[Node], object]


@frozen
class Case:
    """A fault: how it begins and ends, and what is told of it.

    ``tells`` is what a warning must say, None where there is nothing to warn of; ``most`` are
    the warnings of all kinds. ``over`` is what an operator reads at the end.
    """

    name: str
    begin: Act
    end: Act
    tells: str | None
    over: str = ""
    most: int = 1


def tools_fail(name: str, how: int) -> Act:
    def act(made: Node) -> None:
        made.tools.fail(100, how, name)
        if name == SAVE:
            made.disturb()
        made.change()

    return act


def tools_work(made: Node) -> None:
    made.tools.fail(0)


def foreign(comment: bytes) -> Act:
    def act(made: Node) -> None:
        rule = ("-p", "tcp", "-m", "comment", "--comment", comment, "-j", "ACCEPT")
        words("iptables-nft", "-w", "-I", "FORWARD", *rule, check=True)
        made.change()

    return act


def held(made: Node) -> None:
    """Have a foreign rule lead to a chain of ours, which then is to go."""
    listed = words("iptables-nft", "-t", "nat", "-S").decode()
    chains = re.findall(r"-N (KUBE-SEP-\S+)", listed)
    words("iptables-nft", "-w", "-t", "nat", "-N", "HOLDER")
    words("iptables-nft", "-w", "-t", "nat", "-A", "HOLDER", "-j", chains[0], check=True)
    made.change()


def let_go(made: Node) -> None:
    words("iptables-nft", "-w", "-t", "nat", "-F", "HOLDER")
    made.change()


def large(made: Node) -> None:
    """A Service that asks for a million entries."""
    ports = [{"name": f"p{n}", "port": n + 1} for n in range(1000)]
    addresses = (f"10.9.{n // 250}.{n % 250 + 1}" for n in range(1000))
    made.server.put({**endpoints("large", *addresses), "ports": ports})
    made.server.put(service("large", "10.96.0.99", ports=ports))
    made.change()


def small_again(made: Node) -> None:
    made.server.delete("Service", "large")
    made.change()


def unusable(made: Node) -> None:
    """Very many objects that cannot be used."""
    made.server.put(*(service(f"bad{n}", "10.96.3.1", port=99999) for n in range(300)))
    made.change()


def usable_again(made: Node) -> None:
    for n in range(300):
        made.server.delete("Service", f"bad{n}")
    made.change()


def scripted(*faults: Fault) -> Act:
    def act(made: Node) -> None:
        made.server.call(lambda server: server.script(*faults))
        made.server.call(lambda server: server.compact())
        made.server.finish(lambda server: server.disconnect())
        made.change()

    return act


def away(made: Node) -> None:
    made.server.stop()
    time.sleep(1)


def back(made: Node) -> None:
    made.server.start()
    made.change()


def frozen_connections(made: Node) -> None:
    made.server.at_proxy(lambda proxy: proxy.freeze())
    made.server.at_proxy(lambda proxy: proxy.thaw(new_only=True))
    made.change()


def reset(made: Node) -> None:
    made.server.at_proxy(lambda proxy: proxy.reset())
    made.change()


def drift(made: Node) -> None:
    words("iptables-nft", "-w", "-t", "nat", "-F", "KUBE-SERVICES", check=True)


def nothing(made: Node) -> None:
    made.change()


SYNCED = "^synced$"
CASES = (
    Case("bytes that are no text", foreign(b"caf\xe9"), nothing, None),
    Case("lines of ours in a comment", foreign(b"x\nCOMMIT\n*nat\n:KUBE-X - [0:0]"), nothing, None),
    Case("a chain is held", held, let_go, "KUBE-SEP-", "no longer so", 2),
    Case("rules changed by others", drift, nothing, "somebody else changed the rules"),
    Case("listing fails", tools_fail(SAVE, 0), tools_work, f"refused.*{SAVE}.*chaos", SYNCED),
    Case("listing is killed", tools_fail(SAVE, 2), tools_work, f"{SAVE}.*SIGKILL", SYNCED),
    Case("listing is rubbish", tools_fail(SAVE, 4), tools_work, f"refused.*{SAVE}", SYNCED),
    Case("listing breaks off", tools_fail(SAVE, 5), tools_work, f"refused.*{SAVE}", SYNCED),
    Case("writing fails", tools_fail(RESTORE, 0), tools_work, f"{RESTORE}.*chaos", SYNCED),
    Case("writing is killed", tools_fail(RESTORE, 2), tools_work, f"{RESTORE}.*SIGKILL", SYNCED),
    Case("writing says no reason", tools_fail(RESTORE, 1), tools_work, RESTORE, SYNCED),
    Case("a Service asks too much", large, small_again, "large has no rules", "no longer so"),
    Case("very many bad objects", unusable, usable_again, "must be from 1 to 65535", "", 22),
    Case("the server is away", away, back, "unreachable", "API server: synced", 4),
    Case("a watch is cut", reset, nothing, None, "", 1),
    Case("connections are frozen", frozen_connections, nothing, None, "", 1),
    Case(
        "the server is overloaded",
        scripted(*(Fault("status", code=429) for _ in range(6))),
        nothing,
        "429",
        "API server: synced",
        most=2,
    ),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("told")
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    tools = FailingTools(folder / "tools")
    with own_namespace(), api() as server, nursery(tools.make()) as runs:
        server.stand_behind_a_proxy()
        server.put(node("n1", "192.0.2.10"), service("web", "10.96.0.10"))
        options = ("--node", "n1", "--config", config, "--host", write_host(folder))
        where = ("--kubernetes", "--kubeconfig", server.kubeconfig(folder))
        run = runs.start(
            folder / "log", "run", *where, *options, "--family", "ipv4", "--variant", "nft"
        )
        run.wait_for_words('"event":"synced"')
        yield Node(folder, server, tools, run)
        run.end()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_told(made: Node, case: Case) -> None:
    """Its line says what is wrong, there are few of them, and the end is told too."""
    made.lines()
    case.begin(made)
    told: list[dict[str, Any]] = []
    wait(made, told, lambda: case.tells is None or said(told, case.tells, "warning"))
    # A fault that goes on is not told again and again.
    time.sleep(0.5)
    case.end(made)
    wait(made, told, made.followed)
    wait(made, told, lambda: not case.over or said(told, case.over, "info"))
    warnings = [line for line in told if line["level"] != "info"]
    assert len(warnings) <= case.most, json.dumps(warnings)
    assert bool(warnings) is (case.tells is not None) or case.tells is None
    assert "Traceback" not in str(told)
    assert "fault of svcnet" not in str(told)


def wait(made: Node, told: list[dict[str, Any]], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        told += made.lines()
        if condition():
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def said(told: list[dict[str, Any]], pattern: str, level: str) -> bool:
    return any(line["level"] == level and said_in(line, pattern) for line in told)


def said_in(line: dict[str, Any], pattern: str) -> bool:
    texts = (
        line["event"],
        " ".join(map(str, (line["event"], line.get("error"), line.get("what")))),
    )
    return any(re.search(pattern, text, re.DOTALL) for text in texts)
