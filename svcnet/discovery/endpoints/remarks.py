"""What is legal about Pods and selectors and surely not meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from svcnet import checks
from svcnet.checks import Check
from svcnet.discovery.endpoints.pods import port_number
from svcnet.discovery.endpoints.selecting import SelectingServices
from svcnet.models import ClusterState, NamespacedName, Pod, Service

NO_ENDPOINTS = "no endpoints are made of its Pods"

Remark = tuple[Check, Service | Pod, tuple[str | int, ...], str]
"""A check, an object, the path of a field in it, and what to say of it."""


def remarks(
    state: ClusterState, apart_from: Collection[NamespacedName] = frozenset()
) -> Iterator[Remark]:
    """Yield what a user of Pods and selectors should know, by Service and by Pod.

    Those are selectors that find nothing or too much, named target ports that a Pod does not
    have, and Pods that a selector finds and that cannot be endpoints because something is not
    told. Services `apart_from` are not looked at: theirs are not made of Pods.
    """
    selected = SelectingServices.of(state, apart_from)
    for name, reason in sorted(selected.left_out.items()):
        message = f"{reason}: {NO_ENDPOINTS}"
        yield checks.TOO_MANY_ENTRIES, state.services[name], ("spec", "selector"), message
    told: set[tuple[str, str]] = set()
    for name, service in sorted(selected.services.items()):
        pods = sorted(selected.pods(name), key=lambda pod: pod.name)
        if not pods:
            yield checks.NO_POD, service, ("spec", "selector"), "finds no Pod"
        yield from _of_ports(service, pods)
        for pod in pods:
            if (pod.namespace, pod.name) not in told:
                told.add((pod.namespace, pod.name))
                yield from _of_pod(pod, state)


def _of_ports(service: Service, pods: Collection[Pod]) -> Iterator[Remark]:
    """Yield target ports that Pods lack: at the first of them, so ports by Pods are no product."""
    for index, port in enumerate(service.ports):
        lacking = [pod for pod in pods if not port_number(port, pod)]
        for pod in lacking[:1]:
            message = f"Pod {pod.name} has no {port.protocol} port named {port.target_port!r}"
            if len(lacking) > 1:
                message += f"; so is it with {len(lacking) - 1} more"
            yield checks.NO_TARGET_PORT, service, ("spec", "ports", index, "targetPort"), message


def _of_pod(pod: Pod, state: ClusterState) -> Iterator[Remark]:
    if pod.phase in ("Succeeded", "Failed"):
        return
    if not pod.pod_ips:
        yield checks.NO_POD_IP, pod, ("status", "podIP"), "is not there, so the Pod is no endpoint"
    elif state.nodes and pod.node_name not in state.nodes:
        node = f"Node {pod.node_name}" if pod.node_name else "Node of it"
        message = f"the input has no {node}, so the Pod is no endpoint"
        yield checks.NO_POD_NODE, pod, ("spec", "nodeName"), message
