"""A process that has few descriptors left: whatever it was doing, it says so and goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.errors import SvcnetError
from svcnet.executors import conntrack, iptables
from svcnet.executors.lock import lock
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.inputs import probe_host
from svcnet.models import ClusterState
from svcnet.renderers import iptables as rendered
from svcnet.renderers.userspace import full
from svcnet.servers.local_socket import LocalSocket
from svcnet.servers.userspace import NodeProxy
from svcnet.sources import load
from svcnet.testing import make_service, make_slice
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.servers.exhaustion import no_descriptors

pytestmark = [
    pytest.mark.kernel,
    # What the standard library and pyroute2 leave of a loop that has no descriptor to begin with.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
"""
STATE = ClusterState.of([make_service(), make_slice("web", "10.244.1.5")])


@pytest.fixture(autouse=True)
def node() -> Iterator[None]:
    with own_namespace():
        run("ip", "link", "set", "lo", "up")
        yield


def held() -> None:
    with lock("IPv4"):
        pass


def proxied() -> None:
    NodeProxy([full(compile_state(STATE, node_view(STATE, family="IPv4")))]).release()


WORK: dict[str, Callable[[Path], object]] = {
    "load": lambda folder: load([folder]),
    "host": lambda _: probe_host(THIS_MACHINE),
    "lock": lambda _: held(),
    "apply": lambda _: iptables.apply(
        rendered.full(compile_state(STATE, node_view(STATE, family="IPv4"))), variant="nft"
    ),
    "cleanup": lambda _: iptables.cleanup("IPv4", "nft"),
    "conntrack": lambda _: list(conntrack.observe("IPv4")),
    "socket": lambda folder: LocalSocket(folder / "socket", 1).listening.close(),
    "proxy": lambda _: proxied(),
}


@pytest.mark.parametrize("what", WORK)
def test_few_descriptors_are_an_error_that_says_so(tmp_path: Path, what: str) -> None:
    """Each piece of work is done or refused in svcnet's own words, whatever was the last it got."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/web.yaml").write_text(MANIFEST)
    (tmp_path / "other.yaml").write_text(MANIFEST.replace("web", "other").replace(".10", ".11"))
    work = WORK[what]
    work(tmp_path)  # what is loaded only when it is used
    refused = []
    for left in range(10):
        (tmp_path / "socket").unlink(missing_ok=True)
        try:
            with no_descriptors(left):
                work(tmp_path)
        except SvcnetError as error:
            refused.append(str(error))
    assert refused
    assert all("oo many open files" in told for told in refused)
    (tmp_path / "socket").unlink(missing_ok=True)
    work(tmp_path)
