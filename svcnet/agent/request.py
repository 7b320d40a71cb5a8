"""What an agent is asked for: as arguments of Python, or as options of ``svcnet run``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen

from svcnet import modes
from svcnet.errors import SvcnetError, UsageError
from svcnet.family import IP_FAMILIES
from svcnet.files import Paths, names_of
from svcnet.inputs import EVERY_WARNING, Strictness, refuse_no_path
from svcnet.modes.options import refuse_foreign, refuse_unfit

if TYPE_CHECKING:
    from svcnet.checks import Check
    from svcnet.executors.machine import Machine
    from svcnet.models import IPFamily
    from svcnet.modes import AnyMode, ModeSettings, OptionValues
    from svcnet.sources import InputScope


@frozen
class Cluster:
    """A Kubernetes cluster, whose API server is asked for objects.

    It is found as kubectl finds it: by ``kubeconfig`` and ``context``, else by the variable
    ``KUBECONFIG``, a Pod's service account, or ``~/.kube/config``.
    """

    kubeconfig: Path | None = None
    context: str = ""


@frozen(kw_only=True)
class Request:
    """What is to be kept true, and how; for the fields see :class:`svcnet.agent.Agent`."""

    source: tuple[str, ...] | Cluster
    mode: str | AnyMode | None = None
    options: OptionValues = field(factory=dict)
    config: Path | None = None
    node: str = ""
    host: Path | None = None
    families: tuple[IPFamily, ...] = ()
    from_pods: bool = False
    ip_families: tuple[IPFamily, ...] = ()
    allow_empty: bool = False
    scope: InputScope | None = None
    strict: Strictness = EVERY_WARNING
    cleanup_on_exit: bool = False
    healthz: str | None = None
    metrics: str | None = None
    socket: Path | None = None
    machine: Machine | None = None

    @classmethod
    def of(
        cls,
        source: Paths | Cluster,
        *,
        families: Collection[IPFamily],
        ip_families: Collection[IPFamily],
        strict: bool,
        ignore: Iterable[str],
        **asked: Any,
    ) -> Self:
        """Return what arguments of a program come to. Raises UsageError for those of no sense."""
        from_server = isinstance(source, Cluster)
        for name, value in (
            ("strict", strict),
            ("ip_families", ip_families),
            ("allow_empty", asked["allow_empty"]),
        ):
            if from_server and value:
                raise UsageError(f"{name} is for manifests")
        return cls(
            source=source if isinstance(source, Cluster) else names_of(source),
            families=_families("families", families),
            ip_families=_families("ip_families", ip_families),
            strict=Strictness(strict, _checks(ignore)),
            **asked,
        )

    def at_start(self) -> tuple[AnyMode, ModeSettings]:
        """Return the mode that is asked for, and what options come to in it. Raises UsageError.

        A configuration that is wrong is told of when all input is read, and so is a mode in it that
        there is not.
        """
        from svcnet.models import KubeProxyConfiguration
        from svcnet.sources import load_config

        config = KubeProxyConfiguration()
        if self.config is not None:
            with suppress(SvcnetError):
                config = load_config(self.config)
        if self.mode:
            mode = modes.resolve(self.mode)
        else:
            try:
                mode = modes.get(config.mode or modes.DEFAULT)
            except UsageError:
                mode = modes.get(modes.DEFAULT)
        refuse_foreign(self.options, mode.name, mode.options, modes.available)
        refuse_unfit(self.options, mode.options)
        for name, text in (("healthz", self.healthz), ("metrics", self.metrics)):
            _refuse_no_address(name, text)
        if isinstance(self.source, tuple):
            refuse_no_path(self.source)
        return mode, mode.settings(config, self.options)


def _families(name: str, given: Collection[IPFamily]) -> tuple[IPFamily, ...]:
    families = tuple(given)
    if not set(families) <= set(IP_FAMILIES) or len(set(families)) < len(families):
        raise UsageError(f"{name} are of {' and '.join(IP_FAMILIES)}, each once; not {given!r}")
    return families


def _refuse_no_address(name: str, text: str | None) -> None:
    from svcnet.sources.addresses import address_and_port

    try:
        if text:
            address_and_port(text, 0)
    except ValueError as error:
        raise UsageError(f"{name}: {error}; not {text!r}") from None


def _checks(names: Iterable[str]) -> frozenset[Check]:
    from svcnet.sources.annotations import ignorable

    try:
        return frozenset(map(ignorable, (names,) if isinstance(names, str) else names))
    except ValueError as error:
        raise UsageError(f"ignore: {error}") from None
