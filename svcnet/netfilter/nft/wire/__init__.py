"""nf_tables as the kernel speaks of it over netlink: to bytes, and from bytes.

:mod:`uapi` has the kernel's numbers. :mod:`reading` asks and reads what the kernel tells,
:mod:`messages` makes what changes a table, of :mod:`elements` and :mod:`rules`. Nothing here opens
a socket.
"""

from svcnet.netfilter.nft.wire.elements import ElementForm, ElementRows
from svcnet.netfilter.nft.wire.messages import (
    MOST_ELEMENTS,
    NFTMessage,
    batch,
    delete_chain,
    delete_elements,
    delete_table,
    divide,
    divide_rows,
    flush_chain,
    flush_elements,
    new_chain,
    new_elements,
    new_rule,
)
from svcnet.netfilter.nft.wire.parts import types_on_wire
from svcnet.netfilter.nft.wire.reading import (
    RulePlace,
    each_element,
    head,
    is_of,
    of_chain,
    of_elements,
    of_set,
    read_chain,
    read_container,
    read_count,
    read_elements,
    read_flags,
    read_flowtable,
    read_object,
    read_rule,
    read_set,
    the_chain,
)

__all__ = [
    "MOST_ELEMENTS",
    "ElementForm",
    "ElementRows",
    "NFTMessage",
    "RulePlace",
    "batch",
    "delete_chain",
    "delete_elements",
    "delete_table",
    "divide",
    "divide_rows",
    "each_element",
    "flush_chain",
    "flush_elements",
    "head",
    "is_of",
    "new_chain",
    "new_elements",
    "new_rule",
    "of_chain",
    "of_elements",
    "of_set",
    "read_chain",
    "read_container",
    "read_count",
    "read_elements",
    "read_flags",
    "read_flowtable",
    "read_object",
    "read_rule",
    "read_set",
    "the_chain",
    "types_on_wire",
]
