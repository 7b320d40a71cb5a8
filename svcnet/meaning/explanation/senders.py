"""Who sends a packet: an address, a Pod, a node, or somebody outside of the cluster."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator

from attrs import frozen

from svcnet.addresses import contains, is_address
from svcnet.compiler import NodeView
from svcnet.errors import AbsentError, UsageError
from svcnet.family import IPFamily, family_of
from svcnet.models import ClusterState

FORMS = "an address, pod/NAMESPACE/NAME, node, node/NAME or outside"
_STRANGERS = {
    "IPv4": ("198.51.100.1", "203.0.113.1", "192.0.2.1", "1.1.1.1"),
    "IPv6": ("2001:db8:ffff::1", "2001:db8:fffe::1", "2620:0:ccc::2"),
}


@frozen
class PacketSender:
    """Whose packet it is: the source address, and the interface by which it comes in.

    ``interface`` is empty for the node itself, and where nothing depends on it.
    """

    address: str
    interface: str = ""


def family_of_sender(who: str) -> IPFamily | None:
    """Return the IP family of a sender who is named by an address, None for others."""
    return family_of(who) if is_address(who) else None


def sender(who: str, state: ClusterState, view: NodeView) -> PacketSender:
    """Return who is meant by an address or a name.

    Raises UsageError for what is neither, and AbsentError for a Pod or node that is not there or
    has no address of the family.
    """
    kind, _, name = who.partition("/")
    if kind == "pod" and name.count("/") == 1 and all(name.split("/")):
        return _pod(name, state, view)
    if kind == "node" and (name or who == "node"):
        return _node(name, state, view)
    if who == "outside":
        return PacketSender(_stranger(state, view))
    if "/" in who or not is_address(who):
        raise UsageError(f"--from is {FORMS}; not {who!r}")
    return PacketSender(who)


def _pod(name: str, state: ClusterState, view: NodeView) -> PacketSender:
    for address, node in _addresses(name, state):
        if family_of(address) != view.family:
            continue
        if view.settings.is_node_address(address):
            return PacketSender(address)
        is_here = node != "" and node == view.settings.node_name
        return PacketSender(address, interface(view) if is_here else "")
    known = any(True for _ in _addresses(name, state))
    lack = f"has no {view.family} address" if known else "is not in the input"
    raise AbsentError(f"Pod {name} {lack}")


def _addresses(name: str, state: ClusterState) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a Pod and its node, by the Pod itself or by slices."""
    for key, pod in state.pods.items():
        if str(key) == name:
            for address in pod.pod_ips:
                yield address, pod.node_name
    for group in state.slices.values():
        for item in group.values():
            for endpoint in item.endpoints:
                target = endpoint.target_ref
                if target and target.kind == "Pod" and f"{target.namespace}/{target.name}" == name:
                    yield endpoint.addresses[0], endpoint.node_name


def interface(view: NodeView) -> str:
    """Return an interface by which packets of this node's pods come in, if that tells them."""
    detector = view.settings.local_detector
    match detector.kind:
        case "bridge":
            return detector.value
        case "prefix":
            return f"{detector.value}0"[:15]
        case _:
            return ""


def _node(name: str, state: ClusterState, view: NodeView) -> PacketSender:
    if not name or name == view.settings.node_name:
        return PacketSender(view.settings.node_ip)
    node = state.nodes.get(name)
    if node is None:
        raise AbsentError(f"the input has no Node {name!r}")
    for address in node.addresses:
        if family_of(address) == view.family:
            return PacketSender(address)
    raise AbsentError(f"Node {name} has no {view.family} address")


def _stranger(state: ClusterState, view: NodeView) -> str:
    """Return an address that is nobody's in the cluster."""
    networks = [view.settings.local_detector.value] * (view.settings.local_detector.kind == "cidr")
    networks += [cidr for node in state.nodes.values() for cidr in node.pod_cidrs]
    own = {address for node in state.nodes.values() for address in node.addresses}
    own.update(view.settings.addresses)
    return stranger(view.family, own, networks)


def stranger(family: IPFamily, own: Container[str], networks: Collection[str] = ()) -> str:
    """Return an address that is none of `own` and in no network. Raises UsageError without one."""
    for address in _STRANGERS[family]:
        if address not in own and not any(contains(cidr, address) for cidr in networks):
            return address
    raise UsageError("no address is surely outside of this cluster: say --from ADDRESS")
