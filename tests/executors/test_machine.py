"""What each verb of a machine promises, of the fake one and of this one alike."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from errno import ENOENT
from pathlib import Path
from threading import Event

import pytest

from svcnet.executors import conntrack
from svcnet.executors.commits import generation
from svcnet.executors.iptables import Commands
from svcnet.executors.iptables.entries import count, digest
from svcnet.executors.lock import Busy
from svcnet.executors.machine import Machine, Netlink
from svcnet.executors.netlink import ask
from svcnet.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSGHDR, attribute
from svcnet.renderers.conntrack import Deletion, DeletionPlan, Flow
from svcnet.renderers.conntrack.flows import FlowFilter
from tests.executors.machines import machine

__all__ = ["machine"]

RULE = "*filter\n-A INPUT -s 192.0.2.1/32 -j DROP\nCOMMIT\n"
LOCALNET = Path("/proc/sys/net/ipv4/conf/all/route_localnet")
NETFILTER, GETGEN = 12, 10 << 8 | 16
ADD_MEMBERSHIP, NFTABLES = 1, 7
GENERATION = NLMSGHDR.pack(20, GETGEN, NLM_F_REQUEST | NLM_F_ACK, 7, 0) + bytes(4)


def finds(machine: Machine) -> None:
    """A program has a path; there is none of another."""
    found = machine.find("iptables-nft-save")
    assert found is not None
    assert Path(found).is_absolute()
    assert machine.find("no-such-program") is None


def runs(machine: Machine) -> None:
    """A program is given its options and its input, and ends with a code and with words."""
    restore, save = (machine.find(f"iptables-nft-{verb}") for verb in ("restore", "save"))
    assert restore is not None
    assert save is not None
    done = machine.run(restore, "--noflush", stdin=RULE)
    assert (done.code, done.text) == (0, "")
    assert "\n-A INPUT -s 192.0.2.1/32 -j DROP\n" in machine.run(save, "-t", "filter").text
    for text in ("*filter\n-X NONE\nCOMMIT\n", "*filter\n-A NONE -j DROP\nCOMMIT\n"):
        refused = machine.run(restore, "--noflush", stdin=text)
        assert refused.code > 0
        assert "line" in str(refused)
    assert machine.run(save, "-t", "filter").text.count("DROP") == 1


def restores(machine: Machine) -> None:
    """A transaction takes effect as a whole; what came before a refused one stays."""
    commands = [Commands("IPv4", variant, machine) for variant in ("nft", "legacy")]
    for each in commands:
        each.restore(":A - [0:0]\n-A A -j RETURN\n".join(("*filter\n", "COMMIT\n")))
        with pytest.raises(Exception, match="line"):
            each.restore("*filter\n-A A -j DROP\n-A A -j NONE\nCOMMIT\n")
        assert each.observe().chains("filter")["A"] == ["-j RETURN"]
        with pytest.raises(Exception, match="line"):
            each.restore("*filter\n-X A\nCOMMIT\n")
        each.restore("*filter\n:A - [0:0]\n-I INPUT -j A\nCOMMIT\n")
        with pytest.raises(Exception, match="line"):
            each.restore("*filter\n-X A\nCOMMIT\n")
        each.restore("*filter\n-D INPUT -j A\n-X A\nCOMMIT\n")
        assert "A" not in each.observe().chains("filter")


def opens(machine: Machine) -> None:
    """The kernel counts what nf_tables commits, and refuses a question about nothing."""
    restores(machine)
    before = generation(machine)
    Commands("IPv6", "nft", machine).restore(RULE.replace("192.0.2.1/32", "2001:db8::1/128"))
    assert generation(machine) > before
    nowhere = bytes((2, 0, 0, 0)) + attribute(1, b"filter\0") + attribute(3, b"NONE\0")
    with pytest.raises(OSError, match="No such file") as caught:
        list(ask(NETFILTER, 10 << 8 | 4, nowhere, machine=machine))
    assert caught.value.errno == ENOENT


def answers(machine: Machine) -> None:
    """Answers come in their order, and what is there already is waited for by nobody."""
    with machine.netlink(NETFILTER) as opened:
        opened.enable(12)
        assert list(opened.pending()) == []
        opened.allow(1 << 18)
        opened.send(GENERATION)
        assert opened.receive()[4:6] == (10 << 8 | 15).to_bytes(2, "little")
        assert [each[4] for each in opened.pending()] in ([2], [])
        opened.send(GENERATION)
        assert list(opened.pending())
        assert list(opened.pending()) == []


def listens(machine: Machine) -> None:
    """Who joins a group of the kernel's is told what happens from then on."""
    with machine.netlink(NETFILTER) as opened:
        opened.hold(1 << 20)
        opened.enable(ADD_MEMBERSHIP, NFTABLES)
        assert list(opened.pending()) == []
        Commands("IPv4", "nft", machine).restore(RULE)
        told = b"".join(opened.pending())
        assert b"filter\0" in told
        assert (10 << 8 | 15).to_bytes(2, "little") in told


def forgets(machine: Machine) -> None:
    """Of entries of connection tracking that are not there none is listed, or deleted."""
    assert list(conntrack.observe("IPv4", machine=machine)) == []
    flow = Flow("10.0.0.9", 40000, "10.96.0.10", 53, "10.244.1.5", 53, "10.0.0.9", 40000, id=7)
    target = FlowFilter("10.96.0.10", 53, "10.244.1.5", 53)
    report = conntrack.delete(DeletionPlan((Deletion(target, "old", (flow,)),)), machine=machine)
    assert (report.deleted, report.gone) == (0, 1)


