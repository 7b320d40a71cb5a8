"""The proxy table as a configuration of HAProxy, for who would rather run that.

It carries TCP only. Everything it uses is in HAProxy 2.4 and later.
"""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.family import IPFamily
from svcnet.renderers.userspace.table import (
    Backend,
    Listener,
    ListenerName,
    ProxiedPort,
    ProxyTable,
    UnsupportedPort,
)

# A line of the configuration has at most 64 words and 2,048 letters.
_CIDRS_A_LINE = 32

_HEAD = """\
global
    # On a reload the old process lets its connections go on for this long.
    hard-stop-after 15m

defaults
    mode tcp
    balance roundrobin
    timeout connect 1s
    # As long as Linux remembers an idle connection, and one half of which has ended.
    timeout client 24h
    timeout server 24h
    timeout client-fin 1m
    timeout server-fin 1m
    # A backend that does not answer is no client's concern: the next one is tried.
    retries 3
    option redispatch 1
"""
_NOTHING = """\
frontend nothing
    # No Service is served now, and HAProxy starts only if it listens somewhere.
    bind abns@svcnet-{family}
    tcp-request connection reject
"""


def config(table: ProxyTable) -> tuple[str, tuple[UnsupportedPort, ...]]:
    """Return the configuration, and the service ports that it cannot carry.

    It listens on the proxy ports of `table`, to which the portal rules lead.
    """
    parts = [_HEAD]
    unsupported = list(table.unsupported)
    for service in table:
        if service.name.protocol == "TCP":
            parts += _service(service, table)
        else:
            unsupported.append(_not_tcp(service))
    unsupported.sort()
    if not any(part.startswith("frontend ") for part in parts):
        parts.append(_NOTHING.format(family=table.family))
    name = table.settings.node_name
    title = f"# svcnet: the Services{f' on {name}' if name else ''}, {table.family}\n"
    comments = "".join(f"# unsupported: {port}\n" for port in unsupported)
    return "\n".join([title + comments, *parts]), tuple(unsupported)


def _not_tcp(service: ProxiedPort) -> UnsupportedPort:
    protocol = service.name.protocol
    number = service.portals[0].port
    reason = f"port {number} is {protocol}, and HAProxy carries TCP; svcnet run carries both"
    return UnsupportedPort(service.name, f"{service.field}.protocol", reason)


def _service(service: ProxiedPort, table: ProxyTable) -> Iterator[str]:
    for listener in service.listeners:
        name = ListenerName(service.name, listener.role)
        if listener.answer != "serve":
            why = "endpoints" if listener.answer == "refuse" else "endpoints on this node"
            yield f"# {name} has no {why}: nothing listens on port {table.ports[name]}.\n"
            continue
        yield "".join(f"{line}\n" for line in _frontend(listener, name, table))
        yield "".join(f"{line}\n" for line in _backend(service, listener, name, table.family))


def _frontend(listener: Listener, name: ListenerName, table: ProxyTable) -> Iterator[str]:
    port = table.ports[name]
    yield f"frontend {_section(name)}"
    yield f"    bind :::{port} v6only" if table.family == "IPv6" else f"    bind 0.0.0.0:{port}"
    for start in range(0, len(listener.sources), _CIDRS_A_LINE):
        # Lines of one name add up.
        yield f"    acl let-in src {' '.join(listener.sources[start : start + _CIDRS_A_LINE])}"
    if listener.sources:
        yield "    tcp-request connection reject unless let-in"
    yield f"    default_backend {_section(name)}"


def _backend(
    service: ProxiedPort, listener: Listener, name: ListenerName, family: IPFamily
) -> Iterator[str]:
    yield f"backend {_section(name)}"
    if service.affinity:
        kind = "ipv6" if family == "IPv6" else "ip"
        yield f"    stick-table type {kind} size 100k expire {service.affinity}s"
        yield "    stick on src"
    options = " send-proxy-v2" if service.proxy_protocol else ""
    for backend in listener.backends:
        yield f"    server {_server(backend)} {backend}{options}"


def _section(name: ListenerName) -> str:
    """Return the name of a listener's sections; no part of it has a colon of its own."""
    port = name.service_port
    return ":".join((port.namespace, port.name, port.port_name, name.role))


def _server(backend: Backend) -> str:
    """Return a backend's name, in which HAProxy allows no brackets."""
    return f"{backend.address}:{backend.port}"
