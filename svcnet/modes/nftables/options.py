"""What the command offers for mode nftables."""

from __future__ import annotations

from svcnet.errors import UsageError, one_line
from svcnet.modes.options import Option, OptionValues, Text

TABLE = Option(
    "table",
    ("render", "explain", "apply", "run", "cleanup"),
    Text(),
    "The name of the table, in each IP family.",
    "has no table of its own",
    default="kube-proxy",
    metavar="NAME",
)


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
