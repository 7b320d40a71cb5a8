"""What a verb or a run starts from: state, configuration, node and host facts, checked together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
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
    from svcnet.discovery.repository import Assumptions
    from svcnet.executors.machine import Machine
    from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
    from svcnet.modes import AnyMode, ModeSettings, OptionValues
    from svcnet.sources import InputScope, LoadedConfig, LoadResult

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
            state=self.state,
            config=self.config,
            host=self.host,
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
            state=state,
            config=self.config,
            host=self.host,
            node=self.node,
            mode=self.mode,
            settings=self.settings,
            given=self.given,
        )


@frozen(kw_only=True)
class InputRequest:
    """What a verb or a run is asked to read, besides what its own options say.

    ``mode`` is one, its name, or None for the configuration's. ``config`` and ``host`` are files;
    ``default_host`` gives the host's facts where no file does, and without it there are none.
    ``paths``, ``from_pods``, ``ip_families``, ``allow_empty``, ``assume`` and ``scope`` are
    as in :func:`load_manifests`. ``given`` are options of the mode.
    """

    paths: tuple[str, ...] = ()
    mode: str | AnyMode | None
    config: Path | None
    node: str
    host: Path | None
    strict: Strictness
    from_pods: bool = False
    ip_families: tuple[IPFamily, ...] = ()
    default_host: Callable[[], Host] | None = None
    allow_empty: bool | None = None
    assume: Assumptions | None = None
    scope: InputScope | None = None
    given: OptionValues = field(factory=dict)


def read_settings(asked: InputRequest, /) -> ModeRequest:
    """Read what is asked for besides manifests; raise all errors at once."""
    found: list[Diagnostic] = []
    return _check(asked, found, *_read(asked, found))


def read_inputs(asked: InputRequest, /) -> Inputs:
    """Read everything that is asked for; print warnings to standard error.

    All errors of all files are raised at once.
    """
    return read_located(asked)[0]


def read_located(asked: InputRequest, /) -> tuple[Inputs, LoadResult]:
    """Read as :func:`read_inputs` does, and return what the manifests hold as well.

    That says where their fields are, and keeps their text.
    """
    inputs, loaded, config = _read_all(asked)
    tell_warnings(_about_node(inputs, loaded, config), asked.strict)
    return inputs, loaded


def read_nodes(asked: InputRequest, names: Iterable[str] = ()) -> list[Inputs]:
    """Read once as :func:`read_inputs` does, and return that for each of several nodes.

    Without `names` they are all Nodes of the input, and one of no name if it has none.
    """
    inputs, loaded, config = _read_all(asked)
    wanted = list(names) or sorted(inputs.state.nodes) or [""]
    for name in wanted:
        _refuse_no_name(name)
    found = [evolve(inputs, node=name) for name in wanted]
    remarks = chain.from_iterable(_about_node(each, loaded, config) for each in found)
    tell_warnings(dict.fromkeys(remarks), asked.strict)
    return found


def _read_all(asked: InputRequest) -> tuple[Inputs, LoadResult, LoadedConfig]:
    found: list[Diagnostic] = []
    loaded = _collect(found, lambda: _load(asked))
    config, facts = _read(asked, found)
    request = _check(asked, found, config, facts)
    assert loaded is not None
    assert config is not None
    return request.inputs(loaded.state), loaded, config


def _load(asked: InputRequest) -> LoadResult:
    return load_manifests(
        asked.paths,
        asked.strict,
        asked.from_pods,
        asked.ip_families,
        allow_empty=asked.allow_empty,
        assume=asked.assume,
        scope=asked.scope,
    )


def _read(asked: InputRequest, found: list[Diagnostic]) -> tuple[LoadedConfig | None, Host | None]:
    """Read configuration and host facts, and add what is wrong with them to `found`."""
    from svcnet.models import Host, KubeProxyConfiguration
    from svcnet.sources import LoadedConfig, load_host, open_config

    config: LoadedConfig | None = LoadedConfig(KubeProxyConfiguration())
    if (file := asked.config) is not None:
        counts = modes.resolve(asked.mode).configured_as if asked.mode else ""
        config = _collect(found, asked.strict.heeding()(lambda: open_config(file, counts)))
    if config is not None:
        warnings = config.warnings
        _collect(found, lambda: tell_warnings(warnings, asked.strict))
    if (given := asked.host) is not None:
        return config, _collect(found, lambda: load_host(given))
    return config, (asked.default_host or Host)()


def _about_node(inputs: Inputs, loaded: LoadResult, given: LoadedConfig) -> Iterator[Diagnostic]:
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
    yield from given.locate_remarks(node_remarks(inputs.state, inputs.config, name, inputs.host))
    yield from loaded.locate_remarks(zone_remarks(loaded.objects, name))
    if not name:
        yield from loaded.locate_remarks(policy_remarks(loaded.objects))
    if inputs.mode.has_addresses:
        yield from loaded.locate_remarks(node_address_remarks(loaded.objects, inputs.state, name))


def _check(
    asked: InputRequest,
    found: list[Diagnostic],
    config_found: LoadedConfig | None,
    facts: Host | None,
) -> ModeRequest:
    """Return what is asked for, or raise what was found wrong with the input or the request."""
    if found or config_found is None or facts is None:
        raise InputError(found)
    given = asked.given
    _refuse_no_name(asked.node)
    config = config_found.config
    mode = modes.resolve(asked.mode) if asked.mode else _mode_of_config(config.mode)
    refuse_foreign(given, mode.name, mode.options, modes.available)
    return ModeRequest(
        config=config,
        host=facts,
        node=asked.node,
        mode=mode,
        settings=mode.settings(config, given),
        given=given,
    )


def _refuse_no_name(node: str) -> None:
    """Raise UsageError for what can be no Node's name; with no name it is the input's only one."""
    from svcnet.sources.fields import NAMES, is_name

    if node and not is_name(node, "subdomain"):
        # Without Nodes in the input any name would do, and would stand in what is printed.
        raise UsageError(f"--node: {NAMES['subdomain']}; not {node!r}")


def _mode_of_config(name: str) -> AnyMode:
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
