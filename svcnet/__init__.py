"""What a Kubernetes Service does to a node: a compiler from Services to rules.

The verbs, in the order in which they are used::

    state = svcnet.load(["manifests/"]).state     # objects of a cluster
    graph = svcnet.compile(state)                 # what a node should do with packets
    text = svcnet.render(graph).text              # the same as iptables-restore text
    tables = svcnet.render(graph, mode="ipvs")    # the same as virtual servers and sets
    table = svcnet.render(graph, mode="userspace")  # the same for a proxy to serve
    rules = svcnet.render(graph, mode="nftables")   # as a table of nftables, where compiled for it
    svcnet.diff(old_graph, graph)                 # what becomes otherwise of packets
    svcnet.explain(state, packet)                 # what becomes of a packet, and why
    svcnet.report(state)                          # the same of all packets, as a page to look at
    svcnet.verify(graph, rules)                   # do rules that are there do the same?
    svcnet.apply(svcnet.render(graph))            # onto this machine (root)

Everything but :func:`load` and :func:`apply` is a pure function of its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, overload

# Imports wait until a verb is called: ``import svcnet`` and ``svcnet --help`` cost nothing.
if TYPE_CHECKING:
    from svcnet.discovery.repository import Assumptions
    from svcnet.errors import Diagnostic
    from svcnet.executors.iptables import RestoreReport
    from svcnet.executors.ipvs import IPVSReport
    from svcnet.graph import GraphDiff, Packet, RuleGraph
    from svcnet.meaning import MeaningDiff
    from svcnet.meaning.comparison.difference import Verdicts
    from svcnet.meaning.comparison.sides import LocateField
    from svcnet.meaning.comparison.verify import Locate
    from svcnet.meaning.explanation.explanation import Excerpt, Explanation
    from svcnet.meaning.explanation.explanation import Locate as FieldLocate
    from svcnet.meaning.outcomes import MachineRules
    from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
    from svcnet.modes import Mode, ModeArtifact
    from svcnet.modes import Report as AnyReport
    from svcnet.renderers.iptables import Delta, RestoreText
    from svcnet.renderers.ipvs import IPVSDelta, IPVSTables
    from svcnet.renderers.nftables import NFTablesDelta, Ruleset
    from svcnet.renderers.userspace import ProxyDelta, ProxyTable
    from svcnet.sources import InputScope, LoadResult, Manifests

_Artifact = TypeVar("_Artifact")
_Step = TypeVar("_Step")

__all__ = [
    "apply",
    "compile",
    "diff",
    "explain",
    "load",
    "render",
    "render_delta",
    "report",
    "verify",
]

__version__ = "0.1.0"


def load(
    given: Manifests,
    *,
    stdin: BinaryIO | None = None,
    ip_families: tuple[IPFamily, ...] = (),
    assume: Assumptions | None = None,
    scope: InputScope | None = None,
) -> LoadResult:
    """Read manifests: files, folders, text and objects, one or many; ``-`` stands for `stdin`.

    A str or PathLike is always the name of a file or folder, and bytes are always text. A mapping
    is an object or a list of them, and so is what has ``to_dict``: the objects of the Kubernetes
    client libraries. Their fields may be in snake case, as those libraries spell them.

    `ip_families` are those of the cluster, the default one first, for Services that do not
    name theirs; without any they are those that the input tells of.

    With `assume` workloads are read too, and the state has what a cluster would add: their Pods,
    addresses of these and of Services, and slices. `scope` says how folders and namespaces are to
    be read.

    Raises :class:`svcnet.errors.InputError`, which has every error of every file and object
    with its place. What is legal but surely a mistake is in the result's ``warnings``.
    """
    from svcnet.sources import InputScope
    from svcnet.sources import load as load_sources

    scope = scope or InputScope()
    if assume is None:
        return load_sources(given, stdin=stdin, ip_families=ip_families, scope=scope)
    from svcnet.discovery.repository import RepositoryCompletion

    completion = RepositoryCompletion(assume)
    loaded = load_sources(
        given,
        stdin=stdin,
        complete=completion,
        ip_families=ip_families or assume.families,
        workloads=assume.when != "never",
        scope=scope,
    )
    return loaded.with_makers(completion.additions.owners)


def compile(
    state: ClusterState,
    config: KubeProxyConfiguration | None = None,
    host: Host | None = None,
    *,
    node: str = "",
    family: IPFamily | None = None,
    mode: str | Mode[Any, Any] = "iptables",
) -> RuleGraph:
    """Return the rule graph of `state` for one node and one IP family.

    `node` defaults to the configuration's hostnameOverride, else to the only Node in
    `state`; `family` to that of the Node's first address. `mode`, a name or a value, says what of
    the configuration counts, such as its mark: ``nftables`` has a section of its own, and
    svcnet's other modes agree. Raises :class:`svcnet.errors.UsageError` when the node cannot be
    told.
    """
    from svcnet.compiler import compile_state, node_view
    from svcnet.models import KubeProxyConfiguration
    from svcnet.modes import resolve

    config = config or KubeProxyConfiguration()
    rules = resolve(mode).rules(config)
    view = node_view(state, config, host, node=node, family=family, rules=rules)
    return compile_state(state, view)


@overload
def render(graph: RuleGraph, mode: Literal["iptables"] = ...) -> RestoreText: ...
@overload
def render(graph: RuleGraph, mode: Literal["ipvs"]) -> IPVSTables: ...
@overload
def render(graph: RuleGraph, mode: Literal["nftables"]) -> Ruleset: ...
@overload
def render(graph: RuleGraph, mode: Literal["userspace"]) -> ProxyTable: ...
@overload
def render(graph: RuleGraph, mode: Mode[_Artifact, Any]) -> _Artifact: ...
@overload
def render(graph: RuleGraph, mode: str) -> Any: ...
def render(graph: RuleGraph, mode: str | Mode[Any, Any] = "iptables") -> Any:
    """Return what a full sync puts on the node, in one mode: its name, or a value of its own.

    For ``iptables`` that is restore text, whose ``text`` is a string. For ``ipvs`` it is
    virtual servers, sets, addresses and restore text, as values, for ``nftables`` a table
    of nftables, and for ``userspace`` the table of a proxy; :mod:`svcnet.renderers.ipvs`,
    :mod:`svcnet.renderers.nftables` and :mod:`svcnet.renderers.userspace` have
    the functions that write them. :func:`svcnet.modes.available` has all modes. Raises
    :class:`svcnet.errors.UsageError` for one that there is not.
    """
    from svcnet.modes import resolve

    return resolve(mode).full(graph)


def diff(
    old: RuleGraph | MachineRules,
    new: RuleGraph | MachineRules,
    mode: str | Mode[Any, Any] = "iptables",
    *,
    locate: tuple[LocateField, LocateField] | None = None,
) -> MeaningDiff:
    """Return what becomes otherwise of packets from one graph to another, or between two rule sets.

    All packets are compared, as rules of `mode` treat them, at the cost of what differs. Frontends
    came, went or changed, for each kind of source and with the chances before and after. ``same``
    of the result are service ports whose rules are written otherwise and mean the same.

    Rules are what :func:`svcnet.meaning.iptables.read` and :func:`svcnet.meaning.nftables.read`
    return; `mode` is of no account for them. A graph may be compared with rules: that is
    what the mode of the rules makes of it. Raises TypeError for anything else. `locate` are
    :meth:`svcnet.sources.LoadResult.places` of both sides, if changes are to say where in files
    their fields are.

    A difference is true, and no difference is false. The step that :func:`render_delta` takes is
    what :func:`svcnet.graph.diff` returns.
    """
    from svcnet.graph import RuleGraph
    from svcnet.meaning.comparison.diff import graphs_diff, sides_diff
    from svcnet.meaning.comparison.side import side_of
    from svcnet.modes import resolve

    for each in (old, new):
        if not isinstance(each, RuleGraph) and not hasattr(each, "leaves"):
            raise TypeError(
                "diff takes rule graphs, which svcnet.compile makes of objects, or rules, which "
                f"svcnet.meaning.iptables.read and its like return; not {type(each).__name__}"
            )
    if isinstance(old, RuleGraph) and isinstance(new, RuleGraph):
        chosen = resolve(mode)
        form = chosen.forms["text"]
        return graphs_diff(
            old, new, chosen.name, locate, lambda graph: form.full(chosen.full(graph), {}).text
        )
    return sides_diff(side_of(old, new), side_of(new, old), locate)


@overload
def render_delta(step: GraphDiff, mode: Literal["iptables"] = ...) -> Delta: ...
@overload
def render_delta(step: GraphDiff, mode: Literal["ipvs"]) -> IPVSDelta: ...
@overload
def render_delta(step: GraphDiff, mode: Literal["nftables"]) -> NFTablesDelta: ...
@overload
def render_delta(step: GraphDiff, mode: Literal["userspace"]) -> ProxyDelta: ...
@overload
def render_delta(step: GraphDiff, mode: Mode[Any, _Step]) -> _Step: ...
@overload
def render_delta(step: GraphDiff, mode: str) -> Any: ...
def render_delta(step: GraphDiff, mode: str | Mode[Any, Any] = "iptables") -> Any:
    """Return what takes a machine from ``step.old`` to ``step.new``, in one mode.

    A step is what :func:`svcnet.graph.diff` returns. For ``iptables`` what takes a machine there
    is restore text, for ``nftables`` lines for nft, for ``ipvs`` and ``userspace`` changes as
    values. Raises :class:`svcnet.errors.UsageError` for a mode that there is not.
    """
    from svcnet.modes import resolve

    return resolve(mode).delta(step)


def explain(
    given: LoadResult | ClusterState,
    packet: Packet,
    config: KubeProxyConfiguration | None = None,
    host: Host | None = None,
    *,
    node: str = "",
    mode: str | Mode[Any, Any] = "iptables",
) -> Explanation:
    """Return what becomes of a packet on a node, and why: the decisions, fields and rules.

    `given` is what :func:`load` returned, and then fields have files and lines, or a state. `node`
    and `mode` are as in :func:`compile`. Of a packet that no endpoint gets, the result has changes
    that would let it through. Raises :class:`svcnet.errors.UsageError` for a packet that cannot
    be.
    """
    from svcnet.compiler import NodeView, node_view
    from svcnet.meaning.explanation.explain import explain as explained
    from svcnet.meaning.explanation.explanation import nowhere
    from svcnet.meaning.explanation.question import Question
    from svcnet.modes import resolve
    from svcnet.sources import LoadResult

    chosen = resolve(mode)
    settings = chosen.settings(config)
    state, locate = (
        (given.state, given.places) if isinstance(given, LoadResult) else (given, nowhere)
    )

    def view_of(name: str, of: Host | None = None) -> NodeView:
        return node_view(state, config, of, node=name, family=packet.family, rules=settings.rules)

    view = view_of(node, host)
    question = Question(state, view, chosen, settings, locate=locate, view_of=view_of)
    return explained(question, packet)


def report(
    given: LoadResult | ClusterState,
    config: KubeProxyConfiguration | None = None,
    host: Host | None = None,
    *,
    node: str = "",
    families: Iterable[IPFamily] = (),
    mode: str | Mode[Any, Any] = "iptables",
    findings: Iterable[Diagnostic] | None = None,
    verdicts: Iterable[Verdicts] = (),
) -> str:
    """Return a page of HTML that shows what becomes of packets for every Service, and why.

    It is one file for a browser, which asks no network: what is wrong comes first, and each
    Service has a picture from who sends through decisions to endpoints. `given`, `node` and `mode`
    are as in :func:`explain`; `families` are by default those that the node has addresses of.
    `findings` are told as what is wrong; by default the ``warnings`` of what :func:`load` returned.
    `verdicts` are what :func:`verify` returned, for families, to be shown on the pictures.
    Equal arguments give equal text. Raises :class:`svcnet.errors.UsageError` when the node cannot
    be told.
    """
    from svcnet.compiler import node_families, node_name, node_view
    from svcnet.meaning.explanation.explanation import no_excerpt, nowhere
    from svcnet.meaning.explanation.question import Question
    from svcnet.models import KubeProxyConfiguration
    from svcnet.modes import resolve
    from svcnet.page.html import page
    from svcnet.page.site import content
    from svcnet.sources import LoadResult

    chosen = resolve(mode)
    settings = chosen.settings(config)
    told: tuple[FieldLocate, Excerpt, Iterable[Diagnostic]] = (nowhere, no_excerpt, ())
    if isinstance(given, LoadResult):
        state, told = given.state, (given.places, given.excerpt, given.warnings)
    else:
        state = given
    locate, excerpt, warnings = told
    name = node_name(state, config or KubeProxyConfiguration(), node)
    asked = tuple(families) or node_families(state, config or KubeProxyConfiguration(), name)
    questions = [
        Question(
            state,
            node_view(state, config, host, node=node, family=family, rules=settings.rules),
            chosen,
            settings,
            locate=locate,
            excerpt=excerpt,
        )
        for family in asked
    ]
    return page(content(questions, warnings if findings is None else findings, tuple(verdicts)))


def verify(graph: RuleGraph, rules: MachineRules, locate: Locate | None = None) -> Verdicts:
    """Return whether rules that are there do to every packet what `graph` says.

    `rules` are what :func:`svcnet.meaning.iptables.read` returns, whoever wrote them. `locate` is
    :meth:`svcnet.sources.LoadResult.places`, if differences are to say where in files the fields
    are that they are about. Rules that are not understood are in the result's ``unknown``.
    """
    from svcnet.meaning.comparison.verify import verify as verify_rules

    return verify_rules(graph, rules, locate)


@overload
def apply(artifact: RestoreText, *, dry_run: bool = False) -> RestoreReport: ...
@overload
def apply(artifact: IPVSTables, *, dry_run: bool = False) -> IPVSReport: ...
@overload
def apply(artifact: ModeArtifact, *, dry_run: bool = False) -> AnyReport: ...
def apply(artifact: ModeArtifact, *, dry_run: bool = False) -> AnyReport:
    """Bring this machine to what `artifact` says, changing only what differs.

    Needs root (CAP_NET_ADMIN) in the network namespace that is meant. Raises
    :class:`svcnet.errors.ApplyError` when the machine refuses. Iptables rules are then
    what they were before; in mode ipvs what is served goes on being served. What a mode makes that
    serves is a UsageError: a process has to go on running for it, of mode userspace
    :class:`svcnet.servers.userspace.NodeProxy`.
    """
    from svcnet.modes import get

    executor = get(artifact.mode).executor()
    return executor.plan(artifact) if dry_run else executor.apply(artifact)
