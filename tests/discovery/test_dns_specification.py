"""The records of the Kubernetes DNS specification 1.1.0, section by section.

TTLs, weights and priorities are not prescribed there; what is prescribed is compared.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from svcnet.discovery.dns import DNSOptions, Zones, lookup, records
from svcnet.errors import UsageError
from svcnet.models import (
    ClusterState,
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ServicePort,
    TargetRef,
)
from svcnet.testing import make_pod, make_service, make_slice

HTTPS = (ServicePort(443, "https"),)
STATE = ClusterState.of(
    [
        make_service(
            "kubernetes",
            namespace="default",
            ports=HTTPS,
            cluster_ips=("10.3.0.1", "2001:db8::1"),
        ),
        make_service("unnamed", "10.3.0.2", namespace="default", ports=(ServicePort(80),)),
        make_service("headless", namespace="default", ports=HTTPS, cluster_ips=("None",)),
        make_slice(
            "headless",
            Endpoint(("10.3.0.100",), hostname="my-pet"),
            Endpoint(("10.3.0.101",), hostname="my-pet-2"),
            Endpoint(("10.3.0.102",)),
            Endpoint(("10.3.0.103",), hostname="sick", ready=False),
            namespace="default",
            ports=(EndpointPort(443, "https"),),
        ),
        make_slice(
            "headless",
            Endpoint(("2001:db8::a",), hostname="my-pet"),
            name="headless-6",
            namespace="default",
            ports=(EndpointPort(443, "https"),),
        ),
        make_service("empty", namespace="default", cluster_ips=("None",)),
        make_service(
            "foo",
            namespace="default",
            type="ExternalName",
            cluster_ips=(),
            external_name="www.example.com",
        ),
        make_pod("p", "10.3.0.102", namespace="default"),
        make_pod("gone", "10.3.0.104", namespace="default", deleting=True),
        make_pod("done", "10.3.0.105", namespace="default", phase="Succeeded"),
    ]
)
DOMAIN = "default.svc.cluster.local."
NIBBLES = "0." * 23
CASES = [
    ("2.2", "dns-version.cluster.local.", "TXT", ['"1.1.0"']),
    ("2.3.1", f"kubernetes.{DOMAIN}", "A", ["10.3.0.1"]),
    ("2.3.1", f"kubernetes.{DOMAIN}", "AAAA", ["2001:db8::1"]),
    ("2.3.2", f"_https._tcp.kubernetes.{DOMAIN}", "SRV", [f"443 kubernetes.{DOMAIN}"]),
    ("2.3.3", "1.0.3.10.in-addr.arpa.", "PTR", [f"kubernetes.{DOMAIN}"]),
    ("2.3.3", f"1.{NIBBLES}8.b.d.0.1.0.0.2.ip6.arpa.", "PTR", [f"kubernetes.{DOMAIN}"]),
    ("2.4.1", f"headless.{DOMAIN}", "A", ["10.3.0.100", "10.3.0.101", "10.3.0.102"]),
    ("2.4.1", f"headless.{DOMAIN}", "AAAA", ["2001:db8::a"]),
    ("2.4.1", f"my-pet.headless.{DOMAIN}", "A", ["10.3.0.100"]),
    ("2.4.1", f"my-pet.headless.{DOMAIN}", "AAAA", ["2001:db8::a"]),
    (
        *("2.4.2", f"_https._tcp.headless.{DOMAIN}", "SRV"),
        [f"443 {host}.headless.{DOMAIN}" for host in ("my-pet", "my-pet-2", "10-3-0-102")],
    ),
    ("2.4.3", "100.0.3.10.in-addr.arpa.", "PTR", [f"my-pet.headless.{DOMAIN}"]),
    ("2.4.3", f"a.{NIBBLES}8.b.d.0.1.0.0.2.ip6.arpa.", "PTR", [f"my-pet.headless.{DOMAIN}"]),
    ("2.5", f"foo.{DOMAIN}", "CNAME", ["www.example.com."]),
    ("2.5", f"foo.{DOMAIN}", "A", ["www.example.com."]),
]


def data(zones: Zones, name: str, rdtype: str) -> list[str]:
    """Return what is prescribed of an answer: of SRV records that is port and target."""
    found = [record.data for record in lookup(zones, name, rdtype).answers]
    if rdtype == "SRV":
        return [text.split(" ", 2)[2] for text in found]
    return found


@pytest.mark.parametrize(("section", "name", "rdtype", "expected"), CASES)
def test_records(section: str, name: str, rdtype: str, expected: list[str]) -> None:
    """Each record that a section demands is answered, in any case of letters."""
    zones = records(STATE)
    assert data(zones, name, rdtype) == expected
    assert data(zones, name.upper(), rdtype) == expected


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        (f"empty.{DOMAIN}", "A"),
        (f"sick.headless.{DOMAIN}", "A"),
        ("103.0.3.10.in-addr.arpa.", "PTR"),
        (f"_unnamed._tcp.unnamed.{DOMAIN}", "SRV"),
    ],
)
def test_what_must_not_be_there(name: str, rdtype: str) -> None:
    """Endpoints that are not ready have no names, and without any the Service has none."""
    assert lookup(records(STATE), name, rdtype).rcode == "NXDOMAIN"


def test_pods_verified() -> None:
    """Under pods verified a Pod's address has a name as long as the Pod is there and goes on."""
    zones = records(STATE, DNSOptions(pods="verified"))
    assert data(zones, "10-3-0-102.default.pod.cluster.local", "A") == ["10.3.0.102"]
    for label in ("10-3-0-103", "10-3-0-104", "10-3-0-105"):
        name = f"{label}.default.pod.cluster.local"
        assert lookup(zones, name).rcode == "NXDOMAIN"
    assert lookup(zones, "10-3-0-102.other.pod.cluster.local").rcode == "NXDOMAIN"
    assert lookup(zones, "default.pod.cluster.local").rcode == "NOERROR"


