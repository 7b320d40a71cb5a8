"""What a Kubernetes Service does to a node: a compiler from Services to rules.

The verbs, in the order in which they are used::

    state = svcnet.load(["manifests/"]).state     # objects of a cluster
    graph = svcnet.compile(state)                 # what a node should do with packets
    text = svcnet.render(graph).text              # the same as iptables-restore text
    tables = svcnet.render(graph, mode="ipvs")    # the same as virtual servers and sets
    table = svcnet.render(graph, mode="userspace")  # the same for a proxy to serve
    step = svcnet.diff(old_graph, graph)          # what changed
    svcnet.apply(svcnet.render(graph))            # onto this machine (root)

Everything but :func:`load` and :func:`apply` is a pure function of its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Literal, overload

# Imports wait until a verb is called: ``import svcnet`` and ``svcnet --help`` cost nothing.
if TYPE_CHECKING:
    from svcnet.executors.iptables import Report
    from svcnet.executors.ipvs import Report as IPVSReport
    from svcnet.files import Paths
    from svcnet.graph import GraphDiff, RuleGraph
    from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
    from svcnet.renderers.iptables import Delta, RestoreText
    from svcnet.renderers.ipvs import IPVSDelta, IPVSTables
    from svcnet.renderers.userspace import ProxyDelta, ProxyTable
    from svcnet.sources import Loaded

__all__ = ["apply", "compile", "diff", "load", "render", "render_delta"]

__version__ = "0.1.0"


def load(
    paths: Paths,
    *,
    stdin: BinaryIO | None = None,
    ip_families: tuple[IPFamily, ...] = (),
) -> Loaded:
    """Read manifests from files and folders, or a single one; ``-`` stands for `stdin`.

    `ip_families` are those of the cluster, the default one first, for Services that do not
    name theirs; without any they are those that the input tells of.

    Raises :class:`svcnet.errors.InputError`, which has every error of every file with
    its place. What is legal but surely a mistake is in the result's ``warnings``.
    """
    from svcnet.sources import load as load_sources

    return load_sources(paths, stdin=stdin, ip_families=ip_families)


def compile(
    state: ClusterState,
    config: KubeProxyConfiguration | None = None,
    host: Host | None = None,
    *,
    node: str = "",
    family: IPFamily | None = None,
) -> RuleGraph:
    """Return the rule graph of `state` for one node and one IP family.

    `node` defaults to the configuration's hostnameOverride, else to the only Node in
    `state`; `family` to that of the Node's first address. Raises
    :class:`svcnet.errors.UsageError` when the node cannot be told.
    """
    from svcnet.compiler import compile_state, node_view

    return compile_state(state, node_view(state, config, host, node=node, family=family))


@overload
def render(graph: RuleGraph, mode: Literal["iptables"] = ...) -> RestoreText: ...
@overload
def render(graph: RuleGraph, mode: Literal["ipvs"]) -> IPVSTables: ...
@overload
def render(graph: RuleGraph, mode: Literal["userspace"]) -> ProxyTable: ...
def render(
    graph: RuleGraph, mode: Literal["iptables", "ipvs", "userspace"] = "iptables"
) -> RestoreText | IPVSTables | ProxyTable:
    """Return what a full sync puts on the node, in one mode of kube-proxy.

    For ``iptables`` that is restore text, whose ``text`` is a string. For ``ipvs`` it is
    virtual servers, sets, addresses and restore text, as values, and for ``userspace`` the
    table of a proxy; :mod:`svcnet.renderers.ipvs` and :mod:`svcnet.renderers.userspace` have
    the functions that write them. Raises :class:`svcnet.errors.UsageError` for another mode.
    """
    if mode == "ipvs":
        from svcnet.renderers.ipvs import full as full_ipvs

        return full_ipvs(graph)
    if mode == "userspace":
        from svcnet.renderers.userspace import full as full_userspace

        return full_userspace(graph)
    _must_be_iptables(mode)
    from svcnet.renderers.iptables import full

    return full(graph)


def diff(old: RuleGraph, new: RuleGraph) -> GraphDiff:
    """Return what changed from one graph to another of the same node."""
    from svcnet.graph import diff as diff_graphs

    return diff_graphs(old, new)


@overload
def render_delta(step: GraphDiff, mode: Literal["iptables"] = ...) -> Delta: ...
@overload
def render_delta(step: GraphDiff, mode: Literal["ipvs"]) -> IPVSDelta: ...
@overload
def render_delta(step: GraphDiff, mode: Literal["userspace"]) -> ProxyDelta: ...
def render_delta(
    step: GraphDiff, mode: Literal["iptables", "ipvs", "userspace"] = "iptables"
) -> Delta | IPVSDelta | ProxyDelta:
    """Return what takes a machine from ``step.old`` to ``step.new``, in one mode.

    For ``iptables`` that is restore text, for ``ipvs`` and ``userspace`` changes as values.
    Raises :class:`svcnet.errors.UsageError` for another mode.
    """
    if mode == "ipvs":
        from svcnet.renderers.ipvs import delta as delta_ipvs

        return delta_ipvs(step)
    if mode == "userspace":
        from svcnet.renderers.userspace import delta as delta_userspace

        return delta_userspace(step)
    _must_be_iptables(mode)
    from svcnet.renderers.iptables import delta

    return delta(step)


def _must_be_iptables(mode: str) -> None:
    if mode != "iptables":
        from svcnet.errors import UsageError

        raise UsageError(f"there is no mode {mode!r}; there are iptables, ipvs and userspace")


@overload
def apply(artifact: RestoreText, *, dry_run: bool = False) -> Report: ...
@overload
def apply(artifact: IPVSTables, *, dry_run: bool = False) -> IPVSReport: ...
def apply(artifact: RestoreText | IPVSTables, *, dry_run: bool = False) -> Report | IPVSReport:
    """Bring this machine to what `artifact` says, changing only what differs.

    Needs root (CAP_NET_ADMIN) in the network namespace that is meant. Raises
    :class:`svcnet.errors.ApplyError` when the machine refuses. Iptables rules are then
    what they were before; in mode ipvs what is served goes on being served. A proxy table
    is a UsageError: it is served by a process that goes on running,
    :class:`svcnet.executors.userspace.NodeProxy`.
    """
    from svcnet.renderers.iptables import RestoreText
    from svcnet.renderers.ipvs import IPVSTables

    if isinstance(artifact, RestoreText):
        from svcnet.executors.iptables import apply as apply_iptables

        return apply_iptables(artifact, dry_run=dry_run)
    if isinstance(artifact, IPVSTables):
        from svcnet.executors.ipvs import apply as apply_ipvs

        return apply_ipvs(artifact, dry_run=dry_run)
    from svcnet.errors import UsageError

    raise UsageError(
        "a proxy table is not applied but served: svcnet.executors.userspace.NodeProxy"
    )
