"""What ``ipvsadm --save --numeric`` prints, read: virtual servers and their real servers.

Source: ``print_service_entry`` in ipvsadm.c of ipvsadm 1.31.
"""

from __future__ import annotations

from attrs import evolve, field, frozen

from svcnet.addresses import canonical_address, is_address
from svcnet.errors import ApplyError
from svcnet.netfilter.ipvs.messages import (
    MASQUERADE,
    ONE_PACKET,
    PERSISTENT,
    ROUTE,
    SCHED1,
    SCHED2,
    SCHED3,
    TUNNEL,
    Dest,
    Family,
    IPVSService,
    ServiceKey,
)

_PROTOCOLS = {
    **dict.fromkeys(("-t", "--tcp-service"), "TCP"),
    **dict.fromkeys(("-u", "--udp-service"), "UDP"),
    "--sctp-service": "SCTP",
}
_FORWARDS = {
    **dict.fromkeys(("-m", "--masquerading"), MASQUERADE),
    **dict.fromkeys(("-g", "--gatewaying"), ROUTE),
    **dict.fromkeys(("-i", "--ipip"), TUNNEL),
}
_FLAGS = {
    **{f"flag-{number}": flag for number, flag in enumerate((SCHED1, SCHED2, SCHED3), 1)},
    **{f"{name}-fallback": SCHED1 for name in ("sh", "mh")},
    **{f"{name}-port": SCHED2 for name in ("sh", "mh")},
}
_BARE = {"pe": "--pe", "ops": "-o", "mask": "-M"}
"""Options that are printed without a dash."""
_MOST_PORT = 0xFFFF
_DEFAULT_SCHEDULER = "wlc"
_DEFAULT_TIMEOUT = 300


@frozen
class SavedDest:
    """A real server, and the line that it stands on.

    ``server`` is whose it is. ``odd`` are options that nobody knows.
    """

    server: ServiceKey
    dest: Dest
    text: str
    line: int
    odd: tuple[str, ...] = ()


@frozen
class SavedServer:
    """A virtual server with its real servers, and the line that it stands on.

    ``odd`` are options that nobody knows.
    """

    service: IPVSService
    text: str
    line: int
    odd: tuple[str, ...] = ()
    dests: tuple[SavedDest, ...] = ()


