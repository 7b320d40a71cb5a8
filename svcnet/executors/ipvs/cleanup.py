"""Removing what svcnet put on this machine in IPVS mode, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.errors import ApplyError
from svcnet.executors.counted import counted
from svcnet.executors.ipvs import device, ipsets, rules
from svcnet.executors.ipvs.execution import Execution
from svcnet.executors.ipvs.kernel import IPVS, has_servers
from svcnet.executors.ipvs.names import all_sets, draining
from svcnet.executors.ipvs.observe import Observed, observe
from svcnet.executors.ipvs.plan import own_addresses, removed_addresses
from svcnet.executors.ipvs.refusals import told
from svcnet.executors.ipvs.steps import Step
from svcnet.executors.lock import Busy, lock, locks
from svcnet.netfilter import SavedTables as Tables
from svcnet.netfilter import ipset
from svcnet.netfilter.ipvs.messages import DelService
from svcnet.renderers.ipvs.sections import RESIZED
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE

_FAMILIES = ("IPv4", "IPv6")


def cleanup(family: str, *, with_rules: bool = True) -> tuple[str, ...]:
    """Remove the addresses, virtual servers, rules and sets of `family` that svcnet made.

    Addresses go before the servers that answer on them, rules before the sets that they
    name, and the dummy device with the last address of either family. Kernel settings
    stay. Without `with_rules` the caller has removed the rules, which share chains with another
    mode's. Returns a line for each kind of thing removed or left; none where svcnet has nothing.
    Raises ApplyError, after all else is done, when the machine refuses something, and
    :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with lock(family):
        done = _cleanup(family, with_rules=with_rules) if is_there(family) else _device()
        return tuple(f"{family}, ipvs: {line}" for line in done)


def _cleanup(family: str, *, with_rules: bool) -> list[str]:
    with IPVS() as ipvs:
        observed = observe(family, Tables({}), (), ipvs)
        execution = Execution(family, None, ipvs, None)
        done = [*_addresses(observed, execution), *_servers(observed, execution)]
    refused = list(told(execution.refused))
    try:
        done += rules.remove(family) if with_rules else ()
    except ApplyError as error:
        # Rules that are still there name the sets.
        refused.append(str(error))
    else:
        done += _sets(observed)
    done += _device()
    if refused:
        raise ApplyError("\n".join(refused))
    return done


def is_there(family: str) -> bool:
    """Return whether svcnet has put IPVS mode of a family on this machine.

    It has sets then; where somebody destroyed the one that tells, it has virtual servers.
    """
    return bool(ipsets.there((draining(family),))) or has_servers(family)


def _addresses(observed: Observed, execution: Execution) -> Iterator[str]:
    own = own_addresses(observed)
    if own:
        execution.do([Step("address", removed_addresses(observed))])
        yield f"{counted(len({each.address for each in own}), 'address')} removed"


def _servers(observed: Observed, execution: Execution) -> Iterator[str]:
    own = [service for key, service in observed.services.items() if observed.owns(key)]
    if own:
        execution.do([Step("ipvs", messages=tuple(map(DelService, own)))])
        yield f"{counted(len(own), 'virtual server')} removed"


def _sets(observed: Observed) -> Iterator[str]:
    """Destroy the sets; one that a foreign rule uses cannot go, and is left empty.

    The one that tells that the others are ours goes last, and only when they are gone.
    """
    mark = draining(observed.family)
    names = [name for name in (RESIZED, *all_sets(observed.family)) if name in observed.sets]
    names.sort(key=mark.__eq__)
    ipsets.restore("".join(map(ipset.flush, names)))
    used: list[str] = []
    for name in names:
        if (used and name == mark) or not _destroyed(name):
            used.append(name)
    yield f"{counted(len(names) - len(used), 'set')} removed"
    for name in used:
        if name != mark or used == [mark]:
            yield f"{name} is left, empty: a rule that is not svcnet's uses it"


def _destroyed(name: str) -> bool:
    """Return whether a set went, and not is used. Raises ApplyError where it is neither."""
    refused = ApplyError(f"ipset: destroy {name}: {ipsets.NOT_DONE}")
    try:
        ipsets.restore(ipset.destroy(name))
    except ApplyError as error:
        refused = error
    stays = ipsets.headers((name,)).get(name)
    if stays is None or stays.references:
        return stays is None
    raise refused


def _device() -> Iterator[str]:
    """Remove the device that svcnet made, when no family has need of it.

    Another svcnet that is at work on the other family may be about to.
    """
    if not _is_unused():
        return
    try:
        with locks(_FAMILIES):
            is_gone = _is_unused()
            if is_gone:
                device.remove()
    except Busy as error:
        yield f"{DUMMY_DEVICE} is left: {error}"
        return
    if is_gone:
        yield f"{DUMMY_DEVICE} removed"


def _is_unused() -> bool:
    found = [device.observe(family) for family in _FAMILIES]
    return all(each is not None and each.is_ours and not each.held for each in found)