def test_a_pod_whose_address_ends_in_colons() -> None:
    """The label of a Pod's name is the address as it is, without an endpoint's final 0."""
    state = ClusterState.of([make_pod("p", "2001:db8:7::", namespace="default")])
    for pods in ("verified", "insecure"):
        zones = records(state, DNSOptions(pods=pods))
        name = "2001-db8-7--.default.pod.cluster.local"
        assert data(zones, name, "AAAA") == ["2001:db8:7::"]
    verified = records(state, DNSOptions(pods="verified"))
    assert lookup(verified, "2001-db8-7--0.default.pod.cluster.local").rcode == "NXDOMAIN"


def test_endpoint_pod_names() -> None:
    """With endpoint_pod_names an endpoint without a hostname has its Pod's name."""
    target = {"namespace": "shop", "kind": "Pod"}
    state = ClusterState.of(
        [
            make_service("db", cluster_ips=("None",)),
            make_slice(
                "db",
                Endpoint(("10.0.0.1",), target_ref=TargetRef(name="db-x7k2p", **target)),
                Endpoint(("10.0.0.2",), hostname="h", target_ref=TargetRef(name="b", **target)),
                Endpoint(("10.0.0.3",), target_ref=TargetRef(name="x" * 64, **target)),
            ),
        ]
    )
    zones = records(state, DNSOptions(endpoint_pod_names=True))
    names = {name for name in zones.entries if name.endswith(".db.shop.svc.cluster.local.")}
    assert {name.partition(".")[0] for name in names} == {"db-x7k2p", "h", "10-0-0-3", "_http"}
    assert "10-0-0-1.db.shop.svc.cluster.local." in records(state).entries


