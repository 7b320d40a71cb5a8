"""What nodes of the graph decide, in sentences."""

from __future__ import annotations

from svcnet.graph import (
    Accept,
    Balance,
    Decision,
    Dispatch,
    Drop,
    External,
    Firewall,
    Fragment,
    Packet,
    Reject,
    Translate,
)
from svcnet.words import one_of

_FRONTENDS = {
    "cluster-ip": "the cluster IP",
    "external-ip": "an external IP",
    "load-balancer": "a load balancer's address",
}


def sentence(decision: Decision, fragment: Fragment, packet: Packet) -> str:
    """Return what a node decided about a packet."""
    match decision.node:
        case Dispatch() as dispatch:
            return _dispatch(dispatch, fragment, packet) + _asks(decision)
        case Firewall():
            if decision.because:
                return f"the source {packet.source} is in {decision.because}, and may use it"
            return f"the source {packet.source} is in no range that may use this address"
        case External() as external:
            return _external(external, decision)
        case Balance() as balance:
            return _balance(balance, decision)
        case Translate() as endpoint:
            return _translate(endpoint, decision)
        case Reject() | Drop() as refusal:
            how = "refused" if isinstance(refusal, Reject) else "dropped"
            return f"{how}: Service {fragment.name.service_port} {refusal.reason}"
        case Accept():
            return "the node itself answers"


def _asks(decision: Decision) -> str:
    return "; the source becomes the node's" if decision.masquerade else ""


def _dispatch(dispatch: Dispatch, fragment: Fragment, packet: Packet) -> str:
    name = fragment.name
    port = f", port {name.port_name}" if name.port_name else ""
    service = f"Service {name.namespace}/{name.name}{port}"
    if dispatch.frontend == "node-port":
        return f"{dispatch.port}/{name.protocol} is a node port of {service}"
    where = endpoint_text(packet.destination, packet.port)
    return f"{where}/{name.protocol} is {_FRONTENDS[dispatch.frontend]} of {service}"


def _external(external: External, decision: Decision) -> str:
    if not external.keep_source:
        return "traffic policy Cluster: every endpoint will do; the source becomes the node's"
    match decision.because:
        case "pod":
            return "from a pod of this node: every endpoint will do, as within the cluster"
        case "node":
            return "from the node itself: every endpoint will do; the source becomes the node's"
        case _:
            return "from outside, traffic policy Local: endpoints on this node only"


def _balance(balance: Balance, decision: Decision) -> str:
    if decision.because == "remembered":
        return "session affinity remembers the endpoint of this source"
    count = len(balance.targets)
    here = " on this node" if balance.id == "local" else ""
    found = f"{one_of(count, 'endpoint')}{here}"
    return f"{found}, for {balance.affinity} s the same one" if balance.affinity else found


def _translate(endpoint: Translate, decision: Decision) -> str:
    here = ", on this node" if endpoint.local else ""
    itself = ", the sender itself; the source becomes the node's" if decision.masquerade else ""
    return f"to {endpoint.id}{here}{itself}"


def endpoint_text(address: str, port: int) -> str:
    """Return an address and a port as one text, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def source_text(source: str) -> str:
    """Return whose a packet's new source is; ``node`` stands for an address of the node's."""
    return "the node's" if source == "node" else source
