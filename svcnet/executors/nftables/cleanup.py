"""Removing the table of mode nftables, and nothing else."""

from __future__ import annotations

from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask
from svcnet.executors.nftables.commands import NFT, NFTError
from svcnet.executors.nftables.tables import family_of
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter.nft import NFTTable
from svcnet.netfilter.nft.wire import head, uapi
from svcnet.netlink import NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES


def is_there(table: NFTTable, *, machine: Machine = THIS_MACHINE) -> bool:
    """Return whether the kernel has a table; nft need not be installed for that.

    A kernel that cannot have one, or does not say, has none.
    """
    kind = NFNL_SUBSYS_NFTABLES << 8 | uapi.NFT_MSG_GETTABLE
    try:
        return any(True for _ in ask(NETLINK_NETFILTER, kind, head(*table), machine=machine))
    except OSError:
        return False


def remains(table: NFTTable, *, machine: Machine = THIS_MACHINE) -> tuple[str, ...]:
    """Return a line if :func:`cleanup` would remove a table."""
    return (f"nftables: table {table}",) if is_there(table, machine=machine) else ()


def cleanup(table: NFTTable, *, machine: Machine = THIS_MACHINE) -> tuple[str, ...]:
    """Remove a table, with all that is in it; return a line if it was there.

    kube-proxy's has the same name: do not run this beside one. Raises ApplyError when the machine
    refuses, :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with machine.lock(family_of(table)):
        if not is_there(table, machine=machine):
            return ()
        try:
            NFT(machine).load(f"delete table {table}\n")
        except NFTError as error:
            if not is_there(table, machine=machine):
                return ()
            raise ApplyError(str(error)) from None
    return (f"nftables: table {table} removed",)
