"""Lines of ``ipvsadm --restore``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from svcnet.addresses import is_address
from svcnet.netfilter.ipvs.messages import (
    PERSISTENT,
    SCHED1,
    SCHED2,
    DelDest,
    DelService,
    DestKey,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    SetDest,
    SetService,
)

_SERVICE_OPTIONS = {"TCP": "-t", "UDP": "-u", "SCTP": "--sctp-service"}
_FLAGS = ((SCHED1, "flag-1"), (SCHED2, "flag-2"))
_PROTOCOLS = {option: protocol for protocol, option in _SERVICE_OPTIONS.items()}
_VERBS = {NewService: "-A", SetService: "-E", NewDest: "-a", SetDest: "-e"}
_MAX_PORT = 0xFFFF
_SOCKET = r"([0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})"
_LINE = re.compile(rf"-[AEDaed] (-t|-u|--sctp-service) {_SOCKET}(?: -r {_SOCKET})?(?:\s|$)")


class LineSubject(NamedTuple):
    """What a line is about: a virtual server, or one of its real servers."""

    protocol: str
    server: DestKey
    real: DestKey | None


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


def read(line: str) -> LineSubject | None:
    """Return what a line is about; None for one that names no server as :func:`line` does."""
    found = _LINE.match(line)
    if found is None:
        return None
    option, address, port, real, real_port = found.groups()
    server = _dest_key(address, port)
    dest = _dest_key(real, real_port) if real else None
    if server is None or (real and dest is None):
        return None
    return LineSubject(_PROTOCOLS[option], server, dest)


def _dest_key(address: str, port: str) -> DestKey | None:
    key = DestKey(address.strip("[]"), int(port))
    return key if is_address(key.address) and key.port <= _MAX_PORT else None


def _key(service: IPVSService) -> str:
    """Return how ipvsadm names a virtual server, such as ``-t 10.96.0.1:80``."""
    return f"{_SERVICE_OPTIONS[service.protocol]} {DestKey(service.address, service.port)}"


def _scheduling(service: IPVSService) -> str:
    persistent = f" -p {service.timeout}" if service.flags & PERSISTENT else ""
    found = [name for flag, name in _FLAGS if service.flags & flag]
    flags = f" -b {','.join(found)}" if found else ""
    return f"-s {service.scheduler}{persistent}{flags}"
