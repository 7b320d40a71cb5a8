"""From a rule graph, or a step between two, to the proxy table."""

from __future__ import annotations

from collections.abc import Iterable

from immutables import Map

from svcnet.addresses import canonical_address, host_network
from svcnet.graph import Balance, Dispatch, Firewall, Fragment, GraphDiff, Reject, RuleGraph
from svcnet.nogc import without_gc
from svcnet.renderers.userspace.choice import DEFAULT_CHOICE, PortChoice
from svcnet.renderers.userspace.delta import ProxyDelta, between
from svcnet.renderers.userspace.ports import choose
from svcnet.renderers.userspace.table import (
    ROLES,
    Backend,
    Listener,
    ListenerName,
    Portal,
    ProxiedPort,
    ProxyTable,
    Role,
    UnsupportedPort,
)


@without_gc()
def full(graph: RuleGraph, choice: PortChoice = DEFAULT_CHOICE) -> ProxyTable:
    """Return the whole table of a node; `choice` says where its proxy ports come from.

    Raises :class:`svcnet.errors.Unsupported` when the range has too few ports.
    """
    services, unsupported = {}, []
    for name, fragment in graph.fragments.items():
        problem = why_not(fragment)
        if problem is None:
            services[name] = proxied_port(fragment)
        else:
            unsupported.append(problem)
    ports, holders = choose(choice, _names(services.values()))
    return ProxyTable(
        settings=graph.settings,
        services=Map(services),
        ports=ports,
        unsupported=tuple(sorted(unsupported)),
        choice=choice,
        chosen=ports,
        holders=holders,
        fragments=graph.fragments,
    )


def advance(table: ProxyTable, diff: GraphDiff) -> ProxyTable:
    """Return the table of ``diff.new``, from that of ``diff.old`` with any proxy ports.

    It equals :func:`full` of the new graph, with the renderer's ports again. Service ports of
    which nothing changed are the same objects. Raises Unsupported as :func:`full` does.
    """
    services = table.services.mutate()
    unsupported = {problem.name: problem for problem in table.unsupported}
    gone: list[ProxiedPort] = []
    come: list[ProxiedPort] = []
    for fragment in (*diff.removed, *(old for old, _ in diff.changed)):
        unsupported.pop(fragment.name, None)
        if fragment.name in services:
            gone.append(services.pop(fragment.name))
    for fragment in (*diff.added, *(new for _, new in diff.changed)):
        problem = why_not(fragment)
        if problem is not None:
            unsupported[fragment.name] = problem
            continue
        come.append(proxied_port(fragment))
        services[fragment.name] = come[-1]
    before, after = _names(gone), _names(come)
    ports, holders = choose(
        table.choice,
        [name for name in after if name not in set(before)],
        [name for name in before if name not in set(after)],
        table.chosen,
        table.holders,
    )
    return ProxyTable(
        settings=diff.new.settings,
        services=services.finish(),
        ports=ports,
        unsupported=tuple(sorted(unsupported.values())),
        choice=table.choice,
        chosen=ports,
        holders=holders,
        fragments=diff.new.fragments,
    )


def delta(diff: GraphDiff, choice: PortChoice = DEFAULT_CHOICE) -> ProxyDelta:
    """Return what changes from ``diff.old`` to ``diff.new``; `choice` is as in :func:`full`.

    Renders the whole of ``diff.old``: a caller that keeps its table uses :func:`advance`.
    """
    old = full(diff.old, choice)
    return between(old, advance(old, diff))


def proxied_port(fragment: Fragment) -> ProxiedPort:
    """Return a service port as the proxy sees it; depends on the fragment alone."""
    portals = tuple(_portal(fragment, dispatch) for dispatch in fragment.dispatches)
    used = {role for portal in portals for role in (portal.role, portal.near)}
    return ProxiedPort(
        name=fragment.name,
        listeners=tuple(_listener(fragment, role) for role in ROLES if role in used),
        portals=portals,
        affinity=fragment.policy.affinity,
        proxy_protocol=fragment.policy.proxy_protocol,
        health_check=fragment.health_check.port if fragment.health_check else 0,
        field=fragment.field,
    )


def why_not(fragment: Fragment) -> UnsupportedPort | None:
    """Return why this mode cannot carry a service port, None when it can."""
    if fragment.name.protocol == "SCTP":
        number = fragment.dispatches[0].port
        return UnsupportedPort(
            fragment.name,
            f"{fragment.field}.protocol",
            f"port {number} is SCTP, and the userspace proxy carries TCP and UDP",
        )
    return None


def _portal(fragment: Fragment, dispatch: Dispatch) -> Portal:
    policy = fragment.policy
    role: Role
    near: Role
    if dispatch.frontend == "cluster-ip":
        role = near = "local" if policy.internal_local else "cluster"
    elif dispatch.frontend == "load-balancer" and policy.source_ranges:
        role = "firewall-local" if policy.external_local else "firewall-cluster"
        near = "firewall-cluster"
    else:
        role = "local" if policy.external_local else "cluster"
        near = "cluster"
    return Portal(dispatch.frontend, dispatch.address, dispatch.port, role, near, dispatch.id)


def _listener(fragment: Fragment, role: Role) -> Listener:
    balance = fragment.local if role.endswith("local") else fragment.cluster
    sources: tuple[str, ...] = ()
    part = ""
    if role.startswith("firewall") and fragment.firewall is not None:
        sources, part = _sources(fragment.firewall), fragment.firewall.id
    if balance is not None:
        backends = _backends(fragment, balance)
        return Listener(role, "serve", backends, sources, part, balance.targets)
    # With an endpoint anywhere, only a policy can leave none; and then packets are dropped.
    has_endpoints = not any(isinstance(refusal, Reject) for refusal in fragment.refusals)
    return Listener(role, "drop" if has_endpoints else "refuse", (), sources, part)


def _sources(firewall: Firewall) -> tuple[str, ...]:
    from netaddr import cidr_merge

    own = map(host_network, firewall.own_addresses)
    return tuple(map(str, cidr_merge((*firewall.ranges, *own))))


def _backends(fragment: Fragment, balance: Balance) -> tuple[Backend, ...]:
    by_id = {n.id: Backend(canonical_address(n.address), n.port) for n in fragment.translates}
    return tuple([by_id[target] for target in balance.targets])


def _names(services: Iterable[ProxiedPort]) -> list[ListenerName]:
    return [name for service in services for name in service.listener_names]
