"""What the command offers for mode iptables, beside options of several modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcnet.modes.options import LAYOUT_NAME, LAYOUTS, Option, OptionValues

if TYPE_CHECKING:
    from svcnet.renderers.iptables import Layout

LAYOUT = Option(
    LAYOUT_NAME,
    ("render", "explain", "diff", "apply", "run"),
    LAYOUTS,
    "How rules are laid out: as kube-proxy does it, which auto stands for, or flat, in trees of "
    "chains.",
    "has one layout",
    default="kube-proxy",
)


def layout(given: OptionValues) -> Layout:
    """Return the layout that is given."""
    from svcnet.renderers.iptables import FLAT, KUBE_PROXY

    return FLAT if given[LAYOUT.name] == "flat" else KUBE_PROXY
