"""From a rule graph to commands of socat: pure functions of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from attrs import evolve, field, frozen

from svcnet.graph import (
    Balance,
    Dispatch,
    Fragment,
    FragmentName,
    GraphDiff,
    NodeSettings,
    RuleGraph,
)

CARRIED = ("TCP", "UDP")


@frozen
class Frontend:
    """One address and port of a Service: what leads from there, or why nothing does.

    ``command`` are the arguments of socat, and empty where traffic is refused.
    """

    where: str
    command: tuple[str, ...] = ()
    refused: str = ""

    def __str__(self) -> str:
        if self.refused:
            return f"# refused: {self.where}: {self.refused}"
        return " ".join(self.command)


@frozen
class Commands:
    """All commands of a node for one IP family, by service port."""

    mode: ClassVar[str] = "socat"
    settings: NodeSettings
    udp_timeout: float
    frontends: Mapping[FragmentName, tuple[Frontend, ...]] = field(factory=dict)
    unsupported: tuple[str, ...] = ()

    @property
    def lines(self) -> Iterator[str]:
        """The commands as text, in the order of the service ports' names."""
        for name in sorted(self.frontends):
            yield from map(str, self.frontends[name])

    def advance(self, diff: GraphDiff) -> Commands:
        """Return the commands after a step; service ports that are the same are not looked at."""
        if diff.settings_changed:
            return commands(diff.new, self.udp_timeout)
        frontends = dict(self.frontends)
        for name in diff.names:
            frontends.pop(name, None)
            fragment = diff.new.fragments.get(name)
            if fragment is not None and name.protocol in CARRIED:
                frontends[name] = _frontends(fragment, diff.new.settings, self.udp_timeout)
        return evolve(self, frontends=frontends, unsupported=tuple(refusals(diff.new)))


@frozen
class Step:
    """Commands that go, and commands that come."""

    gone: tuple[str, ...]
    come: tuple[str, ...]
    unsupported: tuple[str, ...]


def commands(graph: RuleGraph, udp_timeout: float) -> Commands:
    """Return the commands for a graph."""
    frontends = {
        name: _frontends(fragment, graph.settings, udp_timeout)
        for name, fragment in graph.fragments.items()
        if name.protocol in CARRIED
    }
    return Commands(graph.settings, udp_timeout, frontends, tuple(refusals(graph)))


def between(before: Commands, after: Commands, names: Iterable[FragmentName]) -> Step:
    """Return the step between two values of which only `names` may differ."""
    if before.settings != after.settings:
        names = sorted({*before.frontends, *after.frontends})
    gone: list[str] = []
    come: list[str] = []
    for name in names:
        old = [str(each) for each in before.frontends.get(name, ())]
        new = [str(each) for each in after.frontends.get(name, ())]
        gone += [line for line in old if line not in new]
        come += [line for line in new if line not in old]
    return Step(tuple(gone), tuple(come), after.unsupported)


def refusals(graph: RuleGraph) -> Iterator[str]:
    """Yield what socat cannot do, by Service and field."""
    for name in sorted(graph.fragments):
        if name.protocol not in CARRIED:
            of = f"Service {name.namespace}/{name.name}"
            where = graph.fragments[name].field
            yield f"{of}: {where}.protocol: socat leads no {name.protocol} to an endpoint here"


def _frontends(
    fragment: Fragment, settings: NodeSettings, udp_timeout: float
) -> tuple[Frontend, ...]:
    return tuple(
        _frontend(fragment, dispatch, settings, udp_timeout) for dispatch in fragment.dispatches
    )


def _frontend(
    fragment: Fragment, dispatch: Dispatch, settings: NodeSettings, udp_timeout: float
) -> Frontend:
    protocol, version = fragment.name.protocol, settings.family.removeprefix("IPv")
    where = f"{_literal(dispatch.address) or '*'}:{dispatch.port}/{protocol} {fragment.name}"
    if fragment.firewall is not None and dispatch.frontend == "load-balancer":
        return Frontend(where, refused="socat does not know who may ask there")
    balance = _balance(fragment, dispatch)
    if balance is None:
        reasons = [refusal.reason for refusal in fragment.refusals]
        return Frontend(where, refused=reasons[0] if reasons else "no endpoint")
    endpoint = next(each for each in fragment.translates if each.id == balance.targets[0])
    bind = f",bind={_literal(dispatch.address)},freebind" if dispatch.address else ""
    listen = f"{protocol}-LISTEN:{dispatch.port},pf=ip{version}{bind},reuseaddr,fork"
    patience = ("-T", f"{udp_timeout:g}") if protocol == "UDP" else ()
    lead = f"{protocol}:{_literal(endpoint.address)}:{endpoint.port}"
    return Frontend(where, ("socat", *patience, listen, lead))


def _balance(fragment: Fragment, dispatch: Dispatch) -> Balance | None:
    """Return which endpoints there are for a frontend, by the Service's traffic policies."""
    policy = fragment.policy
    inside = dispatch.frontend == "cluster-ip"
    is_local = policy.internal_local if inside else policy.external_local
    return fragment.local if is_local else fragment.cluster


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address
