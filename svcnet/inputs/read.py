"""What a verb or a run starts from: state, configuration, node and host facts, checked together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, field, frozen

from svcnet import modes
from svcnet.errors import Diagnostic, InputError, UsageError
from svcnet.inputs.manifests import load_manifests, tell_warnings
from svcnet.inputs.strictness import Strictness
from svcnet.modes.options import own_values, refuse_foreign

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.executors.machine import Machine
    from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
    from svcnet.modes import AnyMode, ModeSettings, OptionValues
    from svcnet.sources import Loaded, LoadedConfig

FAMILIES: dict[str, IPFamily] = {"ipv4": "IPv4", "ipv6": "IPv6"}
"""IP families by the words that options have for them."""

Value = TypeVar("Value")


@frozen
class Inputs:
    """What a verb works on, read and checked; ``settings`` are what is asked of the mode.

    ``given`` are the options of it that were given, without what holds for others. ``left_out`` are
    Services of a server that ask for too many endpoints to have any, and why.
    """

    state: ClusterState
    config: KubeProxyConfiguration
    host: Host
    node: str
    mode: AnyMode
    settings: ModeSettings
    given: OptionValues = field(factory=dict)
    left_out: Mapping[tuple[str, str], str] = field(factory=dict)

    def view(self, family: str | None) -> NodeView:
        """Return the node's view for the family that an option named, None for the default."""
        from svcnet.compiler import node_view

        chosen = FAMILIES[family] if family else None
        return node_view(
            *(self.state, self.config, self.host),
            node=self.node,
            family=chosen,
            rules=self.settings.rules,
        )

    def in_mode(self, mode: AnyMode) -> Inputs:
        """Return the same for another mode, with the options that were given and it has too."""
        given = own_values(mode.options, self.given)
        return evolve(self, mode=mode, settings=mode.settings(self.config, given))

    def families(self, asked: Collection[IPFamily] = ()) -> list[IPFamily]:
        """Return the families that are asked for; without any, those of the node."""
        from svcnet.compiler import node_families

        return list(asked or node_families(self.state, self.config, self.node_name))

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

    def views(self, asked: Collection[IPFamily] = ()) -> list[NodeView]:
        """Return the view for each family that is asked for; without any, for the node's."""
        return [self.view(each.lower()) for each in self.families(asked)]


@frozen
class ModeRequest:
    """What besides the objects of a cluster is asked for: how to make rules, and for whom."""

    config: KubeProxyConfiguration
    host: Host
    node: str
    mode: AnyMode
    settings: ModeSettings
    given: OptionValues = field(factory=dict)

    def inputs(self, state: ClusterState) -> Inputs:
        """Return what a verb works on, given the objects."""
        return Inputs(
            state, self.config, self.host, self.node, self.mode, self.settings, self.given
        )


def read_settings(
    mode: str | AnyMode | None,
    config: Path | None,
    node: str,
    host: Path | None,
    strict: Strictness,
    default_host: Callable[[], Host] | None = None,
    given: OptionValues | None = None,
) -> ModeRequest:
    """Read what the input options name besides manifests; raise all errors at once.

    `given` are options of the mode.
    """
    found: list[Diagnostic] = []
    config_found, facts = _read(found, mode, config, host, default_host, strict=strict)
    return _checked(found, config_found, facts, node, mode, given)


def read_inputs(
    paths: tuple[str, ...],
    mode: str | AnyMode | None,
    config: Path | None,
    node: str,
    host: Path | None,
    strict: Strictness,
    from_pods: bool = False,
    ip_families: tuple[IPFamily, ...] = (),
    default_host: Callable[[], Host] | None = None,
    allow_empty: bool | None = None,
    given: OptionValues | None = None,
) -> Inputs:
    """Read everything the input options name; print warnings to standard error.

    All errors of all files are raised at once. `default_host` gives the host facts when no
    file does. For `paths` and `allow_empty` see :func:`load_manifests`. `given` are options of the
    mode.
    """
    inputs, _ = read_located(
        *(paths, mode, config, node, host, strict, from_pods, ip_families),
        default_host=default_host,
        allow_empty=allow_empty,
        given=given,
    )
    return inputs


