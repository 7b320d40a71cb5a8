"""What is asked of a server for each kind: where it is, and which objects are not ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import frozen

from svcnet.errors import UsageError
from svcnet.labels import HEADLESS_LABEL, PROXY_NAME_LABEL

PATHS = {
    "Service": ("/api/v1/services",),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1/endpointslices",),
    "Node": ("/api/v1/nodes",),
    "Endpoints": ("/api/v1/endpoints",),
    "Pod": ("/api/v1/pods",),
    # A server has one or two of these versions, newest first.
    "ServiceCIDR": (
        "/apis/networking.k8s.io/v1/servicecidrs",
        "/apis/networking.k8s.io/v1beta1/servicecidrs",
        "/apis/networking.k8s.io/v1alpha1/servicecidrs",
    ),
}
# What kube-proxy v1.36 selects by (``Run`` in cmd/kube-proxy/app/server.go).
NO_OTHER_PROXY = f"!{PROXY_NAME_LABEL}"
NO_HEADLESS_SERVICE = "spec.clusterIP!=None"
NO_HEADLESS_ENDPOINTS = f"!{HEADLESS_LABEL}"


@frozen
class Resource:
    """One kind of objects on a server, at the first of ``paths`` that it has.

    Without one that is not ``needed`` there are rules, too. Unless it is ``labelled``, its labels
    and selectors are not kept.
    """

    kind: str
    paths: tuple[str, ...]
    label_selector: str = ""
    field_selector: str = ""
    needed: bool = True
    labelled: bool = True

    def selectors(self) -> dict[str, str]:
        """Return the selectors as parameters of a request."""
        given = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: text for name, text in given.items() if text}


def resources(
    kinds: Iterable[str],
    optional: Collection[str] = (),
    *,
    node: str,
    headless: bool,
    labelled: bool,
) -> tuple[Resource, ...]:
    """Return what to ask for; of `kinds` all but `optional` are needed.

    Of Nodes only the one named `node`, unless that is empty. Services that another proxy serves
    are left out always, headless ones and their endpoints unless `headless`. `labelled` is whether
    their labels and selectors are kept.

    Raises :class:`svcnet.errors.UsageError` for a kind that svcnet has no use for.
    """
    found = []
    for kind in dict.fromkeys(kinds):
        if kind not in PATHS:
            raise UsageError(f"{kind!r} cannot be watched; one of {', '.join(PATHS)} can")
        selectors = _selectors(kind, node=node, headless=headless)
        needed = kind not in optional
        found.append(Resource(kind, PATHS[kind], *selectors, needed, labelled))
    return tuple(found)


def _selectors(kind: str, *, node: str, headless: bool) -> tuple[str, str]:
    """Return the selectors of labels and of fields for one kind."""
    match kind:
        case "Service":
            return NO_OTHER_PROXY, "" if headless else NO_HEADLESS_SERVICE
        case "EndpointSlice" | "Endpoints":
            return "" if headless else NO_HEADLESS_ENDPOINTS, ""
        case "Node" if node:
            return "", f"metadata.name={node}"
        case _:
            return "", ""
