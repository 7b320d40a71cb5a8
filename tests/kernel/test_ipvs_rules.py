"""What IPVS mode asks of iptables and ipset alone: both variants, and sets of any size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve

from svcnet.models import IPFamily
from svcnet.renderers import ipvs
from svcnet.renderers.ipvs.render import between
from svcnet.renderers.ipvs.sections import step_sections
from svcnet.renderers.ipvs.sets import CLUSTER_IP, IPSet
from svcnet.testing import make_service
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.renderers.ipvs_model import tables_of
from tests.test_conformance import CASES, compile_case

pytestmark = pytest.mark.kernel

# None of these has a rule with -m ipvs: the host's kernel need not have that match.
CHOSEN: tuple[tuple[str, IPFamily], ...] = (
    ("dual-lb-everything", "IPv6"),
    ("nodeport-etp-local-all-protocols", "IPv4"),
    ("lb-source-ranges-node-ip", "IPv4"),
    ("externalips-etp-local", "IPv4"),
    ("config-masquerade-bit-31", "IPv4"),
    ("services-empty-cluster-v6", "IPv6"),
)


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with own_namespace():
        yield


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize(("name", "family"), CHOSEN)
def test_rules_are_accepted(name: str, family: IPFamily, variant: str) -> None:
    """Each variant takes the sets and the rules, also twice, and has every rule then."""
    tables = ipvs.full(compile_case(CASES / name, family))
    assert "-m ipvs" not in tables.restore_text
    command = f"ip{'6' if family == 'IPv6' else ''}tables-{variant}"
    for _ in range(2):
        run("ipset", "restore", stdin=ipvs.section(tables, "ipset"))
        rules = ipvs.section(tables, "iptables", jumps=True)
        run(f"{command}-restore", "--noflush", stdin=rules)
    rules = run(f"{command}-save")
    assert rules.count("\n-A KUBE-") == tables.restore_text.count("\n-A KUBE-")
    assert rules.count("-j KUBE-IPVS-FILTER") == 1


def test_a_set_takes_another_bound() -> None:
    """The lines that make a set anew are accepted while rules speak of it."""
    tables = tables_of(make_service())
    run("ipset", "restore", stdin=ipvs.section(tables, "ipset"))
    run("iptables-restore", "--noflush", stdin=ipvs.section(tables, "iptables"))
    entries = tuple(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255},tcp:80" for n in range(70000))
    grown = IPSet(CLUSTER_IP, "IPv4", entries)
    change = evolve(between(tables, tables), resized=(grown,))
    text = "".join(text for tool, text in step_sections(change) if tool == "ipset")
    run("ipset", "restore", stdin=text)
    assert "KUBE-CLUSTER-IP" in run("ipset", "list", "-name")
    assert "SVCNET-RESIZED" not in run("ipset", "list", "-name")
    run("ipset", "test", "KUBE-CLUSTER-IP", entries[-1])