def read_listing(text: str, tool: str = "ipvsadm -Sn") -> tuple[SavedServer, ...]:
    """Return the virtual servers that are printed, in their order.

    Raises ApplyError, with the number of the line, for what is no such line, for a virtual server
    or a real server that is there twice, and for a real server of no virtual server.
    """
    found: dict[object, SavedServer] = {}
    dests: dict[object, dict[object, SavedDest]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            reading = _Line(line)
            service = reading.service()
            if reading.verb == "-A":
                if service.key in found:
                    raise ValueError(f"{service.key} is there already")
                found[service.key] = SavedServer(service, line, number, tuple(reading.odd))
                dests[service.key] = {}
                continue
            if service.key not in found:
                raise ValueError(f"there is no virtual server {service.key}")
            dest = SavedDest(service.key, reading.dest(service), line, number, tuple(reading.odd))
            if dest.dest.key in dests[service.key]:
                raise ValueError(f"{dest.dest.key} is there already")
            dests[service.key][dest.dest.key] = dest
        except ValueError as error:
            raise ApplyError(f"{tool}: line {number}: {error}") from None
    return tuple(evolve(server, dests=tuple(dests[key].values())) for key, server in found.items())


@frozen
class _Line:
    """One line while it is read. Raises ValueError for what is none."""

    text: str
    verb: str = field(init=False)
    options: dict[str, str] = field(init=False)
    odd: list[str] = field(init=False, factory=list)

    @verb.default
    def _verb(self) -> str:
        word = self.text.split(maxsplit=1)[0]
        verb = {"--add-service": "-A", "--add-server": "-a"}.get(word, word)
        if verb not in ("-A", "-a"):
            raise ValueError(f"it is no line of ipvsadm --save: {self.text[:80]!r}")
        return verb

    @options.default
    def _options(self) -> dict[str, str]:
        """Return options with their values, empty for those without."""
        found: dict[str, str] = {}
        last = ""
        for word in self.text.split()[1:]:
            if word[:1] == "-" or word in _BARE:
                last = _BARE.get(word, word)
            elif not last or found[last]:
                raise ValueError(f"{word!r} is no option")
            else:
                found[last] = word
                continue
            if last in found:
                raise ValueError(f"{last} is there twice")
            found[last] = ""
        return found

    def service(self) -> IPVSService:
        """Return the virtual server that the line is about; of a real server's its key alone."""
        options = dict(self.options)
        mark = options.pop("-f", options.pop("--fwmark-service", None))
        is_six = options.pop("-6", options.pop("--ipv6", None)) is not None
        places = [(each, options.pop(each)) for each in _PROTOCOLS if each in options]
        if len(places) + (mark is not None) != 1:
            raise ValueError("it names no virtual server, or several")
        if mark is not None:
            family: Family = "IPv6" if is_six else "IPv4"
            key = IPVSService(fwmark=_number(mark, "a mark", 0xFFFFFFFF), family=family)
        else:
            ((option, place),) = places
            address, port = _place(place)
            key = IPVSService(address, port, _PROTOCOLS[option])
        return key if self.verb == "-a" else self._read_service(key, options)

    def _read_service(self, key: IPVSService, options: dict[str, str]) -> IPVSService:
        scheduler, flags, timeout, netmask, engine = _DEFAULT_SCHEDULER, 0, 0, key.netmask, ""
        for option, value in options.items():
            match option:
                case "-s" | "--scheduler":
                    scheduler = value
                case "-p" | "--persistent":
                    flags |= PERSISTENT
                    timeout = _number(value, "a time") if value else _DEFAULT_TIMEOUT
                case "-M" | "--netmask":
                    netmask = _mask(value)
                case "-o" | "--ops":
                    flags |= ONE_PACKET
                case "-b" | "--sched-flags" if all(each in _FLAGS for each in value.split(",")):
                    for each in value.split(","):
                        flags |= _FLAGS[each]
                case "--pe":
                    engine = value
                case _:
                    self.odd.append(f"{option} {value}".rstrip())
        return evolve(
            key, scheduler=scheduler, flags=flags, timeout=timeout, netmask=netmask, pe_name=engine
        )

    def dest(self, service: IPVSService) -> Dest:
        """Return the real server that the line is about."""
        place, weight, forward, upper, lower = "", 1, ROUTE, 0, 0
        for option, value in self.options.items():
            match option:
                case "-r" | "--real-server":
                    place = value
                case "-w" | "--weight":
                    weight = _number(value, "a weight", 0x7FFFFFFF)
                case "-x" | "--u-threshold":
                    upper = _number(value, "a threshold")
                case "-y" | "--l-threshold":
                    lower = _number(value, "a threshold")
                case _ if option in _FORWARDS:
                    forward = _FORWARDS[option]
                case "-f" | "--fwmark-service" | "-6" | "--ipv6":
                    pass
                case _ if option not in _PROTOCOLS:
                    self.odd.append(f"{option} {value}".rstrip())
        if not place:
            raise ValueError("it names no real server")
        address, port = _place(place, service.port)
        return Dest(address, port, weight, forward, upper, lower)


def _place(text: str, default: int = 0) -> tuple[str, int]:
    """Return the address and port of ``1.2.3.4:80``, ``[fd00::1]:80``, or an address."""
    address, colon, port = text.rpartition(":")
    if text.startswith("["):
        if text.endswith("]"):
            address, colon, port = text, "", ""
        bare = address[1:-1] if address.endswith("]") else ""
    elif text.count(":") == 1:
        bare = address
    else:
        bare, colon, port = text, "", ""
    if not is_address(bare):
        raise ValueError(f"{text!r} has no address; ipvsadm prints addresses with -n")
    return canonical_address(bare), _number(port, "a port", _MOST_PORT) if colon else default


def _number(text: str, name: str, most: int = 0xFFFFFFFF) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > most:
        raise ValueError(f"{text!r} is not {name}")
    return int(text)


def _mask(text: str) -> int:
    """Return the mask of those who persist together: of IPv6 a length."""
    if text.isascii() and text.isdecimal():
        return _number(text, "a mask", 128)
    if not is_address(text) or ":" in text:
        raise ValueError(f"{text!r} is not a mask")
    return int.from_bytes(bytes(map(int, canonical_address(text).split("."))), "big")
