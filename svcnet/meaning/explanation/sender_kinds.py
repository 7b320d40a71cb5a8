"""The kinds of senders by which rules tell packets apart, and a packet of each."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.family import family_of
from svcnet.graph import Dispatch, Fragment, Packet
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.senders import PacketSender, interface, sender
from svcnet.meaning.sender_words import COLUMNS, FAR_POD, POD


class SenderKinds:
    """A sender of each kind; a pod is none of the endpoints that it asks for, if there is one."""

    def __init__(self, question: Question) -> None:
        settings = question.view.settings
        self._question = question
        found = [a for a in (settings.node_ip, *settings.addresses) if self._answers(a)]
        self._node_port_address = found[0] if found else ""
        self._others: dict[str, PacketSender] = {}
        self._pods: dict[str, list[str]] = {POD.one: [], FAR_POD.one: []}
        for address, node in sorted(set(self._addresses())):
            if family_of(address) == settings.family and not settings.is_node_address(address):
                is_here = node == question.node != ""
                self._pods[POD.one if is_here else FAR_POD.one].append(address)

    def packets(self, fragment: Fragment, dispatch: Dispatch) -> Iterator[tuple[str, Packet]]:
        """Yield a packet for a frontend of each kind of sender that there is one of."""
        address = dispatch.address or self._node_port_address
        if not address:
            return
        for kind in COLUMNS:
            who = self._of(kind, fragment)
            if who is not None:
                where = (address, dispatch.port, fragment.name.protocol)
                yield kind, Packet(who.address, *where, who.interface)

    def _answers(self, address: str) -> bool:
        is_loopback = address.startswith("127.") or address == "::1"
        return not is_loopback and self._question.view.settings.answers_node_ports(address)

    def _addresses(self) -> Iterator[tuple[str, str]]:
        """Yield the addresses of Pods and endpoints, each with its node."""
        state = self._question.state
        for pod in state.pods.values():
            yield from ((address, pod.node_name) for address in pod.pod_ips)
        for group in state.slices.values():
            for item in group.values():
                if item.address_type != "FQDN":
                    yield from ((e.addresses[0], e.node_name) for e in item.endpoints)

    def _of(self, kind: str, fragment: Fragment) -> PacketSender | None:
        question = self._question
        if kind not in self._pods:
            if kind not in self._others:
                self._others[kind] = sender(kind, question.state, question.view)
            return self._others[kind]
        own = {each.address for each in fragment.translates}
        chosen = next((address for address in self._pods[kind] if address not in own), "")
        if not chosen:
            return None
        return PacketSender(chosen, interface(question.view) if kind == POD.one else "")
