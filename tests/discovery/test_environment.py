"""The variables of Services, corner case by corner case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.discovery.environment import Environment, environment
from svcnet.models import ClusterState, NamespacedName, Service, ServicePort
from svcnet.testing import make_service
from tests.strategies import services

HTTP = ServicePort(80, "http")
KUBERNETES = make_service(
    "kubernetes", "10.96.0.1", namespace="default", ports=(ServicePort(443, "https"),)
)


def told(*objects: Service, namespace: str = "shop", service_links: bool = True) -> dict[str, str]:
    return values(environment(ClusterState.of(objects), namespace, service_links=service_links))


def values(found: Environment) -> dict[str, str]:
    return {variable.name: variable.value for variable in found.variables}


def hosts(found: dict[str, str]) -> dict[str, str]:
    """Return the addresses that were told, by the prefix of the Service's name."""
    end = "_SERVICE_HOST"
    return {name.removesuffix(end): found[name] for name in found if name.endswith(end)}


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        pytest.param(
            make_service("redis-primary", "10.0.0.11", ports=(ServicePort(6379),)),
            {
                "REDIS_PRIMARY_SERVICE_HOST": "10.0.0.11",
                "REDIS_PRIMARY_SERVICE_PORT": "6379",
                "REDIS_PRIMARY_PORT": "tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP": "tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP_PROTO": "tcp",
                "REDIS_PRIMARY_PORT_6379_TCP_PORT": "6379",
                "REDIS_PRIMARY_PORT_6379_TCP_ADDR": "10.0.0.11",
            },
            id="unnamed port",
        ),
        pytest.param(
            make_service(
                "dns",
                "10.0.0.10",
                ports=(ServicePort(53, "dns", "UDP"), ServicePort(53, "dns-tcp", "TCP")),
            ),
            {
                "DNS_SERVICE_HOST": "10.0.0.10",
                "DNS_SERVICE_PORT": "53",
                "DNS_SERVICE_PORT_DNS": "53",
                "DNS_SERVICE_PORT_DNS_TCP": "53",
                "DNS_PORT": "udp://10.0.0.10:53",
                "DNS_PORT_53_UDP": "udp://10.0.0.10:53",
                "DNS_PORT_53_UDP_PROTO": "udp",
                "DNS_PORT_53_UDP_PORT": "53",
                "DNS_PORT_53_UDP_ADDR": "10.0.0.10",
                "DNS_PORT_53_TCP": "tcp://10.0.0.10:53",
                "DNS_PORT_53_TCP_PROTO": "tcp",
                "DNS_PORT_53_TCP_PORT": "53",
                "DNS_PORT_53_TCP_ADDR": "10.0.0.10",
            },
            id="one number, two protocols, the first is told",
        ),
        pytest.param(
            make_service("six", "fd00:10:96::a", ports=(ServicePort(80, "", "SCTP"),)),
            {
                "SIX_SERVICE_HOST": "fd00:10:96::a",
                "SIX_SERVICE_PORT": "80",
                "SIX_PORT": "sctp://[fd00:10:96::a]:80",
                "SIX_PORT_80_SCTP": "sctp://[fd00:10:96::a]:80",
                "SIX_PORT_80_SCTP_PROTO": "sctp",
                "SIX_PORT_80_SCTP_PORT": "80",
                "SIX_PORT_80_SCTP_ADDR": "fd00:10:96::a",
            },
            id="IPv6 has brackets in URLs only",
        ),
        pytest.param(make_service("none", cluster_ips=("None",)), {}, id="headless"),
        pytest.param(make_service("soon", cluster_ips=()), {}, id="no address yet"),
        pytest.param(
            make_service("alias", type="ExternalName", cluster_ips=(), external_name="example.com"),
            {},
            id="ExternalName",
        ),
    ],
)
def test_one_service(service: Service, expected: dict[str, str]) -> None:
    """A Service sets exactly these variables, in the order of their names."""
    found = told(service)
    assert found == expected
    assert list(found) == sorted(expected)


def test_only_the_first_address_is_told() -> None:
    """Of a dual-stack Service containers are told the primary cluster IP, whatever its family."""
    dual = make_service("web", cluster_ips=("fd00::1", "10.96.0.10"), ports=(HTTP,))
    found = told(dual)
    assert found["WEB_SERVICE_HOST"] == "fd00::1"
    assert "10.96.0.10" not in "".join(found.values())


