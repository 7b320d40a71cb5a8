"""What the command offers for mode nftables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcnet.errors import UsageError, one_line
from svcnet.modes.options import LAYOUT_NAME, LAYOUTS, Option, OptionValues, Text

if TYPE_CHECKING:
    from svcnet.renderers.nftables import Layout

TABLE = Option(
    "table",
    ("render", "explain", "apply", "run", "cleanup"),
    Text(),
    "The name of the table, in each IP family.",
    "has no table of its own",
    default="kube-proxy",
    metavar="NAME",
)
LAYOUT = Option(
    LAYOUT_NAME,
    ("render", "explain", "diff", "apply", "run"),
    LAYOUTS,
    "How the table is laid out: as kube-proxy does it, or flat, with Services as elements of maps; "
    "auto is flat where apply and run find that the machine takes it.",
    "has one layout",
    default="auto",
)


def layout(given: OptionValues) -> Layout:
    """Return the layout that is given; ``auto`` is kube-proxy's where no machine is asked."""
    return "flat" if given[LAYOUT.name] == "flat" else "kube-proxy"


def table_name(given: OptionValues) -> str:
    """Return the name that is given for the table. Raises UsageError for what nft cannot read."""
    from svcnet.netfilter.nft.words import is_name

    name: str = given[TABLE.name]
    if not is_name(name):
        told = one_line(name, 80)
        raise UsageError(
            f"--table: {told!r} is no name for nft, which is letters, digits and any of / - _ . "
            "with a letter first, and none of nft's own words"
        )
    return name
