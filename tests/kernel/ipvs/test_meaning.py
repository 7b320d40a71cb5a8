"""What the kernel prints is known again by what it means, for every case."""

from __future__ import annotations

import pytest
from attrs import evolve

from svcnet.executors.iptables import choose_variant
from svcnet.executors.ipvs import IPVS, observe
from svcnet.executors.ipvs import sets as executor_sets
from svcnet.executors.ipvs.observe import key_of
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.models import IPFamily
from svcnet.netfilter import ipset
from svcnet.netfilter.ipvs.messages import HASHED, Message, NewDest, NewService
from svcnet.renderers.ipvs import ServerKey, VirtualServer, full
from svcnet.renderers.ipvs.program import dest_of, service_of
from svcnet.renderers.ipvs.sections import create_line
from svcnet.renderers.ipvs.sets import IPSet
from tests.test_conformance import CASES, compile_case, family_of_file

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_case(family: IPFamily) -> None:
    """All virtual servers, real servers and entries of all cases are as they were written.

    The cases are one machine: what differs between them is for test_twice.py.
    """
    servers: dict[ServerKey, VirtualServer] = {}
    sets: dict[str, IPSet] = {}
    for document in sorted(CASES.glob("*/ipvs.ipv[46].json")):
        if family_of_file(document) != family:
            continue
        wanted = full(compile_case(document.parent, family))
        servers |= wanted.servers
        for each in wanted.sets.values():
            entries = {*each.entries, *(sets[each.name].entries if each.name in sets else ())}
            sets[each.name] = evolve(each, entries=tuple(sorted(entries)))
    lines = [create_line(each) for each in sets.values()]
    lines += [ipset.add(each.name, entry) for each in sets.values() for entry in each.entries]
    executor_sets.restore(THIS_MACHINE, "".join(lines))
    messages: list[Message] = []
    for server in servers.values():
        service = service_of(server)
        messages += [
            NewService(service),
            *(NewDest(service, dest_of(r)) for r in server.real_servers),
        ]
    with IPVS() as kernel:
        kernel.send(messages)
        found = observe(family, choose_variant(family, "legacy").observed, (), kernel)
    for name, each in sets.items():
        assert found.entries(name) == executor_sets.saved_entries(each), name
        assert found.sets[name].is_plain
    assert len(found.services) == len(servers) > 4
    for server in servers.values():
        there = found.services[key_of(service_of(server))]
        assert evolve(there, flags=there.flags & ~HASHED) == service_of(server)
        reals = found.real_servers(server.key)
        assert {(*place, real.weight) for place, real in reals.items()} == {
            tuple(real) for real in server.real_servers
        }
