"""A table of every frontend of Services and each kind of sender: what becomes of their packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from svcnet.errors import one_line
from svcnet.family import family_of
from svcnet.graph import Dispatch, Fragment, Packet
from svcnet.meaning.explanation.explanation import Ends, SourcePlace, places_by_origin, source_of
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.senders import PacketSender, interface, sender
from svcnet.meaning.explanation.sentences import endpoint_text
from svcnet.meaning.explanation.text import LEFT_ALONE, merged, verdict_text
from svcnet.models import NamespacedName

KINDS = ("outside", "node", "pod of this node", "pod of another node")
"""The kinds of senders, by which rules tell packets apart."""


@frozen
class SenderCell:
    """What becomes of the packets of one kind of sender; ``packet`` is one of them."""

    kind: str
    packet: Packet
    ends: Ends

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``from``, ``packet`` and ``outcomes``."""
        ends = [{**verdict.to_dict(), "probability": str(share)} for verdict, share in self.ends]
        return {"from": self.kind, "packet": self.packet.to_dict(), "outcomes": ends}


@frozen
class FrontendRow:
    """One frontend of a service port, and what becomes of packets for it.

    A kind of sender of whom the objects have none has no cell.
    """

    fragment: Fragment
    dispatch: Dispatch
    place: SourcePlace | None
    cells: tuple[SenderCell, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        name, dispatch = self.fragment.name, self.dispatch
        return {
            "service": f"{name.namespace}/{name.name}",
            "portName": name.port_name,
            "frontend": dispatch.frontend,
            "address": dispatch.address,
            "port": dispatch.port,
            "protocol": name.protocol,
            "field": dispatch.origin.path,
            "source": source_of(dispatch.origin, self.place),
            "senders": [cell.to_dict() for cell in self.cells],
        }


def overview(
    question: Question,
    only: NamespacedName | None = None,
    ends: Callable[[Packet], Ends] | None = None,
) -> tuple[FrontendRow, ...]:
    """Return a row for each frontend of all Services, or of the one called `only`.

    `ends` says what becomes of a packet, if that is not what the mode says.
    """
    ask = ends or partial(_ends, question)
    found = [
        (fragment, dispatch)
        for fragment in question.graph
        if only is None or fragment.name[:2] == only
        for dispatch in fragment.dispatches
    ]
    places = places_by_origin(question.locate, (dispatch.origin for _, dispatch in found))
    senders = _Senders(question)
    return tuple(
        [
            FrontendRow(
                fragment,
                dispatch,
                places.get(dispatch.origin),
                tuple(_cells(ask, fragment, dispatch, senders)),
            )
            for fragment, dispatch in found
        ]
    )


def text(rows: Sequence[FrontendRow], untouched: str = LEFT_ALONE) -> str:
    """Return the rows as lines: a frontend, and below it who gets where.

    `untouched` is what is told of packets to which nothing is done.
    """
    return "".join(f"{one_line(line)}\n" for line in _lines(rows, untouched))


def _lines(rows: Sequence[FrontendRow], untouched: str) -> Iterator[str]:
    for row in rows:
        name, dispatch = row.fragment.name, row.dispatch
        where = f"*:{dispatch.port}"
        if dispatch.address:
            where = endpoint_text(dispatch.address, dispatch.port)
        place = "" if row.place is None else f"  ({row.place.file}:{row.place.line})"
        yield f"{where}/{name.protocol}  {dispatch.frontend} of {name.service_port}{place}"
        for cell in row.cells:
            yield f"  {cell.kind + ':':21}{verdict_text(cell.ends, untouched)}"


def _ends(question: Question, packet: Packet) -> Ends:
    passages = question.account(packet).passages
    return merged((each.verdict, each.probability) for each in passages)


def _cells(
    ask: Callable[[Packet], Ends], fragment: Fragment, dispatch: Dispatch, senders: _Senders
) -> Iterator[SenderCell]:
    address = dispatch.address or senders.node_port_address
    if not address:
        return
    for kind in KINDS:
        who = senders.of(kind, fragment)
        if who is None:
            continue
        packet = Packet(who.address, address, dispatch.port, fragment.name.protocol, who.interface)
        yield SenderCell(kind, packet, ask(packet))


class _Senders:
    """A sender of each kind; a pod is none of the endpoints that it asks for, if there is one."""

    def __init__(self, question: Question) -> None:
        settings = question.view.settings
        self.question = question
        found = [a for a in (settings.node_ip, *settings.addresses) if self._answers(a)]
        self.node_port_address = found[0] if found else ""
        self.pods: dict[bool, list[str]] = {True: [], False: []}
        pods = set(self._pods())
        for address, node in sorted(pods):
            self.pods[node == question.node != ""].append(address)

    def _answers(self, address: str) -> bool:
        is_loopback = address.startswith("127.") or address == "::1"
        return not is_loopback and self.question.view.settings.answers_node_ports(address)

    def _pods(self) -> Iterator[tuple[str, str]]:
        state = self.question.state
        for pod in state.pods.values():
            yield from ((address, pod.node_name) for address in pod.pod_ips)
        for group in state.slices.values():
            for item in group.values():
                if item.address_type != "FQDN":
                    yield from ((e.addresses[0], e.node_name) for e in item.endpoints)

    def of(self, kind: str, fragment: Fragment) -> PacketSender | None:
        question = self.question
        if kind in ("outside", "node"):
            return sender(kind, question.state, question.view)
        own = {each.address for each in fragment.translates}
        settings = question.view.settings
        pods = [
            address
            for address in self.pods[kind == KINDS[2]]
            if family_of(address) == settings.family and not settings.is_node_address(address)
        ]
        chosen = next((address for address in pods if address not in own), "")
        if not chosen:
            return None
        return PacketSender(chosen, interface(question.view) if kind == KINDS[2] else "")
