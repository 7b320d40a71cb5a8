"""Whether a machine's kernel can do what IPVS mode asks, found by trying.

Everything is tried in a network namespace of its own, which goes with the thread that made
it: nothing on the machine changes, but that the kernel loads modules of its own accord, as
it would when they are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from errno import EAFNOSUPPORT, ENOENT, EPROTONOSUPPORT

from svcnet import checks
from svcnet.errors import ApplyError, Lacking
from svcnet.executors.iptables import Commands
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.ipvs import device, sets
from svcnet.executors.ipvs.servers import IPVS, MessageRefusal, NoIPVS
from svcnet.executors.machine import Machine
from svcnet.executors.namespace import NoNamespace
from svcnet.netfilter.ipvs.messages import IPVSService, NewService
from svcnet.renderers.ipvs import IPVSTables
from svcnet.renderers.ipvs.sections import create_line
from svcnet.renderers.ipvs.sets import IPVS_IPS

_EXAMPLES = {"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}
_RULES = (
    ("xt_comment", "filter", "-m comment --comment x"),
    ("xt_set", "filter", "-m set --match-set {set} dst"),
    ("xt_ipvs", "filter", "-m ipvs --vaddr {address} --vproto tcp --vport 80"),
    ("xt_conntrack", "filter", "-m conntrack --ctstate NEW"),
    ("xt_addrtype", "filter", "-m addrtype --dst-type LOCAL"),
    ("xt_physdev", "nat", "-m physdev ! --physdev-is-in"),
    ("xt_mark", "nat", "-j MARK --or-mark 0x1"),
    ("xt_MASQUERADE", "nat", "-j MASQUERADE"),
)
"""For each module that rules of this mode use, a rule that shows whether it is there."""


UNTRIED = (
    "whether the kernel has all that IPVS mode needs was not tried beforehand: "
    "that takes CAP_SYS_ADMIN"
)


class MissingModules(Lacking):
    """The kernel lacks what IPVS mode needs.

    ``modules`` names the modules, and the options (``CONFIG_…``) without which it was built.
    """

    def __init__(self, modules: Iterable[str]) -> None:
        self.modules = tuple(dict.fromkeys(modules))
        loadable = [name for name in self.modules if not name.startswith("CONFIG_")]
        load = f" Load modules with modprobe -a {' '.join(loadable)}, or" if loadable else " Or"
        super().__init__(
            f"this kernel lacks what IPVS mode needs: {', '.join(self.modules)}. "
            f"Nothing was changed.{load} use another mode (--fallback iptables)",
            self.modules,
            checks.MISSING_MODULE,
        )


def require(tables: IPVSTables, commands: Commands) -> tuple[str, ...]:
    """Raise MissingModules unless the kernel has all that `tables` ask for.

    Returns a warning where that cannot be tried: a process with CAP_NET_ADMIN alone makes no
    network namespace. What the kernel lacks then shows when it is used.
    """
    try:
        found = missing(tables, commands)
    except NoNamespace:
        return (checks.MACHINE_STATE.line(UNTRIED),)
    if found:
        raise MissingModules(found)
    return ()


def missing(tables: IPVSTables, commands: Commands) -> tuple[str, ...]:
    """Return the modules that the kernel lacks for `tables`, none if it has them all.

    `commands` are the iptables commands that would load the rules. Raises NoNamespace without
    CAP_SYS_ADMIN, and ApplyError when a tool is not installed.
    """
    machine = commands.machine
    return machine.in_own_namespace(lambda: tuple(dict.fromkeys(_missing(tables, commands))))


def _missing(tables: IPVSTables, commands: Commands) -> Iterator[str]:
    machine = commands.machine
    yield from _ipvs(machine, tables)
    yield from _device(machine)
    modules = tuple(_sets(machine, tables))
    yield from modules
    if not modules:
        yield from _rules(tables, commands)
        return
    # Rules name every set: without one they are refused, whatever else is there.
    for module, *rule in _RULES:
        if module != "xt_set" and not _loads(commands, "", *rule):
            yield module


def _ipvs(machine: Machine, tables: IPVSTables) -> Iterator[str]:
    """Try the scheduler of the configuration, and each protocol with a virtual server of its own.

    A scheduler that only a Service's annotation names is not tried: that Service is left out
    when the kernel refuses it.
    """
    used = {server.scheduler for server in tables.servers.values()}
    own = tables.settings.ipvs.scheduler
    needed = [own] if own in used or not used else []
    protocols = sorted({key.protocol for key in tables.servers})
    address = _EXAMPLES[tables.family]
    try:
        with IPVS(machine) as ipvs:
            for scheduler in needed:
                yield from _refusal(ipvs, IPVSService(address, 1, scheduler=scheduler))
            for protocol in protocols:
                found = _refusal(ipvs, IPVSService(address, 99, protocol, own))
                yield from (name for name in found if own in needed or name.startswith("CONFIG"))
    except NoIPVS:
        yield "ip_vs"
        yield from (f"ip_vs_{scheduler}" for scheduler in needed)


def _refusal(ipvs: IPVS, service: IPVSService) -> Iterator[str]:
    try:
        ipvs.send([NewService(service)])
    except MessageRefusal as error:
        if error.errno == ENOENT:
            yield f"ip_vs_{service.scheduler}"
        elif error.errno == EAFNOSUPPORT:
            yield "CONFIG_IP_VS_IPV6"
        elif error.errno == EPROTONOSUPPORT:
            yield f"CONFIG_IP_VS_PROTO_{service.protocol}"
        else:
            raise


def _device(machine: Machine) -> Iterator[str]:
    try:
        device.make(machine)
    except ApplyError:
        yield "dummy"


def _sets(machine: Machine, tables: IPVSTables) -> Iterator[str]:
    """Try all sets at once, or if that fails each; they are there for the rules that follow."""
    try:
        sets.restore(machine, "".join(map(create_line, tables.sets.values())))
        return
    except ApplyError as error:
        if "not installed" in str(error):
            raise
    for found in tables.sets.values():
        try:
            sets.restore(machine, create_line(found))
        except ApplyError:
            yield f"ip_set_{found.definition.type.replace(':', '_').replace(',', '')}"


def _rules(tables: IPVSTables, commands: Commands) -> Iterator[str]:
    """Load the rules; where they are refused, try each thing that they use by itself."""
    name = IPVS_IPS.name_in(tables.family)
    try:
        commands.restore(tables.restore_text)
    except RestoreError as error:
        found = [module for module, *rule in _RULES if not _loads(commands, name, *rule)]
        if not found or not _loads(commands, name, "nat", ""):
            # No module of a rule's: this variant of iptables, or something else, is at fault.
            raise ApplyError(f"{error}\n  Nothing was changed") from None
        yield from found


def _loads(commands: Commands, name: str, table: str, rule: str) -> bool:
    address = _EXAMPLES[commands.family]
    chain = "POSTROUTING" if "MASQUERADE" in rule else "TRY"
    return commands.take(table, rule.format(set=name, address=address), chain)
