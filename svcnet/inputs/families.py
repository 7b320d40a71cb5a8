"""Which IP families a verb serves on this machine, and what is said of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from svcnet import checks
from svcnet.checks import Check
from svcnet.family import IP_FAMILIES

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.inputs import Inputs
    from svcnet.models import IPFamily, NamespacedName

Warn = Callable[[Check, str], object]


def served_families(
    inputs: Inputs,
    asked: Collection[IPFamily],
    warn: Warn,
    *,
    rules: bool = True,
    machine: Machine,
) -> list[IPFamily]:
    """Return the families that are asked for, without any those of the node.

    Of these a second one is left out where `machine` has not the iptables for it that the mode
    takes, if there are to be `rules`. `warn` is told so, and of Services with addresses of families
    that are not served.
    """
    found = inputs.families(asked)
    if asked:
        return found
    executor = inputs.mode.executor(machine, inputs.settings)
    served = [each for each in found if each == found[0] or not rules or executor.has_tools(each)]
    for each in found:
        if each not in served:
            what = f"{each} is not served: this machine has no iptables for it"
            warn(checks.FAMILY_LEFT_OUT, what)
    for each, service in _other_families(inputs, found, inputs.state.services):
        warn(checks.FAMILY_LEFT_OUT, _why_not(inputs, each, service))
    return served


class FamilyWatch:
    """Tells of IP families that come to a node that serves others since it began.

    A family has a lock, and a proxy its sockets, before anything else runs: another one takes a
    new start.
    """

    def __init__(self, inputs: Inputs, served: Collection[IPFamily], warn: Warn) -> None:
        self._served = served
        self._warn = warn
        self._nodes = inputs.state.nodes
        self._told: set[str] = set()

    def look(self, inputs: Inputs, names: Collection[NamespacedName]) -> None:
        """Tell what is new of the node and of Services that changed, each once."""
        came = self._came(inputs)
        self._nodes = inputs.state.nodes
        for family in came:
            self._tell(f"the node has an {family} address now", family)
        for family, service in _other_families(inputs, {*self._served, *came}, names):
            if inputs.has_addresses:
                self._tell_once(_why_not(inputs, family, service))
            else:
                self._tell(f"Service {service} has an {family} address", family)

    def _came(self, inputs: Inputs) -> list[IPFamily]:
        """Return the families that the node came to have addresses of."""
        if inputs.state.nodes is self._nodes or not inputs.has_addresses:
            return []
        return [family for family in inputs.families() if family not in self._served]

    def _tell(self, what: str, family: IPFamily) -> None:
        self._tell_once(f"{what}: {family} is served once svcnet run starts again")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._warn(checks.FAMILY_LEFT_OUT, line)


def _other_families(
    inputs: Inputs, served: Collection[IPFamily], names: Collection[NamespacedName]
) -> Iterator[tuple[IPFamily, NamespacedName]]:
    """Yield each other family in which one of these Services has a cluster IP, and the first."""
    services = inputs.state.services
    for family in IP_FAMILIES:
        if family in served:
            continue
        for name in names:
            service = services.get(name)
            if service is not None and service.has_rules and service.cluster_ip(family):
                yield family, name
                break


def _why_not(inputs: Inputs, family: IPFamily, service: NamespacedName) -> str:
    where = f"Node {inputs.node_name} has no address of it"
    return f"{family} is not served: {where}, though Service {service} has; --family both serves it"
