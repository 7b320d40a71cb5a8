"""Each section of the text is what its tool accepts, and leaves what was meant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from svcnet.family import IP_FAMILIES
from svcnet.graph import diff
from svcnet.models import IPFamily, IPVSConfiguration, LoadBalancerIngress
from svcnet.models.config import IPVS_SCHEDULERS
from svcnet.models.state import ClusterObject
from svcnet.netfilter.ipset import save_entry
from svcnet.netfilter.ipvs.messages import (
    HASHED,
    MADE_BY_SVCNET,
    Dest,
    GetConfig,
    GetDest,
    GetService,
    ObservedDest,
    ObservedService,
    ServiceKey,
    Timeouts,
)
from svcnet.renderers import ipvs
from svcnet.renderers.ipvs.program import dest_of, service_of
from svcnet.renderers.ipvs.sections import command, step_sections
from svcnet.renderers.ipvs.sets import (
    LOAD_BALANCER,
    LOAD_BALANCER_FW,
    LOAD_BALANCER_SOURCE_CIDR,
)
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.ipvs.netlink import Kernel, own_namespace, read_sysctl, run
from tests.renderers.ipvs_model import tables_of
from tests.test_conformance import CASES, compile_case

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

NAMES = (
    *("kitchen-sink", "dual-lb-everything", "nodeport-etp-local-all-protocols"),
    *("lb-source-ranges-v6", "long-names-v6-sctp", "externalips-etp-local"),
    *("ipvs-sched-mh-affinity", "ipvs-strict-arp", "config-conntrack-liberal"),
    *("services-empty-cluster", "large-cluster-1001"),
)
CHOSEN: tuple[tuple[str, IPFamily], ...] = tuple(
    (name, family)
    for name in NAMES
    for family in IP_FAMILIES
    if (CASES / name / f"ipvs.{family.lower()}.json").exists()
)


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with own_namespace():
        yield


def load(tool: str, family: IPFamily, text: str) -> str:
    """Give a section to its tool, as its heading says."""
    words = command(tool, family).split()
    # The guest's kernel has nf_tables without any family; test_ipvs_rules.py is for nft.
    words[0] = words[0].replace("tables", "tables-legacy")
    return run(*words, stdin=text)


def load_all(tables: ipvs.IPVSTables) -> None:
    for tool in ("sysctl", "ipset", "iptables", "ipvsadm", "ip"):
        load(tool, tables.settings.family, ipvs.section(tables, tool, jumps=True))


def sets_here() -> dict[str, set[str]]:
    """Return the entries of each set, as ipset saves them."""
    found: dict[str, set[str]] = {}
    for line in run("ipset", "save").splitlines():
        verb, name, *rest = line.split(" ")
        if verb == "create":
            found[name] = set()
        else:
            found[name].add(rest[0])
    return found


def sets_of(tables: ipvs.IPVSTables) -> dict[str, set[str]]:
    """Return the entries that each set should have, as ipset would save them."""
    return {found.name: set(map(save_entry, found.entries)) for found in tables.sets.values()}


Servers = dict[ServiceKey, tuple[tuple[str, int, int], set[Dest]]]


def servers_here() -> Servers:
    """Return what IPVS has, by our own reading; the guest's other tests hold that to ipvsadm's."""
    found = {}
    with Kernel.open() as kernel:
        for reply in kernel.ask(GetService()):
            assert isinstance(reply, ObservedService)
            service = reply.service
            dests = kernel.ask(GetDest(service))
            found[service.key] = (
                (service.scheduler, service.flags & ~HASHED, service.timeout),
                {reply.dest for reply in dests if isinstance(reply, ObservedDest)},
            )
    return found


def servers_of(tables: ipvs.IPVSTables) -> Servers:
    """Return what IPVS should have; ipvsadm cannot set svcnet's own mark."""
    found = {}
    for server in tables.servers.values():
        service = service_of(server)
        found[service.key] = (
            (service.scheduler, service.flags & ~MADE_BY_SVCNET, service.timeout),
            {dest_of(real) for real in server.real_servers},
        )
    return found


def addresses_here() -> set[str]:
    lines = run("ip", "-o", "address", "show", "dev", "kube-ipvs0").splitlines()
    found = {line.split()[3].partition("/")[0] for line in lines}
    return {address for address in found if not address.startswith("fe80:")}


def rules_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("-A KUBE-")]


