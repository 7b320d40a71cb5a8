"""What names are answered, as the DNS specification and CoreDNS say."""

from __future__ import annotations

import dns.rdatatype
import dns.zone
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svcnet.discovery.dns import Answer, DNSOptions, lookup, records
from svcnet.discovery.dns.names import reverse_name
from svcnet.discovery.dns.zonefile import zone_file
from svcnet.errors import UsageError
from svcnet.models import Budget, ClusterState, Endpoint, EndpointPort, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.testing import make_service, make_slice
from tests.strategies import services, slices

HTTP = (ServicePort(80, "http"), ServicePort(53, "dns", "UDP"))
STATE = ClusterState.of(
    [
        make_service("web", ports=HTTP, cluster_ips=("10.96.0.10", "fd00::10")),
        make_slice("web", Endpoint(("10.244.1.5",))),
        make_service("plain", "10.96.0.11", ports=(ServicePort(80),)),
        make_service("db", ports=HTTP, cluster_ips=("None",)),
        make_slice(
            "db",
            Endpoint(("10.244.1.6",), hostname="db-0"),
            Endpoint(("10.244.1.7",), hostname="db-0"),
            Endpoint(("10.244.1.8",)),
            Endpoint(("10.244.1.9",), ready=False),
        ),
        make_slice("db", Endpoint(("fd00::",)), name="db-6"),
        make_service("idle", cluster_ips=("None",), ports=()),
        make_service("bare", cluster_ips=("None",), ports=()),
        make_slice("bare", "10.244.1.6", ports=()),
        make_service("out", type="ExternalName", cluster_ips=(), external_name="Example.com"),
        make_service("ip", type="ExternalName", cluster_ips=(), external_name="192.0.2.1"),
        make_service(
            "in", type="ExternalName", cluster_ips=(), external_name="web.shop.svc.cluster.local"
        ),
        make_service(
            "loop",
            type="ExternalName",
            cluster_ips=(),
            external_name="loop.shop.svc.cluster.local",
        ),
    ]
)
SHOP = "shop.svc.cluster.local."


def ask(name: str, rdtype: str = "A", options: DNSOptions | None = None) -> Answer:
    return lookup(records(STATE, options), name.replace("SHOP", SHOP), rdtype)


