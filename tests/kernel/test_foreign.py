"""Beside rules of others, whatever they are: ours are made, kept and removed, theirs stay."""

from __future__ import annotations

import re
import subprocess

import pytest
from attrs import frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from svcnet.executors import iptables, userspace
from svcnet.executors.iptables import Commands, Variant
from svcnet.executors.iptables.loopback import ROUTE_LOCALNET
from svcnet.executors.iptables.observe import is_ours
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.executors.userspace.rules import OWNED
from svcnet.netfilter import Tables
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers import iptables as rules
from svcnet.renderers import userspace as portals
from svcnet.renderers.iptables import JUMPS
from tests.fuzz import examples
from tests.kernel.keepers import iptables_keeper
from tests.kernel.test_twice import VARIANTS, elsewhere
from tests.test_conformance import CASES, compile_case

pytestmark = pytest.mark.kernel

GRAPH = compile_case(CASES / "kitchen-sink", "IPv4")
LESS = compile_case(CASES / "clusterip-basic", "IPv4")
IMITATIONS = (
    b"\nCOMMIT\n*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n",
    b"\n-A KUBE-SERVICES -j ACCEPT\n#",
    b"\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n",
    b"\nCOMMIT\n# Completed on Sat\n",
    b'"\n-A INPUT -j KUBE-SERVICES',
    b" -j KUBE-SERVICES",
    b"caf\xe9",
    b'\\"',
    b"\x0c-A\x1d",
)
TEXTS = st.lists(st.sampled_from(IMITATIONS) | st.binary(max_size=30), max_size=3).map(
    lambda parts: b"".join(parts).replace(b"\0", b"")[:100]
)
PREFIXES = TEXTS.map(lambda text: text.replace(b"\n", b"")[:25])
NAMES = st.sampled_from(
    (
        b"KUBE-SVC-AAAAAAAAAAAAAAA",
        b"KUBE-SVC-AAAAAAAAAAAAAAAAA",
        b"KUBE-KUBELET-CANARY",
        b"KUBE-PORTALS",
        b"KUBE-SERVICES2",
        b"caf\xe9",
        b'q"uo',
        b"COMMIT",
        b"*nat",
        b":KUBE-SVC-AAAAAAAAAAAAAAAA",
    )
)
DEVICES = st.sampled_from((b"eth0", b'x"y', b'"x', b"a\\", b"x\ny", b"\xe9+"))


@st.composite
def matches(draw: st.DrawFn) -> list[bytes]:
    """The words of a rule, without its chain and target, as somebody types them."""
    words: list[bytes] = []
    if draw(st.booleans()):
        words += [b"-i", draw(DEVICES)]
    if draw(st.booleans()):
        words += [b"-p", b"tcp", b"-m", b"tcp", b"--dport", b"%d" % draw(st.integers(1, 65535))]
    if draw(st.booleans()):
        words += [
            b"-m",
            b"recent",
            b"--set",
            b"--name",
            draw(st.sampled_from((b"a b", b"a\nb", b"l"))),
        ]
    if draw(st.booleans()):
        words += [b"-m", b"string", b"--algo", b"bm", b"--string", draw(PREFIXES) or b"x"]
    if draw(st.booleans()):
        words += [b"-m", b"comment", b"--comment", draw(TEXTS)]
    return words


@st.composite
def foreign(draw: st.DrawFn) -> list[list[bytes]]:
    """The arguments of the commands by which somebody makes chains and rules."""
    commands = [[b"-t", b"filter", b"-A", b"INPUT"], [b"-t", b"nat", b"-A", b"OUTPUT"]]
    for table, built_in in ((b"filter", b"INPUT"), (b"nat", b"PREROUTING"), (b"mangle", b"INPUT")):
        names = draw(st.lists(NAMES, unique=True, max_size=2))
        commands += [[b"-t", table, b"-N", name] for name in names]
        for chain in (built_in, *names):
            for _ in range(draw(st.integers(1 if chain == built_in else 0, 2))):
                targets = [[b"-j", b"RETURN"], [b"-j", b"LOG", b"--log-prefix", draw(PREFIXES)]]
                if names and chain == built_in:
                    targets.append([b"-j", names[0]])
                target = draw(st.sampled_from(targets))
                commands.append([b"-t", table, b"-A", chain, *draw(matches()), *target])
    return commands


