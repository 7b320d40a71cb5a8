"""Mode nftables: steps, forms, names, and what caused each line."""

from __future__ import annotations

import json
import re
from base64 import b32encode
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise, product
from typing import Any, TypeAlias, get_args

import pytest
import yaml
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

import svcnet
from svcnet.compiler import compile_state, node_view
from svcnet.graph import FragmentName, RuleGraph, diff
from svcnet.models import (
    ClusterState,
    DetectLocalConfiguration,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    NFTablesConfiguration,
    Node,
    Service,
)
from svcnet.models.state import ClusterObject
from svcnet.modes.nftables import NFTABLES
from svcnet.netfilter.nft import MOST_COMMENT, NFTElement, NFTSet, interface, places, quote_comment
from svcnet.renderers.nftables import (
    Bucket,
    Layout,
    Ruleset,
    advance,
    buckets_ahead,
    delta,
    document,
    full,
    load,
    named_buckets,
    names,
    replacement,
    text,
    transaction,
)
from svcnet.renderers.nftables.block import lines
from svcnet.renderers.nftables.flat.buckets import MOST_AHEAD, EndpointChoice
from svcnet.renderers.nftables.flat.endpoints import PROTOCOLS
from svcnet.renderers.nftables.flat.sizes import LEAST, size_of
from svcnet.sources.addresses import canonical_address, canonical_cidr
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies
from tests.fuzz import examples
from tests.renderers.nftables_model import Model
from tests.renderers.test_origins import by_name, field_of
from tests.test_conformance import family_of_file
from tests.test_conformance_nftables import EXPECTED, compile_case

configurations = st.builds(
    lambda config, section: evolve(config, nftables=section),
    strategies.configurations,
    st.builds(NFTablesConfiguration, st.sampled_from((14, 15)), st.booleans()),
)
LAYOUTS: tuple[Layout, ...] = ("kube-proxy", "flat")
SHARED = ("203.0.113.7", "203.0.113.8", "10.96.0.10", "10.96.0.11")


@st.composite
def greedy_services(draw: st.DrawFn) -> Service:
    """A Service that asks for addresses, and a node port, that others have too."""
    service: Service = draw(strategies.services())
    ingress = draw(st.lists(st.sampled_from(SHARED), max_size=2))
    return evolve(
        service,
        external_ips=tuple(draw(st.lists(st.sampled_from(SHARED), max_size=2))),
        load_balancer_ingress=tuple(LoadBalancerIngress(each, "VIP") for each in ingress),
        ports=tuple(evolve(port, node_port=30080 * bool(port.node_port)) for port in service.ports),
    )


History: TypeAlias = list[tuple[list[ClusterObject], Node, KubeProxyConfiguration]]
histories: st.SearchStrategy[History] = st.lists(
    st.tuples(
        st.lists(greedy_services() | strategies.objects, max_size=8),
        strategies.nodes,
        configurations,
    ),
    min_size=2,
    max_size=4,
)


def graph_of(
    objects: Sequence[ClusterObject], config: KubeProxyConfiguration | None = None
) -> RuleGraph:
    config = config or KubeProxyConfiguration()
    state = ClusterState.of(objects)
    rules = NFTABLES.rules(config)
    return compile_state(state, node_view(state, config, node="node-a", rules=rules))


def graphs_of(history: History) -> list[RuleGraph]:
    return [graph_of([*objects, node], config) for objects, node, config in history]