def data(answer: Answer) -> list[str]:
    return [record.data for record in answer.answers]


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("dns-version.cluster.local", "TXT", ['"1.1.0"']),
        ("web.SHOP", "A", ["10.96.0.10"]),
        ("WEB.Shop.SVC.cluster.LOCAL", "AAAA", ["fd00::10"]),
        ("_http._tcp.web.SHOP", "SRV", [f"0 50 80 web.{SHOP}"]),
        ("http.tcp.web.SHOP", "SRV", [f"0 50 80 web.{SHOP}"]),
        ("_http._tcp.web.SHOP", "A", ["10.96.0.10"]),
        ("web.SHOP", "SRV", [f"0 25 80 web.{SHOP}", f"0 25 53 web.{SHOP}"]),
        ("plain.SHOP", "SRV", [f"0 100 80 plain.{SHOP}"]),
        ("10-244-1-5.web.SHOP", "A", ["10.244.1.5"]),
        ("db.SHOP", "A", ["10.244.1.6", "10.244.1.7", "10.244.1.8"]),
        ("db.SHOP", "AAAA", ["fd00::"]),
        ("db-0.db.SHOP", "A", ["10.244.1.6", "10.244.1.7"]),
        ("10-244-1-8.db.SHOP", "A", ["10.244.1.8"]),
        ("fd00--0.db.SHOP", "AAAA", ["fd00::"]),
        (
            *("_http._tcp.db.SHOP", "SRV"),
            [f"0 25 8080 {host}.db.{SHOP}" for host in ("db-0", "10-244-1-8", "fd00--0")],
        ),
        ("bare.SHOP", "A", ["10.244.1.6"]),
        ("10.0.96.10.in-addr.arpa", "PTR", [f"web.{SHOP}"]),
        ("5.1.244.10.in-addr.arpa", "PTR", [f"10-244-1-5.web.{SHOP}"]),
        ("6.1.244.10.in-addr.arpa", "PTR", [f"10-244-1-6.bare.{SHOP}", f"db-0.db.{SHOP}"]),
        ("out.SHOP", "A", ["example.com."]),
        ("out.SHOP", "CNAME", ["example.com."]),
        ("in.SHOP", "A", [f"web.{SHOP}", "10.96.0.10"]),
        ("in.SHOP", "CNAME", [f"web.{SHOP}"]),
    ],
)
def test_answers(name: str, rdtype: str, expected: list[str]) -> None:
    """Each kind of Service is answered with the records that CoreDNS has for it."""
    assert data(ask(name, rdtype)) == expected


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode"),
    [
        ("cluster.local", "A", "NOERROR"),
        ("svc.cluster.local", "A", "NOERROR"),
        ("pod.cluster.local", "A", "NOERROR"),
        ("SHOP", "A", "NOERROR"),
        ("plain.SHOP", "AAAA", "NOERROR"),
        ("web.SHOP", "MX", "NOERROR"),
        ("web.SHOP", "SOA", "NOERROR"),
        ("web.SHOP", "PTR", "NOERROR"),
        ("bare.SHOP", "SRV", "NOERROR"),
        ("out.SHOP", "SRV", "NOERROR"),
        ("loop.SHOP", "A", "NOERROR"),
        ("shop.pod.cluster.local", "A", "NXDOMAIN"),
        ("none.svc.cluster.local", "A", "NXDOMAIN"),
        ("none.SHOP", "A", "NXDOMAIN"),
        ("none.SHOP", "TXT", "NXDOMAIN"),
        ("none.SHOP", "SOA", "NXDOMAIN"),
        ("idle.SHOP", "A", "NXDOMAIN"),
        ("ip.SHOP", "A", "NXDOMAIN"),
        ("a.out.SHOP", "A", "NXDOMAIN"),
        ("10-244-1-9.db.SHOP", "A", "NXDOMAIN"),
        ("_http._udp.web.SHOP", "SRV", "NXDOMAIN"),
        ("_tcp.web.SHOP", "SRV", "NXDOMAIN"),
        ("_._tcp.web.SHOP", "SRV", "NXDOMAIN"),
        ("_http._.web.SHOP", "SRV", "NXDOMAIN"),
        ("a._http._tcp.web.SHOP", "SRV", "NXDOMAIN"),
        ("web.shop.other.cluster.local", "A", "NXDOMAIN"),
        ("*.SHOP", "A", "NXDOMAIN"),
        ("9.1.244.10.in-addr.arpa", "PTR", "NXDOMAIN"),
        ("5.1.244.10.in-addr.arpa", "A", "NXDOMAIN"),
        ("1.244.10.in-addr.arpa", "PTR", "NXDOMAIN"),
        ("svc.in-addr.arpa", "A", "NXDOMAIN"),
        ("10-0-0-1.shop.pod.cluster.local", "A", "NXDOMAIN"),
    ],
)
def test_nothing(name: str, rdtype: str, rcode: str) -> None:
    """A name that is not there is NXDOMAIN, a type that is not is NODATA; both have the SOA."""
    answer = ask(name, rdtype)
    assert (answer.rcode, answer.answers) == (rcode, ())
    assert [record.type for record in answer.authority] == ["SOA"]


@pytest.mark.parametrize(
    ("below", "reason"),
    [
        ("_http._udp", "it has no port http of protocol udp"),
        ("_._tcp", "it has no port _ of protocol tcp"),
        ("_tcp", "no ready endpoint is named _tcp"),
        ("a._http._tcp", "no Service has names that deep"),
    ],
)
def test_why_nothing_is_below_a_service(below: str, reason: str) -> None:
    """The reason for NXDOMAIN below a Service names what was asked for."""
    answer = ask(f"{below}.web.SHOP", "SRV")
    assert (answer.rule, answer.service) == (reason, "shop/web")


def test_outside() -> None:
    """A name outside all zones is refused."""
    assert ask("example.com").rcode == "REFUSED"
    assert ask("4.3.2.1.in-addr.arpa", "PTR", DNSOptions(("k.test",))).rcode == "REFUSED"


def test_a_dot_inside_a_label() -> None:
    """A label that ends in an escaped dot and a zone's first label is not in that zone."""
    assert ask(r"web\.cluster.local").rcode == "REFUSED"
    assert ask(r"web\\.cluster.local").rcode == "NXDOMAIN"
    assert ask(r"web\.SHOP").rcode == "NXDOMAIN"