def read_located(
    paths: tuple[str, ...],
    mode: str | AnyMode | None,
    config: Path | None,
    node: str,
    host: Path | None,
    strict: Strictness,
    from_pods: bool = False,
    ip_families: tuple[IPFamily, ...] = (),
    default_host: Callable[[], Host] | None = None,
    allow_empty: bool | None = None,
    given: OptionValues | None = None,
) -> tuple[Inputs, Loaded]:
    """Read as :func:`read_inputs` does, and return what the manifests hold as well.

    That says where their fields are, and keeps their text.
    """
    found: list[Diagnostic] = []
    what = (paths, strict, from_pods, ip_families)
    loaded = _collect(found, lambda: load_manifests(*what, allow_empty=allow_empty))
    config_found, facts = _read(found, mode, config, host, default_host, strict=strict)
    asked = _checked(found, config_found, facts, node, mode, given)
    assert loaded is not None
    assert config_found is not None
    inputs = asked.inputs(loaded.state)
    tell_warnings(_about_node(inputs, loaded, config_found), strict)
    return inputs, loaded


def _read(
    found: list[Diagnostic],
    mode: str | AnyMode | None,
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
        counts = modes.resolve(mode).configured_as if mode else ""
        given = _collect(found, strict.heeding()(lambda: open_config(config, counts)))
    if given is not None:
        warnings = given.warnings
        _collect(found, lambda: tell_warnings(warnings, strict))
    facts = _collect(found, lambda: load_host(host)) if host else (default_host or Host)()
    return given, facts


def _about_node(inputs: Inputs, loaded: Loaded, given: LoadedConfig) -> Iterator[Diagnostic]:
    """Yield what is surely not meant between the configuration, the Services and the Nodes."""
    from svcnet.sources import (
        node_address_remarks,
        node_remarks,
        policy_remarks,
        zone_remarks,
    )

    try:
        name = inputs.node_name
    except UsageError:
        return  # that is told when a view of the node is asked for
    yield from given.located(node_remarks(inputs.state, inputs.config, name, inputs.host))
    yield from loaded.located(zone_remarks(loaded.objects, name))
    if not name:
        yield from loaded.located(policy_remarks(loaded.objects))
    if inputs.mode.has_addresses:
        yield from loaded.located(node_address_remarks(loaded.objects, inputs.state, name))


def _checked(
    found: list[Diagnostic],
    config_found: LoadedConfig | None,
    facts: Host | None,
    node: str,
    named: str | AnyMode | None,
    given: OptionValues | None,
) -> ModeRequest:
    """Return what is asked for, or raise what was found wrong with the input or the request."""
    from svcnet.sources.fields import NAMES, is_name

    if found or config_found is None or facts is None:
        raise InputError(found)
    if node and not is_name(node, "subdomain"):
        # Without Nodes in the input any name would do, and would stand in what is printed.
        raise UsageError(f"--node: {NAMES['subdomain']}; not {node!r}")
    config = config_found.config
    mode = modes.resolve(named) if named else _configured(config.mode)
    given = given or {}
    refuse_foreign(given, mode.name, mode.options, modes.available)
    return ModeRequest(config, facts, node, mode, mode.settings(config, given), given)


def _configured(name: str) -> AnyMode:
    """Return the mode that a configuration asks for."""
    try:
        return modes.get(name or modes.DEFAULT)
    except UsageError:
        raise UsageError(
            f"the configuration asks for mode {name}, which svcnet does not have; "
            f"say --mode {modes.DEFAULT} to see those rules instead"
        ) from None


def _collect(found: list[Diagnostic], read: Callable[[], Value]) -> Value | None:
    """Return what `read` gives, or None after adding its diagnostics to `found`."""
    try:
        return read()
    except InputError as error:
        found += error.diagnostics
        return None


def probe_host(machine: Machine) -> Host:
    """Return the facts of a machine."""
    from svcnet.executors.probe import probe

    return probe(machine)
