"""The IP families of Services that do not name theirs: those of the cluster, as it fills them in.

Source: ``initIPFamilyFields`` in pkg/registry/core/service/storage/alloc.go of Kubernetes v1.36.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve, frozen

from svcnet import checks
from svcnet.family import IP_FAMILIES, family_of
from svcnet.models import IPFamily, Node, Pod, Service, ServiceCIDR
from svcnet.models.state import ClusterObject
from svcnet.sources.findings import Findings, ObjectPlace, Path

Families = tuple[IPFamily, ...]
Located = tuple[ClusterObject, ObjectPlace]

POLICY: Path = ("spec", "ipFamilyPolicy")


@frozen
class ClusterFamilies:
    """The IP families in which a cluster has addresses for Services, the default one first.

    ``source`` is what of the input tells them, empty if nothing does or somebody asked for them.
    ``decided`` says whether a Service with a selector would have others in another cluster.
    """

    families: Families
    source: str = ""
    decided: bool = False


def fill_families(objects: list[ClusterObject], asked: Families = ()) -> ClusterFamilies:
    """Give each Service among `objects` the families that it has in a cluster.

    They are of the cluster that was `asked` for, else of the one that the objects tell.
    """
    places = [
        place
        for place, item in enumerate(objects)
        if isinstance(item, Service)
        and not (item.ip_families and item.ip_family_policy == "SingleStack")
        and _is_open(item)
    ]
    services = [item for place in places if isinstance(item := objects[place], Service)]
    if not services and not asked:
        return ClusterFamilies(())
    found = ClusterFamilies(asked) if asked else cluster_families(objects)
    for place, service in zip(places, services, strict=True):
        objects[place] = evolve(service, ip_families=families_of(service, found.families))
    return evolve(found, decided=any(service.selector for service in services))


def check_families(located: Iterable[Located], asked: Families, findings: Findings) -> None:
    """Report Services that a cluster of the families that were `asked` for does not take."""
    for item, place in located:
        if asked and isinstance(item, Service) and not _is_alone(item):
            _check_asked(item, place, asked, findings)


def _check_asked(service: Service, place: ObjectPlace, asked: Families, findings: Findings) -> None:
    if service.ip_family_policy == "RequireDualStack" and len(asked) == 1:
        message = f"RequireDualStack takes a cluster of both IP families, not of {asked[0]}"
        findings.error(checks.FAMILY_POLICY, place, POLICY, message)
    for index, family in enumerate(service.ip_families):
        if family not in asked:
            message = f"{family} is no IP family of the cluster, which has {asked[0]}"
            findings.error(checks.FAMILY_POLICY, place, ("spec", "ipFamilies", index), message)


def _is_open(service: Service) -> bool:
    """Return whether the families of a Service are for the cluster to say, or one of them."""
    if service.type == "ExternalName" or len(service.ip_families) > 1:
        return False
    return not service.ip_families or _wants_both(service)


def _wants_both(service: Service) -> bool:
    """Return whether a Service of one family has both where the cluster does.

    One that has its address and names its family keeps these: a cluster that got its other
    family later does not give it to Services that would only prefer it.
    """
    if _is_alone(service) and not service.ip_family_policy:
        return True
    is_old = bool(service.ip_families and service.cluster_ips) and not service.is_headless
    return service.ip_family_policy == "RequireDualStack" or (
        service.ip_family_policy == "PreferDualStack" and not is_old
    )


def _is_alone(service: Service) -> bool:
    """Return whether neither addresses nor Pods tie a Service to the cluster's families."""
    return service.is_headless and not service.selector


def families_of(service: Service, of_cluster: Families) -> Families:
    """Return the families that `service` has in a cluster of these families."""
    named = service.ip_families or _of_cluster_ips(service) or of_cluster[:1]
    if not _wants_both(service):
        return named
    others = IP_FAMILIES if _is_alone(service) else of_cluster
    return (*named, *(family for family in others if family not in named))


def cluster_families(objects: Sequence[ClusterObject]) -> ClusterFamilies:
    """Return the families of the cluster that `objects` are of, as far as these tell.

    The default one is that of the ranges of cluster IPs, else of the Service
    ``default/kubernetes``, else of most Services, of most Nodes, of most Pods, else IPv4.
    The other is there if any of these has it.
    """
    told: dict[str, list[Families]] = {
        "the ServiceCIDR kubernetes": [],
        "the Service default/kubernetes": [],
        "the Services": [],
        "the Nodes": [],
        "the Pods": [],
    }
    for item in objects:
        for source, families in _told_by(item):
            told[source].append(families)
    seen = {family for listed in told.values() for families in listed for family in families}
    if any(isinstance(i, Service) and i.ip_family_policy == "RequireDualStack" for i in objects):
        seen.update(IP_FAMILIES)
    source, default = next(_defaults(told), ("", IP_FAMILIES[0]))
    others = (family for family in IP_FAMILIES if family in seen and family != default)
    return ClusterFamilies((default, *others), source)


def _defaults(told: Mapping[str, list[Families]]) -> Iterator[tuple[str, IPFamily]]:
    """Yield what tells of a default family, with that of most; of as many, it is IPv4."""
    for source, listed in told.items():
        first = Counter(families[0] for families in listed if families)
        if first:
            yield source, max(IP_FAMILIES, key=lambda family: first[family])


def _told_by(item: ClusterObject) -> Iterator[tuple[str, Families]]:
    match item:
        case ServiceCIDR(name="kubernetes"):
            yield "the ServiceCIDR kubernetes", _of(item.cidrs)
        case Service():
            if item.type != "ExternalName" and not _is_alone(item):
                is_api = (item.namespace, item.name) == ("default", "kubernetes")
                source = "the Service default/kubernetes" if is_api else "the Services"
                yield source, item.ip_families or _of_cluster_ips(item)
        case Node():
            yield "the Nodes", _of(item.pod_cidrs or item.addresses)
        case Pod():
            yield "the Pods", _of(item.pod_ips)


def _of_cluster_ips(service: Service) -> Families:
    return () if service.is_headless else _of(service.cluster_ips)


def _of(texts: Iterable[str]) -> Families:
    """Return the families of addresses or CIDRs, in the order of the first of each."""
    return tuple(dict.fromkeys(map(family_of, texts)))
