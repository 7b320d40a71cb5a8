"""What is told of what was made up for objects that no cluster has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from svcnet.family import IPFamily, family_of
from svcnet.modes.options import enumerate_words
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.discovery.repository import Additions, Assumptions


def lines_of(assumed: Additions, asked: Assumptions) -> Iterator[str]:
    """Yield a line for Pods that were made or got addresses, one for Nodes, one for Services."""
    if assumed.pods:
        yield _of_pods(assumed, asked)
    if assumed.nodes:
        zones = len({node.zone for node in assumed.nodes if node.zone})
        where = f" in {count_noun(zones, 'zone')}" if zones else ""
        yield f"made up: {count_noun(len(assumed.nodes), 'Node')}{where}"
    if assumed.given.services:
        yield _of_services(assumed)


def _of_pods(assumed: Additions, asked: Assumptions) -> str:
    owners = {id(each): each for each in assumed.owners.values()}.values()
    kinds = Counter(each.kind for each in owners)
    bare = len(assumed.pods) - len(assumed.owners)
    whose = [count_noun(count, kind) for kind, count in sorted(kinds.items())]
    of = f" of {enumerate_words(whose)}" if whose else ""
    made = [f"{count_noun(len(assumed.owners), 'Pod')}{of}"] if assumed.owners else []
    made += [f"addresses of {count_noun(bare, 'Pod')}"] if bare else []
    ready = "ready" if asked.ready == "all" else "not ready"
    ranges = _ranges(ip for pod in assumed.pods for ip in pod.pod_ips)
    networks = enumerate_words(
        [str(asked.pod_network(family)) for family in ranges] or ["no range"]
    )
    return f"made up: {enumerate_words(made)}, in {networks}, {ready} whatever probes would say"


def _of_services(assumed: Additions) -> str:
    given = assumed.given
    found = [f"cluster IPs of {count_noun(given.services, 'Service')}"]
    found += [count_noun(given.node_ports, "node port")] if given.node_ports else []
    found += [count_noun(given.health_ports, "health-check port")] if given.health_ports else []
    found += [count_noun(given.balancers, "load-balancer address")] if given.balancers else []
    networks = enumerate_words([str(each) for each in given.networks])
    return f"made up: {enumerate_words(found)}, in {networks}"


def _ranges(addresses: Iterable[str]) -> list[IPFamily]:
    return list(dict.fromkeys(map(family_of, addresses)))
