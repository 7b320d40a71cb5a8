"""What the files are for that this process may have open: a connection takes two."""

from __future__ import annotations

import resource
from pathlib import Path

from attrs import frozen

OPEN_FILES = Path("/proc/self/fd")

MOST_CONNECTIONS = 1 << 16
"""How many connections a process takes, whatever it may have of files: they take memory too."""

MOST_KEPT = 1024
FEWEST = 8
PIPES_PART = 16
FLOWS_PART = 8


@frozen
class ProxyLimits:
    """How many connections, flows of datagrams and pipes a process may have."""

    connections: int
    flows: int
    pipes: int


def files_to_share() -> int:
    """Return how many files are for connections, flows, pipes and listeners.

    Kept back is what is open now, and what all else needs: health, metrics, status, the API
    server, and programs that are run.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        open_now = sum(1 for _ in OPEN_FILES.iterdir())
    except OSError:  # no /proc
        open_now = 32
    return max(soft - open_now - min(soft // 8 + 24, MOST_KEPT), 0)


def limits(files: int, most_flows: int, *, streams: bool, datagrams: bool) -> ProxyLimits:
    """Return what so many files are enough for.

    `streams` and `datagrams` say whether there are Services of TCP and of UDP. A sixteenth of
    the files is for pipes, which a connection has while bytes wait in one; then an eighth is for
    flows, at most `most_flows`. Where files are few, the few that each has may be too many
    together: then the kernel refuses one.
    """
    pipes = files // PIPES_PART // 2 if streams else 0
    rest = files - 2 * pipes
    flows = min(most_flows, rest // FLOWS_PART if streams else rest) if datagrams else 0
    connections = min((rest - flows) // 2, MOST_CONNECTIONS)
    return ProxyLimits(
        connections=max(connections, FEWEST),
        flows=max(flows, min(FEWEST, most_flows)),
        pipes=pipes,
    )
