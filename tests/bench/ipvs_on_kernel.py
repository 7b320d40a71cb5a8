"""IPVS mode on a kernel beside ``ipvsadm --restore`` of the same virtual servers.

A program for the guest, see :mod:`tests.kernel.uml.guest`: it takes numbers of Services and
prints a JSON value a line, one for each. Everything is timed in this one process, from
tables or text that are there already, on a machine without any of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from svcnet.compiler import compile_state, node_view, recompile
from svcnet.executors.ipvs import IPVS, apply, apply_step, cleanup
from svcnet.graph import diff
from svcnet.netfilter.ipvs.messages import Flush
from svcnet.nogc import without_gc
from svcnet.renderers.ipvs import IPVSTables, advance, full, program, section
from svcnet.sources import load_bytes
from tests.bench import clusters
from tests.kernel.ipvs.netlink import own_namespace

ENDPOINTS = 2
ROUNDS = 3


def measure(services: int) -> dict[str, float]:
    """Return seconds, medians of a few rounds, and how many messages one change takes.

    ``ratio`` is that of apply to ipvsadm within a round, whose times are near each other.
    """
    state = load_bytes(clusters.as_json(services, ENDPOINTS)).state
    view = node_view(state)
    graph = compile_state(state, view)
    tables = full(graph)
    changed = load_bytes(json.dumps(clusters.endpoint_slice(services // 2, 1)).encode()).objects
    after = state.apply(changed)
    new, names = recompile(graph, state, after, view, state.services_of(changed))
    changed_tables, step = advance(tables, diff(graph, new, names))
    back = advance(changed_tables, diff(new, graph, names))[1]
    text = section(tables, "ipvsadm")
    times: dict[str, list[float]] = {}

    def timed(name: str, action: Callable[[], object]) -> None:
        started = time.perf_counter()
        action()
        times.setdefault(name, []).append(time.perf_counter() - started)

    for _ in range(ROUNDS):
        with clean_machine():
            timed("ipvsadm --restore", lambda: restore(text))
        with clean_machine():
            timed("virtual servers alone", without_gc()(lambda: send(tables)))
        with clean_machine():
            timed("apply", lambda: apply(tables, variant="legacy"))
            timed("apply, nothing to do", lambda: apply(tables, variant="legacy"))
            with IPVS() as ipvs:
                timed("one endpoint goes", lambda: apply_step(step, ipvs))
                sent = ipvs.sent
                timed("one endpoint comes", lambda: apply_step(back, ipvs))
    pairs = zip(times["apply"], times["ipvsadm --restore"], strict=True)
    ratios = [ours / theirs for ours, theirs in pairs]
    return {
        "services": services,
        **{name: round(median(found), 4) for name, found in times.items()},
        "ratio": round(median(ratios), 2),
        "worst ratio": round(max(ratios), 2),
        "messages": sent,
    }


def restore(text: str) -> None:
    subprocess.run(["ipvsadm", "--restore"], input=text, text=True, check=True)


def send(tables: IPVSTables) -> None:
    with IPVS() as ipvs:
        ipvs.send(list(program(tables)))


@contextmanager
def clean_machine() -> Iterator[None]:
    """Give a measurement a network namespace of its own.

    IPVS keeps deleted real servers of a namespace for a while, and looks through them at
    each new one. The namespace is emptied before it ends, which the kernel does later on.
    """
    with own_namespace():
        yield
        with IPVS() as ipvs:
            ipvs.send([Flush()])
        cleanup("IPv4")


if __name__ == "__main__":
    for number in sys.argv[1:]:
        print(json.dumps(measure(int(number))), flush=True)
