"""What every mode has to keep, whoever made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from attrs import evolve

from svcnet.compiler import compile_state, node_view
from svcnet.family import IP_FAMILIES
from svcnet.graph import RuleGraph, diff
from svcnet.models import ClusterState, IPFamily, KubeProxyConfiguration, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.modes import AnyMode, Executor, ModeSettings
from svcnet.testing.builders import make_node, make_service, make_slice
from svcnet.testing.fake_machine import FakeMachine


def check_mode(mode: AnyMode, states: Sequence[Sequence[ClusterObject]] = ()) -> None:
    """Raise AssertionError, which says what differs, unless a mode keeps what all modes must.

    - What it writes depends on the objects, and not on their order.
    - It depends on the graph, and not on graphs before it: what :meth:`svcnet.modes.Mode.advance`
      makes equals what ``full`` does, whether a change comes at once or in steps, and back again.
    - Its executor is of the machine and the settings that it is given, and touches nothing yet.
    - Each service port is in every form, and each of its frontends in the form ``text``, or a
      finding names the Service.

    `states` are objects beside the kit's own, as a cluster had them one after the other.
    """
    settings = mode.settings(KubeProxyConfiguration())
    _check_executor(mode, settings)
    for family in IP_FAMILIES:
        for history in (_history(family), states):
            graphs = [_graph(mode, objects, family) for objects in history]
            for objects, graph in zip(history, graphs, strict=True):
                turned = _graph(mode, objects[::-1], family)
                _same(mode, settings, graph, mode.full(turned, settings), "the order of objects")
                _check_lost(mode, settings, graph)
            _check_ways(mode, settings, graphs)


def _check_executor(mode: AnyMode, settings: ModeSettings) -> None:
    machine = FakeMachine()
    executor = mode.executor(machine, settings)
    assert isinstance(executor, Executor), f"its executor is of type {type(executor).__name__}"
    found = (executor.mode, executor.machine, executor.settings)
    is_own = all(one is other for one, other in zip(found, (mode, machine, settings), strict=True))
    assert is_own, f"its executor is not of the mode, the machine and the settings given: {found}"
    assert not machine.calls, f"its executor runs programs before it is asked to: {machine.calls}"


def _history(family: IPFamily) -> list[list[ClusterObject]]:
    """Return states of a cluster: Services and endpoints come, change and go."""
    is_four = family == "IPv4"
    ip, pod = ("10.96.0.{}", "10.244.1.{}") if is_four else ("fd00:96::{}", "fd00:244::{}")
    node = make_node("node-a", "192.0.2.10" if is_four else "2001:db8::10")
    web = make_service(
        "web",
        ip.format(10),
        type="NodePort",
        external_ips=(ip.format(90),),
        ports=(ServicePort(80, "http", node_port=30080, target_port=8080),),
    )
    db = make_service("db", ip.format(11), ports=(ServicePort(53, "http", "UDP"),))
    signal = make_service("signal", ip.format(12), ports=(ServicePort(99, "http", "SCTP"),))
    few = make_slice("web", pod.format(5))
    many = make_slice("web", pod.format(6), pod.format(7))
    return [
        [node],
        [node, web],
        [node, web, few],
        [node, web, few, db, signal],
        [node, web, many, db],
        [node, db],
        [],
    ]


def _graph(mode: AnyMode, objects: Sequence[ClusterObject], family: IPFamily) -> RuleGraph:
    state, config = ClusterState.of(objects), KubeProxyConfiguration()
    return compile_state(state, node_view(state, config, family=family, rules=mode.rules(config)))


def _check_ways(mode: AnyMode, settings: ModeSettings, graphs: Sequence[RuleGraph]) -> None:
    """Go through all graphs step by step, and from each to each, there and back."""
    if not graphs:
        return
    artifact = mode.full(graphs[0], settings)
    for before, after in pairwise([*graphs, *graphs[::-1]]):
        artifact = mode.advance(artifact, diff(before, after))[0]
        _same(mode, settings, after, artifact, "the steps before")
    for before in graphs:
        for after in graphs:
            step = mode.advance(mode.full(before, settings), diff(before, after))[0]
            _same(mode, settings, after, step, "the state before")


def _same(mode: AnyMode, settings: ModeSettings, graph: RuleGraph, found: Any, why: str) -> None:
    wanted = mode.full(graph, settings)
    for name, form in mode.forms.items():
        texts = [form.full(each, settings.given).text for each in (wanted, found)]
        assert texts[0] == texts[1], f"form {name} depends on {why}:\n{texts[0]}---\n{texts[1]}"


def _check_lost(mode: AnyMode, settings: ModeSettings, graph: RuleGraph) -> None:
    """Take out a part in turn: what is written must tell, or a finding."""
    for name, form in mode.forms.items():
        whole = form.full(mode.full(graph, settings), settings.given)
        told = {*map(str, whole.findings), *map(str, mode.lacks(graph))}
        parts = _frontends(graph) if name == "text" else _service_ports(graph)
        for part, less in parts:
            text = form.full(mode.full(less, settings), settings.given).text
            service = part.partition(" ")[0]
            assert text != whole.text or any(f"{service}:" in line for line in told), (
                f"form {name} has nothing of {part}, and no finding says so"
            )


def _service_ports(graph: RuleGraph) -> Iterator[tuple[str, RuleGraph]]:
    """Yield the service ports of a graph, and the graph without each."""
    for name in graph.fragments:
        part = f"{name.namespace}/{name.name} {name}"
        yield part, evolve(graph, fragments=graph.fragments.delete(name))


def _frontends(graph: RuleGraph) -> Iterator[tuple[str, RuleGraph]]:
    """Yield the frontends of a graph, and the graph without each."""
    for name, fragment in graph.fragments.items():
        for dispatch in fragment.dispatches:
            left = tuple(each for each in fragment.dispatches if each is not dispatch)
            fragments = graph.fragments.delete(name)
            if left:
                fragments = fragments.set(name, evolve(fragment, dispatches=left))
            part = f"{name.namespace}/{name.name} {dispatch.address or '*'}:{dispatch.port}"
            yield part, evolve(graph, fragments=fragments)