def test_namespaces() -> None:
    """Of namespaces that are not exposed there is no name and no address."""
    zones = records(STATE, DNSOptions(namespaces=("other",)))
    assert lookup(zones, f"kubernetes.{DOMAIN}").rcode == "NXDOMAIN"
    assert lookup(zones, DOMAIN).rcode == "NXDOMAIN"
    assert lookup(zones, "1.0.3.10.in-addr.arpa", "PTR").rcode == "NXDOMAIN"


LABELLED = ClusterState.of(
    [
        make_service("a", "10.96.0.1", labels={"app": "x", "tier": "front"}),
        make_service("b", "10.96.0.2", labels={"app": "y"}),
        make_service("c", "10.96.0.3"),
        make_service("d", cluster_ips=("None",), labels={"app": "x"}),
        make_slice("d", "10.0.0.4"),
    ]
)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("", "abcd"),
        ("app", "ab"),
        ("!app", "c"),
        ("app=x", "a"),
        ("app == x, tier=front", "a"),
        ("app!=x", "bc"),
        ("app in (x, y)", "ab"),
        ("app notin (y)", "acd"),
        ("app,app notin (x)", "b"),
        ("tier", "a"),
    ],
)
def test_labels(labels: str, expected: str) -> None:
    """Only Services that a selector finds have names, and only slices that it finds count."""
    zones = records(LABELLED, DNSOptions(labels=labels))
    found = [n for n in "abcd" if lookup(zones, f"{n}.shop.svc.cluster.local").answers]
    assert "".join(found) == expected
    assert lookup(zones, "shop.svc.cluster.local").rcode == "NOERROR"


@pytest.mark.parametrize("labels", ["=x", "app in", "app in (x", "a b", "app=x,,", "app=(x)"])
def test_labels_that_are_none(labels: str) -> None:
    """A selector that cannot be read is an error of the user."""
    with pytest.raises(UsageError, match="cannot be read"):
        DNSOptions(labels=labels)


def test_zonal() -> None:
    """Headless Services answer for one zone of nodes; which other names exist stays the same."""
    state = ClusterState.of(
        [
            make_service("db", cluster_ips=("None",)),
            make_slice(
                "db",
                Endpoint(("10.0.0.1",), zone="Eu.A", hostname="a"),
                Endpoint(("10.0.0.2",), zone="b", hostname="b"),
                Endpoint(("10.0.0.3",), zone="b", ready=False),
                Endpoint(("10.0.0.4",)),
            ),
            make_service("idle", cluster_ips=("None",)),
            make_service("web"),
        ]
    )
    zones = records(state, DNSOptions(zonal=True))
    below = "shop.svc.cluster.local"
    assert data(zones, f"eu.a.pin._zone.db.{below}", "A") == ["10.0.0.1"]
    assert data(zones, f"B.prefer._zone.db.{below}", "A") == ["10.0.0.2"]
    assert data(zones, f"b.pin._zone.db.{below}", "SRV") == [f"8080 b.db.{below}."]
    for name in (f"c.pin._zone.db.{below}", f"c.prefer._zone.idle.{below}"):
        assert (lookup(zones, name).rcode, data(zones, name, "A")) == ("NOERROR", [])
    preferred = lookup(zones, f"c.prefer._zone.db.{below}")
    assert [record.data for record in preferred.answers] == ["10.0.0.1", "10.0.0.2", "10.0.0.4"]
    assert preferred.answers[0].name == f"c.prefer._zone.db.{below}."
    for name in ("b.pin._zone.web", "b.pin._zone.no", "b.other._zone.db", "pin._zone.db"):
        assert lookup(zones, f"{name}.{below}").rcode == "NXDOMAIN"
    assert lookup(records(state), f"b.pin._zone.db.{below}").rcode == "NXDOMAIN"


