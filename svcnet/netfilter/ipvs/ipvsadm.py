"""Lines of ``ipvsadm --restore``. What ipvsadm prints nobody reads: the kernel is asked."""

from __future__ import annotations

from collections.abc import Iterable

from svcnet.netfilter.ipvs.messages import (
    PERSISTENT,
    SCHED1,
    SCHED2,
    DelDest,
    DelService,
    DestKey,
    Message,
    NewDest,
    NewService,
    Service,
    SetConfig,
    SetDest,
    SetService,
)

_SERVICE_OPTIONS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
_FLAGS = ((SCHED1, "flag-1"), (SCHED2, "flag-2"))
_VERBS = {NewService: "-A", SetService: "-E", NewDest: "-a", SetDest: "-e"}


def lines(messages: Iterable[Message]) -> str:
    """Return what ``ipvsadm --restore`` reads to make these changes. Raises as :func:`line`."""
    return "".join(f"{line(message)}\n" for message in messages)


def line(message: Message) -> str:
    """Return a change as the arguments that ipvsadm takes for it.

    Raises ValueError for a message that changes nothing.
    """
    match message:
        case NewService(service) | SetService(service):
            return f"{_VERBS[type(message)]} {_key(service)} {_scheduling(service)}"
        case DelService(service):
            return f"-D {_key(service)}"
        case NewDest(service, dest) | SetDest(service, dest):
            place = f"{_key(service)} -r {dest.key}"
            return f"{_VERBS[type(message)]} {place} -m -w {dest.weight}"
        case DelDest(service, dest):
            return f"-d {_key(service)} -r {dest.key}"
        case SetConfig(timeouts):
            return f"--set {timeouts.tcp} {timeouts.tcp_fin} {timeouts.udp}"
        case _:
            raise ValueError(f"ipvsadm has no line for {message}")


def _key(service: Service) -> str:
    """Return how ipvsadm names a virtual server, such as ``-t 10.96.0.1:80``."""
    return f"{_SERVICE_OPTIONS[service.protocol]} {DestKey(service.address, service.port)}"


def _scheduling(service: Service) -> str:
    persistent = f" -p {service.timeout}" if service.flags & PERSISTENT else ""
    found = [name for flag, name in _FLAGS if service.flags & flag]
    flags = f" -b {','.join(found)}" if found else ""
    return f"-s {service.scheduler}{persistent}{flags}"
