"""svcnet with CAP_NET_ADMIN and CAP_NET_RAW alone: it applies, follows, repairs and removes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.reconciler.test_keep import MANIFEST, Kept, eventually, rules, until
from tests.kernel.security.least import NOBODY, limited
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

USERS = pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "nobody"])
ROUTE_LOCALNET = "net.ipv4.conf.all.route_localnet"
EXPOSED = MANIFEST.replace("spec: {clusterIP", "spec: {type: NodePort, clusterIP")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that anybody may read, in a network namespace of its own."""
    tmp_path.chmod(0o755)
    (tmp_path / "cluster.yaml").write_text(EXPOSED)
    with own_namespace():
        yield tmp_path


def refusal(*arguments: object, wrap: tuple[str, ...]) -> str:
    """Return what svcnet says when it is refused, in one call that fails."""
    command = [*wrap, sys.executable, "-m", "svcnet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("verb", [("apply", "--mode", "nftables", "cluster.yaml"), ("cleanup",)])
def test_root_of_another_user_namespace(folder: Path, verb: tuple[str, ...]) -> None:
    """As in a container of a user's own in the host's network: what it takes is told, at once."""
    words = [folder / each if each == "cluster.yaml" else each for each in verb]
    told = refusal(*words, wrap=("timeout", "5", "unshare", "--user", "--map-root-user"))
    assert "CAP_NET_ADMIN in the user namespace that this network namespace is of" in told
    assert "not-permitted" in told


@USERS
@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules(folder: Path, user: int, variant: str) -> None:
    """Rules of both variants follow, are repaired and go; the lock may be read by its group."""
    options = ("--variant", variant, "--cleanup-on-exit")
    with Kept(folder, *options, wrap=limited(user, folder, lock=0o640)) as process:
        eventually("to-destination 10.244.1.5:8080", variant)
        until(lambda: run("sysctl", "-n", ROUTE_LOCALNET) == "1\n")
        process.manifest.write_text(EXPOSED.replace("10.244.1.5", "10.244.1.6"))
        eventually("to-destination 10.244.1.6:8080", variant)
        run(f"iptables-{variant}", "-t", "nat", "-F")
        eventually("to-destination 10.244.1.6:8080", variant)
    assert "KUBE" not in rules(variant)


@USERS
def test_a_proxy(folder: Path, user: int) -> None:
    """Userspace mode redirects and follows; its rules go when it ends."""
    options = ("run", "--mode", "userspace", "--variant", "nft", "--drain", "0")
    process = Told(*options, folder / "cluster.yaml", wrap=limited(user, folder))
    eventually("-d 10.96.0.10/32")
    (folder / "cluster.yaml").write_text(EXPOSED.replace("10.96.0.10", "10.96.0.11"))
    process.process.send_signal(signal.SIGHUP)
    eventually("-d 10.96.0.11/32")
    process.end()
    assert "KUBE" not in rules()


def test_the_variant_that_nobody_may_see(folder: Path) -> None:
    """Without root it is told that rules of the legacy variant may be there too."""
    with Kept(folder, wrap=limited(NOBODY, folder)) as process:
        process.wait("whether iptables-legacy holds chains of Kubernetes too is for root only")
        eventually("to-destination 10.244.1.5:8080")


def test_a_lock_that_nobody_may_read(folder: Path) -> None:
    """The legacy variant locks a file: one for root alone is named."""
    manifest = folder / "cluster.yaml"
    wrap = limited(NOBODY, folder, lock=0o600)
    said = refusal("apply", manifest, "--variant", "legacy", wrap=wrap)
    assert "/run/xtables.lock: Permission denied: a user who is not root needs leave" in said
    assert "KUBE" not in rules("legacy")


@USERS
@pytest.mark.parametrize(
    ("left", "variant", "missing"),
    [
        ("net_raw", "nft", "CAP_NET_ADMIN"),
        ("net_raw", "legacy", "CAP_NET_ADMIN"),
        ("net_admin", "legacy", "CAP_NET_RAW"),
    ],
)
def test_one_is_not_enough(folder: Path, user: int, left: str, variant: str, missing: str) -> None:
    """Without one of the two capabilities the error says which, to root as well."""
    wrap = limited(user, folder, lock=0o640, capabilities=(left,))
    said = refusal("apply", folder / "cluster.yaml", "--variant", variant, wrap=wrap)
    assert f"{missing}, which this process lacks" in said
