"""What several verbs share: options about the input, and reading it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import evolve, frozen

from svcnet import checks
from svcnet.cli.streams import is_terminal, standard_input
from svcnet.cli.strictness import Strictness, strict_options
from svcnet.errors import Diagnostic, InputError, OutputError, Unsupported, UsageError, listed

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration, NamespacedName
    from svcnet.models.state import ClusterObject
    from svcnet.renderers.userspace import PortChoice, UnsupportedPort
    from svcnet.sources import ClusterFamilies, Loaded, LoadedConfig

Function = TypeVar("Function", bound=Callable[..., Any])

FAMILIES: dict[str, IPFamily] = {"ipv4": "IPv4", "ipv6": "IPv6"}
MODES = ("iptables", "ipvs", "userspace")


@frozen
class Inputs:
    """What a verb works on, read and checked."""

    state: ClusterState
    config: KubeProxyConfiguration
    host: Host
    node: str
    mode: str

    def view(self, family: str | None) -> NodeView:
        """Return the node's view for the family that an option named, None for the default."""
        from svcnet.compiler import node_view

        chosen = FAMILIES[family] if family else None
        return node_view(self.state, self.config, self.host, node=self.node, family=chosen)

    def families(self, family: str | None) -> list[IPFamily]:
        """Return the families that an option names, which may be both; None for the node's."""
        from svcnet.compiler import node_families

        if family is None:
            return list(node_families(self.state, self.config, self.node_name))
        return list(FAMILIES.values()) if family == "both" else [FAMILIES[family]]

    @property
    def has_addresses(self) -> bool:
        """Whether the input knows of addresses of the node."""
        node = self.state.nodes.get(self.node_name)
        return node is not None and bool(node.addresses)

    @property
    def node_name(self) -> str:
        """The name of the node, empty for one that nothing is known of."""
        from svcnet.compiler import node_name

        return node_name(self.state, self.config, self.node)

    def views(self, family: str | None) -> list[NodeView]:
        """Return the views for an option that may also name both families."""
        return [self.view(each.lower()) for each in self.families(family)]


def path_options(function: Function) -> Function:
    """Add PATH…, --strict and --ignore, which every verb has that reads manifests."""
    paths = click.argument("paths", nargs=-1, metavar="[PATH]...")
    return paths(strict_options(function))


def ip_families(text: str) -> tuple[IPFamily, ...]:
    """Return the IP families that an option names: one, or both with a comma between."""
    names = [name.strip().lower() for name in text.split(",")]
    if not set(names) <= set(FAMILIES) or len(set(names)) < len(names):
        raise click.BadParameter(f"must be IPv4, IPv6, or both with a comma; not {text!r}")
    return tuple(FAMILIES[name] for name in names)


def ip_families_option(function: Function) -> Function:
    """Add --ip-families, for verbs that make what a cluster would make of manifests."""
    return click.option(
        "--ip-families",
        type=ip_families,
        callback=lambda _context, _option, families: families or (),
        metavar="FAMILY[,FAMILY]",
        help="The cluster's IP families, the default one first, for Services that do not name "
        "theirs; by default those that the input tells of.",
    )(function)


def allow_empty_option(function: Function) -> Function:
    """Add --allow-empty, for verbs that would take away what is served if nothing is to be."""
    return click.option(
        "--allow-empty",
        is_flag=True,
        help="Take input without any object, or with an empty file, for what is meant.",
    )(function)


def refuse_no_path(paths: tuple[str, ...]) -> None:
    """Raise UsageError where a verb that changes something was not told what to read.

    What a script passes may have come to nothing, and its standard input be anything.
    """
    if not paths:
        raise UsageError("no PATH is given; - stands for standard input")


def from_pods_option(function: Function) -> Function:
    """Add --from-pods and --ip-families, for verbs that take application manifests."""
    return click.option(
        "--from-pods",
        is_flag=True,
        help="Make the EndpointSlices of Services that have none in the input, from Pods there.",
    )(ip_families_option(function))


def manifest_options(function: Function) -> Function:
    """Add what :func:`load_manifests` takes: PATH and the options that every verb has with it."""
    return path_options(from_pods_option(function))


def input_options(function: Function) -> Function:
    """Add PATH… and the options that say what to make rules from, and for which node."""
    file = click.Path(path_type=Path)
    function = manifest_options(function)
    for decorate in reversed(
        [
            click.option(
                "--mode",
                type=click.Choice(MODES),
                help="The kind of rules; the configuration's mode, else iptables.",
            ),
            click.option("--config", type=file, help="A KubeProxyConfiguration file."),
            click.option("--node", default="", help="The node to make rules for."),
            click.option("--host", type=file, help="Host facts, as printed by svcnet probe."),
        ]
    ):
        function = decorate(function)
    return function


