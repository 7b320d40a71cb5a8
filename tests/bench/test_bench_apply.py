"""``apply`` of a large cluster beside the bare restore command, in the same run.

Each measurement starts from a fresh network namespace. The bare command gets the text in
the order that loads fastest, whole for the legacy variant and cut for the nft variant.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.executors.iptables import Variant
from svcnet.executors.iptables.plan import most_chains
from svcnet.renderers.iptables import RestoreText, full
from svcnet.sources import load_bytes
from tests.bench import clusters
from tests.kernel.applying import Namespace, namespace

SERVICES = 5_000
ROUNDS = 3

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def artifact() -> RestoreText:
    state = load_bytes(clusters.as_json(SERVICES)).state
    return full(compile_state(state, node_view(state)))


def bare(ns: Namespace, variant: Variant, texts: list[Path]) -> float:
    """Return the seconds that iptables-restore takes for the texts, one after the other."""
    started = time.perf_counter()
    for text in texts:
        with text.open("rb") as file:
            subprocess.run(
                ["ip", "netns", "exec", ns.name, f"iptables-{variant}-restore", "--noflush"],
                stdin=file,
                check=True,
            )
    return time.perf_counter() - started


APPLY = """
import sys, time, svcnet
from svcnet.executors.iptables import apply
state = svcnet.load([sys.argv[1]]).state
graph = svcnet.compile(state)
artifact = svcnet.render(graph)
started = time.perf_counter()
report = apply(artifact, variant=sys.argv[2])
print(time.perf_counter() - started)
"""


def applied(ns: Namespace, variant: Variant, manifest: Path) -> float:
    """Return the seconds that apply takes, without loading and compiling."""
    return float(ns.run(sys.executable, "-c", APPLY, manifest, variant))


@pytest.mark.parametrize("variant", ["legacy", "nft"])
def test_apply_beside_restore(benchmark: Any, tmp_path: Path, variant: Variant) -> None:
    """Apply of 5,000 services takes at most 1.2 times the bare command; a second, what it takes."""
    manifest = tmp_path / "cluster.json"
    manifest.write_bytes(clusters.as_json(SERVICES))
    texts = []
    for number, text in enumerate(artifact().transactions(most_chains(variant))):
        texts.append(tmp_path / f"{number}.txt")
        texts[-1].write_text(text)
    one_text = tmp_path / "all.txt"
    one_text.write_text("".join(text.read_text() for text in texts))
    ours, theirs, again = [], [], []

    def round_() -> None:
        with namespace() as ns:
            theirs.append(bare(ns, variant, [one_text]))
        with namespace() as ns:
            ours.append(applied(ns, variant, manifest))
            again.append(applied(ns, variant, manifest))

    benchmark.pedantic(round_, rounds=ROUNDS, iterations=1)
    ratio = median(ours) / median(theirs)
    figures = {
        "bare restore, s": round(median(theirs), 2),
        "apply, s": round(median(ours), 2),
        "ratio": round(ratio, 2),
        "apply again, nothing to do, s": round(median(again), 2),
    }
    benchmark.extra_info.update(figures)
    print(f"\n{variant}, {SERVICES} services: {json.dumps(figures)}")
