"""What IPVS mode puts on a machine, without a kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from errno import EEXIST, EINVAL, ENOENT, ESRCH

from attrs import define, evolve, field

from svcnet.executors.ipvs import IPVSPlan, IPVSState, Step
from svcnet.executors.ipvs.device import Device
from svcnet.executors.ipvs.observe import key_of
from svcnet.executors.ipvs.servers import real_of
from svcnet.family import IPFamily
from svcnet.netfilter import SavedTables as ObservedTables
from svcnet.netfilter.ip.wire import DeviceAddress, own_address
from svcnet.netfilter.ipset import ObservedSet
from svcnet.netfilter.ipvs.messages import (
    HASHED,
    DelDest,
    DelService,
    Dest,
    DestKey,
    IPVSService,
    Message,
    NewDest,
    NewService,
    ObservedDest,
    SetConfig,
    SetDest,
    SetService,
    Stats,
    Timeouts,
)
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.ipvs import ServerKey
from svcnet.testing.fake_iptables import FakeIPTables

_DEFAULT_SIZE = 65536
_NAMES = {"6": "tcp", "17": "udp", "132": "sctp"}


@define
class FakeSet:
    """A set as the kernel has it; ``options`` are those of ``create`` that say what it does."""

    type: str
    options: dict[str, str]
    size: int = _DEFAULT_SIZE
    entries: set[str] = field(factory=set)

    @property
    def kind(self) -> tuple[str, str]:
        """What two sets must share to be swapped."""
        return self.type, self.options.get("family", "")


class KernelRefusal(ValueError):  # noqa: N818  (what the kernel says, not a mistake)
    """What a kernel would refuse; ``errno`` is why."""

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


class FakeIPVS:
    """The machine that plans of one IP family are for, changed step by step.

    What a kernel would refuse is a ``KernelRefusal``. Yours to set are ``connections``, how
    many a real server has, and ``device_is_ours``, whether svcnet made the dummy device.
    ``addresses`` are in the words of ``ip address``, without a prefix length if it is the whole
    address's.
    """

    def __init__(self, family: IPFamily = "IPv4") -> None:
        self.family = family
        self.servers: dict[ServerKey, IPVSService] = {}
        self.reals: dict[ServerKey, dict[DestKey, Dest]] = {}
        self.connections: dict[tuple[ServerKey, DestKey], int] = {}
        self.sets: dict[str, FakeSet] = {}
        self.addresses: set[str] | None = None
        self.device_is_ours = True
        self.tables = FakeIPTables()
        self.sysctls: dict[str, int] = {}
        self.timeouts = Timeouts(900, 120, 300)

    def do(self, plan: IPVSPlan) -> None:
        """Carry out a whole plan."""
        for _ in self.steps(plan.steps):
            pass

    def steps(self, steps: Iterable[Step]) -> Iterator[str]:
        """Carry out steps, and yield each operation after it is done."""
        for step in steps:
            if step.tool == "iptables":
                self.restore(step.text)
                yield step.text
                continue
            for line in step.lines:
                self.line(step.tool, line)
                yield line
            for message in step.messages:
                self.message(message)
                yield str(message)

    def restore(self, text: str) -> None:
        """Load rules; one that names a set which is not there is refused."""
        before = self.tables.tables
        self.tables.tables = {table: dict(chains) for table, chains in before.items()}
        try:
            self.tables.restore(text)
            self._check_sets()
        except ValueError:
            self.tables.tables = before
            raise

    def observe_state(self) -> IPVSState:
        """Return the machine as an executor would observe it."""
        return IPVSState(
            family=self.family,
            services=dict(self.servers),
            reals={
                key: {each.dest.key: real_of(each) for each in self.dests(key)}
                for key in self.reals
            },
            sets={
                name: ObservedSet(
                    found.type, dict(found.options), found.size, frozenset(found.entries)
                )
                for name, found in self.sets.items()
            },
            device=self._device(),
            tables=self._saved_tables(),
            sysctls=dict(self.sysctls),
            timeouts=self.timeouts,
        )

    def dests(self, key: ServerKey) -> list[ObservedDest]:
        """Return the real servers of a virtual server as the kernel lists them."""
        return [
            ObservedDest(dest, self.connections.get((key, place), 0), 0, 0, Stats())
            for place, dest in self.reals.get(key, {}).items()
        ]

    def _device(self) -> Device | None:
        if self.addresses is None:
            return None
        return Device(self.device_is_ours, tuple(map(_hold, sorted(self.addresses))))

    def _saved_tables(self) -> ObservedTables:
        return ObservedTables(
            {
                table: {
                    chain: [save_rule(rule, self.family) for rule in rules]
                    for chain, rules in chains.items()
                }
                for table, chains in self.tables.tables.items()
            }
        )

    def line(self, tool: str, line: str) -> None:
        """Carry out one line for a tool."""
        match tool, line.split():
            case "sysctl", [setting]:
                path, _, value = setting.partition("=")
                self.sysctls[path] = int(value)
            case "link", ["link", "add", *_]:
                _must(self.addresses is None, "make a device that is there")
                self.addresses = set()
            case "link", _:
                pass
            case "address", ["address", verb, *rest, "dev", _]:
                self._address(verb, " ".join(rest))
            case _, ["create", name, kind, *options]:
                self._create(name, kind, options)
            case _, ["add", name, entry, *_]:
                self._add(name, _name_protocol(entry))
            case _, ["del", name, entry, *_]:
                self._set(name).entries.discard(_name_protocol(entry))
            case _, ["flush", name]:
                self._set(name).entries.clear()
            case _, ["swap", one, other]:
                _must(self._set(one).kind == self._set(other).kind, f"swap {one} and {other}")
                self.sets[one], self.sets[other] = self.sets[other], self.sets[one]
            case _, ["destroy", name]:
                tables = ObservedTables(self.tables.tables)
                _must(not tables.names_set(name), f"destroy {name}, which a rule names")
                del self.sets[self._name(name)]
            case _:
                raise ValueError(f"unknown: {tool} {line}")

    def _name(self, name: str) -> str:
        _must(name in self.sets, f"find the set {name}")
        return name

    def _set(self, name: str) -> FakeSet:
        return self.sets[self._name(name)]

    def _create(self, name: str, kind: str, words: list[str]) -> None:
        given = [word for word in words if word != "-exist"]
        options = dict(zip(given[::2], given[1::2], strict=True))
        options.pop("hashsize", None)
        default = 0 if kind == "bitmap:port" else _DEFAULT_SIZE
        size = int(options.pop("maxelem", default))
        if name in self.sets:
            there = self.sets[name]
            same = (there.type, there.options, there.size) == (kind, options, size)
            _must("-exist" in words and same, f"create {name}, which exists")
            return
        self.sets[name] = FakeSet(kind, options, size)

    def _add(self, name: str, entry: str) -> None:
        found = self._set(name)
        _must(found.type == "bitmap:port" or not entry.isdigit(), f"add {entry} to {name}")
        _must(found.type != "bitmap:port" or entry.isdigit(), f"add {entry} to {name}")
        found.entries.add(entry)
        if found.size and len(found.entries) > found.size:
            found.entries.discard(entry)
            raise KernelRefusal(f"the kernel refuses to add to {name}, which is full", EINVAL)

    def _address(self, verb: str, text: str) -> None:
        one = _hold(text)
        clashes = {each for each in self.addresses or () if _clash(_hold(each), one)}
        if self.addresses is None or bool(clashes) == (verb == "add"):
            raise KernelRefusal(f"cannot {verb} {text}", EEXIST)
        short = one.address if one.plain else text
        if verb == "add":
            self.addresses.add(short)
        else:
            _must(short in self.addresses, f"delete {text}")
            self.addresses.remove(short)

    def message(self, message: Message) -> None:
        """Carry out one change of virtual servers."""
        match message:
            case SetConfig(timeouts):
                self.timeouts = _merge(self.timeouts, timeouts)
            case NewService(service):
                _must(key_of(service) not in self.servers, message, EEXIST)
                self.servers[key_of(service)] = _keep(service)
                self.reals[key_of(service)] = {}
            case SetService(service):
                _must(key_of(service) in self.servers, message, ESRCH)
                self.servers[key_of(service)] = _keep(service)
            case DelService(service):
                _must(key_of(service) in self.servers, message, ESRCH)
                del self.servers[key_of(service)], self.reals[key_of(service)]
            case NewDest(service, dest) | SetDest(service, dest):
                _must(key_of(service) in self.servers, message, ESRCH)
                reals = self.reals[key_of(service)]
                is_new = isinstance(message, NewDest)
                _must((dest.key in reals) != is_new, message, EEXIST if is_new else ENOENT)
                reals[dest.key] = dest
            case DelDest(service, dest):
                _must(key_of(service) in self.servers, message, ESRCH)
                _must(dest.key in self.reals[key_of(service)], message, ENOENT)
                del self.reals[key_of(service)][dest.key]
            case _:
                raise ValueError(f"no change: {message}")

    def _check_sets(self) -> None:
        """A rule that names a set which is not there is refused."""
        for chains in self.tables.tables.values():
            for words in (rule.split() for rules in chains.values() for rule in rules):
                if "--match-set" in words:
                    _must(words[words.index("--match-set") + 1] in self.sets, " ".join(words))


def _hold(text: str) -> DeviceAddress:
    """Return an address in the words of ``ip address`` as the device holds it."""
    address = text.split(maxsplit=1)[0].split("/", maxsplit=1)[0]
    one = own_address(address)
    text = text if "/" in text else one.text
    return DeviceAddress(address, text, text == one.text)


def _clash(one: DeviceAddress, other: DeviceAddress) -> bool:
    """Whether the kernel takes one address for the other: of IPv6 whatever its prefix length."""
    if ":" in one.address:
        return one.address == other.address
    return one.text == other.text


def _must(holds: bool, what: object, errno: int = EINVAL) -> None:
    if not holds:
        raise KernelRefusal(f"the kernel refuses to {what}", errno)


def _name_protocol(entry: str) -> str:
    """Return an entry as ipset saves it, with the protocol's name."""
    address, comma, rest = entry.partition(",")
    number, colon, port = rest.partition(":")
    return f"{address}{comma}{_NAMES.get(number, number)}{colon}{port}"


def _keep(service: IPVSService) -> IPVSService:
    return evolve(service, flags=service.flags | HASHED)


def _merge(there: Timeouts, asked: Timeouts) -> Timeouts:
    """Return timeouts after a change; 0 leaves one as it is."""
    return Timeouts(asked.tcp or there.tcp, asked.tcp_fin or there.tcp_fin, asked.udp or there.udp)
