"""What ipset reads and prints: sets, their entries, and lines of ``ipset restore`` about them."""

from svcnet.netfilter.ipset.text import (
    Line,
    ObservedSet,
    add,
    create,
    delete,
    destroy,
    flush,
    number_protocol,
    parse_save,
    read,
    refusal,
    save,
    save_entry,
    swap,
)

__all__ = [
    "Line",
    "ObservedSet",
    "add",
    "create",
    "delete",
    "destroy",
    "flush",
    "number_protocol",
    "parse_save",
    "read",
    "refusal",
    "save",
    "save_entry",
    "swap",
]
