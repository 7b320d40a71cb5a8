"""Which Nodes admit the Pods of a template, as far as objects tell.

Sources: ``GetRequiredNodeAffinity`` in k8s.io/component-helpers, and
``AddOrUpdateDaemonPodTolerations`` in pkg/controller/daemon/util of Kubernetes v1.36. Nothing is
known of memory, volumes and other Pods, so nobody is turned away for these.
"""

from __future__ import annotations

from collections.abc import Iterable

from svcnet.labels import DAEMON_TAINTS, NETWORK_TAINT
from svcnet.models import Node, NodeTerm, PodTemplate, Toleration


def find_nodes(
    template: PodTemplate, nodes: Iterable[Node], *, is_daemon: bool = False
) -> list[Node]:
    """Return the Nodes that admit a Pod of a template, in their order; `is_daemon` bears more."""
    borne = [*template.tolerations, *(_of_daemons(template) if is_daemon else ())]
    return [node for node in nodes if _is_chosen(template, node) and _is_borne(borne, node)]


def _of_daemons(template: PodTemplate) -> list[Toleration]:
    keys = (*DAEMON_TAINTS, NETWORK_TAINT) if template.host_network else DAEMON_TAINTS
    return [Toleration(key, "Exists") for key in keys]


def _is_borne(tolerations: Iterable[Toleration], node: Node) -> bool:
    """Return whether none of a Node's taints keeps the Pod away."""
    return all(
        taint.effect == "PreferNoSchedule" or any(each.bears(taint) for each in tolerations)
        for taint in node.taints
    )


def _is_chosen(template: PodTemplate, node: Node) -> bool:
    """Return whether a template asks for this Node, or for none."""
    if template.node_name not in ("", node.name):
        return False
    wanted = template.node_selector.items()
    if not all(node.labels.get(key) == value for key, value in wanted):
        return False
    terms = template.node_terms
    return terms is None or any(_is_met(term, node) for term in terms)


def _is_met(term: NodeTerm, node: Node) -> bool:
    """Return whether a Node is as a term asks; one that asks for nothing finds none."""
    fields = {"metadata.name": node.name}
    return bool(term.labels or term.fields) and (
        all(each.is_met(node.labels) for each in term.labels)
        and all(each.is_met(fields) for each in term.fields)
    )
