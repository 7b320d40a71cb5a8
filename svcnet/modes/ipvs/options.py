"""What the command offers for mode IPVS."""

from __future__ import annotations

from svcnet.modes.options import Number, Option, Words

TOOLS = ("sysctl", "ipset", "iptables", "ipvsadm", "ip")

SECTION = Option(
    "section",
    ("render",),
    Words(TOOLS),
    "Only one tool's text.",
    "has one text for one tool",
    form="--section is one of -o text",
    step="--section cuts a full text; the sections of a step take turns",
)
DRAIN_SECONDS = 900
DRAIN = Option(
    "drain",
    ("apply", "run"),
    Number(0, 86400),
    "How many seconds a removed TCP endpoint keeps its connections.",
    "has no endpoint that keeps connections",
    default=DRAIN_SECONDS,
    metavar="SECONDS",
)
FALLBACK = Option(
    "fallback",
    ("apply", "run"),
    Words(("iptables",)),
    "The mode to use when the kernel lacks modules that this one needs.",
    "needs no module of IPVS",
)
