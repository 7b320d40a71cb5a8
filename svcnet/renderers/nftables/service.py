"""What the table has for one service port.

This is where the hot path of a render is. What is made comes in the order in which kube-proxy gives
it to nft: chains and elements, then sets, then rules.

Source of the behaviour: ``syncProxyRules`` in pkg/proxy/nftables/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

from sys import intern

from attrs import frozen

from svcnet.addresses import contains
from svcnet.graph import Balance, Dispatch, Fragment, NodeSettings
from svcnet.graph.fragment import source_range
from svcnet.graph.nodes import Frontend
from svcnet.netfilter.nft import NFTChain, NFTElement, NFTObject, NFTRule, NFTSet
from svcnet.renderers.nftables import names
from svcnet.renderers.nftables.block import NFTablesBlock, NFTRow, Place
from svcnet.renderers.nftables.flat.leads import Leads
from svcnet.renderers.nftables.layout import Layout
from svcnet.renderers.nftables.words import NodeWords, keep_source

_PREFIXES = {"cluster": "service-", "local": "local-"}
_VERDICTS = {"reject": f"goto {names.REJECT}", "drop": "drop"}


class _ServicePortObjects:
    """Objects as they are made, and for each the part of the service port that it is for."""

    __slots__ = ("elements", "objects", "parts")

    def __init__(self) -> None:
        self.objects: list[NFTObject | NFTRow] = []
        self.parts: list[str | tuple[str, ...]] = []
        self.elements: dict[Place, NFTElement] = {}

    def add(self, part: str, made: NFTObject) -> None:
        self.objects.append(made)
        self.parts.append(part)

    def row(self, parts: tuple[str, ...], made: NFTRow) -> None:
        """Add many that are alike, which is what endpoints are."""
        self.objects.append(made)
        self.parts.append(parts)

    def element(self, part: str, made: NFTElement) -> None:
        """Add an element; of two that one key has with other values the later one stays."""
        place = made[:2]
        before = self.elements.get(place)
        if before is not None and before.value == made.value:
            return
        if before is not None:
            index = self.objects.index(before)
            del self.objects[index], self.parts[index]
        self.elements[place] = made
        self.add(part, made)


class _ServicePort:
    """One service port, and the names that its parts have."""

    __slots__ = ("base", "endpoints", "fragment", "leads", "made", "protocol", "say", "settings")

    def __init__(
        self, fragment: Fragment, settings: NodeSettings, say: NodeWords, leads: Leads | None
    ) -> None:
        name = fragment.name
        self.fragment = fragment
        self.settings = settings
        self.say = say
        self.protocol = name.protocol.lower()
        self.leads = leads
        is_named = leads is None or fragment.policy.source_ranges
        self.base = names.service_base(name) if is_named else ""
        self.endpoints: dict[str, str] = {}
        if fragment.policy.affinity:
            where = [(each.address, each.port) for each in fragment.translates]
            ids = [each.id for each in fragment.translates]
            self.endpoints = dict(zip(ids, names.endpoint_bases(name, where), strict=True))
        self.made = _ServicePortObjects()

    @property
    def external(self) -> str:
        """The chain of traffic from outside."""
        return f"external-{self.base}"

    @property
    def firewall(self) -> str:
        """The chain of load balancer addresses that not all sources may use."""
        return f"firewall-{self.base}"

    def chain_of(self, target: str) -> str:
        """Return the chain of a node that balances."""
        return f"{_PREFIXES[target]}{self.base}"

    def key_of(self, dispatch: Dispatch) -> str:
        """Return what a destination is in maps."""
        return names.frontend_key(dispatch, self.protocol)


def render_service_port(
    fragment: Fragment, settings: NodeSettings, say: NodeWords, layout: Layout = "kube-proxy"
) -> NFTablesBlock:
    """Return what the table has for a service port; `say` are the words for this node.

    With session affinity it has chains of its own in any layout: each endpoint has a set of the
    clients that it had.
    """
    is_flat = layout == "flat" and not fragment.policy.affinity
    port = _ServicePort(fragment, settings, say, Leads(fragment) if is_flat else None)
    _endpoints(port)
    if not is_flat:
        _chains(port)
    _destinations(port)
    if not is_flat:
        _external(port)
    _firewall_rule(port)
    if not is_flat:
        _balances(port)
    made = port.made
    return NFTablesBlock(fragment, tuple(made.objects), tuple(made.parts), is_flat)


def _chains(port: _ServicePort) -> None:
    """The chains of traffic to endpoints, and from outside."""
    fragment = port.fragment
    for balance in (fragment.cluster, fragment.local):
        if balance is not None:
            port.made.add("", NFTChain(port.chain_of(balance.id)))
    if fragment.external is not None:
        port.made.add("", NFTChain(port.external))


def _balances(port: _ServicePort) -> None:
    """What chooses among endpoints."""
    fragment = port.fragment
    balances = [each for each in (fragment.cluster, fragment.local) if each is not None]
    if port.endpoints:
        _affinity_sets(port)
        for balance in balances:
            _balance_with_affinity(port, balance)
        _endpoint_rules(port)
    else:
        for balance in balances:
            _balance(port, balance)


def _endpoints(port: _ServicePort) -> None:
    """Chains of endpoints, which only affinity needs, and connections of one to itself."""
    protocol = port.protocol
    chains = tuple([(base,) for base in port.endpoints.values()])
    ids, done = tuple(port.endpoints), 0
    endpoints = port.fragment.translates
    for place in [place for place, each in enumerate(endpoints) if each.local]:
        if chains:
            port.made.row(ids[done : place + 1], NFTRow(_endpoint_chain, chains[done : place + 1]))
            done = place + 1
        endpoint = endpoints[place]
        key = f"{endpoint.address} . {endpoint.address} . {protocol} . {endpoint.port}"
        port.made.element(endpoint.id, NFTElement(names.HAIRPIN_CONNECTIONS, key))
    if chains[done:]:
        port.made.row(ids[done:], NFTRow(_endpoint_chain, chains[done:]))


def _endpoint_chain(base: str) -> tuple[NFTObject, ...]:
    return (NFTChain(f"endpoint-{base}"),)


def _destinations(port: _ServicePort) -> None:
    """Elements for each destination: where it leads, and what refuses it."""
    by_frontend: dict[Frontend, list[Dispatch]] = {}
    for dispatch in port.fragment.dispatches:
        by_frontend.setdefault(dispatch.frontend, []).append(dispatch)
    for dispatch in by_frontend.get("cluster-ip", ()):
        port.made.element(dispatch.id, NFTElement(names.CLUSTER_IPS, dispatch.address))
        _lead(port, dispatch)
        _refuse(port, dispatch)
    for dispatch in by_frontend.get("external-ip", ()):
        _lead(port, dispatch)
        _refuse(port, dispatch)
    load_balancers = by_frontend.get("load-balancer", ())
    is_guarded = bool(load_balancers and port.fragment.policy.source_ranges)
    if is_guarded:
        part = "" if port.fragment.firewall is None else port.fragment.firewall.id
        port.made.add(part, NFTChain(port.firewall))
    for dispatch in load_balancers:
        _lead(port, dispatch)
        if is_guarded:
            element = NFTElement(names.FIREWALL_IPS, port.key_of(dispatch), f"goto {port.firewall}")
            port.made.element(dispatch.id, element)
    for dispatch in load_balancers:
        _refuse(port, dispatch)
    for dispatch in by_frontend.get("node-port", ()):
        _lead(port, dispatch)
        _refuse(port, dispatch)


def _lead(port: _ServicePort, dispatch: Dispatch) -> None:
    """Lead a destination to a chain, if anything is behind it."""
    goal = _goal(port, dispatch)
    if goal:
        element = NFTElement(names.leading_map(dispatch), port.key_of(dispatch), goal)
        port.made.element(dispatch.id, element)


def _goal(port: _ServicePort, dispatch: Dispatch) -> str:
    """Return what leads to the chain of a destination, empty if nothing is behind it."""
    if port.leads is not None:
        bucket = port.leads.bucket(dispatch)
        # There are few buckets, and many frontends lead to each.
        return "" if bucket is None else intern(f"goto {bucket.name}")
    if dispatch.target in _PREFIXES:
        return f"goto {port.chain_of(dispatch.target)}"
    if dispatch.target in ("external", "firewall"):
        return f"goto {port.external}"
    return ""


def _refuse(port: _ServicePort, dispatch: Dispatch) -> None:
    """Refuse what comes to a destination untranslated.

    Behind an external chain that is outside traffic, if this node has no endpoint for it: the
    node's own and that of its pods has been led away.
    """
    external = port.fragment.external
    is_behind = external is not None and dispatch.target in ("external", "firewall")
    target = external.target if external is not None and is_behind else dispatch.target
    verdict = _VERDICTS.get(target)
    if verdict is None:
        return
    place = names.NO_ENDPOINT_SERVICES
    if dispatch.frontend == "node-port":
        place = names.NO_ENDPOINT_NODE_PORTS
    spn = port.fragment.name.service_port
    port.made.element(dispatch.id, NFTElement(place, port.key_of(dispatch), verdict, spn))


def _external(port: _ServicePort) -> None:
    """Traffic from outside: with the node's source, or with its own to this node's endpoints."""
    fragment, made, say = port.fragment, port.made, port.say
    external = fragment.external
    if external is None:
        return
    chain = port.external
    rules = []
    if not external.keep_source:
        rules.append(NFTRule(chain, say.mark, "masquerade"))
    else:
        rules += keep_source(chain, f"goto {port.chain_of(external.cluster)}", say)
    if external.target in _PREFIXES:
        rules.append(NFTRule(chain, f"goto {port.chain_of(external.target)}"))
    for rule in rules:
        made.add(external.id, rule)


def _firewall_rule(port: _ServicePort) -> None:
    """Sources that may not use the load balancer's addresses, with endpoints or without."""
    fragment, ranges = port.fragment, port.fragment.policy.source_ranges
    own = [each.address for each in fragment.dispatches if each.frontend == "load-balancer"]
    if not own or not ranges:
        return
    if not any(contains(cidr, port.settings.node_ip) for cidr in ranges):
        own = []
    sources = " , ".join((*ranges, *own))
    rule = NFTRule(port.firewall, f"{port.say.ip} saddr != {{ {sources} }} drop")
    part = source_range(0) if fragment.firewall is None else fragment.firewall.id
    port.made.add(part, rule)