def test_srv_has_its_targets_addresses() -> None:
    """The additional section has both families of a target's addresses."""
    found = ask("_http._tcp.web.SHOP", "SRV").additional
    assert [(record.type, record.data) for record in found] == [
        ("A", "10.96.0.10"),
        ("AAAA", "fd00::10"),
    ]


@pytest.mark.parametrize(
    ("label", "expected"),
    [("10-1-2-3", ["10.1.2.3"]), ("fd00--1", []), ("x-1-2-3", []), ("1-2-3", [])],
)
def test_pods_insecure(label: str, expected: list[str]) -> None:
    """Under pods insecure, an address's name in a namespace that exists is that address."""
    options = DNSOptions(pods="insecure")
    assert data(ask(f"{label}.shop.pod.cluster.local", "A", options)) == expected
    assert ask(f"{label}.none.pod.cluster.local", "A", options).rcode == "NXDOMAIN"
    assert ask("shop.pod.cluster.local", "A", options).rcode == "NOERROR"


def test_nothing_is_below_a_pods_name() -> None:
    """A Pod's name has its address only: no SRV record, and no names below it."""
    options = DNSOptions(pods="insecure")
    pod = "10-1-2-3.shop.pod.cluster.local"
    found = ask(pod, "SRV", options)
    assert (found.rcode, found.answers) == ("NOERROR", ())
    for name in (f"a.{pod}", f"_http._tcp.{pod}"):
        assert ask(name, "A", options).rcode == "NXDOMAIN"


def test_addresses_that_are_names() -> None:
    """Endpoints of address type FQDN are no endpoints: their Service has none."""
    slice = evolve(make_slice("db", Endpoint(("db.example.com",))), address_type="FQDN")
    zones = records(ClusterState.of([make_service("db", cluster_ips=("None",)), slice]))
    assert lookup(zones, f"db.{SHOP}").rcode == "NXDOMAIN"


def test_an_address_leads_to_no_service_that_is_not_there() -> None:
    """A slice whose Service does not exist gives its endpoints no name."""
    zones = records(ClusterState.of([make_slice("gone", "10.244.1.5")]))
    assert lookup(zones, "5.1.244.10.in-addr.arpa", "PTR").rcode == "NXDOMAIN"


def test_options() -> None:
    """ignore empty_service, noendpoints and ttl do what they do in CoreDNS."""
    empty = DNSOptions(ignore_empty_service=True)
    assert ask("plain.SHOP", "A", empty).rcode == "NXDOMAIN"
    assert data(ask("web.SHOP", "A", empty)) == ["10.96.0.10"]
    assert ask("db.SHOP", "A", DNSOptions(noendpoints=True)).rcode == "NXDOMAIN"
    assert ask("web.SHOP", "A", DNSOptions(ttl=30)).answers[0].ttl == 30


def test_ignore_empty_service_without_endpoints() -> None:
    """Under noendpoints no endpoint is known, so each Service is an empty one."""
    answer = ask("web.SHOP", "A", DNSOptions(ignore_empty_service=True, noendpoints=True))
    assert (answer.rcode, answer.rule) == ("NXDOMAIN", "ignore empty_service: noendpoints")
    assert data(ask("web.SHOP", "A", DNSOptions(noendpoints=True))) == ["10.96.0.10"]


@pytest.mark.parametrize("options", [{"ttl": 3601}, {"zones": ("ip6.arpa",)}])
def test_wrong_options(options: dict[str, object]) -> None:
    """A TTL out of range, or no forward zone, is an error of the user."""
    with pytest.raises(UsageError):
        DNSOptions(**options)  # type: ignore[arg-type]


def test_a_zone_that_leaves_no_room() -> None:
    """A zone in which a Service's name is too long for DNS is an error that names it."""
    # The longest name is that of a port of the Service "plain".
    longest = f"_http._tcp.plain.{SHOP}".removesuffix("cluster.local.")
    zone = ("z" * 49 + ".") * 5
    fits = zone[-(254 - len(longest)) :]
    state = ClusterState.of([make_service("plain")])
    answer = lookup(records(state, DNSOptions((fits,))), longest + fits, "SRV")
    assert answer.rcode == "NOERROR"
    with pytest.raises(UsageError, match=f"{longest}z.* has 254 letters"):
        records(state, DNSOptions((f"z{fits}",)))


