"""Tables read from text and from the kernel's own listing are the same to svcnet."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from svcnet.netfilter.nft import NFTState, TableState, load, read_listing
from tests.kernel.test_twice import elsewhere
from tests.test_conformance_nftables import EXPECTED

pytestmark = pytest.mark.kernel


def nft(*options: str, script: str = "") -> str:
    done = subprocess.run(
        ("nft", *options), input=script, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\n{script}"
    return done.stdout


def said(table: TableState) -> dict[str, Any]:
    """Return what a table says, without numbers of the kernel and places in a text."""
    found: dict[str, Any] = {
        f"chain {name}": (
            chain.hook,
            chain.comment,
            [(rule.text, rule.comment) for rule in chain.rules],
        )
        for name, chain in table.chains.items()
    }
    for name, kept in table.sets.items():
        elements = {each.key: each[1:4] for each in kept.elements.values()}
        facts = kept.type, kept.value, kept.flags, kept.timeout, kept.size, kept.comment
        found[f"{kept.kind} {name}"] = (*facts, kept.options, elements)
    return found | {"": (table.comment, table.flags, table.others, table.unknown)}


def test_cases_are_read_as_they_were_written() -> None:
    """Each as a table of its own: of both families, with and without what nft can leave out."""
    texts = [
        re.sub(
            r"^(\S+ \S+ \S+) kube-proxy",
            rf"\1 {expected.parent.name}",
            expected.read_text(),
            flags=re.M,
        )
        for expected in EXPECTED[::6]
    ]

    def work() -> None:
        nft("-f", "-", script="".join(texts))
        wanted = load(NFTState(), "".join(texts))
        for options in ((), ("-a", "-s", "-y"), ("-n",)):
            found = read_listing(nft(*options, "list", "ruleset"))
            assert found.tables.keys() == wanted.tables.keys()
            for key, table in found.tables.items():
                assert said(table) == said(wanted.tables[key]), (key, options)

    elsewhere(work)
