"""What is true of the slices of any Pods, however they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from unittest.mock import patch

import yaml
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svcnet.discovery.endpoints import (
    Completion,
    Selections,
    endpoints_manifest,
    endpoints_of,
    reconcile,
    slice_manifest,
    slices_of,
    with_slices,
)
from svcnet.discovery.endpoints.finder import Finder
from svcnet.discovery.endpoints.pods import matches
from svcnet.discovery.endpoints.selecting import SelectingServices
from svcnet.models import (
    Budget,
    ClusterState,
    Container,
    ContainerPort,
    EndpointAddress,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    NamespacedName,
    Node,
    Pod,
    Service,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.sources import load_bytes
from svcnet.testing import make_node, make_pod, make_service, make_slice

PORTS = (
    ServicePort(80, "http", target_port="http", app_protocol="kubernetes.io/h2c"),
    ServicePort(81, "raw", target_port=8081),
)
SERVICES = [
    make_service("a", "10.96.0.1", selector={"app": "web"}, ports=PORTS),
    make_service("b", "10.96.0.2", selector={"app": "web", "tier": "x"}, ports=PORTS[1:]),
    make_service(
        "c", cluster_ips=("None",), selector={"tier": "x"}, ports=(), ip_families=("IPv4", "IPv6")
    ),
]


def pod(
    number: int, app: str, tier: str, port: int, node: str, ready: bool, deleting: bool, six: bool
) -> Pod:
    addresses = (f"10.0.{number >> 8}.{number & 255}",)
    return make_pod(
        f"p{number}",
        *((*addresses, f"fd00::1:{number:x}") if six else addresses),
        labels={"app": app, "tier": tier},
        containers=(Container("c", (ContainerPort(port, "http"),)),),
        node_name=node,
        ready=ready,
        deleting=deleting,
    )


def web(number: int) -> Pod:
    return pod(number, "web", "y", 80, "n", True, False, False)


pods = st.lists(
    st.builds(
        pod,
        st.integers(0, 500),
        st.sampled_from(["web", "db"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from([8080, 8081]),
        st.sampled_from(["node-a", "node-b"]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
    unique_by=lambda pod: pod.name,
)


def content(slices: Iterable[EndpointSlice]) -> dict[tuple[str, str], EndpointSlice]:
    return {(item.namespace, item.name): item for item in slices}


def endpoints(slices: Iterable[EndpointSlice]) -> Counter[tuple[str, str, object, object]]:
    """Return every endpoint of every port, with the Service it is for."""
    return Counter(
        (item.service_name, item.address_type, port, endpoint)
        for item in slices
        for port in item.ports or (None,)
        for endpoint in item.endpoints
    )


def state_of(found: Iterable[Pod], *nodes: Node) -> ClusterState:
    return ClusterState.of([*SERVICES, *nodes, *found])


@given(pods, st.integers(1, 7))
def test_each_ready_pod_is_there_once(found: list[Pod], limit: int) -> None:
    """Each ready Pod is in exactly one slice for each port, and no slice is over its limit."""
    service = SERVICES[0]
    chosen = [pod for pod in found if pod.labels["app"] == "web"]
    slices = reconcile(service, chosen, limit=limit)
    assert all(len(item.endpoints) <= limit for item in slices)
    for port in service.ports:
        counts = Counter(
            endpoint.target_ref.name
            for item in slices
            for own in item.ports
            if own.name == port.name
            for endpoint in item.endpoints
            if endpoint.ready and endpoint.target_ref
        )
        assert counts == {pod.name: 1 for pod in chosen if pod.ready and not pod.deleting}


@given(pods, st.randoms(use_true_random=False))
def test_the_order_of_pods_changes_nothing(found: list[Pod], random: object) -> None:
    """Pods in any order make the same slices, to the name."""
    shuffled = sorted(found, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert slices_of(state_of(found)) == slices_of(state_of(reversed(found)))
    assert slices_of(state_of(found)) == slices_of(state_of(shuffled))
    assert endpoints_of(state_of(found)) == endpoints_of(state_of(shuffled))


@given(pods, pods, st.integers(1, 10))
def test_a_cluster_that_changed_has_the_endpoints_of_one_made_so(
    before: list[Pod], after: list[Pod], step: int
) -> None:
    """Whole states that follow in steps end with the endpoints of the last one made at once."""
    nodes = [make_node("node-a", zone="z1"), make_node("node-b", zone="z2")]
    selections = Selections.of(state_of(before, *nodes))
    gone = [pod for pod in before if pod.name not in {pod.name for pod in after}]
    selections, _ = selections.apply((), gone)
    for start in range(0, len(after), step):
        selections, _ = selections.apply(after[start : start + step])
    moved = evolve(nodes[0], labels={"topology.kubernetes.io/zone": "z3"})
    selections, _ = selections.apply([moved], [nodes[1]])
    cold = Selections.of(state_of(after, moved))
    assert endpoints(_slices(selections.state)) == endpoints(_slices(cold.state))


def _slices(state: ClusterState) -> list[EndpointSlice]:
    return [item for group in state.slices.values() for item in group.values()]


@given(pods, pods)
def test_a_step_tells_all_that_changed(before: list[Pod], after: list[Pod]) -> None:
    """The slices of before with those of the step are those of after; others are untouched."""
    first = Selections.of(state_of(before))
    second, step = first.apply(after)
    told = content(_slices(first.state))
    for item in step.removed:
        del told[item.namespace, item.name]
    assert told | content(step.changed) == content(_slices(second.state))
    again, nothing = second.apply(after)
    assert (nothing.changed, nothing.removed) == ((), ())
    assert content(_slices(again.state)) == content(_slices(second.state))


OTHERS = [
    *(make_slice("a", f"10.9.0.{number}", name=f"a-{number}") for number in (1, 2)),
    make_slice("b", "10.9.0.3", name="b-3"),
    make_slice("nobody", "10.9.0.4", name="nobody-4"),
    Endpoints("shop", "a", (EndpointSubset((EndpointAddress("10.9.0.5"),)),)),
]
others = st.lists(st.sampled_from(OTHERS), unique_by=id)


@given(
    st.lists(st.tuples(pods, others, st.sets(st.sampled_from("abc")))),
    st.booleans(),
    st.sampled_from((Budget(), Budget(4, 6))),
    st.sampled_from((0, 1_000_000)),
)
def test_what_is_lacking_follows_the_state(
    rounds: list[tuple[list[Pod], list[ClusterObject], set[str]]],
    with_node: bool,
    budget: Budget,
    most_looks: int,
) -> None:
    """Through any changes, the endpoints are those that the last state is completed with.

    So are the Services that find too many Pods to have any, and the steps tell all that changed.
    """
    with patch("svcnet.discovery.endpoints.selectors.MOST_LOOKS", most_looks):
        check_rounds(rounds, with_node, budget)


def check_rounds(
    rounds: list[tuple[list[Pod], list[ClusterObject], set[str]]], with_node: bool, budget: Budget
) -> None:
    nodes = [make_node("node-a", zone="z1")] if with_node else []
    given = ClusterState.of(nodes)
    completed = Completion.of(given, budget)
    for found, given_slices, names in rounds:
        wanted = ClusterState.of(
            [*nodes, *found, *given_slices, *(item for item in SERVICES if item.name in names)]
        )
        changed, removed = difference(given, wanted)
        before = completed.state
        completed, step = completed.apply(changed, removed)
        given = given.apply(changed, removed)
        assert completed.given.state == given
        made = step.changed
        assert before.apply((), step.removed).apply(changed, removed).apply(made) == completed.state
        lacking = {*given.slices, *given.endpoints}
        left_out = SelectingServices.of(given, lacking, budget).left_out
        assert dict(completed.left_out) == left_out
        whole = _slices(with_slices(given))
        kept = [one for one in whole if (one.namespace, one.service_name) not in left_out]
        assert endpoints(_slices(completed.state)) == endpoints(kept)


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), min_size=1)


@given(st.lists(labels, max_size=40), st.lists(labels, max_size=5), st.sampled_from((0, 2, 256)))
def test_a_finder_finds_what_a_look_at_each_pod_does(
    found: list[dict[str, str]], selectors: list[dict[str, str]], few: int
) -> None:
    """However many Pods have a label, they are found and counted as if each was looked at."""
    listed = [make_pod(f"p{n}", f"10.0.0.{n + 1}", labels=one) for n, one in enumerate(found)]
    services = [make_service(f"s{n}", selector=one) for n, one in enumerate(selectors)]
    finder = Finder.of(ClusterState.of(listed), services)
    with patch("svcnet.discovery.endpoints.finder.FEW", few):
        for service in services:
            expected = {pod.name for pod in listed if matches(service.selector, pod)}
            assert {pod.name for pod in finder.pods(service)} == expected
            assert finder.count(service) == len(finder.pods(service)) == len(expected)
            assert finder.most(service) >= len(expected)


def difference(
    before: ClusterState, after: ClusterState
) -> tuple[list[ClusterObject], list[ClusterObject]]:
    """Return what is new or other in a state, and what is no longer in it."""
    old, new = ({(type(item), item.name): item for item in state} for state in (before, after))
    changed = [item for key, item in new.items() if old.get(key) != item]
    return changed, [item for key, item in old.items() if key not in new]


def test_a_given_slice_may_have_the_name_of_a_made_one() -> None:
    """A slice that comes stays when the made one of the same name goes."""
    service, web_pod = SERVICES[0], web(1)
    completed = Completion.of(ClusterState.of([service, web_pod]))
    (made,) = _slices(completed.state)
    given = evolve(made, endpoints=())
    completed, step = completed.apply([given])
    assert step.removed == (made,)
    assert _slices(completed.state) == [given]
    completed, step = completed.apply((), [given])
    assert endpoints(_slices(completed.state)) == endpoints([made])


def test_services_that_are_not_touched_keep_their_objects() -> None:
    """A Pod of one Service leaves the slices of another one the same objects."""
    selections = Selections.of(
        state_of(
            [
                pod(1, "web", "y", 80, "n", True, False, False),
                pod(2, "db", "x", 80, "n", True, False, True),
            ]
        )
    )
    after, step = selections.apply([pod(3, "web", "y", 80, "n", True, False, False)])
    assert {item.service_name for item in step.changed} == {"a"}
    for name in ("b", "c"):
        key = NamespacedName("shop", name)
        assert after.state.slices[key] is selections.state.slices[key]


def test_a_selector_that_changes_moves_the_endpoints() -> None:
    """A Service that comes, changes its selector or goes has its slices follow."""
    service: Service = SERVICES[0]
    selections = Selections.of(
        ClusterState.of(
            [
                pod(1, "web", "y", 80, "n", True, False, False),
                make_pod("other", labels={"app": "db"}),
            ]
        )
    )
    selections, step = selections.apply([service])
    assert [item.endpoints[0].addresses for item in step.changed] == [("10.0.0.1",)]
    selections, step = selections.apply([evolve(service, selector={"app": "db"})])
    assert [e.addresses for item in _slices(selections.state) for e in item.endpoints] == [
        ("10.244.1.5",)
    ]
    selections, step = selections.apply((), [service])
    assert _slices(selections.state) == []
    assert len(step.removed) == 1


@given(pods)
def test_manifests_are_read_back(found: list[Pod]) -> None:
    """What is written as manifests is read as the same objects."""
    state = state_of(found, make_node("node-a", zone="z1"), make_node("node-b"))
    slices, older = slices_of(state), endpoints_of(state)
    documents = [*map(slice_manifest, slices), *map(endpoints_manifest, older)]
    text = yaml.safe_dump_all(documents, sort_keys=False)
    assert load_bytes(text.encode()).objects == (*slices, *older)