@settings(max_examples=examples(150), deadline=None)
@given(histories, st.sampled_from(LAYOUTS))
def test_steps_lead_where_a_full_sync_does(history: History, layout: Layout) -> None:
    """A step changes a table to that of a full sync, whoever shares an address with whom."""
    graphs = graphs_of(history)
    ruleset = full(graphs[0], layout=layout)
    model = Model.of(text(ruleset))
    for before, after in pairwise(graphs):
        ruleset, step = advance(ruleset, diff(before, after))
        assert ruleset == full(after, layout=layout)
        assert (dict(ruleset.counts), dict(ruleset.buckets)) == counts_of(ruleset)
        old = text(full(before, layout=layout))
        late = Model.of(old, *step.texts, step.cleanup)
        assert layout == "kube-proxy" or not any(leads_to_new(each, model) for each in step.texts)
        model.load(step.text)
        assert model == late == Model.of(text(ruleset))
        # Two addresses that change places are no change: elements are in no order.
        assert bool(step) == (sorted(old.split("\n")) != sorted(text(ruleset).split("\n")))
        assert len(step.places()) == step.text.count("\n")
        assert frozenset(step.places()) == places(step.text, str(ruleset.table))
        for whole in ([transaction(ruleset)], list(load(ruleset)), [replacement(ruleset)]):
            assert Model.of(*whole, *whole) == model


def leads_to_new(part: str, model: Model) -> bool:
    """Return whether a transaction makes a chain, and an element that leads to it."""
    chains = set(re.findall(r"^add chain \S+ \S+ (\S+)", part, re.MULTILINE))
    goals = set(re.findall(r"^add element .* : goto (\S+) \}$", part, re.MULTILINE))
    return bool((chains & goals) - model.chains.keys())


def counts_of(ruleset: Ruleset) -> tuple[dict[str, int], dict[Bucket, int]]:
    """Return how many elements each set has, and how many lead to each bucket, by counting them."""
    if ruleset.layout == "kube-proxy":
        return {}, {}
    made = [each for each in ruleset.objects() if isinstance(each, NFTElement)]
    leads = [lead for place in ruleset.claims if (lead := ruleset.lead(place)) is not None]
    buckets = [bucket for lead in leads for bucket in (lead.bucket, *lead.bucket.leads_to())]
    return Counter(each.container for each in made), Counter(buckets)


def test_a_step_is_as_large_as_its_change() -> None:
    """Of a cluster's Services a step has the chains that change, and elements that come and go."""
    services = [make_service(f"web-{n}", f"10.96.1.{n}") for n in range(200)]
    endpoints = [f"10.244.1.{n}" for n in range(10, 20)]
    slices = [make_slice(f"web-{n}", *endpoints[:9]) for n in range(200)]
    old = graph_of([make_node(), *services, *slices])
    new = graph_of([make_node(), *services, *slices[1:], make_slice("web-0", *endpoints)])
    step = delta(diff(old, new))
    assert [line.split(" ")[:2] for line in step.lines] == [
        ["add", "chain"],
        ["flush", "chain"],
        ["add", "rule"],
    ]
    assert len(step.text) < 1000
    other = evolve(services[0], external_ips=("203.0.113.5",))
    step = delta(diff(old, graph_of([make_node(), other, *services[1:], *slices])))
    assert len(step.text) < 1000
    assert not delta(diff(old, old))
    assert delta(diff(old, old)).text == ""


