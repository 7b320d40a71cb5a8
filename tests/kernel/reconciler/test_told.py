"""What a run tells of each fault: one clear line, its end, and never a hundred.

One run of svcnet meets one fault after another. Of each the lines are kept that it told from
the fault's beginning until all was well again.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svcnet.testing import Fault
from tests.kernel.api import endpoints, service
from tests.kernel.chaos import LEFT_OPEN
from tests.kernel.foreign import words
from tests.kernel.telling import Act, Case, Node, check, made_node, nothing, tools_fail, tools_work

pytestmark = [pytest.mark.kernel, LEFT_OPEN]

SAVE, RESTORE = "iptables-nft-save", "iptables-nft-restore"


def listing_fails(how: int) -> Act:
    def act(made: Node) -> None:
        made.tools.fail(100, how, SAVE)
        # The next look lists all, for another program has written a rule.
        words("iptables-nft", "-w", "-A", "FORWARD", "-p", "udp", "-j", "ACCEPT", check=True)
        made.change()

    return act


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


def kubeconfig_is(broken: Callable[[Path], object]) -> Act:
    """Have the kubeconfig be no such thing when the run is told to read it again."""

    def act(made: Node) -> None:
        path = made.folder / "kubeconfig"
        path.unlink()
        broken(path)
        made.run.send(signal.SIGHUP)

    return act


def kubeconfig_is_back(made: Node) -> None:
    path = made.folder / "kubeconfig"
    path.rmdir() if path.is_dir() else path.unlink()
    made.server.kubeconfig(made.folder)
    made.run.send(signal.SIGHUP)
    made.change()


NO_AUTHORITY = (
    "{current-context: a, contexts: [{name: a, context: {cluster: a}}], clusters: [{name: a, "
    "cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: eA==}}]}"
)
SYNCED = "^synced$"
CASES = (
    Case("bytes that are no text", foreign(b"caf\xe9"), nothing, None),
    Case("lines of ours in a comment", foreign(b"x\nCOMMIT\n*nat\n:KUBE-X - [0:0]"), nothing, None),
    Case("a chain is held", held, let_go, "KUBE-SEP-", "no longer so", 2),
    Case("rules changed by others", drift, nothing, "somebody else changed the rules"),
    Case("listing fails", listing_fails(0), tools_work, f"refused.*{SAVE}.*chaos", SYNCED),
    Case("listing is killed", listing_fails(2), tools_work, f"{SAVE}.*SIGKILL", SYNCED),
    Case("listing is rubbish", listing_fails(4), tools_work, f"refused.*{SAVE}", SYNCED),
    Case("listing breaks off", listing_fails(5), tools_work, f"refused.*{SAVE}", SYNCED),
    Case("writing fails", tools_fail(RESTORE, 0), tools_work, f"{RESTORE}.*chaos", SYNCED),
    Case("writing is killed", tools_fail(RESTORE, 2), tools_work, f"{RESTORE}.*SIGKILL", SYNCED),
    Case("writing says no reason", tools_fail(RESTORE, 1), tools_work, RESTORE, SYNCED),
    Case(
        "writing hangs",
        tools_fail(RESTORE, 3),
        tools_work,
        f"{RESTORE}: killed, for it had not",
        SYNCED,
    ),
    Case(
        "a kubeconfig half written",
        kubeconfig_is(lambda path: path.write_text("{clusters: [{name: 'he")),
        kubeconfig_is_back,
        r"kubeconfig:1.*the rules stay as they were",
        "the input was read again",
    ),
    Case(
        "a kubeconfig that is a folder",
        kubeconfig_is(lambda path: path.mkdir()),
        kubeconfig_is_back,
        "kubeconfig.*folder.*the rules stay as they were",
        "the input was read again",
    ),
    Case(
        "an authority that is no certificate",
        kubeconfig_is(lambda path: path.write_text(NO_AUTHORITY)),
        kubeconfig_is_back,
        r"kubeconfig:1: error.*it is not in PEM.*the rules stay as they were",
        "the input was read again",
    ),
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
    listing = ("iptables-nft", "-t", "nat", "-S")
    with made_node(tmp_path_factory.mktemp("told"), listing, "--variant", "nft") as node:
        yield node


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_told(made: Node, case: Case) -> None:
    """Its line says what is wrong, there are few of them, and the end is told too."""
    check(made, case)
