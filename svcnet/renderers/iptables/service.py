"""The rules of one service port.

This is where the hot path of a render is, so lines are f-strings and nothing is looked
up twice. The order of rules within each chain is kube-proxy's and counts.
"""

from __future__ import annotations

from itertools import repeat
from typing import NamedTuple, TypeAlias

from svcnet.graph import Balance, Dispatch, Drop, Fragment, LocalDetector, NodeSettings, Reject
from svcnet.graph.fragment import load_balancer, source_range
from svcnet.renderers.iptables import choice, names
from svcnet.renderers.iptables.layout import Layout

_COMMENTS = {
    "cluster-ip": "cluster IP",
    "external-ip": "external IP",
    "load-balancer": "loadbalancer IP",
}


Lines: TypeAlias = list[tuple[str, str]]
"""Rules as they are written, each behind the part of the service port that it is for."""


class Writing(NamedTuple):
    """What is written for one service port, and what each line is for.

    ``chains`` are its own chains, those of endpoints last. The rules of these are ``head``, then
    ``balancing``, then two of each of the ``endpoints``. ``shared`` and ``filter`` are its rules in
    chains of all. For parts see :meth:`svcnet.graph.Fragment.origin_of`; ``balancing`` has none,
    as a tuple for each line would take too long.
    """

    chains: tuple[str, ...]
    head: Lines
    balancing: list[str]
    endpoints: list[str]
    shared: Lines
    filter: Lines


def write_service_port(
    fragment: Fragment, settings: NodeSettings, is_large: bool, layout: Layout
) -> Writing:
    """Return the rules of one service port; `is_large` leaves out per-endpoint comments."""
    protocol = fragment.name.protocol.lower()
    match = f"-m {protocol} -p {protocol} "
    endpoints = [translate.id for translate in fragment.translates]
    letters, endpoint_chains = names.chain_names(fragment.name, endpoints)
    chains = _chain_names(fragment, letters)
    sep = dict(zip(endpoints, endpoint_chains, strict=True))
    head: Lines = []
    _cluster_ip_masquerade(head, fragment, settings.local_detector, match, chains)
    _external(head, fragment, settings.local_detector, chains)
    _firewall(head, fragment, chains)
    balancing: list[str] = []
    groups: list[str] = []
    for balance in (fragment.cluster, fragment.local):
        if balance is None:
            continue
        chain = chains[balance.id]
        if not layout.most or balance.affinity or len(balance.targets) <= layout.most:
            balancing += _balance(balance, chain, fragment, sep, is_large)
        else:
            found = _choose(balance, chain, fragment, layout.most)
            comments = _heads(balance, fragment, is_large, "")
            heads = dict(zip(balance.targets, comments, strict=True))
            balancing += choice.lines(found, heads, sep)
            groups += [each.chain for each in found if each.chain]
    return Writing(
        (*chains.values(), *groups, *sep.values()),
        head,
        balancing,
        _endpoints(fragment, match, sep, is_large),
        _dispatch(fragment, match, chains, settings),
        _filter(fragment, match, letters),
    )


def _chain_names(fragment: Fragment, letters: str) -> dict[str, str]:
    """Return the chain of each node that has one, by its id, in the order of declaration."""
    found = {}
    if fragment.external is not None:
        found[fragment.external.id] = f"KUBE-EXT-{letters}"
    if fragment.firewall is not None:
        found[fragment.firewall.id] = f"KUBE-FW-{letters}"
    if fragment.cluster is not None:
        found[fragment.cluster.id] = f"KUBE-SVC-{letters}"
    if fragment.local is not None:
        found[fragment.local.id] = f"KUBE-SVL-{letters}"
    return found


def _destination(dispatch: Dispatch, match: str) -> str:
    return f"{match}-d {dispatch.address} --dport {dispatch.port} "


