"""Why a name does not exist."""

from __future__ import annotations

from svcnet.discovery.dns.names import is_reverse
from svcnet.discovery.dns.zones import Zones


def why_missing(zones: Zones, name: str, zone: str) -> tuple[str, str]:
    """Return the reason for NXDOMAIN, and the Service that it has to do with, if any."""
    if is_reverse(zone):
        return "no cluster IP and no ready endpoint has this address", ""
    *below, kind = name.removesuffix(f".{zone}").split(".")
    if kind == "pod" and zones.options.pods == "disabled":
        return "pods disabled: no Pod has a name", ""
    if kind not in ("svc", "pod"):
        return f"below {zone} are svc, pod and dns-version", ""
    *below, namespace = below
    if namespace not in zones.namespaces:
        return f"nothing is known of a namespace {namespace}", ""
    if kind == "pod":
        return f"pods {zones.options.pods}: this is no Pod's address in {namespace}", ""
    *below, service = below
    label = f"{namespace}/{service}"
    full = f"{service}.{namespace}.svc.{zone}"
    if full in zones.absent:
        return zones.absent[full], label
    if full not in zones.entries:
        return f"namespace {namespace} has no Service {service}", ""
    if "CNAME" in zones.entries[full].records:
        return "ExternalName: no name is below it", label
    match len(below):
        case 1:
            return f"no ready endpoint is named {below[0]}", label
        case 2:
            port, protocol = (part.removeprefix("_") or part for part in below)
            return f"it has no port {port} of protocol {protocol}", label
    return "no Service has names that deep", label
