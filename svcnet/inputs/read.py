"""What a verb or a run starts from: state, configuration, node and host facts, checked together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from svcnet.errors import Diagnostic, InputError, UsageError
from svcnet.inputs.manifests import load_manifests, tell_warnings
from svcnet.inputs.strictness import Strictness

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
    from svcnet.sources import Loaded, LoadedConfig

FAMILIES: dict[str, IPFamily] = {"ipv4": "IPv4", "ipv6": "IPv6"}
"""IP families by the words that options have for them."""

MODES = ("iptables", "ipvs", "userspace")

Value = TypeVar("Value")


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


def _collect(found: list[Diagnostic], read: Callable[[], Value]) -> Value | None:
    """Return what `read` gives, or None after adding its diagnostics to `found`."""
    try:
        return read()
    except InputError as error:
        found += error.diagnostics
        return None


def probe_host() -> Host:
    """Return the facts of this machine."""
    from svcnet.executors.probe import probe

    return probe()
