"""The kernel has the same of our messages as of nft's."""

from __future__ import annotations

from collections.abc import Iterator
from errno import ENOENT

import pytest

from svcnet.executors.netlink import ask
from svcnet.executors.nftables.netlink import NFTSocket, OvertakenBatch, RefusedBatch
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter.nft import NFTTable, wire
from svcnet.netfilter.nft.wire import uapi
from svcnet.netlink import NFGENMSG, NFNL_SUBSYS_NFTABLES, attributes, each_attribute
from tests.kernel.test_nftables import load
from tests.kernel.test_twice import elsewhere
from tests.netfilter.nft_messages import TABLES, captured, form_of, frame, messages_of

pytestmark = pytest.mark.kernel

NETLINK_NETFILTER = 12
_IS_SAID = (uapi.NFTA_RULE_CHAIN, uapi.NFTA_RULE_EXPRESSIONS, uapi.NFTA_RULE_USERDATA)
"""What a rule says; its handle, and those of its neighbours, are the kernel's."""


def dump(table: NFTTable, kind: int, more: bytes = b"") -> Iterator[bytes]:
    kind |= NFNL_SUBSYS_NFTABLES << 8
    body = wire.head(*table) + more
    yield from ask(NETLINK_NETFILTER, kind, body, dump=True, machine=THIS_MACHINE)


def everything(table: NFTTable) -> tuple[object, ...]:
    """Return the chains, the rules in their order, and each set with its elements, as bytes."""
    chains = [wire.read_chain(each).name for each in dump(table, uapi.NFT_MSG_GETCHAIN)]
    rules = []
    for each in dump(table, uapi.NFT_MSG_GETRULE):
        told = attributes(each, NFGENMSG.size)
        rules.append([told.get(kind) for kind in _IS_SAID])
    kept = {}
    for each in dump(table, uapi.NFT_MSG_GETSET):
        told = attributes(each, NFGENMSG.size)
        name = told[uapi.NFTA_SET_NAME].rstrip(b"\0").decode()
        found = []
        for one in dump(table, uapi.NFT_MSG_GETSETELEM, wire.of_set(name)):
            listed = attributes(one, NFGENMSG.size).get(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, b"")
            found += [element for _, element in each_attribute(listed)]
        del told[uapi.NFTA_SET_HANDLE]
        kept[name] = told, sorted(found)
    return sorted(chains), rules, kept


def send(made: list[wire.NFTMessage]) -> None:
    """Have the kernel carry out a batch of ours, which it says it did."""
    opened = NFTSocket(THIS_MACHINE)
    opened.commit(made, opened.generation())


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
                load(f"add table {table}\ndelete table {table}\n{frame(table)}")
                for part in parts:
                    if is_ours:
                        send([each for n, line in enumerate(part) for each in messages_of(line, n)])
                    else:
                        load("\n".join(part))
                    found.append(everything(table))
            assert found[0] == found[2]
            assert found[1] == found[3]
            assert found[0] != found[1]

    elsewhere(work)


def test_a_socket() -> None:
    """Of a batch all is done or nothing, the refused element is named, and no two write at once."""

    def work() -> None:
        [table, _] = TABLES
        load(frame(table))
        opened, other = NFTSocket(THIS_MACHINE), NFTSocket(THIS_MACHINE)
        before = opened.generation()
        form = form_of("cluster-ips", "ip")
        packed = [form.pack_key(f"10.96.{n >> 8}.{n & 255}") for n in range(1024)]
        made = [wire.new_elements(table, "cluster-ips", each) for each in wire.divide(packed)]
        opened.commit(made, before)
        with pytest.raises(OvertakenBatch):
            other.commit([wire.new_chain(table, "mine")], before)
        assert other.generation() == before + 1
        gone = form.pack_key("10.97.0.0")
        message = wire.delete_elements(table, "cluster-ips", b"".join([*packed[:7], gone]))
        with pytest.raises(RefusedBatch) as problem:
            other.commit([wire.new_chain(table, "mine"), message], before + 1)
        refusal = problem.value.refusal
        assert (refusal.number, refusal.errno) == (2, ENOENT)
        assert refusal.offset is not None
        assert refusal.offset - message.elements == 7 * len(gone)
        with pytest.raises(RefusedBatch, match="Too many open files"):
            opened.commit([wire.new_elements(table, "cluster-ips", form.pack_key("10.98.0.0"))])
        large = [wire.new_chain(table, f"{'c' * 200}{n}") for n in range(20_000)]
        opened.commit(large, before + 1)
        assert opened.generation() == before + 2

    elsewhere(work)