def _dispatch(
    fragment: Fragment, match: str, chains: dict[str, str], settings: NodeSettings
) -> Lines:
    """The nat rules that lead to this service port; a refused frontend has none."""
    spn = fragment.name.service_port
    lines: Lines = []
    counts_localhost = settings.nfacct and settings.localhost_node_ports
    for dispatch in fragment.dispatches:
        chain = chains.get(dispatch.target)
        if chain is None:
            continue
        if dispatch.frontend == "node-port":
            if counts_localhost:
                counted = (
                    f"-A KUBE-NODEPORTS -m comment --comment {spn} {match}-d 127.0.0.0/8 "
                    f"--dport {dispatch.port} -m nfacct --nfacct-name {names.LOCALHOST_ACCEPTED} "
                    f"-j {chain}\n"
                )
                lines.append((dispatch.id, counted))
            line = (
                f"-A KUBE-NODEPORTS -m comment --comment {spn} "
                f"{match}--dport {dispatch.port} -j {chain}\n"
            )
        else:
            line = (
                f'-A KUBE-SERVICES -m comment --comment "{spn} {_COMMENTS[dispatch.frontend]}" '
                f"{_destination(dispatch, match)}-j {chain}\n"
            )
        lines.append((dispatch.id, line))
    return lines


def _cluster_ip_masquerade(
    lines: Lines,
    fragment: Fragment,
    detector: LocalDetector,
    match: str,
    chains: dict[str, str],
) -> None:
    """Masquerading of traffic to the cluster IP, written at the head of the balancing chain."""
    dispatch = fragment.dispatches[0]
    chain = chains.get(dispatch.target)
    if chain is None or dispatch.masquerade == "never":
        return
    source = f"! {_from_local(detector)}" if dispatch.masquerade == "off-cluster" else ""
    line = (
        f'-A {chain} -m comment --comment "{fragment.name.service_port} cluster IP" '
        f"{_destination(dispatch, match)}{source}-j KUBE-MARK-MASQ\n"
    )
    lines.append((dispatch.id, line))


def _from_local(detector: LocalDetector) -> str:
    match detector.kind:
        case "cidr":
            return f"-s {detector.value} "
        case "bridge":
            return f"-i {detector.value} "
        case _:
            return f"-i {detector.value}+ "


def _external(
    lines: Lines, fragment: Fragment, detector: LocalDetector, chains: dict[str, str]
) -> None:
    external = fragment.external
    if external is None:
        return
    chain, spn = chains[external.id], fragment.name.service_port
    rules = []
    if not external.keep_source:
        rules.append(
            f'-A {chain} -m comment --comment "masquerade traffic for {spn} '
            f'external destinations" -j KUBE-MARK-MASQ\n'
        )
    else:
        cluster = chains[external.cluster]
        if detector.kind != "none":
            rules.append(
                f'-A {chain} -m comment --comment "pod traffic for {spn} '
                f'external destinations" {_from_local(detector)}-j {cluster}\n'
            )
        rules.append(
            f'-A {chain} -m comment --comment "masquerade LOCAL traffic for {spn} '
            f'external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ\n'
        )
        rules.append(
            f'-A {chain} -m comment --comment "route LOCAL traffic for {spn} '
            f'external destinations" -m addrtype --src-type LOCAL -j {cluster}\n'
        )
    # Without a chain there are no local endpoints: the packet falls through to the drop
    # rule of the filter table.
    if external.target in chains:
        rules.append(f"-A {chain} -j {chains[external.target]}\n")
    lines += [(external.id, rule) for rule in rules]


def _firewall(lines: Lines, fragment: Fragment, chains: dict[str, str]) -> None:
    firewall = fragment.firewall
    if firewall is None:
        return
    chain, spn = chains[firewall.id], fragment.name.service_port
    head, target = (
        f'-A {chain} -m comment --comment "{spn} loadbalancer IP" -s ',
        chains[firewall.target],
    )
    for number, cidr in enumerate(firewall.ranges):
        lines.append((source_range(number), f"{head}{cidr} -j {target}\n"))
    for address in firewall.own_addresses:
        lines.append((load_balancer(address), f"{head}{address} -j {target}\n"))
    line = (
        f'-A {chain} -m comment --comment "other traffic to {spn} '
        f'will be dropped by KUBE-PROXY-FIREWALL"\n'
    )
    lines.append((firewall.id, line))


