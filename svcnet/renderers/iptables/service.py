"""The rules of one service port.

This is where the hot path of a render is, so lines are f-strings and nothing is looked
up twice. The order of rules within each chain is kube-proxy's and counts.
"""

from __future__ import annotations

from functools import cache

from svcnet.graph import Balance, Dispatch, Drop, Fragment, LocalDetector, NodeSettings, Reject
from svcnet.renderers.iptables import names
from svcnet.renderers.iptables.artifact import Block

_COMMENTS = {
    "cluster-ip": "cluster IP",
    "external-ip": "external IP",
    "load-balancer": "loadbalancer IP",
}


def render_service_port(fragment: Fragment, settings: NodeSettings, is_large: bool) -> Block:
    """Return the text of one service port; `is_large` leaves out per-endpoint comments."""
    protocol = fragment.name.protocol.lower()
    match = f"-m {protocol} -p {protocol} "
    letters = names.service_hash(fragment.name)
    chains = _chain_names(fragment, letters)
    endpoints = [translate.id for translate in fragment.translates]
    sep = dict(zip(endpoints, names.endpoint_chains(fragment.name, endpoints), strict=True))
    own = [
        _cluster_ip_masquerade(fragment, settings.local_detector, match, chains),
        _external(fragment, settings.local_detector, chains),
        _firewall(fragment, chains),
    ]
    for balance in (fragment.cluster, fragment.local):
        if balance is not None:
            own += _balance(balance, chains[balance.id], fragment, sep, is_large)
    own += _endpoints(fragment, match, sep, is_large)
    return Block(
        fragment=fragment,
        chains=(*chains.values(), *sep.values()),
        shared=_dispatch(fragment, match, chains),
        own="".join(own),
        filter=_filter(fragment, match, letters),
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


def _dispatch(fragment: Fragment, match: str, chains: dict[str, str]) -> str:
    """The nat rules that lead to this service port; a refused frontend has none."""
    spn = fragment.name.service_port
    lines = []
    for dispatch in fragment.dispatches:
        chain = chains.get(dispatch.target)
        if chain is None:
            continue
        if dispatch.frontend == "node-port":
            lines.append(
                f"-A KUBE-NODEPORTS -m comment --comment {spn} "
                f"{match}--dport {dispatch.port} -j {chain}\n"
            )
        else:
            lines.append(
                f'-A KUBE-SERVICES -m comment --comment "{spn} {_COMMENTS[dispatch.frontend]}" '
                f"{_destination(dispatch, match)}-j {chain}\n"
            )
    return "".join(lines)


def _cluster_ip_masquerade(
    fragment: Fragment, detector: LocalDetector, match: str, chains: dict[str, str]
) -> str:
    """Masquerading of traffic to the cluster IP, written at the head of the balancing chain."""
    dispatch = fragment.dispatches[0]
    chain = chains.get(dispatch.target)
    if chain is None or dispatch.masquerade == "never":
        return ""
    source = f"! {_from_local(detector)}" if dispatch.masquerade == "off-cluster" else ""
    return (
        f'-A {chain} -m comment --comment "{fragment.name.service_port} cluster IP" '
        f"{_destination(dispatch, match)}{source}-j KUBE-MARK-MASQ\n"
    )


def _from_local(detector: LocalDetector) -> str:
    match detector.kind:
        case "cidr":
            return f"-s {detector.value} "
        case "bridge":
            return f"-i {detector.value} "
        case _:
            return f"-i {detector.value}+ "


def _external(fragment: Fragment, detector: LocalDetector, chains: dict[str, str]) -> str:
    external = fragment.external
    if external is None:
        return ""
    chain, spn = chains[external.id], fragment.name.service_port
    lines = []
    if not external.keep_source:
        lines.append(
            f'-A {chain} -m comment --comment "masquerade traffic for {spn} '
            f'external destinations" -j KUBE-MARK-MASQ\n'
        )
    else:
        cluster = chains[external.cluster]
        if detector.kind != "none":
            lines.append(
                f'-A {chain} -m comment --comment "pod traffic for {spn} '
                f'external destinations" {_from_local(detector)}-j {cluster}\n'
            )
        lines.append(
            f'-A {chain} -m comment --comment "masquerade LOCAL traffic for {spn} '
            f'external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ\n'
            f'-A {chain} -m comment --comment "route LOCAL traffic for {spn} '
            f'external destinations" -m addrtype --src-type LOCAL -j {cluster}\n'
        )
    # Without a chain there are no local endpoints: the packet falls through to the drop
    # rule of the filter table.
    if external.target in chains:
        lines.append(f"-A {chain} -j {chains[external.target]}\n")
    return "".join(lines)


def _firewall(fragment: Fragment, chains: dict[str, str]) -> str:
    firewall = fragment.firewall
    if firewall is None:
        return ""
    chain, spn = chains[firewall.id], fragment.name.service_port
    head, target = (
        f'-A {chain} -m comment --comment "{spn} loadbalancer IP" -s ',
        chains[firewall.target],
    )
    lines = [f"{head}{source} -j {target}\n" for source in firewall.ranges + firewall.own_addresses]
    lines.append(
        f'-A {chain} -m comment --comment "other traffic to {spn} '
        f'will be dropped by KUBE-PROXY-FIREWALL"\n'
    )
    return "".join(lines)


def _balance(
    balance: Balance, chain: str, fragment: Fragment, sep: dict[str, str], is_large: bool
) -> list[str]:
    """Affinity first, then each endpoint with the chance that makes all equally likely."""
    if is_large:
        heads = [f"-A {chain} "] * len(balance.targets)
    else:
        start = f'-A {chain} -m comment --comment "{fragment.name.service_port} -> '
        heads = [f'{start}{endpoint}" ' for endpoint in balance.targets]
    seps = [sep[endpoint] for endpoint in balance.targets]
    lines = []
    if balance.affinity:
        lines = [
            f"{head}-m recent --name {name} --rcheck --seconds {balance.affinity} --reap "
            f"-j {name}\n"
            for head, name in zip(heads, seps, strict=True)
        ]
    left = len(seps)
    for head, name in zip(heads, seps, strict=True):
        if left > 1:
            lines.append(f"{head}{_chance(left)}-j {name}\n")
        else:
            lines.append(f"{head}-j {name}\n")
        left -= 1
    return lines


@cache
def _chance(left: int) -> str:
    """The match that is true once in `left` times."""
    return f"-m statistic --mode random --probability {1 / left:.10f} "


def _endpoints(fragment: Fragment, match: str, sep: dict[str, str], is_large: bool) -> list[str]:
    comment = "" if is_large else f"-m comment --comment {fragment.name.service_port} "
    balance = fragment.cluster or fragment.local
    sticky = balance is not None and balance.affinity
    lines = []
    for translate in fragment.translates:
        endpoint = translate.id
        chain = sep[endpoint]
        recent = f"-m recent --name {chain} --set " if sticky else ""
        lines.append(
            f"-A {chain} {comment}-s {translate.address} -j KUBE-MARK-MASQ\n"
            f"-A {chain} {comment}{recent}{match}-j DNAT --to-destination {endpoint}\n"
        )
    return lines


def _filter(fragment: Fragment, match: str, letters: str) -> str:
    """The filter rules: refusals, the load balancer's firewall, the health-check port."""
    spn = fragment.name.service_port
    refusals = {refusal.id: refusal for refusal in fragment.refusals}
    outside = refusals.get(fragment.external.target) if fragment.external else None
    before: list[str] = []
    firewall: list[str] = []
    after: list[str] = []
    for dispatch in fragment.dispatches:
        if dispatch.target == "firewall":
            firewall.append(
                f'-A KUBE-PROXY-FIREWALL -m comment --comment "{spn} traffic not accepted by '
                f'KUBE-FW-{letters}" {_destination(dispatch, match)}-j DROP\n'
            )
        behind_external = dispatch.target in ("external", "firewall")
        refusal = outside if behind_external else refusals.get(dispatch.target)
        if refusal is not None:
            lines = before if dispatch.frontend in ("cluster-ip", "external-ip") else after
            lines.append(_refuse(dispatch, refusal, spn, match))
    lines = before + firewall + after
    if fragment.health_check is not None:
        lines.append(
            f'-A KUBE-NODEPORTS -m comment --comment "{spn} health check node port" '
            f"-m tcp -p tcp --dport {fragment.health_check.port} -j ACCEPT\n"
        )
    return "".join(lines)


def _refuse(dispatch: Dispatch, refusal: Reject | Drop, spn: str, match: str) -> str:
    chain = "KUBE-SERVICES" if dispatch.frontend == "cluster-ip" else "KUBE-EXTERNAL-SERVICES"
    verdict = "REJECT" if isinstance(refusal, Reject) else "DROP"
    destination = (
        f"-m addrtype --dst-type LOCAL {match}--dport {dispatch.port} "
        if dispatch.frontend == "node-port"
        else _destination(dispatch, match)
    )
    return f'-A {chain} -m comment --comment "{spn} {refusal.reason}" {destination}-j {verdict}\n'