def digests(machine: Machine) -> None:
    """A table of iptables-legacy has a rule more, and another digest, when one is written."""
    before = count(machine, "IPv4", "filter"), digest(machine, "IPv4", "filter")
    assert digest(machine, "IPv4", "filter") == before[1]
    Commands("IPv4", "legacy", machine).restore(RULE)
    after = count(machine, "IPv4", "filter"), digest(machine, "IPv4", "filter")
    assert after[0] == before[0] + 1
    assert after[1] != before[1]
    assert digest(machine, "IPv4", "none") == b""


def reads(machine: Machine) -> None:
    """A setting is text with a newline; what is not there is an OSError with its errno."""
    assert machine.read(LOCALNET) == "0\n"
    with pytest.raises(FileNotFoundError):
        machine.read(LOCALNET.with_name("no_such_setting"))
    assert "CapEff:" in machine.read(Path("/proc/thread-self/status"))
    Commands("IPv4", "legacy", machine).restore(RULE)
    assert machine.read(Path("/proc/thread-self/net/ip_tables_names")) == "filter\n"


def writes(machine: Machine) -> None:
    """What is written is read again; what is not there is not made."""
    machine.write(LOCALNET, "1")
    assert machine.read(LOCALNET) == "1\n"
    with pytest.raises(OSError, match="no_such_setting"):
        machine.write(LOCALNET.with_name("no_such_setting"), "1")


def lists(machine: Machine) -> None:
    """A folder has a name for each interface, and two more."""
    assert {"all", "default", "lo"} <= set(machine.names(LOCALNET.parents[1]))
    with pytest.raises(FileNotFoundError):
        machine.names(Path("/proc/sys/no/such/folder"))


def locks(machine: Machine) -> None:
    """Inside of it is it again; another thread has to wait, and gets it afterwards."""
    waits, over = Event(), Event()

    def later() -> None:
        waits.set()
        with machine.lock("IPv4", wait=True):
            over.set()

    def at_once() -> None:
        with machine.lock("IPv4"):
            pass

    with ThreadPoolExecutor(1) as pool:
        with machine.lock("IPv4"), machine.lock("IPv4"), machine.lock("IPv6"):
            with pytest.raises(Busy):
                pool.submit(at_once).result()
            waiting = pool.submit(later)
            waits.wait()
            assert not over.is_set()
        waiting.result()
    assert over.is_set()
    at_once()


def locks_all(machine: Machine) -> None:
    """Several families are locked, or none is."""

    def both() -> None:
        with machine.locks(["IPv6", "IPv4"]):
            pass

    with ThreadPoolExecutor(1) as pool:
        with machine.lock("IPv6"), pytest.raises(Busy):
            pool.submit(both).result()
        with machine.locks(["IPv4"]), pytest.raises(Busy):
            pool.submit(both).result()
        pool.submit(both).result()


def sees_locks(machine: Machine) -> None:
    """A family that somebody has locked is not free, and another one and later on it is."""
    assert machine.is_free("IPv4")
    with machine.lock("IPv4"):
        assert not machine.is_free("IPv4")
        assert machine.is_free("IPv6")
    assert machine.is_free("IPv4")


def tries(machine: Machine) -> None:
    """What is done in a namespace of its own gives its value, or its error, and leaves nothing."""
    commands = Commands("IPv4", "nft", machine)

    def work() -> int:
        commands.restore(RULE)
        return len(commands.observe().chains("filter")["INPUT"])

    assert machine.in_own_namespace(work) == 1
    assert commands.observe().chains("filter").get("INPUT", []) == []
    with pytest.raises(ZeroDivisionError):
        machine.in_own_namespace(lambda: 1 // 0)


CONTRACT: dict[str, tuple[Callable[[Machine], None], ...]] = {
    "find": (finds,),
    "run": (runs, restores),
    "netlink": (opens,),
    "enable": (answers, listens),
    "hold": (listens,),
    "allow": (answers,),
    "send": (answers, forgets),
    "receive": (answers,),
    "pending": (answers, forgets),
    "close": (answers,),
    "socket_option": (digests,),
    "read": (reads,),
    "write": (writes,),
    "names": (lists,),
    "lock": (locks,),
    "locks": (locks_all,),
    "is_free": (sees_locks,),
    "in_own_namespace": (tries,),
}
"""What is tried of each verb."""


def test_each_verb_is_tried() -> None:
    """A verb that a machine, or its netlink, gets needs something that tries it on both."""
    verbs = {
        name
        for interface in (Machine, Netlink)
        for name, member in vars(interface).items()
        if callable(member) and not name.startswith("_")
    }
    assert set(CONTRACT) == verbs


TRIALS = {trial.__name__: trial for trials in CONTRACT.values() for trial in trials}


@pytest.mark.parametrize("trial", list(TRIALS.values()), ids=list(TRIALS))
def test_a_machine_keeps_what_it_promises(
    machine: Machine, trial: Callable[[Machine], None]
) -> None:
    """The fake machine and this one do the same."""
    trial(machine)