def port_options(function: Function) -> Function:
    """Add the options that say which proxy ports mode userspace has; see :func:`port_choice`."""
    for decorate in (
        click.option(
            "--proxy-port-seed",
            metavar="TEXT",
            help="Mode userspace: chooses other ports of that range.",
        ),
        click.option(
            "--proxy-port-range",
            metavar="A-B",
            help="Mode userspace: where proxy ports are taken from; "
            "the configuration's portRange, else 32768-60999.",
        ),
    ):
        function = decorate(function)
    return function


def port_choice(config: KubeProxyConfiguration, text: str | None, seed: str | None) -> PortChoice:
    """Return how proxy ports are chosen, by what the two options say.

    Raises UsageError for a text that is no range of ports.
    """
    from svcnet.models.port_range import parse_port_range
    from svcnet.renderers.userspace import PortChoice

    try:
        found = config.port_range if text is None else parse_port_range(text)
    except ValueError as error:
        raise UsageError(f"--proxy-port-range: {error}; not {text!r}") from None
    if found is None:
        return PortChoice(seed=seed or "")
    return PortChoice(*found, seed or "")


def machine_options(function: Function) -> Function:
    """Add the options of verbs that put something on this machine."""
    family = click.option(
        "--family",
        type=click.Choice([*FAMILIES, "both"]),
        help="By default each that the Node has an address of.",
    )
    variant = click.option(
        "--variant",
        type=click.Choice(["nft", "legacy"]),
        help="The variant of iptables; by default the one in use.",
    )
    return family(variant(function))


def wait_option(function: Function) -> Function:
    """Add --wait, for verbs that change this machine once; :func:`machine_lock` takes it."""
    return click.option(
        "--wait",
        is_flag=True,
        help="Wait until no other svcnet changes this machine, or keeps it; Ctrl-C ends that.",
    )(function)


@contextmanager
def machine_lock(families: Iterable[str], *, wait: bool) -> Iterator[None]:
    """Keep every other svcnet off the rules of `families` while inside; say who is waited for.

    Raises Busy when another is at work and there is to be no waiting.
    """
    from svcnet.executors.lock import Busy, locks

    wanted = tuple(families)
    with ExitStack() as stack:
        try:
            stack.enter_context(locks(wanted))
        except Busy as error:
            if not wait:
                raise Busy(f"{error}: nothing was changed; --wait waits for it") from None
            click.echo(f"waiting: {error}", err=True)
            stack.enter_context(locks(wanted, wait=True))
        yield


def fallback_option(function: Function) -> Function:
    """Add --fallback, for verbs that put mode ipvs on this machine."""
    return click.option(
        "--fallback",
        type=click.Choice(["iptables"]),
        help="The mode to use when the kernel lacks modules that ipvs needs.",
    )(function)


def server_options(function: Function) -> Function:
    """Add the options that say to take objects from an API server, and from which."""
    for decorate in (
        click.option("--context", default="", metavar="NAME", help="The context of a kubeconfig."),
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path),
            help="A kubeconfig file. By default KUBECONFIG, a Pod's service account, or "
            "~/.kube/config.",
        ),
        click.option(
            "--kubernetes",
            is_flag=True,
            help="Take objects from a Kubernetes API server and not from PATH.",
        ),
    ):
        function = decorate(function)
    return function


def refuse_two_inputs(
    paths: tuple[str, ...], kubernetes: bool, kubeconfig: Path | None, context: str
) -> None:
    """Raise UsageError when it is not clear where objects are to come from."""
    if kubernetes and paths:
        raise UsageError("objects come from PATH or with --kubernetes from a server, not from both")
    if not kubernetes and (kubeconfig or context):
        raise UsageError("--kubeconfig and --context are for --kubernetes")


def bind_address(text: str, default: int) -> tuple[str, int]:
    """Return an address with a port as a pair; without a port it is `default`."""
    from svcnet.sources.addresses import address_and_port

    try:
        return address_and_port(text, default)
    except ValueError as error:
        raise click.BadParameter(f"{error}; not {text!r}") from None


def probe_host() -> Host:
    """Return the facts of this machine."""
    from svcnet.executors.probe import probe

    return probe()