def assert_here(tables: ipvs.IPVSTables) -> None:
    """Compare this namespace with what `tables` say."""
    assert sets_here() == sets_of(tables)
    assert servers_here() == servers_of(tables)
    assert addresses_here() == set(tables.addresses)
    for path, value in tables.sysctls.items():
        assert read_sysctl(path) == value
    save = "ip6tables-legacy-save" if tables.family == "IPv6" else "iptables-legacy-save"
    assert len(rules_of(run(save))) == len(rules_of(tables.restore_text))


@pytest.mark.parametrize(("name", "family"), CHOSEN)
def test_every_section_is_accepted(name: str, family: IPFamily) -> None:
    """Loaded in the text's order, the sections leave exactly what the tables say."""
    tables = ipvs.full(compile_case(CASES / name, family))
    load_all(tables)
    load("ipset", family, ipvs.section(tables, "ipset"))
    load("iptables", family, ipvs.section(tables, "iptables", jumps=True))
    assert_here(tables)


@pytest.mark.parametrize("affinity", ["None", "ClientIP"])
def test_every_scheduler(affinity: str) -> None:
    """ipvsadm takes each scheduler, weights from 0 to the most, and persistence."""
    objects: list[ClusterObject] = []
    for number, scheduler in enumerate(IPVS_SCHEDULERS):
        annotations = {"svcnet.io/ipvs-scheduler": scheduler}
        service = make_service(
            scheduler,
            f"10.96.0.{number + 1}",
            annotations=annotations,
            session_affinity=affinity,
        )
        objects += [service, make_slice(scheduler, f"10.244.1.{number + 1}")]
    tables = tables_of(*objects)
    load("ipvsadm", "IPv4", ipvs.section(tables, "ipvsadm"))
    assert servers_here() == servers_of(tables)
    assert len(tables.servers) == len(IPVS_SCHEDULERS)


@pytest.mark.parametrize(
    ("address", "network"), [("10.96.0.10", "0.0.0.0/0"), ("fd00:10:96::10", "::/0")]
)
def test_a_range_of_everything(address: str, network: str) -> None:
    """A source range /0 lets everybody in, so it is no firewall: no set has the address for one."""
    ingress = "2001:db8:203::20" if ":" in address else "203.0.113.20"
    service = make_service(
        cluster_ip=address,
        type="LoadBalancer",
        load_balancer_ingress=(LoadBalancerIngress(ingress),),
        load_balancer_source_ranges=(network,),
    )
    node = make_node("node-a", "2001:db8::10" if ":" in address else "192.0.2.10")
    tables = tables_of(node, service)
    load("ipset", tables.settings.family, ipvs.section(tables, "ipset"))
    run("ipset", "test", tables.sets[LOAD_BALANCER].name, f"{ingress},tcp:80")
    for filters in (LOAD_BALANCER_FW, LOAD_BALANCER_SOURCE_CIDR):
        saved = run("ipset", "save", tables.sets[filters].name)
        assert "create" in saved
        assert ingress not in saved


def test_timeouts() -> None:
    """Timeouts of the configuration are a line that ipvsadm takes."""
    configuration = IPVSConfiguration(tcp_timeout=900.0, udp_timeout=30.0)
    load("ipvsadm", "IPv4", ipvs.section(tables_of(ipvs=configuration), "ipvsadm"))
    with Kernel.open() as kernel:
        (found,) = kernel.ask(GetConfig())
    assert isinstance(found, Timeouts)
    assert (found.tcp, found.udp) == (900, 30)


STEPS = sorted(path.parent.name for path in CASES.glob("*/ipvs.ipv4.second.json"))


@pytest.mark.parametrize("name", [*STEPS, "kitchen-sink"])
def test_steps_are_accepted(name: str) -> None:
    """The sections of a step, each given to its tool in turn, lead to the other state and back."""
    there = compile_case(CASES / name, "IPv4")
    if name in STEPS:
        other = compile_case(CASES / name, "IPv4", "objects.second.yaml")
    else:
        other = compile_case(CASES / "services-empty-cluster", "IPv4")
    tables = ipvs.full(there)
    load_all(tables)
    for step in (diff(there, other), diff(other, there)):
        tables, change = ipvs.advance(tables, step)
        for tool, text in step_sections(change):
            if text:
                load(tool, "IPv4", text)
        assert_here(tables)
