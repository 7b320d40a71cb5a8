"""The rules of one service port.

This is where the hot path of a render is, so lines are f-strings and nothing is looked
up twice. The order of rules within each chain is kube-proxy's and counts.
"""

from __future__ import annotations

from functools import cache

from svcnet.graph import Balance, Dispatch, Drop, Fragment, LocalDetector, NodeSettings, Reject
from svcnet.graph.fragment import load_balancer, source_range
from svcnet.renderers.iptables import names
from svcnet.renderers.iptables.artifact import Block, Parts

_COMMENTS = {
    "cluster-ip": "cluster IP",
    "external-ip": "external IP",
    "load-balancer": "loadbalancer IP",
}


class _Rules:
    """Lines as they are written, and for each the part of the service port that it is for."""

    __slots__ = ("lines", "parts")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.parts: list[str] = []

    def add(self, part: str, line: str) -> None:
        self.lines.append(line)
        self.parts.append(part)

    @property
    def text(self) -> str:
        return "".join(self.lines)


def render_service_port(fragment: Fragment, settings: NodeSettings, is_large: bool) -> Block:
    """Return the text of one service port; `is_large` leaves out per-endpoint comments."""
    protocol = fragment.name.protocol.lower()
    match = f"-m {protocol} -p {protocol} "
    letters = names.service_hash(fragment.name)
    chains = _chain_names(fragment, letters)
    endpoints = [translate.id for translate in fragment.translates]
    sep = dict(zip(endpoints, names.endpoint_chains(fragment.name, endpoints), strict=True))
    own, shared, filtered = _Rules(), _Rules(), _Rules()
    _cluster_ip_masquerade(own, fragment, settings.local_detector, match, chains)
    _external(own, fragment, settings.local_detector, chains)
    _firewall(own, fragment, chains)
    for balance in (fragment.cluster, fragment.local):
        if balance is not None:
            _balance(own, balance, chains[balance.id], fragment, sep, is_large)
    own.lines += _endpoints(fragment, match, sep, is_large)
    _dispatch(shared, fragment, match, chains, settings)
    _filter(filtered, fragment, match, letters)
    return Block(
        fragment=fragment,
        chains=(*chains.values(), *sep.values()),
        shared=shared.text,
        own=own.text,
        filter=filtered.text,
        parts=Parts(tuple(own.parts), tuple(shared.parts), tuple(filtered.parts)),
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
    rules: _Rules,
    fragment: Fragment,
    match: str,
    chains: dict[str, str],
    settings: NodeSettings,
) -> None:
    """The nat rules that lead to this service port; a refused frontend has none."""
    spn = fragment.name.service_port
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
                rules.add(dispatch.id, counted)
            line = (
                f"-A KUBE-NODEPORTS -m comment --comment {spn} "
                f"{match}--dport {dispatch.port} -j {chain}\n"
            )
        else:
            line = (
                f'-A KUBE-SERVICES -m comment --comment "{spn} {_COMMENTS[dispatch.frontend]}" '
                f"{_destination(dispatch, match)}-j {chain}\n"
            )
        rules.add(dispatch.id, line)


def _cluster_ip_masquerade(
    rules: _Rules,
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
    rules.add(
        dispatch.id,
        f'-A {chain} -m comment --comment "{fragment.name.service_port} cluster IP" '
        f"{_destination(dispatch, match)}{source}-j KUBE-MARK-MASQ\n",
    )


def _from_local(detector: LocalDetector) -> str:
    match detector.kind:
        case "cidr":
            return f"-s {detector.value} "
        case "bridge":
            return f"-i {detector.value} "
        case _:
            return f"-i {detector.value}+ "


def _external(
    rules: _Rules, fragment: Fragment, detector: LocalDetector, chains: dict[str, str]
) -> None:
    external = fragment.external
    if external is None:
        return
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
        )
        lines.append(
            f'-A {chain} -m comment --comment "route LOCAL traffic for {spn} '
            f'external destinations" -m addrtype --src-type LOCAL -j {cluster}\n'
        )
    # Without a chain there are no local endpoints: the packet falls through to the drop
    # rule of the filter table.
    if external.target in chains:
        lines.append(f"-A {chain} -j {chains[external.target]}\n")
    for line in lines:
        rules.add(external.id, line)


def _firewall(rules: _Rules, fragment: Fragment, chains: dict[str, str]) -> None:
    firewall = fragment.firewall
    if firewall is None:
        return
    chain, spn = chains[firewall.id], fragment.name.service_port
    head, target = (
        f'-A {chain} -m comment --comment "{spn} loadbalancer IP" -s ',
        chains[firewall.target],
    )
    for number, cidr in enumerate(firewall.ranges):
        rules.add(source_range(number), f"{head}{cidr} -j {target}\n")
    for address in firewall.own_addresses:
        rules.add(load_balancer(address), f"{head}{address} -j {target}\n")
    rules.add(
        firewall.id,
        f'-A {chain} -m comment --comment "other traffic to {spn} '
        f'will be dropped by KUBE-PROXY-FIREWALL"\n',
    )


def _balance(
    rules: _Rules,
    balance: Balance,
    chain: str,
    fragment: Fragment,
    sep: dict[str, str],
    is_large: bool,
) -> None:
    """Affinity first, then each endpoint with the chance that makes all equally likely."""
    if is_large:
        heads = [f"-A {chain} "] * len(balance.targets)
    else:
        start = f'-A {chain} -m comment --comment "{fragment.name.service_port} -> '
        heads = [f'{start}{endpoint}" ' for endpoint in balance.targets]
    seps = [sep[endpoint] for endpoint in balance.targets]
    lines = rules.lines
    if balance.affinity:
        rules.parts += balance.targets
        lines += [
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
    rules.parts += balance.targets


@cache
def _chance(left: int) -> str:
    """The match that is true once in `left` times."""
    return f"-m statistic --mode random --probability {1 / left:.10f} "


def _endpoints(fragment: Fragment, match: str, sep: dict[str, str], is_large: bool) -> list[str]:
    """The rules of the endpoints' own chains, which are for who their chain is for."""
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


def _filter(rules: _Rules, fragment: Fragment, match: str, letters: str) -> None:
    """The filter rules: refusals, the load balancer's firewall, the health-check port."""
    spn = fragment.name.service_port
    refusals = {refusal.id: refusal for refusal in fragment.refusals}
    outside = refusals.get(fragment.external.target) if fragment.external else None
    before: list[tuple[str, str]] = []
    firewall: list[tuple[str, str]] = []
    after: list[tuple[str, str]] = []
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
    for part, line in (*before, *firewall, *after):
        rules.add(part, line)
    if fragment.health_check is not None:
        rules.add(
            fragment.health_check.id,
            f'-A KUBE-NODEPORTS -m comment --comment "{spn} health check node port" '
            f"-m tcp -p tcp --dport {fragment.health_check.port} -j ACCEPT\n",
        )


def _refuse(dispatch: Dispatch, refusal: Reject | Drop, spn: str, match: str) -> str:
    chain = "KUBE-SERVICES" if dispatch.frontend == "cluster-ip" else "KUBE-EXTERNAL-SERVICES"
    verdict = "REJECT" if isinstance(refusal, Reject) else "DROP"
    destination = (
        f"-m addrtype --dst-type LOCAL {match}--dport {dispatch.port} "
        if dispatch.frontend == "node-port"
        else _destination(dispatch, match)
    )
    return f'-A {chain} -m comment --comment "{spn} {refusal.reason}" {destination}-j {verdict}\n'
