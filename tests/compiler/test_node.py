"""Who a node is: its own addresses, by its Node and by its configuration."""

from __future__ import annotations

import pytest

from svcnet.compiler import node_view
from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
from svcnet.testing import make_node

STATE = ClusterState.of([make_node("node-a", "192.0.2.10", "2001:db8::10", "192.0.2.11")])


@pytest.mark.parametrize(
    ("bind", "family", "node_ip"),
    [
        ("", "IPv4", "192.0.2.10"),
        ("", "IPv6", "2001:db8::10"),
        ("192.0.2.11", "IPv4", "192.0.2.11"),
        ("198.51.100.1", "IPv4", "198.51.100.1"),
        ("198.51.100.1", "IPv6", "2001:db8::10"),
        ("2001:db8::99", "IPv6", "2001:db8::99"),
        ("2001:db8::99", "IPv4", "192.0.2.10"),
    ],
)
def test_the_bind_address_is_the_node_ip_of_its_family(
    bind: str, family: IPFamily, node_ip: str
) -> None:
    """It counts more than the Node's addresses, and is one of the node's."""
    view = node_view(STATE, KubeProxyConfiguration(bind_address=bind), family=family)
    assert view.settings.node_ip == node_ip
    assert node_ip in view.settings.addresses


@pytest.mark.parametrize(
    ("bind", "family"), [("", "IPv4"), ("192.0.2.1", "IPv4"), ("2001:db8::1", "IPv6")]
)
def test_the_bind_address_says_which_family_comes_first(bind: str, family: IPFamily) -> None:
    """Where nobody names a family it is that of the address that the node is known by."""
    assert node_view(STATE, KubeProxyConfiguration(bind_address=bind)).family == family
    unknown = node_view(ClusterState(), KubeProxyConfiguration(bind_address=bind))
    assert unknown.family == family


@pytest.mark.parametrize(
    ("bind", "family", "answers"),
    [
        ("", "IPv4", ("192.0.2.10",)),
        ("", "IPv6", ("2001:db8::10",)),
        ("192.0.2.11", "IPv4", ("192.0.2.11",)),
        ("127.0.0.1", "IPv4", None),
    ],
)
def test_primary_is_the_node_ip(
    bind: str, family: IPFamily, answers: tuple[str, ...] | None
) -> None:
    """Of node port addresses, ``primary`` is the node's address of each family, but no loopback."""
    config = KubeProxyConfiguration(bind_address=bind, node_port_addresses=("primary",))
    host = Host(("192.0.2.10", "192.0.2.11", "127.0.0.1", "2001:db8::10", "::1", "203.0.113.5"))
    settings = node_view(STATE, config, host, family=family).settings
    assert settings.node_port_addresses == answers
    assert settings.localhost_node_ports is (answers is None)


def test_primary_without_a_node_ip_is_all_addresses() -> None:
    """Where no address of the node is known every one of the host answers."""
    config = KubeProxyConfiguration(node_port_addresses=("primary",))
    settings = node_view(ClusterState(), config, Host(("192.0.2.10",))).settings
    assert settings.node_port_addresses is None
