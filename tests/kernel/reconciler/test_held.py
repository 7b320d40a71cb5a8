"""Chains of ours that other people's rules lead to: they cannot go, and hold nothing else up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from attrs import evolve

from svcnet.errors import ApplyError
from svcnet.executors import iptables
from svcnet.executors.iptables import Commands, apply, cleanup
from svcnet.reconciler.leftovers import remove_leftovers
from svcnet.renderers.iptables import full
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.keepers import executor_of, iptables_keeper
from tests.kernel.reconciler.test_drift import MANIFEST, graph_of, rules

pytestmark = pytest.mark.kernel

VARIANTS = pytest.mark.parametrize("variant", ["nft", "legacy"])
OLD = "KUBE-SEP-AAAAAAAAAAAAAAAA"
STALE = f"*nat\n:{OLD} - [0:0]\n-A {OLD} -j RETURN\nCOMMIT\n"
COMMENT = "-j X\nCOMMIT\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\x1b[2J"

# Who leads to the chain that is in place of CHAIN, as arguments of iptables.
HOLDERS: dict[str, Sequence[Sequence[str]]] = {
    "an old kube-proxy's chain": [
        ["-N", "KUBE-XLB-AAAAAAAAAAAAAAAA"],
        ["-A", "KUBE-XLB-AAAAAAAAAAAAAAAA", "-j", "CHAIN"],
    ],
    "a built-in chain": [["-A", "PREROUTING", "-p", "tcp", "-j", "CHAIN"]],
    "a rule that says much": [
        ["-A", "OUTPUT", "-m", "comment", "--comment", COMMENT, "-g", "CHAIN"]
    ],
}
HELD = pytest.mark.parametrize("name", HOLDERS)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_namespace():
        yield


def hold(variant: str, name: str, chain: str) -> None:
    for arguments in HOLDERS[name]:
        run(f"iptables-{variant}", "-t", "nat", *(chain if a == "CHAIN" else a for a in arguments))


def holders(variant: str, chain: str) -> list[str]:
    """Return what iptables-save prints of rules of others that lead to a chain."""
    lines = run(f"iptables-{variant}-save", "-t", "nat").splitlines()
    return [
        line
        for line in lines
        if line.endswith(chain) and not line.startswith((f":{chain}", "-A KUBE-SVC-"))
    ]


def serving(variant: str, endpoint: str) -> list[str]:
    """Return the chains that lead to an endpoint."""
    nat = rules(variant, "IPv4")["nat"]
    return [chain for chain, own in nat.items() if f"--to-destination {endpoint}:" in " ".join(own)]


def add(variant: str, text: str) -> None:
    run(f"iptables-{variant}-restore", "--noflush", stdin=text)


@VARIANTS
@HELD
def test_apply(variant: iptables.Variant, name: str) -> None:
    """All rules are there; the chain is left, empty, and one warning says what holds it."""
    add(variant, STALE)
    hold(variant, name, OLD)
    report = apply(full(graph_of("IPv4")), variant=variant)
    [warning] = [text for text in report.warnings if "left empty" in text]
    assert warning.endswith(" [S915 machine-state]")
    assert OLD in warning
    assert warning.isprintable()
    nat = rules(variant, "IPv4")["nat"]
    assert nat[OLD] == []
    assert any(chain.startswith("KUBE-SVC-") for chain in nat)
    again = apply(full(graph_of("IPv4")), variant=variant)
    assert again.plan.kind == "none"
    assert warning in again.warnings


@VARIANTS
@HELD
@pytest.mark.parametrize("way", ["step", "look"])
def test_following(variant: iptables.Variant, name: str, way: str) -> None:
    """A Service whose chain is held can go: the loop follows that, and what comes after."""
    before, after = graph_of("IPv4"), graph_of("IPv4", MANIFEST.replace("1.6", "1.7"))
    target = iptables_keeper("IPv4", variant)
    target.whole(before)
    [held] = serving(variant, "10.244.1.6")
    hold(variant, name, held)
    others = holders(variant, held)
    done = target.step(after, None) if way == "step" else target.look(after)
    assert any("left empty" in warning and held in warning for warning in done.warnings)
    assert rules(variant, "IPv4")["nat"][held] == []
    assert serving(variant, "10.244.1.7")
    for _ in range(3):
        assert target.look(after).kind == "none"
    assert target.step(before, None).kind == "delta"
    assert serving(variant, "10.244.1.6") == [held]
    assert holders(variant, held) == others != []


@VARIANTS
@HELD
def test_cleanup(variant: iptables.Variant, name: str) -> None:
    """All else goes; what is held is emptied and told of, each time."""
    apply(full(graph_of("IPv4")), variant=variant)
    hold(variant, name, "KUBE-MARK-MASQ")
    for _ in range(2):
        lines = cleanup("IPv4", variant)
        [told] = [line for line in lines if "left empty" in line]
        assert "KUBE-MARK-MASQ of table nat" in told
        nat = rules(variant, "IPv4")["nat"]
        assert [chain for chain in nat if chain[:8] in ("KUBE-SVC", "KUBE-SEP", "KUBE-SER")] == []
        assert nat["KUBE-MARK-MASQ"] == []


@VARIANTS
@HELD
def test_leftovers(variant: iptables.Variant, name: str) -> None:
    """What another mode left goes, but for what is held, and the next time it is done."""
    apply(full(graph_of("IPv4")), variant=variant)
    hold(variant, name, "KUBE-NODEPORTS")
    lines = remove_leftovers(executor_of("userspace", variant), "IPv4")
    assert any("left empty" in line and "KUBE-NODEPORTS" in line for line in lines)
    assert "KUBE-SERVICES" not in rules(variant, "IPv4")["nat"]


def test_a_rule_that_iptables_does_not_show() -> None:
    """nft has rules that lead to a chain and that no iptables-save prints."""
    run("iptables-nft", "-t", "nat", "-A", "OUTPUT", "-j", "RETURN")
    add("nft", STALE)
    run("nft", "insert rule ip nat OUTPUT meta mark vmap { 7 : jump " + OLD + " }")
    graph = graph_of("IPv4")
    target = iptables_keeper("IPv4", "nft")
    done = target.whole(graph)
    assert any(OLD in warning for warning in done.warnings)
    assert any(chain.startswith("KUBE-SVC-") for chain in rules("nft", "IPv4")["nat"])
    for _ in range(3):
        done = target.look(graph)
        assert (done.kind, dict(done.differed)) == ("none", {})
    assert "vmap" in run("nft", "list", "chain", "ip", "nat", "OUTPUT")


def beside(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None], number: int) -> None:
    """Have somebody do something right before svcnet's restore of this number."""
    restore, count = Commands.restore, iter(range(1000))

    def restored(commands: Commands, text: str) -> None:
        if next(count) == number:
            do()
        restore(commands, text)

    monkeypatch.setattr(Commands, "restore", restored)


