"""Putting the table of mode nftables on this machine, through nft.

There is no state file: what the table is to be is loaded over what it is, in transactions of
which each leaves served what is served.
"""

from svcnet.executors.nftables.apply import (
    NFTablesReport,
    apply,
    carry_out,
    observe,
    remove,
)
from svcnet.executors.nftables.cleanup import cleanup, is_there, remains
from svcnet.executors.nftables.dump import dump
from svcnet.executors.nftables.plan import NFTablesPlan
from svcnet.executors.nftables.probe import lacking, takes_flat
from svcnet.executors.nftables.tables import table_of
from svcnet.executors.nftables.writer import NFTWriter

__all__ = [
    "NFTWriter",
    "NFTablesPlan",
    "NFTablesReport",
    "apply",
    "carry_out",
    "cleanup",
    "dump",
    "is_there",
    "lacking",
    "observe",
    "remains",
    "remove",
    "table_of",
    "takes_flat",
]