def test_a_flat_step_is_as_large_as_its_change() -> None:
    """An endpoint that comes, goes or is another one is an element, and where it leads another."""
    services = [make_service(f"web-{n}", f"10.96.1.{n}") for n in range(200)]
    endpoints = [f"10.244.1.{n}" for n in range(10, 14)]

    def state(*own: str) -> RuleGraph:
        slices = [make_slice(f"web-{n}", *endpoints) for n in range(1, 200)]
        return graph_of([make_node(), *services, *slices, make_slice("web-0", *own)])

    def step(
        old: RuleGraph, new: RuleGraph, kept: frozenset[Bucket] = frozenset()
    ) -> list[list[str]]:
        found = advance(full(old, layout="flat").keep(kept), diff(old, new))[1]
        return [
            [line.split(" ip kube-proxy ")[1] for line in text.splitlines()]
            for text in (*found.texts, *filter(None, [found.cleanup]))
        ]

    four, other = state(*endpoints), state("10.244.1.100", *endpoints[1:])
    place = "service-endpoints-tcp { 10.96.1.0 . 80 ."
    assert step(four, other) == [[f"{place} 0 }}", f"{place} 0 : 10.244.1.100 . 8080 }}"]]
    web = "service-ips { 10.96.1.0 . tcp . 80"
    three = state(*endpoints[:3])
    rules = [
        f"cluster-tcp-3 dnat ip to ip daddr . tcp dport . numgen {how} map @service-endpoints-tcp"
        for how in ("random mod 3", "inc mod 1")
    ]
    assert step(four, three) == [
        ["cluster-tcp-3", *rules],
        [f"{place} 3 }}", f"{web} }}", f"{web} : goto cluster-tcp-3 }}"],
    ]
    assert step(three, four) == [
        [
            f"{place} 3 : 10.244.1.13 . 8080 }}",
            f"{web} }}",
            f"{web} : goto cluster-tcp-4 }}",
        ],
        # Emptied and then deleted, once no packet is on its way there.
        ["cluster-tcp-3"],
        ["cluster-tcp-3"],
    ]
    kept = frozenset(full(three, layout="flat").buckets)
    assert step(four, three, kept) == step(four, three)[1:]
    assert step(three, four, kept) == step(three, four)[:1]


def test_chains_that_are_kept_are_as_the_node_has_them() -> None:
    """They are there whether or not anything leads to them, and get the words of another node."""
    web: list[ClusterObject] = [
        make_service("web", "10.96.0.10"),
        make_slice("web", "10.244.1.5", "10.244.1.6"),
    ]
    other = KubeProxyConfiguration(nftables=NFTablesConfiguration(15))
    plain, marked = graph_of([make_node(), *web]), graph_of([make_node(), *web], other)
    kept = frozenset({Bucket("external", "udp", True, 9), Bucket("cluster", "udp", True, 9)})
    before = full(plain, layout="flat").keep(kept)
    after, delta = advance(before, diff(plain, marked))
    assert after == full(marked, layout="flat").keep(kept)
    assert Model.of(text(before), delta.text) == Model.of(text(after))
    assert (
        "add rule ip kube-proxy nodeport-external-udp-9 mark set mark or 0x00008000" in delta.text
    )
    assert full(plain).keep(kept) == full(plain)


@pytest.mark.parametrize("choice", get_args(EndpointChoice))
def test_a_chain_for_so_many_endpoints_is_known_by_its_name(choice: EndpointChoice) -> None:
    """And no other is."""
    local_size = 3 * (choice == "external-local")
    for protocol, is_node_port in product(PROTOCOLS, (False, True)):
        bucket = Bucket(choice, protocol, is_node_port, 12, local_size)
        assert Bucket.of_name(bucket.name) == bucket
        wrong = ("0", "012", "1-1", "\u0661", "123456", "1-", "")
        names = [f"{bucket.name.partition('-12')[0]}-{each}" for each in wrong]
        assert named_buckets(names) <= {bucket._replace(size=1, local_size=1)}
    assert (
        named_buckets(["services", "cluster-icmp-1", "service-AAAAAAAA-a/b/tcp/cluster-tcp-1"])
        == set()
    )


def test_chains_ahead_are_for_up_to_twice_as_many_endpoints() -> None:
    """Of each kind by itself, and of none for very many."""
    local = Bucket("external-local", "tcp", False, 5, 2)
    used = [Bucket("cluster", "tcp", False, 3), Bucket("cluster", "udp", False, 5000), local]
    found = Counter(each._replace(size=0) for each in buckets_ahead(used))
    assert sorted(found.values()) == [6, 32 + 17]
    near = {each.size for each in buckets_ahead(used) if each.protocol == "udp"}
    assert {1, 32, 4992, 4999, 5001, 5008} <= near
    many = [Bucket("cluster", "tcp", False, 20 * n) for n in range(1, 100)]
    assert len(list(buckets_ahead(many))) == MOST_AHEAD
    assert set(buckets_ahead(used[:1])) == {used[0]._replace(size=n) for n in range(1, 7)}