@VARIANTS
@pytest.mark.parametrize("what", ["hold", "flush", "hold flush"])
def test_somebody_is_quicker(
    variant: iptables.Variant, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes to be held, or is gone, between look and write stops nothing either."""
    apply(full(graph_of("IPv4")), variant=variant)
    after = graph_of("IPv4", MANIFEST.replace("1.6", "1.7").replace("30080", "30081"))
    [held] = serving(variant, "10.244.1.6")

    def interfere() -> None:
        if "hold" in what:
            hold(variant, "a built-in chain", held)
        if "flush" in what:
            run(f"iptables-{variant}", "-t", "nat", "-F", "KUBE-NODEPORTS")

    beside(monkeypatch, interfere, 0)
    report = apply(full(after), variant=variant)
    assert any(held in warning for warning in report.warnings) is ("hold" in what)
    found = rules(variant, "IPv4")
    assert found["nat"].pop(held, []) == []
    if "hold" in what:
        assert found["nat"]["PREROUTING"].pop() == f"-p tcp -j {held}"
    with own_namespace():
        apply(full(after), variant=variant)
        wanted = rules(variant, "IPv4")
    assert found == wanted


@VARIANTS
def test_refused_and_taken_back(variant: iptables.Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal half-way what svcnet wrote is gone, and what others wrote is there."""
    apply(full(graph_of("IPv4")), variant=variant)
    before = rules(variant, "IPv4")

    def interfere() -> None:
        run(f"iptables-{variant}", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
        run(f"iptables-{variant}", "-N", "DOCKER")
        run(f"iptables-{variant}", "-A", "DOCKER", "-j", "RETURN")
        run(f"iptables-{variant}", "-t", "nat", "-A", "KUBE-SERVICES", "-j", "RETURN")

    text = MANIFEST.replace("1.6", "1.7").replace("clusterIP: 10.96.0.11", "clusterIP: 10.96.0.12")
    wanted = full(graph_of("IPv4", text))
    blocks = {
        name: evolve(block, own=block.own.replace("10.244.1.7:8080", "10.244.1.7:no-port"))
        for name, block in wanted.blocks.items()
    }
    # The first transaction, of the filter table, is taken.
    beside(monkeypatch, interfere, 1)
    with pytest.raises(ApplyError, match="what was there before is still there"):
        apply(evolve(wanted, blocks=blocks), variant=variant)
    found = rules(variant, "IPv4")
    assert found["filter"].pop("DOCKER") == ["-j RETURN"]
    found["filter"]["INPUT"].remove("-p tcp -m tcp --dport 22 -j ACCEPT")
    found["nat"]["KUBE-SERVICES"].remove("-j RETURN")
    assert found == before
