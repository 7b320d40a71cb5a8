"""Node documents to models.

Source of the rules: ``ValidateNode`` in pkg/apis/core/validation and the conversion of podCIDR to
podCIDRs in pkg/apis/core/v1, Kubernetes v1.36. Nobody checks the addresses in a Node's status.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet import checks
from svcnet.family import family_of
from svcnet.models import Node, Taint
from svcnet.sources.addresses import canonical_address, canonical_cidr
from svcnet.sources.fields import Fields, quote_value
from svcnet.sources.findings import Path
from svcnet.sources.labels import LABEL_KEY, LABEL_VALUE, is_label_key, is_label_value
from svcnet.sources.metadata import is_deleted, read_labels
from svcnet.sources.quantities import milli

ADDRESS_TYPES = ("InternalIP", "ExternalIP")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
AUTOSCALER_TAINT = "ToBeDeletedByClusterAutoscaler"


def read_node(document: Fields, name: str) -> Node:
    """Return the Node that `document` describes; what is wrong becomes a finding."""
    metadata = document.mapping("metadata")
    taints = _taints(document.mapping("spec"))
    # Traffic is to go elsewhere then: pkg/proxy/healthcheck/proxy_health.go, v1.36.
    leaving = is_deleted(metadata) or any(taint.key == AUTOSCALER_TAINT for taint in taints)
    return Node(
        name=name,
        addresses=_addresses(document.mapping("status")),
        pod_cidrs=_pod_cidrs(document.mapping("spec")),
        labels=read_labels(metadata),
        being_deleted=leaving,
        ready=_is_ready(document.mapping("status")),
        cpu=_cpu(document.mapping("status").mapping("allocatable")),
        taints=taints,
    )


def _is_ready(status: Fields) -> bool:
    """Return whether the first condition of type Ready is true."""
    for condition in status.mappings("conditions"):
        if condition.string("type") == "Ready":
            return condition.string("status") == "True"
    return False


def _cpu(allocatable: Fields) -> int:
    """Return the CPUs that Pods can have, in thousandths, rounded up; 0 where it is not told."""
    value = allocatable.data.get("cpu")
    if value is None:
        return 0
    try:
        return max(milli(value), 0)
    except ValueError as error:
        allocatable.error(checks.TYPE, "cpu", f"{error}, not {quote_value(value)}")
        return 0


def _taints(spec: Fields) -> tuple[Taint, ...]:
    """Return the taints, each key and effect once."""
    found: dict[tuple[str, str], Taint] = {}
    for taint in spec.mappings("taints"):
        key, value = taint.string("key"), taint.string("value")
        if isinstance(taint.data.get("key"), str | None) and not is_label_key(key):
            taint.error(checks.LABEL, "key", f"{LABEL_KEY}; not {quote_value(key)}")
        if not is_label_value(value):
            taint.error(checks.LABEL, "value", f"{LABEL_VALUE}; not {quote_value(value)}")
        effect = taint.choice("effect", EFFECTS, "")
        if not effect:
            if taint.data.get("effect") in (None, ""):
                taint.error(checks.REQUIRED, "effect", "is required")
        elif (key, effect) in found:
            taint.error(checks.REPEATED_MEMBER, "key", f"{key} with {effect} is there twice")
        else:
            found[key, effect] = Taint(key, effect, value)
    return tuple(found.values())


def _pod_cidrs(spec: Fields) -> tuple[str, ...]:
    """Return the CIDRs of the node's pods; where the two fields differ, podCIDR counts alone."""
    single = spec.string("podCIDR")
    listed = list(spec.strings("podCIDRs"))
    if single and (not listed or listed[0][1] != single):
        return tuple(_cidrs(spec, [(("podCIDR",), single)]))
    found = tuple(_cidrs(spec, [(("podCIDRs", index), text) for index, text in listed]))
    if len({family_of(cidr) for cidr in found}) < len(found):
        spec.error(checks.IP_FAMILY, "podCIDRs", "may hold at most one CIDR of each IP family")
    return found


def _cidrs(spec: Fields, texts: Iterable[tuple[Path, str]]) -> Iterator[str]:
    for where, text in texts:
        cidr = canonical_cidr(text)
        if cidr:
            yield cidr
        else:
            message = f"must be a CIDR such as 10.244.1.0/24, not {quote_value(text)}"
            spec.error_at(checks.CIDR, where, message)


def _addresses(status: Fields) -> tuple[str, ...]:
    """Return the internal addresses, then the external ones: the order kube-proxy prefers."""
    by_type: dict[str, list[str]] = {kind: [] for kind in ADDRESS_TYPES}
    for entry in status.mappings("addresses"):
        kind, text = entry.string("type"), entry.string("address")
        if kind not in by_type or not isinstance(entry.data.get("address"), str | None):
            continue
        address = canonical_address(text)
        if address:
            by_type[kind].append(address)
        else:
            message = f"is passed over: {quote_value(text)} is no IP address"
            entry.warning(checks.NODE_ADDRESS, "address", message)
    return tuple(address for kind in ADDRESS_TYPES for address in by_type[kind])