@frozen
class Settings:
    """What besides the objects of a cluster is asked for: how to make rules, and for whom."""

    config: KubeProxyConfiguration
    host: Host
    node: str
    mode: str

    def inputs(self, state: ClusterState) -> Inputs:
        """Return what a verb works on, given the objects."""
        return Inputs(state, self.config, self.host, self.node, self.mode)


def read_settings(
    mode: str | None,
    config: Path | None,
    node: str,
    host: Path | None,
    strict: Strictness,
    default_host: Callable[[], Host] | None = None,
) -> Settings:
    """Read what the input options name besides manifests; raise all errors at once."""
    found: list[Diagnostic] = []
    given, facts = _settings(found, mode, config, host, default_host, strict=strict)
    return _checked(found, given, facts, node, mode)


def read_inputs(
    paths: tuple[str, ...],
    mode: str | None,
    config: Path | None,
    node: str,
    host: Path | None,
    strict: Strictness,
    from_pods: bool = False,
    ip_families: tuple[IPFamily, ...] = (),
    default_host: Callable[[], Host] | None = None,
    allow_empty: bool | None = None,
) -> Inputs:
    """Read everything the input options name; print warnings to standard error.

    All errors of all files are raised at once. `default_host` gives the host facts when no
    file does. For `paths` and `allow_empty` see :func:`load_manifests`.
    """
    found: list[Diagnostic] = []
    asked = (paths, strict, from_pods, ip_families)
    loaded = _collect(found, lambda: load_manifests(*asked, allow_empty=allow_empty))
    given, facts = _settings(found, mode, config, host, default_host, strict=strict)
    settings = _checked(found, given, facts, node, mode)
    assert loaded is not None
    assert given is not None
    inputs = settings.inputs(loaded.state)
    tell_warnings(_about_node(inputs, loaded, given), strict)
    return inputs


def _settings(
    found: list[Diagnostic],
    mode: str | None,
    config: Path | None,
    host: Path | None,
    default_host: Callable[[], Host] | None,
    *,
    strict: Strictness,
) -> tuple[LoadedConfig | None, Host | None]:
    """Read configuration and host facts, and add what is wrong with them to `found`."""
    from svcnet.models import Host, KubeProxyConfiguration
    from svcnet.sources import LoadedConfig, load_host, open_config

    given: LoadedConfig | None = LoadedConfig(KubeProxyConfiguration())
    if config is not None:
        given = _collect(found, strict.heeding()(lambda: open_config(config, mode or "")))
    if given is not None:
        warnings = given.warnings
        _collect(found, lambda: tell_warnings(warnings, strict))
    facts = _collect(found, lambda: load_host(host)) if host else (default_host or Host)()
    return given, facts


def _about_node(inputs: Inputs, loaded: Loaded, given: LoadedConfig) -> Iterator[Diagnostic]:
    """Yield what is surely not meant between the configuration, the Services and the Nodes."""
    from svcnet.sources import node_address_remarks, node_remarks, policy_remarks

    try:
        name = inputs.node_name
    except UsageError:
        return  # that is told when a view of the node is asked for
    yield from given.located(node_remarks(inputs.state, inputs.config, name))
    if not name:
        yield from loaded.located(policy_remarks(loaded.objects))
    if inputs.mode == "ipvs":
        yield from loaded.located(node_address_remarks(loaded.objects, inputs.state, name))


def _checked(
    found: list[Diagnostic],
    given: LoadedConfig | None,
    facts: Host | None,
    node: str,
    mode: str | None,
) -> Settings:
    """Return the settings, or raise what was found wrong with the input or the request."""
    from svcnet.sources.fields import NAMES, is_name

    if found or given is None or facts is None:
        raise InputError(found)
    if node and not is_name(node, "subdomain"):
        # Without Nodes in the input any name would do, and would stand in what is printed.
        raise UsageError(f"--node: {NAMES['subdomain']}; not {node!r}")
    config = given.config
    mode = mode or config.mode or "iptables"
    if mode not in MODES:
        raise UsageError(
            f"the configuration asks for mode {mode}, which svcnet does not have; "
            "say --mode iptables to see those rules instead"
        )
    return Settings(config, facts, node, mode)


