"""A sync, or a step, as text for people and for the standard tools: one section a tool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from svcnet.addresses import host_network
from svcnet.family import IPFamily
from svcnet.netfilter import ip, ipset
from svcnet.netfilter.ipvs import ipvsadm
from svcnet.netfilter.jumps import text_on_clean_machine
from svcnet.renderers.ipvs.delta import IPVSDelta
from svcnet.renderers.ipvs.program import additions, program, removals
from svcnet.renderers.ipvs.rules import JUMPS
from svcnet.renderers.ipvs.sets import IPVS_IPS, IPSet
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE, IPVSTables

RESIZED = "SVCNET-RESIZED"
"""The name of a set while it is filled anew: IPSET_MAXNAMELEN leaves no room for a suffix."""


class Section(NamedTuple):
    """What one tool reads from standard input; ``tool`` is a key of :data:`COMMANDS`."""

    tool: str
    text: str


def text(tables: IPVSTables, *, jumps: bool = False) -> str:
    """Return every section under a heading that names its command, in the order to load them.

    It is for people: not every tool takes the heading for a comment. With `jumps` the
    iptables section has the jumps from the built-in chains as well.
    """
    found = (Section(tool, section(tables, tool, jumps=jumps)) for tool in SECTIONS)
    return _add_headings(found, tables.family)


def section(tables: IPVSTables, tool: str, *, jumps: bool = False) -> str:
    """Return exactly what one tool reads: sysctl, ipset, iptables, ipvsadm or ip."""
    found = SECTIONS[tool](tables)
    return found + jump_text() if jumps and tool == "iptables" else found


def step_text(delta: IPVSDelta) -> str:
    """Return the sections of a step, under headings as in :func:`text`; empty for no change."""
    return _add_headings(step_sections(delta), delta.family)


def step_sections(delta: IPVSDelta) -> Iterator[Section]:
    """Yield what to load for a step, one after the other.

    Sets are filled before rules speak of them, and an address is there only while its
    virtual server is: what goes, goes in the opposite order of what comes.
    """
    family = delta.family
    names = {found.definition for found in delta.resized}
    added = [entry for entry in delta.added if entry[0] not in names]
    removed = [entry for entry in delta.removed if entry[0] not in names]
    come = [entry for definition, entry in delta.added if definition is IPVS_IPS]
    gone = [entry for definition, entry in delta.removed if definition is IPVS_IPS]
    yield Section("sysctl", _sysctl_lines(delta.sysctls))
    yield Section(
        "ipset",
        "".join(
            [
                *(_resize_lines(found) for found in delta.resized),
                *(ipset.add(definition.name_in(family), entry) for definition, entry in added),
            ]
        ),
    )
    yield Section("iptables", delta.rules)
    yield Section("ipvsadm", ipvsadm.lines(additions(delta)))
    yield Section("ip", address_lines("add", come) + address_lines("del", gone))
    yield Section("ipvsadm", ipvsadm.lines(removals(delta)))
    yield Section(
        "ipset",
        "".join([ipset.delete(definition.name_in(family), entry) for definition, entry in removed]),
    )


def _add_headings(sections: Iterable[Section], family: IPFamily) -> str:
    return "".join(f"# {command(tool, family)}\n{text}" for tool, text in sections if text)


def command(tool: str, family: IPFamily) -> str:
    """Return the command that loads a tool's section."""
    found = COMMANDS[tool]
    return found.replace("iptables", "ip6tables", 1) if family == "IPv6" else found


def sysctl_section(tables: IPVSTables) -> str:
    """Return what ``sysctl -p -`` reads."""
    return _sysctl_lines(tables.sysctls)


def _sysctl_lines(settings: Mapping[str, int]) -> str:
    return "".join(f"{path.replace('/', '.')} = {value}\n" for path, value in settings.items())


def ipset_section(tables: IPVSTables) -> str:
    """Return what ``ipset restore`` reads; loading it twice is the same as once."""
    found = sorted(tables.sets.values(), key=lambda each: each.name)
    creates = [create_line(each) for each in found]
    adds = [ipset.add(each.name, entry) for each in found for entry in each.entries]
    return "".join([*creates, *adds])


def create_line(found: IPSet, name: str = "") -> str:
    """Return the line of ``ipset restore`` that makes a set where it is not there.

    It gets its own name unless `name` is given.
    """
    return ipset.create(name or found.name, found.definition.type, found.options)


def _resize_lines(found: IPSet) -> str:
    """Return the lines of ``ipset restore`` that give a set another bound: only a new one has."""
    return "".join(
        [
            create_line(found, RESIZED),
            *(ipset.add(RESIZED, entry) for entry in found.entries),
            ipset.swap(RESIZED, found.name),
            ipset.destroy(RESIZED),
        ]
    )


def iptables_section(tables: IPVSTables) -> str:
    """Return what ``iptables-restore --noflush`` reads."""
    return tables.restore_text


def jump_text() -> str:
    """Return restore text for the jumps from the built-in chains, for a clean machine."""
    return text_on_clean_machine(JUMPS, ("nat", "filter"))


def ipvsadm_section(tables: IPVSTables) -> str:
    """Return what ``ipvsadm --restore`` reads, for a machine without these virtual servers."""
    return ipvsadm.lines(program(tables))


def ip_section(tables: IPVSTables) -> str:
    """Return what ``ip -batch -`` reads, for a machine that has no dummy device yet."""
    return ip.make_dummy(DUMMY_DEVICE) + address_lines("add", tables.addresses)


def address_lines(verb: str, addresses: Iterable[str]) -> str:
    """Return the lines of ``ip -batch`` that put addresses on the dummy device, or take them."""
    return "".join(ip.address(verb, host_network(each), DUMMY_DEVICE) for each in addresses)


SECTIONS: Mapping[str, Callable[[IPVSTables], str]] = MappingProxyType(
    {
        "sysctl": sysctl_section,
        "ipset": ipset_section,
        "iptables": iptables_section,
        "ipvsadm": ipvsadm_section,
        "ip": ip_section,
    }
)
"""The sections by tool, in the order that leaves no address without a server."""

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "sysctl": "sysctl -p -",
        "ipset": "ipset restore",
        "iptables": "iptables-restore --noflush",
        "ipvsadm": "ipvsadm --restore",
        "ip": "ip -batch -",
    }
)
"""How each section is loaded, in IPv4."""
