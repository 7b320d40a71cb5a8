"""What rules count packets in, where the kernel has counters with names.

Source of the names and of when they are used: pkg/proxy/iptables/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

from svcnet.errors import ApplyError
from svcnet.executors import nfacct
from svcnet.executors.counts import counted
from svcnet.executors.iptables.commands import Commands, installed
from svcnet.executors.machine import Machine
from svcnet.executors.namespace import NoNamespace
from svcnet.renderers.iptables import RestoreText
from svcnet.renderers.iptables.names import COUNTERS

_TRIED = "svcnet-try"


def can_count(*, machine: Machine) -> bool:
    """Return whether the kernel has counters, and iptables rules that count in them.

    Whether it takes rules is tried in a network namespace that is gone afterwards; without the
    right to make one, the counters alone tell.
    """
    if not nfacct.are_there(machine=machine):
        return False
    commands = installed("IPv4", machine=machine)
    try:
        return machine.in_own_namespace(lambda: any(map(_takes_rule, commands)))
    except NoNamespace:
        return True


def _takes_rule(commands: Commands) -> bool:
    try:
        nfacct.ensure([_TRIED], machine=commands.machine)
        return commands.take("filter", f"-m nfacct --nfacct-name {_TRIED} -j DROP")
    except ApplyError:
        return False


def make_counters(artifact: RestoreText, *, machine: Machine) -> None:
    """Make what the rules of `artifact` count in. Raises ApplyError."""
    if artifact.settings.nfacct:
        nfacct.ensure(COUNTERS, machine=machine)


def remove_counters(*, machine: Machine) -> tuple[str, ...]:
    """Remove counters that no rule counts in any more; return a line if there were any."""
    gone = nfacct.remove(COUNTERS, machine=machine)
    return (f"nfacct: {counted(len(gone), 'counter')} removed",) if gone else ()