def load_manifests(
    paths: tuple[str, ...],
    strict: Strictness,
    from_pods: bool = False,
    ip_families: tuple[IPFamily, ...] = (),
    *,
    endpoints: bool = True,
    anew: bool = False,
    allow_empty: bool | None = None,
) -> Loaded:
    """Load manifests; report warnings, as `strict` says, and what was passed over.

    Without `paths` they come from standard input, if that is no terminal. A verb that would take
    away what is served says by `allow_empty` whether that may be so; with it, True or False, no
    path is an error.

    With `from_pods`, Services without endpoints get those that their selectors find. That
    these are missing is told to whoever asks for `endpoints`. What is wrong with a selector is
    told of these Services, and for who makes all endpoints `anew` of the others too.
    """
    from svcnet.discovery.endpoints import needs_slices, remarks, with_slices
    from svcnet.sources import endpoint_remarks, load

    if allow_empty is not None:
        refuse_no_path(paths)
    elif not paths and is_terminal():
        raise UsageError("no PATH is given, and standard input is a terminal; - reads it")
    paths, stdin = paths or ("-",), standard_input()
    complete = with_slices if from_pods else None
    with strict.heeding():
        loaded = load(paths, stdin=stdin, complete=complete, ip_families=ip_families)
    found = list(loaded.warnings)
    if from_pods:
        given = () if anew else _with_endpoints(loaded.objects)
        found += loaded.located(remarks(loaded.state, given))
    if endpoints:
        found += loaded.located(endpoint_remarks(loaded.objects, loaded.state))
    tell_warnings(_judged(found, allow_empty), strict)
    if from_pods and loaded.cluster.decided and not ip_families:
        _tell_families(loaded.cluster, strict)
    if endpoints and needs_slices(loaded.state) and checks.NO_SLICE not in strict.ignored:
        message = "some Services have no EndpointSlices: --from-pods makes them"
        strict.tell(f"{message} [{checks.NO_SLICE}]")
    if loaded.skipped and checks.PASSED_OVER not in strict.ignored:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(loaded.skipped.items()))
        strict.tell(f"passed over: {kinds} [{checks.PASSED_OVER}]")
    return loaded


def _judged(found: list[Diagnostic], allow_empty: bool | None) -> list[Diagnostic]:
    """Return warnings as a verb that would take away what is served takes them.

    What says that there is nothing to serve is an error, or else what was meant.
    """
    if allow_empty is None:
        return found
    empty = [each for each in found if each.check in (checks.EMPTY_FILE, checks.NO_OBJECT)]
    if empty and not allow_empty:
        message = "{}: nothing is changed; --allow-empty takes it for what is meant"
        raise InputError(
            evolve(each, severity="error", message=message.format(each.message)) for each in empty
        )
    return [each for each in found if each not in empty]


def _tell_families(cluster: ClusterFamilies, strict: Strictness) -> None:
    """Say which IP families Services have that do not name theirs, and why."""
    why = f"by {cluster.source}" if cluster.source else "as nothing says otherwise"
    are = "families are" if len(cluster.families) > 1 else "family is"
    named = " and ".join(cluster.families)
    strict.tell(f"the cluster's IP {are} {named}, {why}; else say --ip-families")


def _with_endpoints(objects: Iterable[ClusterObject]) -> frozenset[NamespacedName]:
    """Return the Services that have slices or Endpoints among the objects that were read."""
    from svcnet.models import ClusterState, Endpoints, EndpointSlice

    given = [item for item in objects if isinstance(item, (Endpoints, EndpointSlice))]
    return ClusterState().touched(given)


def tell_warnings(warnings: Iterable[Diagnostic], strict: Strictness) -> None:
    """Tell warnings, or raise them, as `strict` says."""
    found = strict.heeded(warnings)
    if strict.errors and found:
        raise InputError(found)
    for line in listed(found):
        strict.tell(line)


class UnsupportedPorts(Unsupported):
    """What mode userspace cannot carry, a line each with its check."""

    check = None


def tell_unsupported(problems: Iterable[UnsupportedPort], strict: Strictness) -> None:
    """Tell what mode userspace cannot carry, or raise it, as `strict` says."""
    if checks.UNSUPPORTED_PORT in strict.ignored:
        return
    lines = [
        f"unsupported: {problem} [{checks.UNSUPPORTED_PORT}]" for problem in dict.fromkeys(problems)
    ]
    if strict.errors and lines:
        raise UnsupportedPorts("\n".join(lines))
    for line in lines:
        strict.tell(line)


Value = TypeVar("Value")


def _collect(found: list[Diagnostic], read: Callable[[], Value]) -> Value | None:
    """Return what `read` gives, or None after adding its diagnostics to `found`."""
    try:
        return read()
    except InputError as error:
        found += error.diagnostics
        return None


def write_output(text: str, output: Path | None) -> None:
    """Write the whole of `text` to a file, or to standard output."""
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}", error) from None