@pytest.mark.parametrize("service_links", [True, False])
@pytest.mark.parametrize("namespace", ["shop", "default", "empty"])
def test_the_api_server_is_always_told(namespace: str, service_links: bool) -> None:
    """Service default/kubernetes is told in every namespace, with and without service links."""
    found = told(KUBERNETES, namespace=namespace, service_links=service_links)
    assert hosts(found) == {"KUBERNETES": "10.96.0.1"}
    assert found["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"


@pytest.mark.parametrize(
    ("namespace", "service_links", "expected"),
    [
        ("shop", True, {"KUBERNETES": "10.96.0.9", "WEB": "10.96.0.10"}),
        ("shop", False, {"KUBERNETES": "10.96.0.1"}),
        ("default", True, {"KUBERNETES": "10.96.0.1", "API": "10.96.0.11"}),
        ("default", False, {"KUBERNETES": "10.96.0.1"}),
        ("else", True, {"KUBERNETES": "10.96.0.1"}),
    ],
)
def test_namespaces(namespace: str, service_links: bool, expected: dict[str, str]) -> None:
    """A namespace's own Services are told, and its own ``kubernetes`` instead of the other."""
    found = told(
        KUBERNETES,
        make_service("kubernetes", "10.96.0.9"),
        make_service("web", "10.96.0.10"),
        make_service("api", "10.96.0.11", namespace="default"),
        namespace=namespace,
        service_links=service_links,
    )
    assert hosts(found) == expected


def test_a_headless_kubernetes_does_not_hide_the_api_server() -> None:
    """A Service ``kubernetes`` without an address leaves the place to default/kubernetes."""
    headless = make_service("kubernetes", cluster_ips=("None",))
    assert hosts(told(KUBERNETES, headless)) == {"KUBERNETES": "10.96.0.1"}


def test_kubernetes_of_another_namespace_is_not_told() -> None:
    """Only in namespace default does the name ``kubernetes`` mean the API server."""
    assert told(make_service("kubernetes", "10.96.0.9"), namespace="else") == {}


def test_a_collision_names_both_and_the_winner() -> None:
    """``db`` and ``db-service`` both set DB_SERVICE_PORT: the remark says what becomes of it."""
    found = environment(
        ClusterState.of(
            [
                make_service("db-service", "10.96.0.12", ports=(ServicePort(80),)),
                make_service("db", "10.96.0.11", ports=(ServicePort(3306),)),
            ]
        ),
        "shop",
    )
    assert values(found)["DB_SERVICE_PORT"] == "3306"
    [collision] = found.collisions
    assert collision.won.origin == NamespacedName("shop", "db")
    assert [variable.origin.name for variable in collision.lost] == ["db-service"]
    [remark] = found.remarks()
    assert str(remark) == (
        "Service shop/db-service sets DB_SERVICE_PORT to "
        "'tcp://10.96.0.12:80', Service shop/db to '3306': shop/db wins here, "
        "and in a cluster any of them"
    )


def test_a_port_name_can_collide() -> None:
    """A port named as another Service's link is a collision, except where both say the same."""
    port = ServicePort(80, "80-tcp")
    same = ServicePort(81, "81-tcp-port")
    found = environment(
        ClusterState.of(
            [
                make_service("a", "10.96.0.11", ports=(port, same)),
                make_service(
                    "a-service", "10.96.0.12", ports=(ServicePort(80, "x"), ServicePort(81, "y"))
                ),
            ]
        ),
        "shop",
    )
    names = {collision.won.name for collision in found.collisions}
    assert names == {"A_SERVICE_PORT", "A_SERVICE_PORT_80_TCP"}
    assert values(found)["A_SERVICE_PORT_81_TCP_PORT"] == "81"


def test_a_collision_across_namespaces() -> None:
    """The API server's Service may collide with one of the Pod's namespace."""
    found = environment(
        ClusterState.of([KUBERNETES, make_service("kubernetes-service", "10.96.0.12")]), "shop"
    )
    [collision] = found.collisions
    assert collision.won.origin == NamespacedName("default", "kubernetes")


def test_names_that_no_shell_can_read() -> None:
    """A Service name with a digit in front gives a remark, and names unchanged."""
    found = environment(ClusterState.of([make_service("1web")]), "shop")
    assert {variable.name[:5] for variable in found.unreadable} == {"1WEB_"}
    [remark] = found.remarks()
    assert str(remark) == (
        "Service shop/1web sets variables that no shell can read, such as 1WEB_PORT"
    )


def test_every_variable_has_its_service() -> None:
    """The origin of a variable is the Service that it comes from."""
    found = environment(ClusterState.of([KUBERNETES, make_service("web")]), "shop")
    assert {
        (variable.name.split("_")[0], str(variable.origin)) for variable in found.variables
    } == {
        ("KUBERNETES", "default/kubernetes"),
        ("WEB", "shop/web"),
    }


names = st.sampled_from(("a", "a-service", "a-service-service", "b", "kubernetes"))
clashing = st.lists(
    st.builds(
        make_service,
        name=names,
        cluster_ip=st.sampled_from(("10.96.0.1", "10.96.0.2", "fd00::1")),
        namespace=st.sampled_from(("shop", "default")),
        ports=st.sampled_from(((HTTP,), (ServicePort(80, "80-tcp"), ServicePort(81, "x", "UDP")))),
    )
    | services(),
    max_size=8,
    unique_by=lambda service: (service.namespace, service.name),
)


@given(found=clashing, data=st.data(), links=st.booleans())
def test_the_order_of_objects_means_nothing(
    found: list[Service], data: st.DataObject, links: bool
) -> None:
    """Objects in any order, or added in any steps, give the same variables and remarks."""
    other = data.draw(st.permutations(found))
    half = len(other) // 2
    first = environment(ClusterState.of(found), "shop", service_links=links)
    steps = ClusterState.of(other[:half]).apply(other[half:])
    assert environment(ClusterState.of(other), "shop", service_links=links) == first
    assert environment(steps, "shop", service_links=links) == first
    told_names = [variable.name for variable in first.variables]
    assert told_names == sorted(set(told_names))
