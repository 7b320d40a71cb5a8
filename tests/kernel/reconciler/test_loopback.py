"""A neighbour never gets to services of this host's loopback, whatever svcnet does or did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from svcnet.executors import iptables
from svcnet.executors.iptables import Commands, apply, cleanup
from svcnet.reconciler.leftovers import remove_leftovers
from svcnet.renderers.iptables import full
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.keepers import executor_of
from tests.kernel.neighbours import SETTING, Neighbour, neighbour
from tests.kernel.reconciler.test_drift import MANIFEST, graph_of, rules
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

VARIANTS = pytest.mark.parametrize("variant", ["nft", "legacy"])
CHAIN = "KUBE-FIREWALL"
KUBELETS = f"""*filter
:{CHAIN} - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A {CHAIN} ! -s 127.0.0.0/8 -d 127.0.0.0/8 \
-m comment --comment "block incoming localnet connections" \
-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-I INPUT -j {CHAIN}
-I OUTPUT -j {CHAIN}
COMMIT
"""


@pytest.fixture
def other() -> Iterator[Neighbour]:
    with own_namespace(), neighbour() as made:
        yield made


def is_set() -> bool:
    return SETTING.read_text() == "1\n"


def serve(variant: iptables.Variant) -> None:
    apply(full(graph_of("IPv4")), variant=variant)
    assert is_set()


@VARIANTS
def test_apply_and_cleanup(other: Neighbour, variant: iptables.Variant) -> None:
    """The chain stays as long as the setting does, and says so; then both are gone."""
    serve(variant)
    assert not other.reaches_loopback()
    for _ in range(2):
        assert cleanup("IPv4", variant)[-1].startswith(f"iptables-{variant}: {CHAIN} and the jumps")
        assert is_set()
        assert not other.reaches_loopback()
    chains = [each for each in rules(variant, "IPv4")["filter"] if each.startswith("KUBE-")]
    assert chains == [CHAIN]
    SETTING.write_text("0")
    assert cleanup("IPv4") == (f"iptables-{variant}: 1 chain of table filter removed",)
    assert not other.reaches_loopback()


@VARIANTS
@pytest.mark.parametrize("name", ["default", "here"])
def test_the_setting_of_one_interface(
    other: Neighbour, variant: iptables.Variant, name: str
) -> None:
    """What one interface is set to, or those to come, counts as well."""
    serve(variant)
    SETTING.write_text("0")
    (SETTING.parent.parent / name / "route_localnet").write_text("1")
    cleanup("IPv4", variant)
    assert CHAIN in rules(variant, "IPv4")["filter"]
    assert not other.reaches_loopback()


@VARIANTS
def test_the_kubelets_chain(other: Neighbour, variant: iptables.Variant) -> None:
    """Where the kubelet is at home it keeps its chain, with the setting and without."""
    run(f"iptables-{variant}-restore", "--noflush", stdin=KUBELETS)
    before = rules(variant, "IPv4")["filter"]
    serve(variant)
    cleanup("IPv4", variant)
    assert rules(variant, "IPv4")["filter"] == before
    assert not other.reaches_loopback()
    SETTING.write_text("0")
    cleanup("IPv4", variant)
    assert rules(variant, "IPv4")["filter"] == before


@VARIANTS
@pytest.mark.parametrize("mode", ["iptables", "userspace"])
def test_the_end_of_a_run(
    other: Neighbour, variant: iptables.Variant, mode: str, tmp_path: Path
) -> None:
    """A run that removes its rules at its end, and one that takes over from iptables mode."""
    (tmp_path / "cluster.yaml").write_text(MANIFEST)
    options = ("--cleanup-on-exit",) if mode == "iptables" else ("--mode", mode, "--drain", "0")
    if mode == "userspace":
        serve(variant)
    with Told("run", tmp_path / "cluster.yaml", "--variant", variant, *options) as process:
        process.wait("synced" if mode == "iptables" else "was removed")
        assert is_set()
        assert not other.reaches_loopback()
    assert not other.reaches_loopback()
    assert "KUBE-SVC" not in str(rules(variant, "IPv4"))


@pytest.mark.parametrize(("old", "new"), [("nft", "legacy"), ("legacy", "nft")])
@pytest.mark.parametrize("jumps", [True, False])
def test_the_other_variant(
    other: Neighbour, old: iptables.Variant, new: iptables.Variant, jumps: bool
) -> None:
    """Of two chains one may go, but not for the sake of one that guards nothing."""
    serve(old)
    serve(new)
    if not jumps:
        run(f"iptables-{new}", "-D", "INPUT", "-j", CHAIN)
    remove_leftovers(executor_of("iptables", new), "IPv4")
    assert (CHAIN in str(rules(old, "IPv4"))) is not jumps
    assert not other.reaches_loopback()


class Killed(BaseException):
    """What a power failure looks like from inside."""


@VARIANTS
@pytest.mark.parametrize("verb", ["apply", "cleanup", "both"])
def test_killed_in_the_middle(
    other: Neighbour, variant: iptables.Variant, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no moment is the one half there without the other."""
    artifact = full(graph_of("IPv4"))
    restore = Commands.restore

    def work() -> None:
        if verb != "cleanup":
            apply(artifact, variant=variant)
        if verb != "apply":
            cleanup("IPv4", variant)

    for number in range(20):
        monkeypatch.undo()
        if verb == "cleanup":
            apply(artifact, variant=variant)
        left = iter(range(number))

        def dying(commands: Commands, text: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Killed
            restore(commands, text)
            assert not other.reaches_loopback()

        monkeypatch.setattr(Commands, "restore", dying)
        try:
            work()
        except Killed:
            assert not other.reaches_loopback()
        else:
            break
    assert 1 < number < 15
    assert not other.reaches_loopback()
