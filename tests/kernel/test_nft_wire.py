"""The kernel has the same of our messages as of nft's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from svcnet.executors.netlink import ask
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter.nft import NFTTable, wire
from svcnet.netfilter.nft.wire import uapi
from svcnet.netlink import NLMSG_ERROR, NLMSGERR, attributes, each_attribute, messages
from tests.kernel.test_twice import elsewhere
from tests.netfilter.nft_messages import TABLES, captured, frame, message_of, sets

pytestmark = pytest.mark.kernel

NETLINK_NETFILTER = 12
_IS_SAID = (uapi.NFTA_RULE_CHAIN, uapi.NFTA_RULE_EXPRESSIONS, uapi.NFTA_RULE_USERDATA)
"""What a rule says; its handle, and those of its neighbours, are the kernel's."""


def nft(script: str) -> None:
    command = ("nft", "-f", "-")
    done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def dump(table: NFTTable, kind: int, more: bytes = b"") -> Iterator[bytes]:
    kind |= uapi.NFNL_SUBSYS_NFTABLES << 8
    body = wire.head(*table) + more
    yield from ask(NETLINK_NETFILTER, kind, body, dump=True, machine=THIS_MACHINE)


def everything(table: NFTTable) -> tuple[object, ...]:
    """Return the chains, the rules in their order, and the elements of each set, as bytes."""
    chains = [wire.read_chain(each).name for each in dump(table, uapi.NFT_MSG_GETCHAIN)]
    rules = []
    for each in dump(table, uapi.NFT_MSG_GETRULE):
        told = attributes(each, uapi.NFGENMSG.size)
        rules.append([told.get(kind) for kind in _IS_SAID])
    elements = {}
    for name in sets(table.family):
        found = []
        for each in dump(table, uapi.NFT_MSG_GETSETELEM, wire.of_set(name)):
            listed = attributes(each, uapi.NFGENMSG.size)[uapi.NFTA_SET_ELEM_LIST_ELEMENTS]
            found += [element for _, element in each_attribute(listed)]
        elements[name] = sorted(found)
    return sorted(chains), rules, elements


def send(made: list[wire.NFTMessage]) -> None:
    """Have the kernel carry out a batch of ours, which it says it did."""
    with THIS_MACHINE.netlink(NETLINK_NETFILTER) as opened:
        opened.send(wire.batch(made))
        answers = [each for datagram in opened.pending() for each in messages(datagram)]
    [(kind, _, number, body)] = answers
    assert (kind, number, NLMSGERR.unpack_from(body)) == (NLMSG_ERROR, len(made), (0,))


def test_the_kernel_has_the_same() -> None:
    """Of each kind of object, in both families: made, and then in part deleted."""

    def work() -> None:
        for table in TABLES:
            lines = [each.line for each in captured() if f" {table} " in each.line]
            parts = [
                [each for each in lines if each.startswith("add ")],
                [each for each in lines if not each.startswith("add ")][::2],
            ]
            found = []
            for is_ours in (False, True):
                nft(f"add table {table}\ndelete table {table}\n{frame(table)}")
                for part in parts:
                    if is_ours:
                        send(list(map(message_of, part)))
                    else:
                        nft("\n".join(part))
                    found.append(everything(table))
            assert found[0] == found[2]
            assert found[1] == found[3]
            assert found[0] != found[1]

    elsewhere(work)
