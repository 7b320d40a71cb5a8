"""A sync as text for people and for the standard tools: one section a tool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from svcnet.renderers.ipvs.part import (
    PERSISTENT,
    SOURCE_HASH,
    RealServer,
    ServerKey,
    VirtualServer,
)
from svcnet.renderers.ipvs.rules import JUMPS
from svcnet.renderers.ipvs.sets import IPSet
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE, IPVSTables, by_address

_HALVES = {"0.0.0.0/0": ("0.0.0.0/1", "128.0.0.0/1"), "::/0": ("::/1", "8000::/1")}
_SERVICE_OPTION = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}


def text(tables: IPVSTables, *, jumps: bool = False) -> str:
    """Return every section under a heading that names its tool, in the order to load them."""
    parts = []
    for name, section in SECTIONS.items():
        parts += [f"# {HEADINGS[name]}\n", section(tables)]
        if name == "iptables" and jumps:
            parts.append(jump_text())
    return "".join(parts)


def sysctl_section(tables: IPVSTables) -> str:
    """Return what ``sysctl -p -`` reads."""
    settings = tables.sysctls.items()
    return "".join(f"{path.replace('/', '.')} = {value}\n" for path, value in settings)


def ipset_section(tables: IPVSTables) -> str:
    """Return what ``ipset restore`` reads; loading it twice is the same as once."""
    found = sorted(tables.sets.values(), key=lambda each: each.name)
    creates = [create_line(each) for each in found]
    adds = [add_line(each.name, entry) for each in found for entry in each.entries]
    return "".join([*creates, *adds])


def create_line(found: IPSet) -> str:
    """Return the line of ``ipset restore`` that makes a set where it is not there."""
    return f"create {found.name} {found.definition.type} {found.options} -exist\n"


def add_line(name: str, entry: str) -> str:
    """Return the lines of ``ipset restore`` that make an entry be in a set."""
    return "".join([f"add {name} {each} -exist\n" for each in kernel_entries(entry)])


def del_line(name: str, entry: str) -> str:
    """Return the lines of ``ipset restore`` that make an entry not be in a set."""
    return "".join([f"del {name} {each} -exist\n" for each in kernel_entries(entry)])


def kernel_entries(entry: str) -> tuple[str, ...]:
    """Return the entries that stand for one in the kernel, whose sets hold no network /0."""
    if not entry.endswith("/0"):
        return (entry,)
    place, _, network = entry.rpartition(",")
    return tuple(f"{place},{half}" for half in _HALVES[network])


def iptables_section(tables: IPVSTables) -> str:
    """Return what ``iptables-restore --noflush`` reads."""
    return tables.restore_text


def jump_text() -> str:
    """Return restore text for the jumps from the built-in chains, for a clean machine.

    Restore text cannot say "unless it is there", so the chains are emptied first.
    """
    lines = []
    for table in ("nat", "filter"):
        mine = [jump for jump in JUMPS if jump.table == table]
        lines += [f"*{table}", *(f"-F {chain}" for chain in dict.fromkeys(j.chain for j in mine))]
        lines += [*(f"-I {jump.chain} {jump.rule}" for jump in mine), "COMMIT"]
    return "\n".join(lines) + "\n"


def ipvsadm_section(tables: IPVSTables) -> str:
    """Return what ``ipvsadm --restore`` reads."""
    servers = sorted(tables.servers.values(), key=lambda server: by_address(*server.key))
    return "".join(line for server in servers for line in server_lines(server))


def server_lines(server: VirtualServer) -> Iterator[str]:
    """Yield the line of ``ipvsadm --restore`` for a virtual server, and one a real server."""
    key = service_option(server.key)
    persistent = f" -p {server.timeout}" if server.flags & PERSISTENT else ""
    flags = " -b flag-2" if server.flags & SOURCE_HASH else ""
    yield f"-A {key} -s {server.scheduler}{persistent}{flags}\n"
    for real in server.real_servers:
        yield f"-a {key} -r {place(real)} -m -w {real.weight}\n"


def service_option(key: ServerKey) -> str:
    """Return how ipvsadm names a virtual server, such as ``-t 10.96.0.1:80``."""
    return f"{_SERVICE_OPTION[key.protocol]} {place(key)}"


def place(server: ServerKey | RealServer) -> str:
    """Return ``address:port``, IPv6 in brackets."""
    address, port = server[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def ip_section(tables: IPVSTables) -> str:
    """Return what ``ip -batch -`` reads, for a machine that has no dummy device yet."""
    return f"link add {DUMMY_DEVICE} type dummy\n{address_lines('add', tables.addresses)}"


def address_lines(verb: str, addresses: Iterable[str]) -> str:
    """Return the lines of ``ip -batch`` that put addresses on the dummy device, or take them."""
    return "".join(
        f"address {verb} {address}/{128 if ':' in address else 32} dev {DUMMY_DEVICE}\n"
        for address in addresses
    )


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

HEADINGS: Mapping[str, str] = MappingProxyType(
    {
        "sysctl": "sysctl -p -",
        "ipset": "ipset restore",
        "iptables": "iptables-restore --noflush",
        "ipvsadm": "ipvsadm --restore",
        "ip": "ip -batch -",
    }
)
"""How each section is loaded."""