@frozen
class _AffinitySet:
    """Makes what remembers the clients of an endpoint."""

    address: str
    seconds: int

    def __call__(self, base: str) -> tuple[NFTObject, ...]:
        return (NFTSet(f"affinity-{base}", self.address, seconds=self.seconds),)


@frozen
class _BackToEndpoint:
    """Makes the rule that leads the clients of an endpoint back to it."""

    ip: str

    def __call__(self, base: str, chain: str) -> tuple[NFTObject, ...]:
        return (NFTRule(chain, f"{self.ip} saddr @affinity-{base} goto endpoint-{base}"),)


@frozen
class _EndpointRules:
    """Makes the rules of an endpoint's chain."""

    ip: str
    protocol: str

    def __call__(self, base: str, endpoint: str) -> tuple[NFTObject, ...]:
        chain = f"endpoint-{base}"
        return (
            NFTRule(chain, f"update @affinity-{base} {{ {self.ip} saddr }}"),
            NFTRule(chain, f"meta l4proto {self.protocol} dnat to {endpoint}"),
        )


def _affinity_sets(port: _ServicePort) -> None:
    seconds, address = port.fragment.policy.affinity, port.say.address
    make = _AffinitySet(address, seconds)
    sets = tuple([(base,) for base in port.endpoints.values()])
    port.made.row(tuple(port.endpoints), NFTRow(make, sets))