def test_endpoints_of_no_selector() -> None:
    """A headless Service without a selector has the addresses of its Endpoints."""
    subset = EndpointSubset((EndpointAddress("192.0.2.1", hostname="old"),), (), ())
    written = Endpoints("shop", "db", (subset,))
    zones = records(ClusterState.of([make_service("db", cluster_ips=("None",)), written]))
    assert data(zones, "db.shop.svc.cluster.local", "A") == ["192.0.2.1"]
    assert data(zones, "old.db.shop.svc.cluster.local", "A") == ["192.0.2.1"]


def test_several_zones() -> None:
    """Each forward zone has all names, pointers lead into the first, and the smallest counts."""
    zones = records(STATE, DNSOptions(("k.test", "sub.k.test", "3.10.in-addr.arpa")))
    for zone in ("k.test.", "sub.k.test."):
        found = lookup(zones, f"kubernetes.default.svc.{zone}")
        assert [record.data for record in found.answers] == ["10.3.0.1"]
        missing = lookup(zones, f"none.default.svc.{zone}")
        assert missing.authority[0].name == zone
    pointer = lookup(zones, "1.0.3.10.in-addr.arpa", "PTR")
    assert [record.data for record in pointer.answers] == ["kubernetes.default.svc.k.test."]
    assert lookup(zones, "1.0.4.10.in-addr.arpa", "PTR").rcode == "REFUSED"


def test_a_zone_inside_another() -> None:
    """A zone inside another one is asked for all names below it, and no other zone is."""
    zones = records(STATE, DNSOptions(("svc.k.test", "k.test")))
    assert data(zones, "kubernetes.default.svc.svc.k.test", "A") == ["10.3.0.1"]
    assert data(zones, "svc.k.test", "SOA")[0].startswith("ns.dns.svc.k.test. ")
    for name in ("kubernetes.default.svc.k.test", "default.svc.k.test"):
        missing = lookup(zones, name)
        assert (missing.rcode, missing.authority[0].name) == ("NXDOMAIN", "svc.k.test.")
    assert data(zones, "dns-version.k.test", "TXT") == ['"1.1.0"']
    dns = make_service("kube-dns", "10.96.0.10", namespace="kube-system")
    zones = records(STATE.apply([dns]), DNSOptions(("kube-system.svc.k.test", "k.test")))
    found = lookup(zones, "k.test", "NS")
    assert [record.data for record in found.answers] == ["kube-dns.kube-system.svc.k.test."]
    assert found.additional == ()


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("10.96.0.0/16", ["96.10.in-addr.arpa."]),
        ("10.96.0.0/15", ["96.10.in-addr.arpa.", "97.10.in-addr.arpa."]),
        ("10.96.7.0/24", ["7.96.10.in-addr.arpa."]),
        ("10.0.0.0/8", ["10.in-addr.arpa."]),
        ("fd00:1234::/32", ["4.3.2.1.0.0.d.f.ip6.arpa."]),
        ("fd00::/15", ["0.0.d.f.ip6.arpa.", "1.0.d.f.ip6.arpa."]),
    ],
)
def test_networks_are_reverse_zones(network: str, expected: list[str]) -> None:
    """A network stands for the reverse zones that make it up."""
    assert list(DNSOptions(("k.test", network)).zones[1:]) == expected


def test_the_clusters_own_name_server() -> None:
    """With the cluster's DNS Service at hand the zone's NS record names it, with addresses."""
    dns = make_service("kube-dns", "10.96.0.10", namespace="kube-system")
    zones = records(STATE.apply([dns]))
    found = lookup(zones, "cluster.local", "NS")
    assert [record.data for record in found.answers] == ["kube-dns.kube-system.svc.cluster.local."]
    assert [record.data for record in found.additional] == ["10.96.0.10"]
    assert [record.data for record in lookup(zones, "ns.dns.cluster.local").answers] == [
        "10.96.0.10"
    ]
    alone = lookup(records(STATE), "cluster.local", "NS")
    assert [record.data for record in alone.answers] == ["ns.dns.cluster.local."]


