"""Tables read from text and from the kernel's own listing are the same to svcnet."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from svcnet.executors.nftables.drift import differences
from svcnet.models import IPFamily
from svcnet.netfilter.nft import NFTState, TableState, load, read_document, read_listing
from svcnet.renderers.nftables import Ruleset, full, text
from tests.fuzz import examples
from tests.kernel.test_twice import elsewhere
from tests.netfilter.nft_damage import damages, said
from tests.test_conformance import CASES, family_of_file
from tests.test_conformance_nftables import EXPECTED, compile_case

pytestmark = pytest.mark.kernel


def nft(*options: str, script: str = "") -> str:
    done = subprocess.run(
        ("nft", *options), input=script, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\n{script}"
    return done.stdout


TYPES = {
    "typeof ": "",
    "ip daddr": "ipv4_addr",
    "ip6 daddr": "ipv6_addr",
    "tcp dport": "inet_service",
    "udp dport": "inet_service",
    "sctp dport": "inet_service",
    "numgen random mod 65536": "integer",
}
"""What JSON of nft says for fields."""


def type_of(fields: str) -> str:
    for name, type_ in TYPES.items():
        fields = fields.replace(name, type_)
    return fields


def without_dynamic(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table without what JSON of nft 1.0.6 does not say.

    That is the flag, and the size with it, and of which fields the elements of a map are.
    """
    return {
        name: (*map(type_of, said[:2]), said[2] - {"dynamic"}, said[3], *said[5:])
        if name.startswith(("set ", "map "))
        else said
        for name, said in table.items()
    }


def comments(table: TableState) -> list[tuple[str, str]]:
    """Return the comments of a table and of its chains and sets, which :func:`said` leaves out."""
    chains = [(name, chain.comment) for name, chain in table.chains.items()]
    sets = [(name, kept.comment) for name, kept in table.sets.items()]
    return [("", table.comment), *sorted(chains), *sorted(sets)]


def called(script: str, table: str) -> str:
    """Return lines for a table of another name."""
    return re.sub(r"^(\S+ \S+ \S+) kube-proxy", rf"\1 {table}", script, flags=re.MULTILINE)


def test_cases_are_read_as_they_were_written() -> None:
    """Each as a table of its own: of both families, with and without what nft can leave out."""
    texts = [called(expected.read_text(), expected.parent.name) for expected in EXPECTED[::6]]
    for each in EXPECTED[3::12]:
        graph = compile_case(each.parent, family_of_file(each))
        texts.append(called(text(full(graph, layout="flat")), f"{each.parent.name}-flat"))

    def work() -> None:
        nft("-f", "-", script="".join(texts))
        wanted = load(NFTState(), "".join(texts))
        for options in ((), ("-a", "-s", "-y"), ("-n",)):
            found = read_listing(nft(*options, "list", "ruleset"))
            assert found.tables.keys() == wanted.tables.keys()
            for key, table in found.tables.items():
                assert said(table) == said(wanted.tables[key]), (key, options)
                assert comments(table) == comments(wanted.tables[key]), (key, options)
        document = read_document(nft("-j", "list", "ruleset"))
        assert document.tables.keys() == wanted.tables.keys()
        for key, table in document.tables.items():
            assert without_dynamic(said(table)) == without_dynamic(said(wanted.tables[key])), key

    elsewhere(work)


@settings(max_examples=examples(6), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def repair(case: str, family: IPFamily, data: st.DataObject) -> None:
    """Damage a table by lines that nft takes, and have nft put it right."""
    ruleset = full(compile_case(CASES / case, family))
    nft("-f", "-", script=f"flush ruleset\n{text(ruleset)}")
    before = table_there(ruleset)
    assert not differences(before, ruleset)
    taken = []
    for line in data.draw(damages(before)):
        command = ("nft", "-f", "-")
        done = subprocess.run(command, input=line, text=True, capture_output=True, check=False)
        taken += [line] if done.returncode == 0 else []
    step = differences(table_there(ruleset), ruleset).delta
    note(f"{taken}\n{step.text}")
    nft("-f", "-", script=step.text)
    after = table_there(ruleset)
    assert said(after) == said(before)
    assert not differences(after, ruleset)


def table_there(ruleset: Ruleset) -> TableState:
    """Return the table of a ruleset as nft lists it."""
    printed = nft("-a", "-s", "-y", "list", "table", *ruleset.table)
    return read_listing(printed).tables[ruleset.table]


@pytest.mark.parametrize(
    ("case", "family"),
    [("kitchen-sink", "IPv4"), ("affinity-lb-external", "IPv4"), ("dual-lb-everything", "IPv6")],
)
def test_any_damage_is_put_right(case: str, family: IPFamily) -> None:
    """Whatever the kernel let somebody do to the table: one repair, and nothing differs."""
    elsewhere(lambda: repair(case, family))