def _balance(port: _ServicePort, balance: Balance) -> None:
    """One rule for all endpoints. A constant instead of a map is what nft 1.0.6 aborts on."""
    chosen = port.fragment.endpoints(balance)
    where = " , ".join(
        [f"{i} : {address} . {number}" for i, (_, _, _, address, number, _, _) in enumerate(chosen)]
    )
    port.made.add(
        balance.id,
        NFTRule(
            port.chain_of(balance.id),
            f"meta l4proto {port.protocol} dnat {port.say.ip} addr . port to "
            f"numgen random mod {len(chosen)} map {{ {where} }}",
        ),
    )


def _balance_with_affinity(port: _ServicePort, balance: Balance) -> None:
    """The endpoint that a client had, or else any of them."""
    chain, ip = port.chain_of(balance.id), port.say.ip
    bases = [port.endpoints[target] for target in balance.targets]
    back = tuple([(base, chain) for base in bases])
    port.made.row(balance.targets, NFTRow(_BackToEndpoint(ip), back))
    where = " , ".join([f"{i} : goto endpoint-{base}" for i, base in enumerate(bases)])
    port.made.add(balance.id, NFTRule(chain, f"numgen random mod {len(bases)} vmap {{ {where} }}"))


def _endpoint_rules(port: _ServicePort) -> None:
    make = _EndpointRules(port.say.ip, port.protocol)
    pairs = tuple([(base, endpoint) for endpoint, base in port.endpoints.items()])
    port.made.row(tuple(port.endpoints), NFTRow(make, pairs))
