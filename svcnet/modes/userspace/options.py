"""What the command offers for mode userspace."""

from __future__ import annotations

from svcnet.modes.options import File, Flag, Number, Option, Text

PORT_RANGE = Option(
    "proxy-port-range",
    ("render", "explain", "run"),
    Text(),
    "Where proxy ports are taken from; the configuration's portRange, else 32768-60999.",
    "has no proxy ports",
    metavar="A-B",
)
PORT_SEED = Option(
    "proxy-port-seed",
    ("render", "explain", "run"),
    Text(),
    "Chooses other ports of that range.",
    "has no proxy ports",
    metavar="TEXT",
)
NO_REDIRECT = Option(
    "no-redirect",
    ("run",),
    Flag(),
    "Listen on loopback only and make no rules: needs no privilege.",
    "has no proxy",
    default=False,
)
UDP_TIMEOUT = Option(
    "udp-timeout",
    ("run",),
    Number(0.001, 86400),
    "How long a client of a UDP service may be silent and keep its endpoint.",
    "has no proxy",
    default=0.25,
    metavar="SECONDS",
)
WORKERS = Option(
    "workers",
    ("run",),
    Number(1, 64, whole=True),
    "Processes that share the connections.",
    "has no proxy",
    default=1,
)
DRAIN = Option(
    "drain",
    ("run",),
    Number(0, 86400),
    "How many seconds connections may go on once svcnet is told to end.",
    "has no proxy",
    default=30.0,
    metavar="SECONDS",
)
STATS = Option(
    "stats",
    ("run",),
    File(),
    "A unix socket that gives whoever connects the counts as JSON.",
    "has no proxy",
    metavar="SOCKET",
)