@frozen
class Machine:
    """The rules of this network namespace, in one variant of iptables."""

    variant: Variant

    def run(self, *arguments: bytes) -> None:
        """Do what somebody does with iptables; what it does not take is not done."""
        subprocess.run(
            [f"iptables-{self.variant}".encode(), *arguments], capture_output=True, check=False
        )

    def save(self) -> bytes:
        """Return what is there, but for times and counters, to the byte."""
        saved = subprocess.run([f"iptables-{self.variant}-save"], capture_output=True, check=True)
        text = re.sub(rb"(?m)^# (Generated|Completed|Warning).*$", b"", saved.stdout)
        return re.sub(rb"\[\d+:\d+\]$", b"", text, flags=re.MULTILINE)

    def clear(self) -> None:
        for table in (b"filter", b"nat", b"mangle"):
            for verb in (b"-F", b"-X"):
                self.run(b"-t", table, verb)

    def theirs(self) -> Tables:
        """Return what is there and not ours."""
        jumps = {save_rule(jump.rule, "IPv4") for jump in JUMPS}
        observed = Commands("IPv4", self.variant, THIS_MACHINE).observe()
        return {
            table: {
                chain: [rule for rule in found if rule not in jumps and not OWNED.jump(rule)]
                for chain, found in chains.items()
                if not is_ours(table, chain) and not OWNED.chain(table, chain)
            }
            for table, chains in observed.tables.items()
        }


def comment(text: bytes) -> list[list[bytes]]:
    """Return the commands that make rules with a comment, in each built-in chain of ours."""
    tail = [b"-m", b"comment", b"--comment", text, b"-j", b"RETURN"]
    return [[b"-t", table, b"-A", b"OUTPUT", *tail] for table in (b"filter", b"nat")]


def guard_apart(saved: bytes) -> bytes:
    """Leave out what keeps neighbours off 127.0.0.1 where the kubelet's chain says it is its."""
    if b":KUBE-KUBELET-CANARY " not in saved:
        return saved
    return b"\n".join(line for line in saved.split(b"\n") if b"KUBE-FIREWALL" not in line)


@pytest.mark.parametrize("variant", VARIANTS)
def test_foreign_rules_are_left_as_they_were(variant: Variant, xtables_lock: None) -> None:
    """By apply, by a loop that steps and looks, by a proxy's rules, and by cleanup."""
    machine = Machine(variant)

    @settings(max_examples=examples(8), suppress_health_check=list(HealthCheck))
    @given(foreign())
    @example(comment(b"caf\xe9"))
    @example(comment(b"x" + IMITATIONS[0]))
    @example(comment(b"x" + IMITATIONS[1]))
    @example(comment(b"x" + IMITATIONS[2]))
    @example([*comment(b"x"), [b"-t", b"nat", b"-N", b"caf\xe9"]])
    def beside(commands: list[list[bytes]]) -> None:
        machine.clear()
        for command in commands:
            machine.run(*command)
        before, theirs = machine.save(), machine.theirs()
        iptables.apply(rules.full(GRAPH), variant=variant)
        assert machine.theirs() == theirs
        target = iptables_keeper("IPv4", variant)
        assert target.whole(GRAPH).kind == "none"
        assert target.step(LESS, None).kind == "delta"
        assert target.look(LESS).kind == "none"
        assert machine.theirs() == theirs
        # As long as it is on, what keeps neighbours off 127.0.0.1 stays.
        ROUTE_LOCALNET.write_text("0")
        iptables.cleanup("IPv4", variant)
        assert guard_apart(machine.save()) == before
        proxied = portals.full(GRAPH)
        proxied = proxied.with_ports(
            dict(zip(sorted(proxied.ports), range(40000, 50000), strict=False))
        )
        userspace.install(portals.portal_rules(proxied), variant=variant)
        assert machine.theirs() == theirs
        assert userspace.install(portals.portal_rules(proxied), variant=variant).transactions == ()
        userspace.remove("IPv4", variant)
        assert guard_apart(machine.save()) == before

    elsewhere(beside)


@pytest.mark.parametrize("variant", VARIANTS)
def test_foreign_rules_in_our_chains_go(variant: Variant, xtables_lock: None) -> None:
    """Whatever somebody puts into a chain of ours, the next apply puts the chain right."""
    machine = Machine(variant)

    @settings(max_examples=examples(8), suppress_health_check=list(HealthCheck))
    @given(st.lists(matches(), min_size=1, max_size=3), st.booleans())
    @example([[b"-m", b"comment", b"--comment", b"x\n-A KUBE-SERVICES -j ACCEPT"]], True)
    @example([[b"-o", b'x"y']], False)
    def meddled(words: list[list[bytes]], first: bool) -> None:
        iptables.apply(rules.full(GRAPH), variant=variant)
        before = sorted(machine.save().splitlines())
        for each in words:
            for table, chain in (
                (b"nat", b"KUBE-SERVICES"),
                (b"nat", b"KUBE-POSTROUTING"),
                (b"filter", b"KUBE-NODEPORTS"),
            ):
                machine.run(b"-t", table, b"-I" if first else b"-A", chain, *each, b"-j", b"RETURN")
        iptables.apply(rules.full(GRAPH), variant=variant)
        assert sorted(machine.save().splitlines()) == before
        assert iptables.apply(rules.full(GRAPH), variant=variant).plan.transactions == ()

    elsewhere(meddled)