def test_sizes_have_room_and_few_places() -> None:
    """Half as much room again, in fewer than four times as many places as there are elements."""
    for count in (*range(1, 3000), 10_000, 50_000, 100_000, 1_000_000):
        size = size_of(count)
        places = 1 << (size * 4 // 3 - 1).bit_length()
        assert size >= 1.5 * count
        assert size == LEAST or places <= 4 * count
        assert size_of(count - 1) <= size
    assert size_of(0) == LEAST


def test_maps_grow_and_need_not_shrink() -> None:
    """A map that gets too small is made anew with all that is in it, in a transaction before."""
    services = [make_service(f"web-{n}", f"10.96.1.{n}") for n in range(100)]

    def state(count: int) -> RuleGraph:
        slices = [
            make_slice(f"web-{n}", *(f"10.244.{n}.{k}" for k in range(1, 11))) for n in range(count)
        ]
        return graph_of([make_node(), *services, *slices])

    few, many = state(51), state(52)
    before, after = full(few, layout="flat"), full(many, layout="flat")
    sizes = {each.name: each.size for each in after.fixed.objects if isinstance(each, NFTSet)}
    assert (sizes["service-endpoints-tcp"], sizes["service-endpoints-udp"]) == (1536, 1024)
    ruleset, step = advance(before, diff(few, many))
    assert ruleset == after
    assert step.growth is not None
    assert [each.name for each in step.growth.sets] == ["service-endpoints-tcp"]
    model = Model.of(text(before))
    for part in step.texts[:5]:
        used = {rule.rpartition("@")[2] for rule in model.chains["cluster-tcp-10"]}
        assert all(len(model.sets[name]) == 510 for name in used)
        model.load(part)
    assert model == Model.of(text(before))
    assert "size 1536" in model.heads["service-endpoints-tcp"]
    model.load("".join(step.texts[5:]))
    assert model == Model.of(text(after))
    back = advance(after, diff(many, few))
    assert (back[0], back[1].growth) == (before, None)
    again = advance(before, diff(few, many), sizes)[1]
    assert again == evolve(step, growth=None)
    assert Model.of(text(after), back[1].text, again.text) == Model.of(text(after))


def test_the_size_of_the_cluster_changes_no_rule() -> None:
    """What is a large cluster elsewhere, where comments go, is a step of one Service here."""
    pods = [f"10.244.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    services = [make_service("web", "10.96.0.10"), make_service("db", "10.96.0.11")]
    few: list[ClusterObject] = [
        make_node(),
        *services,
        make_slice("db", "10.244.9.1"),
        make_slice("web", *pods[:-1]),
    ]
    many: list[ClusterObject] = [*few[:-1], make_slice("web", *pods)]
    old, new = graph_of(few), graph_of(many)
    assert old.is_large != new.is_large
    assert "db" not in delta(diff(old, new)).text


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("expected", EXPECTED[::14], ids=lambda path: path.parent.name)
def test_the_document_is_the_text_as_values(expected: Any, layout: Layout) -> None:
    """Each line of the text can be written from the JSON document, in its order."""
    ruleset = full(compile_case(expected.parent, family_of_file(expected)), layout=layout)
    value = json.loads(document(ruleset))
    assert value["family"] == ruleset.family
    assert sorted(lines_of(value)) == sorted(text(ruleset).splitlines())


def lines_of(value: Any) -> list[str]:
    """Return the lines of a document."""
    table = f"{value['table']['family']} {value['table']['name']}"

    def said(one: Any) -> str:
        return f'comment "{one["comment"]}"' if "comment" in one else ""

    found = [f"add table {table} {{ {said(value['table'])} ; }}"]
    for chain in value["chains"]:
        name, what = chain["name"], said(chain)
        if "hook" in chain:
            what = f"type {chain['type']} hook {chain['hook']} priority {chain['priority']}"
        found.append(f"add chain {table} {name}{f' {{ {what} ; }}' if what else ''}")
        found += [
            f"add rule {table} {name} {rule['rule']} {said(rule)}".rstrip()
            for rule in chain["rules"]
        ]
    for kind in ("set", "map"):
        for each in value[f"{kind}s"]:
            name, type_ = each["name"], "typeof" if "typeof" in each else "type"
            what = f"{type_} {' . '.join(each[type_])}"
            what += f" : {each['value']} ;" if kind == "map" else " ;"
            if "timeout" in each:
                what += f" flags dynamic,timeout ; timeout {each['timeout']}s ;"
            if "size" in each:
                what += f" size {each['size']} ;"
            if "comment" in each:
                what += f" {said(each)} ;"
            found.append(f"add {kind} {table} {name} {{ {what} }}")
            for element in each["elements"]:
                key = " ".join([" . ".join(element["key"]), said(element)]).rstrip()
                value_of = f" : {element['value']}" if kind == "map" else ""
                found.append(f"add element {table} {name} {{ {key}{value_of} }}")
    return found


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_line_is_traced_to_its_field(expected: Any) -> None:
    """A line that a Service caused names the field that holds its value; others name none."""
    graph = compile_case(expected.parent, family_of_file(expected))
    documents = yaml.load_all((expected.parent / "objects.yaml").read_bytes(), yaml.CSafeLoader)
    objects = by_name(document for document in documents if document)
    for layout in LAYOUTS:
        check_lines(full(graph, layout=layout), objects)


def check_lines(ruleset: Ruleset, objects: Any) -> None:
    """Check what caused each line of a full sync; `objects` are the input by name."""
    fixed = {made.add(str(ruleset.table)) for made in ruleset.fixed.objects}
    for line in transaction(ruleset).splitlines(True):
        own = "/" in line.split(" ")[4] or (line not in fixed and line.startswith("add element"))
        origin = ruleset.origin_of_line(line)
        assert (origin is not None) == own, line
        assert ruleset.origin_of_line(line.rstrip("\n")) == origin
        if origin is None:
            continue
        value = field_of(origin, objects)
        if isinstance(value, int) or re.match(r"[0-9a-fA-F:.]+(/\d+)?$", str(value)):
            assert any(form in line for form in forms(str(value))), (line, origin)
        else:
            assert isinstance(value, dict | list | str), (line, origin)


def forms(value: str) -> set[str]:
    """Return the texts in which an address or a number stands in lines, in names with dots."""
    found = canonical_cidr(value) or canonical_address(value) or value
    return {value, found, found.replace(":", ".")}


def test_a_range_without_endpoints_is_traced() -> None:
    """The firewall of a load balancer that has no endpoint comes from its first range."""
    service = make_service(
        "web",
        "10.96.0.10",
        type="LoadBalancer",
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.20", "VIP"),),
        load_balancer_source_ranges=("198.51.100.0/24",),
    )
    ruleset = full(graph_of([make_node(), service]))
    lines = [line for line in text(ruleset).splitlines() if "198.51.100.0/24" in line]
    origins = [ruleset.origin_of_line(line) for line in lines]
    assert [origin and origin.path for origin in origins] == ["spec.loadBalancerSourceRanges[0]"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cni0", "cni0"),
        ("br-lan.100", "br-lan.100"),
        ("veth*", "veth*"),
        ("ip*", "ip*"),
        ("bridge", '"bridge"'),
        ("ip6", '"ip6"'),
        ("6in4", '"6in4"'),
        ("123", '"123"'),
        ("a@b*", '"a@b*"'),
        ("-x", '"-x"'),
    ],
)
def test_interfaces_that_nft_would_take_for_something_else_are_quoted(
    name: str, written: str
) -> None:
    """A keyword, a number, and what has other characters than words have."""
    assert interface(name) == written


def test_comments_are_cut_where_nft_refuses_them() -> None:
    """At 128 bytes, between characters; and nothing of a comment ends it."""
    assert quote_comment("x" * MOST_COMMENT) == f'"{"x" * MOST_COMMENT}"'
    assert quote_comment("x" * 200) == f'"{"x" * MOST_COMMENT}"'
    assert quote_comment("é" * 100) == f'"{"é" * 64}"'
    assert quote_comment('a"b\nc') == '"a\'b c"'


def test_names_have_their_length() -> None:
    """The longest names are cut, and the hash in front tells them apart."""
    name = FragmentName("n" * 63, "s" * 63, "p" * 63, "SCTP")
    assert len(names.service_base(name)) <= names.MOST
    addresses = [f"fd00:1111:2222:3333:4444:5555:6666:777{n}" for n in range(9)]
    found = set(names.endpoint_bases(name, [(address, 18080) for address in addresses]))
    assert len(found) == 9
    assert {len(each) for each in found} == {names.MOST}
    assert all(each.endswith("...") and ":" not in each for each in found)


@given(st.integers(1, 63), st.integers(1, 63), st.integers(1, 63))
def test_names_of_many_are_those_of_one(space: int, service: int, port: int) -> None:
    """However long, a name of an endpoint is the hash of what people can read, and that."""
    name = FragmentName("n" * space, "s" * service, "p" * port, "SCTP")
    address = "fd00:1111:2222:3333:4444:5555:6666:7777"
    [found] = names.endpoint_bases(name, [(address, 65535)])
    readable = f"{names.service_base(name)[9:]}__{address.replace(':', '.')}/65535"
    letters = b32encode(sha256(readable.encode()).digest())[:8].decode()
    wanted = f"{letters}-{readable}"
    assert found == (wanted if len(wanted) <= names.MOST else f"{wanted[: names.MOST - 3]}...")


@settings(max_examples=examples(25), deadline=None)
@given(strategies.clusters, strategies.configurations, st.sampled_from(LAYOUTS))
def test_lines_are_those_of_the_objects(
    objects: list[ClusterObject], config: KubeProxyConfiguration, layout: Layout
) -> None:
    """Written many at a time or one by one, and each has what caused it."""
    ruleset = full(graph_of([make_node(), *objects], config), layout=layout)
    table = str(ruleset.table)
    for is_new in (False, True):
        alike = "".join(lines(ruleset.iterate(), table, is_new=is_new))
        assert alike == "".join(lines(ruleset.objects(), table, is_new=is_new))
    for block in ruleset.blocks.values():
        assert set(block.elements.values()) == {o for o in block.objects if type(o) is NFTElement}


@pytest.mark.parametrize(
    ("mode", "name", "wanted"),
    [("BridgeInterface", "bridge", '"bridge"'), ("InterfaceNamePrefix", "veth", "veth*")],
)
def test_local_pods_are_told_by_interface(mode: Any, name: str, wanted: str) -> None:
    """Both by its name and by how it begins."""
    config = KubeProxyConfiguration(
        detect_local_mode=mode, detect_local=DetectLocalConfiguration(name, name)
    )
    found = text(full(graph_of([make_node(), make_service()], config)))
    assert f"@cluster-ips iifname != {wanted} mark set" in found


def test_public_verbs() -> None:
    """``compile``, ``render`` and ``render_delta`` take the mode by name."""
    state: list[ClusterObject] = [make_node(), make_service()]
    more: list[ClusterObject] = [*state, make_slice("web", "10.244.1.5")]
    old = svcnet.compile(ClusterState.of(state), mode="nftables")
    new = svcnet.compile(ClusterState.of(more), mode="nftables")
    assert svcnet.render(new, mode="nftables") == full(new)
    assert svcnet.render_delta(diff(old, new), mode="nftables") == delta(diff(old, new))
