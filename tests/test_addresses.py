"""An address has one text, wherever svcnet writes it and whatever spelling it comes in."""

from __future__ import annotations

from ipaddress import IPv6Address
from socket import AF_INET6, inet_pton

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.addresses import (
    BITS,
    address_text,
    canonical_address,
    host_network,
    ipv4_text,
    ipv6_text,
)
from svcnet.compiler import compile_state, node_view
from svcnet.discovery.dns import lookup, records
from svcnet.family import family_of
from svcnet.models import ClusterState
from svcnet.models.state import ClusterObject
from svcnet.renderers import ipvs, userspace
from svcnet.sources import addresses
from svcnet.testing import make_node, make_service, make_slice

ODD = ("::1.2.3.4", "::102:304", "0:0::0102:0304", "0000::0102:0304")
"""Spellings of one address, which the C library writes unlike RFC 5952."""

packed = st.binary(min_size=16, max_size=16) | st.binary(min_size=4, max_size=4).map(
    lambda last: bytes(12) + last
)


@given(packed)
def test_a_text_means_the_address_and_is_its_only_one(address: bytes) -> None:
    text = address_text(address)
    assert inet_pton(AF_INET6, text) == address
    assert ("." in text) == (address[:12] == bytes(10) + b"\xff\xff")
    for spelling in (text, text.upper(), IPv6Address(address).exploded):
        assert canonical_address(spelling) == text


@pytest.mark.parametrize("text", ["", "10.0.0.1", "a:b", "fe80::1%eth0", "::\0", "::ü"])
def test_what_is_no_address_of_ipv6_stays(text: str) -> None:
    assert canonical_address(text) == text


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_no_address_has_another_size(size: int) -> None:
    for read in (ipv4_text, ipv6_text, address_text):
        with pytest.raises(ValueError, match="length"):
            read(bytes(size))


def test_a_network_of_one_has_the_length_of_its_family() -> None:
    for address in ("192.0.2.1", "2001:db8::1"):
        assert host_network(address) == f"{address}/{BITS[family_of(address)]}"


@pytest.mark.parametrize("spelling", ODD)
def test_every_artifact_has_the_same_text(spelling: str) -> None:
    """Virtual servers, the proxy's table, names and what is read have the form of RFC 5952."""
    objects: list[ClusterObject] = [
        make_node("node-a", "2001:db8::10"),
        make_service(cluster_ip="fd00::1"),
        make_slice("web", spelling),
    ]
    state = ClusterState.of(objects)
    graph = compile_state(state, node_view(state, family="IPv6"))
    (server,) = ipvs.full(graph).servers.values()
    (port,) = userspace.full(graph)
    told = {real.address for real in server.real_servers} | {
        backend.address for listener in port.listeners for backend in listener.backends
    }
    told |= {r.data for r in records(state) if r.type == "AAAA" and r.name.startswith("--")}
    told.add(addresses.canonical_address(spelling) or "")
    assert told == {"::102:304"}
    assert lookup(records(state), "web.shop.svc.cluster.local", "AAAA").answers[0].data == "fd00::1"
