"""Which field a line came from: what it says is looked for in the nodes of its service port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from svcnet.graph import Fragment, Origin
from svcnet.graph.nodes import Frontend
from svcnet.graph.origins import dispatch_at, source_origin
from svcnet.netfilter.words import words

_VALUED = ("-d", "-s", "-j", "--dport", "--comment")
_FRONTENDS: Mapping[str, tuple[Frontend, ...]] = {
    "cluster IP": ("cluster-ip",),
    "external IP": ("external-ip",),
    "loadbalancer IP": ("load-balancer",),
}
_OUTSIDE: tuple[Frontend, ...] = ("external-ip", "load-balancer", "node-port")


def parts_of(line: str) -> tuple[str, Mapping[str, str]]:
    """Return the chain that a line makes, deletes or has a rule of, and what the rule says."""
    if line.startswith(":"):
        return line[1:].split(" ", 1)[0], {}
    found = [line[begin:end] for begin, end in words(line)]
    options = {key: value for key, value in pairwise(found) if key in _VALUED}
    return "".join(found[1:2]), options


def subject(options: Mapping[str, str]) -> str:
    """Return the service port that the comment of a rule in a shared chain begins with."""
    return options.get("--comment", "").strip('"').partition(" ")[0]


def own_origin(
    fragment: Fragment,
    chains: Sequence[str],
    chain: str,
    options: Mapping[str, str],
) -> Origin:
    """Return what caused a line of one of a service port's own `chains`, in their order."""
    others = len(chains) - len(fragment.translates)
    for name in (chain, options.get("-j", "")):
        if name in chains[others:]:
            return fragment.translates[chains.index(name) - others].origin
    if "-d" in options:
        return fragment.dispatches[0].origin
    if chain.startswith("KUBE-FW-") and fragment.firewall is not None:
        return source_origin(fragment, options.get("-s", "")) or fragment.firewall.origin
    if chain.startswith("KUBE-EXT-") and fragment.external is not None:
        return fragment.external.origin
    return fragment.origin


def shared_origin(fragment: Fragment, chain: str, options: Mapping[str, str]) -> Origin:
    """Return what caused a line of a chain that all service ports share."""
    comment = options.get("--comment", "").strip('"')
    if fragment.health_check is not None and comment.endswith(" health check node port"):
        return fragment.health_check.origin
    about = comment.removeprefix(fragment.name.service_port).strip()
    if chain == "KUBE-NODEPORTS":
        frontends: tuple[Frontend, ...] = ("node-port",)
    elif chain == "KUBE-PROXY-FIREWALL":
        frontends = ("load-balancer",)
    elif chain == "KUBE-EXTERNAL-SERVICES":
        frontends = _OUTSIDE
    else:
        frontends = _FRONTENDS.get(about, ("cluster-ip",))
    port = options.get("--dport", "")
    number = int(port) if port.isdecimal() else 0
    dispatch = dispatch_at(fragment, options.get("-d", ""), number, frontends)
    return fragment.origin if dispatch is None else dispatch.origin
