"""That variables need not be made is said only where they are surely right."""

from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.check.environments import LINUX, may_be_wrong
from svcnet.discovery.environment import environment, size_of
from svcnet.models import ClusterState, Service, ServicePort
from tests.fuzz import examples

WORDS = st.sampled_from(["a", "b", "port", "service", "host", "80", "tcp", "x" * 40])
NAMES = st.lists(WORDS, min_size=1, max_size=3).map("-".join)
PORTS = st.lists(st.tuples(NAMES, st.integers(1, 65535)), max_size=3, unique_by=lambda p: p[0])


@settings(max_examples=examples(60), deadline=None)
@given(st.dictionaries(NAMES, PORTS, max_size=6), st.integers(1, 1500))
def test_what_is_not_looked_at_is_right(named: dict[str, list[tuple[str, int]]], many: int) -> None:
    """Of names that nobody extends no variable is set twice; few are not too many."""
    services = [
        Service(
            "shop", name, tuple(ServicePort(n, p) for p, n in ports), cluster_ips=("10.96.0.1",)
        )
        for name, ports in named.items()
    ]
    if named and not may_be_wrong(services):
        found = environment(ClusterState.of(services), "shop")
        assert not found.remarks()
    alike = [
        Service("shop", f"svc{n}", (ServicePort(65535, "https"),), cluster_ips=("10.100.100.100",))
        for n in range(many)
    ]
    if not may_be_wrong(alike):
        values = environment(ClusterState.of(alike), "shop").variables
        assert not size_of({each.name: each.value for each in values}, LINUX).warnings(LINUX)