def test_a_name_server_without_endpoints() -> None:
    """Where ignore empty_service leaves the DNS Service no name, the NS record has its own."""
    dns = make_service("kube-dns", "10.96.0.10", namespace="kube-system")
    zones = records(STATE.apply([dns]), DNSOptions(ignore_empty_service=True))
    found = lookup(zones, "cluster.local", "NS")
    assert [record.data for record in found.answers] == ["ns.dns.cluster.local."]
    assert [record.data for record in found.additional] == ["127.0.0.1"]


def test_negative_answers_are_remembered_no_longer_than_positive_ones() -> None:
    """The SOA's TTL and minimum are the zone's TTL, and its TTL is five minutes at most."""
    for ttl, own in ((5, 5), (3600, 300), (0, 0)):
        missing = lookup(records(STATE, DNSOptions(ttl=ttl)), f"no.{DOMAIN}")
        (soa,) = missing.authority
        assert soa.ttl == own
        assert soa.data.endswith(f" 7200 1800 86400 {ttl}")


def aliases(count: int, last: str) -> ClusterState:
    """Return Services each of which is an alias of the next."""
    found = [
        make_service(
            f"a{n}",
            type="ExternalName",
            cluster_ips=(),
            external_name=f"a{n + 1}.shop.svc.cluster.local" if n < count else last,
        )
        for n in range(1, count + 1)
    ]
    return ClusterState.of([*found, make_service("web")])


def test_aliases_are_followed() -> None:
    """A chain of aliases is followed as far as CoreDNS does, and no further."""
    web = "web.shop.svc.cluster.local"
    name = "a1.shop.svc.cluster.local"
    found = lookup(records(aliases(11, web)), name)
    assert [record.type for record in found.answers] == ["CNAME"] * 11 + ["A"]
    assert lookup(records(aliases(12, web)), name).answers == ()
    assert lookup(records(aliases(3, name)), name).answers == ()
    assert lookup(records(aliases(1, "no.shop.svc.cluster.local")), name).answers == ()
    other = DNSOptions(("cluster.local", "k.test"))
    found = lookup(records(aliases(1, "web.shop.svc.k.test"), other), name)
    assert [record.data for record in found.answers] == ["web.shop.svc.k.test.", "10.96.0.10"]


@pytest.mark.parametrize("last", ["no.shop.svc.k.test", "a1.shop.svc.k.test"])
def test_an_alias_into_another_zone_stays(last: str) -> None:
    """An alias that leads to no address is no answer in its own zone, and is one into another."""
    zones = records(aliases(1, last), DNSOptions(("cluster.local", "k.test")))
    found = lookup(zones, "a1.shop.svc.cluster.local")
    assert [record.data for record in found.answers] == [f"{last}."]
    assert found.authority == ()
    nested = records(aliases(1, last), DNSOptions(("test", "k.test")))
    assert lookup(nested, "a1.shop.svc.test").answers == ()
    inside = lookup(zones, "a1.shop.svc.k.test")
    assert inside.answers == ()
    assert [record.type for record in inside.authority] == ["SOA"]


def test_an_alias_that_no_message_can_hold() -> None:
    """The API takes names with labels that are too long for DNS; they have no record."""
    state = aliases(1, f"{'x' * 64}.example.com")
    found = lookup(records(state), "a1.shop.svc.cluster.local")
    assert (found.rcode, found.answers) == ("NOERROR", ())


def test_other_spellings_of_an_address() -> None:
    """An endpoint whose address is written in another way is answered as the address."""
    state = ClusterState.of(
        [
            make_service("db", cluster_ips=("None",)),
            evolve(make_slice("db", Endpoint(("FD00:0::1",))), address_type="IPv6"),
        ]
    )
    zones = records(state)
    assert data(zones, "db.shop.svc.cluster.local", "AAAA") == ["fd00::1"]
    assert data(zones, "fd00-0--1.db.shop.svc.cluster.local", "AAAA") == ["fd00::1"]