def _balance(
    balance: Balance, chain: str, fragment: Fragment, sep: dict[str, str], is_large: bool
) -> list[str]:
    """Affinity first, then each endpoint with the chance that makes all equally likely."""
    heads = _heads(balance, fragment, is_large, f"-A {chain} ")
    seps = [sep[endpoint] for endpoint in balance.targets]
    lines = []
    if balance.affinity:
        lines = [
            f"{head}-m recent --name {name} --rcheck --seconds {balance.affinity} --reap "
            f"-j {name}\n"
            for head, name in zip(heads, seps, strict=True)
        ]
    chances = map(choice.chance, repeat(1), range(len(seps), 0, -1))
    lines += [
        f"{head}{chance}-j {name}\n"
        for head, chance, name in zip(heads, chances, seps, strict=True)
    ]
    return lines


def _heads(balance: Balance, fragment: Fragment, is_large: bool, before: str) -> list[str]:
    """Return how the rules that lead to each endpoint begin: `before`, and a comment."""
    if is_large:
        return [before] * len(balance.targets)
    start = f'{before}-m comment --comment "{fragment.name.service_port} -> '
    return [f'{start}{endpoint}" ' for endpoint in balance.targets]


def _choose(balance: Balance, chain: str, fragment: Fragment, most: int) -> list[choice.Draw]:
    return list(choice.draws(chain, fragment.endpoints(balance), most))


def _endpoints(fragment: Fragment, match: str, sep: dict[str, str], is_large: bool) -> list[str]:
    """The rules of the endpoints' own chains, which are for who their chain is for."""
    comment = "" if is_large else f"-m comment --comment {fragment.name.service_port} "
    balance = fragment.cluster or fragment.local
    sticky = balance is not None and balance.affinity
    lines = []
    for endpoint, _, _, address, _, _, _ in fragment.translates:
        chain = sep[endpoint]
        recent = f"-m recent --name {chain} --set " if sticky else ""
        lines.append(
            f"-A {chain} {comment}-s {address} -j KUBE-MARK-MASQ\n"
            f"-A {chain} {comment}{recent}{match}-j DNAT --to-destination {endpoint}\n"
        )
    return lines


def _filter(fragment: Fragment, match: str, letters: str) -> Lines:
    """The filter rules: refusals, the load balancer's firewall, the health-check port."""
    spn = fragment.name.service_port
    refusals = {refusal.id: refusal for refusal in fragment.refusals}
    outside = refusals.get(fragment.external.target) if fragment.external else None
    before: Lines = []
    firewall: Lines = []
    after: Lines = []
    for dispatch in fragment.dispatches:
        if dispatch.target == "firewall":
            line = (
                f'-A KUBE-PROXY-FIREWALL -m comment --comment "{spn} traffic not accepted by '
                f'KUBE-FW-{letters}" {_destination(dispatch, match)}-j DROP\n'
            )
            firewall.append((dispatch.id, line))
        behind_external = dispatch.target in ("external", "firewall")
        refusal = outside if behind_external else refusals.get(dispatch.target)
        if refusal is not None:
            place = before if dispatch.frontend in ("cluster-ip", "external-ip") else after
            place.append((dispatch.id, _refuse(dispatch, refusal, spn, match)))
    lines = before + firewall + after
    if fragment.health_check is not None:
        line = (
            f'-A KUBE-NODEPORTS -m comment --comment "{spn} health check node port" '
            f"-m tcp -p tcp --dport {fragment.health_check.port} -j ACCEPT\n"
        )
        lines.append((fragment.health_check.id, line))
    return lines


def _refuse(dispatch: Dispatch, refusal: Reject | Drop, spn: str, match: str) -> str:
    chain = "KUBE-SERVICES" if dispatch.frontend == "cluster-ip" else "KUBE-EXTERNAL-SERVICES"
    verdict = "REJECT" if isinstance(refusal, Reject) else "DROP"
    destination = (
        f"-m addrtype --dst-type LOCAL {match}--dport {dispatch.port} "
        if dispatch.frontend == "node-port"
        else _destination(dispatch, match)
    )
    return f'-A {chain} -m comment --comment "{spn} {refusal.reason}" {destination}-j {verdict}\n'