headless = services().map(
    lambda service: evolve(service, type="ClusterIP", cluster_ips=("None",), ports=HTTP)
)


clusters = st.lists(st.one_of(services(), headless, slices), max_size=8).map(ClusterState.of)
options = st.builds(
    DNSOptions,
    zones=st.sampled_from([DNSOptions().zones, ("k.test", "sub.k.test", "10.0.0.0/8")]),
    pods=st.sampled_from(["disabled", "verified"]),
    endpoint_pod_names=st.booleans(),
    ignore_empty_service=st.booleans(),
    zonal=st.booleans(),
)


@given(clusters, options)
def test_records_are_what_lookup_answers(state: ClusterState, options: DNSOptions) -> None:
    """Each record is in the answer to its name and type, and each PTR leads back."""
    zones = records(state, options)
    for record in zones:
        answer = lookup(zones, record.name, record.type)
        assert record in answer.answers
        # An empty Service that has no name keeps its pointer, as in CoreDNS.
        if record.type == "PTR" and not options.ignore_empty_service:
            back = [*data(lookup(zones, record.data)), *data(lookup(zones, record.data, "AAAA"))]
            assert record.name in map(reverse_name, back)


@given(clusters, options)
def test_a_zone_file_has_every_record(state: ClusterState, options: DNSOptions) -> None:
    """What another reader of zone files finds in the zones' files are the records."""
    zones = records(state, options)
    found = set()
    for origin in options.zones:
        zone = dns.zone.from_text(zone_file(zones, origin), relativize=False)
        for name, ttl, rdata in zone.iterate_rdatas():
            found.add((str(name), ttl, dns.rdatatype.to_text(rdata.rdtype), rdata.to_text()))
    assert found == {tuple(record) for record in zones}


@given(clusters)
def test_the_order_of_objects_changes_nothing(state: ClusterState) -> None:
    """Objects in another order make the same zone file."""
    files = (
        zone_file(records(ClusterState.of(objects)), "cluster.local.")
        for objects in (list(state), reversed(list(state)))
    )
    assert len(set(files)) == 1


def test_portless_endpoints_count_no_srv() -> None:
    """A port without a number makes no SRV record, and its address is still answered."""
    state = ClusterState.of(
        [
            make_service("db", cluster_ips=("None",)),
            make_slice("db", "10.244.1.5", ports=(EndpointPort(0, "http"),)),
        ]
    )
    zones = records(state)
    assert data(lookup(zones, f"db.{SHOP}")) == ["10.244.1.5"]
    assert lookup(zones, f"db.{SHOP}", "SRV").answers == ()


@pytest.mark.parametrize("kind", ["headless", "with a cluster IP"])
def test_endpoints_that_are_too_many_have_no_names(kind: str) -> None:
    """A Service of a thousand ports and endpoints costs nothing; all other names are there."""
    ports = tuple(EndpointPort(n + 1, f"p{n}") for n in range(1000))
    addresses = [f"10.9.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    own = "None" if kind == "headless" else "10.96.0.99"
    large: list[ClusterObject] = [
        make_service("large", cluster_ips=(own,), ports=(ServicePort(1, "p0"),)),
        make_slice("large", *addresses, ports=ports),
    ]
    zones = records(ClusterState.of([*STATE, *large]))
    answer = lookup(zones, f"large.{SHOP}")
    assert data(answer) == ([] if kind == "headless" else [own])
    if kind == "headless":
        assert "100,000 entries" in answer.rule
    plain = {record for record in zones if "large" not in f"{record}"}
    assert plain == set(records(STATE))


def test_names_are_left_out_from_the_largest_on() -> None:
    """Where all endpoints together are too many, the smallest Services keep their names."""
    state = ClusterState.of(
        [
            make_service("a", cluster_ips=("None",)),
            make_slice("a", "10.9.0.1", "10.9.0.2"),
            make_service("b", cluster_ips=("None",)),
            make_slice("b", "10.9.0.1", "10.9.0.2", "10.9.0.3"),
        ]
    )
    zones = records(state, DNSOptions(budget=Budget(10, 4)))
    assert len(data(lookup(zones, f"a.{SHOP}"))) == 2
    assert lookup(zones, f"b.{SHOP}").rcode == "NXDOMAIN"
