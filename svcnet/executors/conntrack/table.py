"""The connection table of this network namespace: a listing, and deletions in batches.

pyroute2 takes several times as long for a large table, and deletes by the first direction's
tuple, which a newer entry may have as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL, ENOENT, EPERM, EPROTONOSUPPORT

from attrs import frozen

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine, Netlink
from svcnet.executors.netlink import reason
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netlink import NETLINK_NETFILTER, RefusedRequest
from svcnet.renderers.conntrack import DeletionPlan, Flow, wire
from svcnet.renderers.conntrack.flows import Family
from svcnet.words import count_noun

BATCH = 100
"""Messages a call. The answers to that many, if all are refused, fit a socket's buffer."""

_NETLINK_CAP_ACK = 10  # linux/netlink.h: do not repeat a message that is refused


class NoConntrack(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """The kernel does not tell of connections."""

    check = checks.MISSING_MODULE


@frozen
class DeletionReport:
    """What came of a plan: entries that were deleted, and those that had ended by themselves."""

    deleted: int = 0
    gone: int = 0

    def __str__(self) -> str:
        return f"{count_noun(self.deleted, 'conntrack entry')} deleted"


def observe(family: Family, *, machine: Machine = THIS_MACHINE) -> Iterator[Flow]:
    """Yield every UDP entry of an IP family, as the kernel sends them.

    Raises :class:`NoConntrack` where the kernel cannot list, ApplyError without
    CAP_NET_ADMIN.
    """
    with _socket(machine) as opened:
        opened.send(wire.encode_listing(family))
        yield from wire.parse_listing(iter(opened.receive, None))


def delete(plan: DeletionPlan, *, machine: Machine = THIS_MACHINE) -> DeletionReport:
    """Delete the entries of a plan and no others; one that is gone already is no error.

    Raises ApplyError with the first that the kernel refuses to delete; those before it, and
    others of its batch, are deleted. Raises as :func:`observe` does, too, and
    :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    if not plan:
        return DeletionReport()
    flows = plan.flows
    gone = 0
    with machine.lock(flows[0].family), _socket(machine) as opened:
        for start in range(0, len(flows), BATCH):
            batch = flows[start : start + BATCH]
            opened.send(wire.encode_deletions(batch))
            for refusal in wire.parse_refusals(opened.pending()):
                if refusal.errno != ENOENT:
                    raise RefusedRequest(refusal.errno, str(batch[refusal.sequence - 1]))
                gone += 1
    return DeletionReport(len(flows) - gone, gone)


@contextmanager
def _socket(machine: Machine) -> Iterator[Netlink]:
    """Open a socket to ctnetlink, and put errors on it in words."""
    try:
        with machine.netlink(NETLINK_NETFILTER) as opened:
            opened.enable(_NETLINK_CAP_ACK)
            yield opened
    except OSError as error:
        raise _cannot(error) from None


def _cannot(error: OSError) -> ApplyError:
    number = error.errno
    if number == EPERM:
        denied = "conntrack: Operation not permitted: it takes CAP_NET_ADMIN"
        return ApplyError(denied, checks.NOT_PERMITTED)
    # nfnetlink answers EINVAL for a subsystem that it does not have and cannot load.
    if number == EPROTONOSUPPORT or (number == EINVAL and isinstance(error, RefusedRequest)):
        return NoConntrack(
            "this kernel does not list connections: it lacks the module nf_conntrack_netlink"
        )
    return ApplyError(f"conntrack: {reason(error)}")
