"""Why a Service port may have no endpoint: each reason as a change that would give it one."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from attrs import evolve

from svcnet.discovery.endpoints import with_slices
from svcnet.graph import Fragment, Origin, Packet
from svcnet.labels import HEADLESS_LABEL, SERVICE_NAME_LABEL
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.trials import Proposal
from svcnet.models import (
    Endpoint,
    EndpointPort,
    EndpointSlice,
    NamespacedName,
    Pod,
    Service,
    ServicePort,
)

LIKE = 0.6
"""How alike two names are that may be meant for one another."""


def of_endpoints(
    question: Question, packet: Packet, service: Service, fragment: Fragment
) -> Iterator[Proposal]:
    """Yield changes for a service port without endpoints."""
    asked = _PortProposals(question, packet, service, fragment)
    yield from asked.conditions()
    yield from asked.headless_slices()
    yield from asked.service_port_names()
    yield from asked.port_names()
    yield from asked.owners()
    yield from asked.selectors()


def of_local_endpoints(
    question: Question, packet: Packet, service: Service, fragment: Fragment
) -> Iterator[Proposal]:
    """Yield changes for a service port that has endpoints, but none on this node that serve."""
    asked = _PortProposals(question, packet, service, fragment)
    yield from asked.conditions(here=True)
    yield from asked.nodes()


class _PortProposals:
    """A service port, and who asks for it."""

    def __init__(
        self, question: Question, packet: Packet, service: Service, fragment: Fragment
    ) -> None:
        self.question = question
        self.packet = packet
        self.service = service
        self.fragment = fragment
        self.name = NamespacedName(service.namespace, service.name)
        self.slices = [
            item
            for item in question.state.slices_of(self.name)
            if item.address_type == packet.family
        ]

    def serves(self, port: EndpointPort) -> bool:
        name = self.fragment.name
        return (port.name, port.protocol) == (name.port_name, name.protocol)

    def slice_proposal(
        self, text: str, before: EndpointSlice, after: EndpointSlice, origin: Origin
    ) -> Proposal:
        """Return the proposal of a slice that is another."""
        state = self.question.state
        touched = state.services_of([before, after])
        changed = state.apply([after])
        if before.namespace != after.namespace:
            changed = changed.apply((), [before])
        return Proposal(text, self.question.with_state(changed, touched), self.packet, origin)

    def endpoint_proposal(
        self, text: str, item: EndpointSlice, index: int, after: Endpoint, field: str
    ) -> Proposal:
        endpoints = list(item.endpoints)
        endpoints[index] = after
        origin = self.origin_of(item, index, field)
        return self.slice_proposal(text, item, evolve(item, endpoints=tuple(endpoints)), origin)

    def origin_of(self, item: EndpointSlice, index: int, field: str) -> Origin:
        """Return the field of an endpoint, in the slice or in what the slice was made of."""
        target = item.endpoints[index].target_ref
        if item.is_of_pods and target is not None:
            path = "spec.nodeName" if field == "nodeName" else "status.conditions"
            return Origin("Pod", target.namespace, target.name, path)
        if self.name not in self.question.state.slices:
            return Origin("Endpoints", *self.name, "subsets")
        return Origin("EndpointSlice", item.namespace, item.name, f"endpoints[{index}].{field}")

    def conditions(self, here: bool = False) -> Iterator[Proposal]:
        """Yield endpoints that are not ready; `here` are those of this node only."""
        for item in self.slices:
            if not any(map(self.serves, item.ports)):
                continue
            for index, endpoint in enumerate(item.endpoints):
                is_here = endpoint.node_name == self.question.node
                if endpoint.ready or (here and not is_here):
                    continue
                after = evolve(endpoint, ready=True, serving=True, terminating=False)
                text = f"if the endpoint {endpoint.addresses[0]} were ready"
                field = "conditions.ready"
                yield self.endpoint_proposal(text, item, index, after, field)

    def nodes(self) -> Iterator[Proposal]:
        """Yield endpoints that say of no node that they are there."""
        for item in self.slices:
            for index, endpoint in enumerate(item.endpoints):
                if not endpoint.node_name and self.question.node:
                    after = evolve(endpoint, node_name=self.question.node)
                    text = f"if the endpoint {endpoint.addresses[0]} were on {self.question.node}"
                    yield self.endpoint_proposal(text, item, index, after, "nodeName")

    def headless_slices(self) -> Iterator[Proposal]:
        """Yield slices whose label says that nodes need not look at them."""
        for item in self.slices:
            if not item.is_seen:
                labels = {k: v for k, v in item.labels.items() if k != HEADLESS_LABEL}
                path = f"metadata.labels['{HEADLESS_LABEL}']"
                origin = Origin("EndpointSlice", item.namespace, item.name, path)
                text = f"if no label said that slice {item.name} is a headless Service's"
                yield self.slice_proposal(text, item, evolve(item, labels=labels), origin)

    def port_names(self) -> Iterator[Proposal]:
        """Yield ports of slices that have another name or protocol than the Service's."""
        if self.name not in self.question.state.slices:
            return
        wanted = self.fragment.name
        target = self.target_port()
        for item in self.slices:
            if item.is_of_pods or not item.endpoints:
                continue
            ports = sorted(enumerate(item.ports), key=lambda pair: pair[1].port != target)
            for index, port in ports:
                if (port.name, port.protocol) in self.own_ports:
                    continue
                own = list(item.ports)
                own[index] = evolve(port, name=wanted.port_name, protocol=self.port.protocol)
                origin = Origin("EndpointSlice", item.namespace, item.name, f"ports[{index}]")
                text = (
                    f"if port {_name_port(port)} of slice {item.name} were "
                    f"{wanted.port_name or 'without a name'}/{wanted.protocol}, as the Service's is"
                )
                yield self.slice_proposal(text, item, evolve(item, ports=tuple(own)), origin)

    @property
    def port(self) -> ServicePort:
        """The port of the Service that is asked for."""
        wanted = self.fragment.name[2:]
        return next(each for each in self.service.ports if (each.name, each.protocol) == wanted)

    @property
    def own_ports(self) -> set[tuple[str, str]]:
        """The ports that the Service has, which slices speak of by name."""
        return {(port.name, port.protocol) for port in self.service.ports}

    def service_port_names(self) -> Iterator[Proposal]:
        """Yield the name that slices have for a port, as that of the Service's."""
        names = {
            port.name
            for item in self.slices
            for port in item.ports
            if port.protocol == self.port.protocol
            and (port.name, port.protocol) not in self.own_ports
        }
        number = self.service.ports.index(self.port)
        for name in sorted(names):
            ports = list(self.service.ports)
            ports[number] = evolve(self.port, name=name)
            after = evolve(self.service, ports=tuple(ports))
            changed = self.question.with_state(self.question.state.apply([after]), [self.name])
            origin = Origin("Service", *self.name, f"spec.ports[{number}].name")
            text = f"if the Service's port were named {name or 'nothing'}, as its slices say"
            yield Proposal(text, changed, self.packet, origin)

    def target_port(self) -> int:
        number = self.port.target_port or self.port.port
        return number if isinstance(number, int) else 0

    def owners(self) -> Iterator[Proposal]:
        """Yield slices that name no Service that there is, or a Service of another namespace."""
        state = self.question.state
        for owner, group in sorted(state.slices.items()):
            if owner == self.name:
                continue
            is_near = owner.namespace == self.name.namespace and _are_like(
                owner.name, self.name.name
            )
            is_elsewhere = owner.name == self.name.name
            if owner in state.services or not (is_near or is_elsewhere):
                continue
            for item in group.values():
                if item.address_type != self.packet.family:
                    continue
                yield self.owner_proposal(item)

    def owner_proposal(self, item: EndpointSlice) -> Proposal:
        if item.namespace != self.name.namespace:
            after = evolve(item, namespace=self.name.namespace)
            origin = Origin("EndpointSlice", item.namespace, item.name, "metadata.namespace")
            text = f"if slice {item.name} were in namespace {self.name.namespace}"
            return self.slice_proposal(text, item, after, origin)
        path = f"metadata.labels['{SERVICE_NAME_LABEL}']"
        origin = Origin("EndpointSlice", item.namespace, item.name, path)
        text = f"if the label of slice {item.name} named {self.name.name}, not {item.service_name}"
        after = evolve(item, service_name=self.name.name)
        return self.slice_proposal(text, item, after, origin)

    def selectors(self) -> Iterator[Proposal]:
        """Yield what would have the selector find Pods, and slices made of those that it finds."""
        state = self.question.state
        if not state.pods or not self.service.selector or self.name in state.endpoints:
            return
        if self.name not in state.slices:
            made = self.question.with_state(with_slices(state), [self.name])
            yield Proposal("with --from-pods, which makes slices of Pods", made, self.packet)
        pods = [pod for name, pod in sorted(state.pods.items()) if name.namespace == self.name[0]]
        tried: set[tuple[str, str]] = set()
        for pod in pods:
            for key, value in self.near_selector(pod):
                if (key, value) not in tried:
                    tried.add((key, value))
                    yield self.selector_proposal(key, value, pod)

    def near_selector(self, pod: Pod) -> Iterator[tuple[str, str]]:
        """Yield the one label of a selector that a Pod has with another value."""
        differing = [k for k, v in self.service.selector.items() if pod.labels.get(k) != v]
        if len(differing) == 1 and differing[0] in pod.labels:
            yield differing[0], pod.labels[differing[0]]

    def selector_proposal(self, key: str, value: str, pod: Pod) -> Proposal:
        selector = {**self.service.selector, key: value}
        state = self.question.state
        # What was made of Pods, or stands for none, is made anew.
        old = [item for item in self.slices if item.is_of_pods or not item.endpoints]
        state = state.apply([evolve(self.service, selector=selector)], old)
        changed = self.question.with_state(with_slices(state), [self.name])
        origin = Origin("Service", *self.name, f"spec.selector['{key}']")
        text = f"if the selector had {key}: {value}, as Pod {pod.name} has"
        return Proposal(text, changed, self.packet, origin)


def _name_port(port: EndpointPort) -> str:
    return f"{port.name or port.port}/{port.protocol}"


def _are_like(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other).ratio() >= LIKE
