"""Removing what svcnet put on this machine in IPVS mode, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.errors import ApplyError
from svcnet.executors.counted import counted
from svcnet.executors.iptables import Observed as Tables
from svcnet.executors.ipvs import device, ipsets, rules
from svcnet.executors.ipvs.kernel import IPVS
from svcnet.executors.ipvs.names import all_sets, draining
from svcnet.executors.ipvs.observe import Observed, observe
from svcnet.executors.ipvs.plan import own_addresses
from svcnet.executors.lock import lock
from svcnet.renderers.ipvs.messages import DelService
from svcnet.renderers.ipvs.sections import RESIZED, address_lines
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE


def cleanup(family: str, *, with_rules: bool = True) -> tuple[str, ...]:
    """Remove the addresses, virtual servers, rules and sets of `family` that svcnet made.

    Addresses go before the servers that answer on them, rules before the sets that they
    name, and the dummy device with the last address of either family. Kernel settings
    stay. Without `with_rules` the caller has removed the rules, which share chains with another
    mode's. Returns a line for each kind of thing removed or left; none where svcnet has no sets.
    Raises ApplyError when the machine refuses, :class:`svcnet.executors.lock.Busy` when another
    svcnet is at work.
    """
    with lock(family):
        return _cleanup(family, with_rules=with_rules) if is_there(family) else ()


def _cleanup(family: str, *, with_rules: bool) -> tuple[str, ...]:
    with IPVS() as ipvs:
        observed = observe(family, Tables({}), (), ipvs)
        done = (
            *_addresses(observed),
            *_servers(observed, ipvs),
            *(rules.remove(family) if with_rules else ()),
            *_sets(observed),
            *_device(),
        )
    return tuple(f"{family}, ipvs: {line}" for line in done)


def is_there(family: str) -> bool:
    """Return whether svcnet has put IPVS mode on this machine: it has sets then."""
    return ipsets.is_installed() and draining(family) in ipsets.names()


def _addresses(observed: Observed) -> Iterator[str]:
    own = sorted(own_addresses(observed))
    if own:
        device.change_addresses(address_lines("del", own))
        yield f"{counted(len(own), 'address')} removed"


def _servers(observed: Observed, ipvs: IPVS) -> Iterator[str]:
    own = [service for key, service in observed.services.items() if observed.owns(key)]
    if own:
        ipvs.send([DelService(service) for service in own])
        yield f"{counted(len(own), 'virtual server')} removed"


def _sets(observed: Observed) -> Iterator[str]:
    """Destroy the sets; one that a foreign rule uses cannot go, and is left empty.

    The one that tells that the others are ours goes last, and only when they are gone.
    """
    mark = draining(observed.family)
    names = [name for name in (RESIZED, *all_sets(observed.family)) if name in observed.sets]
    names.remove(mark)
    ipsets.restore("".join(f"flush {name}\n" for name in names))
    used = [name for name in names if not _destroyed(name)]
    if not used:
        ipsets.restore(f"destroy {mark}\n")
        names.append(mark)
    yield f"{counted(len(names) - len(used), 'set')} removed"
    for name in used:
        yield f"{name} is left, empty: a rule that is not svcnet's uses it"


def _destroyed(name: str) -> bool:
    try:
        ipsets.restore(f"destroy {name}\n")
    except ApplyError:
        return False
    return True


def _device() -> Iterator[str]:
    found = [device.observe(family) for family in ("IPv4", "IPv6")]
    if all(each is not None and each.is_ours and not each.addresses for each in found):
        device.remove()
        yield f"{DUMMY_DEVICE} removed"
