"""What IPVS mode puts on a machine, without a kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve

from svcnet.executors.iptables import Observed as ObservedTables
from svcnet.executors.ipvs import Observed, Plan, Step
from svcnet.executors.ipvs.device import Device
from svcnet.executors.ipvs.ipsets import ObservedSet
from svcnet.executors.ipvs.listing import Place, Real
from svcnet.executors.ipvs.observe import key_of
from svcnet.executors.ipvs.rules import as_saved
from svcnet.renderers.ipvs import ServerKey
from svcnet.renderers.ipvs.messages import (
    HASHED,
    DelDest,
    DelService,
    Dest,
    Message,
    NewDest,
    NewService,
    Service,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
)
from svcnet.testing.fake_iptables import FakeIPTables

_DEFAULT_SIZE = 65536
_NAMES = {"6": "tcp", "17": "udp", "132": "sctp"}


class FakeIPVS:
    """The machine that plans of one IP family are for, changed step by step.

    What a kernel would refuse is a ValueError. Yours to set are ``connections``, how many a
    real server has, and ``device_is_ours``, whether svcnet made the dummy device.
    """

    def __init__(self, family: str = "IPv4") -> None:
        self.family = family
        self.servers: dict[ServerKey, Service] = {}
        self.reals: dict[ServerKey, dict[Place, int]] = {}
        self.connections: dict[tuple[ServerKey, Place], int] = {}
        self.sets: dict[str, tuple[str, int, set[str]]] = {}
        self.addresses: set[str] | None = None
        self.device_is_ours = True
        self.tables = FakeIPTables()
        self.sysctls: dict[str, int] = {}
        self.timeouts = Timeouts(900, 120, 300)

    def do(self, plan: Plan) -> None:
        """Carry out a whole plan."""
        for _ in self.steps(plan.steps):
            pass

    def steps(self, steps: Iterable[Step]) -> Iterator[str]:
        """Carry out steps, and yield each operation after it is done."""
        for step in steps:
            if step.tool == "iptables":
                self.tables.restore(step.text)
                self._check_sets()
                yield step.text
                continue
            for line in step.lines:
                self._line(step.tool, line.split())
                yield line
            for message in step.messages:
                self._message(message)
                yield str(message)

    def observed(self) -> Observed:
        """Return the machine as an executor would observe it."""
        return Observed(
            family=self.family,
            services=dict(self.servers),
            reals={
                key: {
                    place: Real(weight, self.connections.get((key, place), 0), 0)
                    for place, weight in reals.items()
                }
                for key, reals in self.reals.items()
            },
            sets={
                name: ObservedSet(kind, size, frozenset(entries))
                for name, (kind, size, entries) in self.sets.items()
            },
            device=self._device(),
            tables=self._saved_tables(),
            sysctls=dict(self.sysctls),
            timeouts=self.timeouts,
        )

    def _device(self) -> Device | None:
        if self.addresses is None:
            return None
        return Device(self.device_is_ours, frozenset(self.addresses))

    def _saved_tables(self) -> ObservedTables:
        return ObservedTables(
            {
                table: {
                    chain: [as_saved(rule, self.family) for rule in rules]
                    for chain, rules in chains.items()
                }
                for table, chains in self.tables.tables.items()
            }
        )

    def _line(self, tool: str, words: list[str]) -> None:
        match tool, words:
            case "sysctl", [setting]:
                path, _, value = setting.partition("=")
                self.sysctls[path] = int(value)
            case "link", ["link", "add", *_]:
                self.addresses = set()
            case "link", _:
                pass
            case "address", ["address", verb, address, *_]:
                self._address(verb, address.split("/")[0])
            case _, ["create", name, kind, *options]:
                self._create(name, kind, options)
            case _, ["add", name, entry, *_]:
                self._add(name, _named(entry))
            case _, ["del", name, entry, *_]:
                self.sets[name][2].discard(_named(entry))
            case _, ["swap", one, other]:
                self.sets[one], self.sets[other] = self.sets[other], self.sets[one]
            case _, ["destroy", name]:
                del self.sets[name]
            case _:
                raise ValueError(f"unknown: {tool} {' '.join(words)}")

    def _create(self, name: str, kind: str, options: list[str]) -> None:
        if name in self.sets:
            raise ValueError(f"set {name} exists")
        size = 0 if kind == "bitmap:port" else _DEFAULT_SIZE
        if "maxelem" in options:
            size = int(options[options.index("maxelem") + 1])
        self.sets[name] = (kind, size, set())

    def _add(self, name: str, entry: str) -> None:
        _, size, entries = self.sets[name]
        entries.add(entry)
        _must(not size or len(entries) <= size, f"add to {name}, which is full")

    def _address(self, verb: str, address: str) -> None:
        if self.addresses is None or (address in self.addresses) == (verb == "add"):
            raise ValueError(f"cannot {verb} {address}")
        (self.addresses.add if verb == "add" else self.addresses.remove)(address)

    def _message(self, message: Message) -> None:
        match message:
            case SetConfig(timeouts):
                self.timeouts = _merged(self.timeouts, timeouts)
            case NewService(service):
                _must(key_of(service) not in self.servers, message)
                self.servers[key_of(service)] = _kept(service)
                self.reals[key_of(service)] = {}
            case SetService(service):
                _must(key_of(service) in self.servers, message)
                self.servers[key_of(service)] = _kept(service)
            case DelService(service):
                _must(key_of(service) in self.servers, message)
                del self.servers[key_of(service)], self.reals[key_of(service)]
            case NewDest(service, dest) | SetDest(service, dest):
                reals = self.reals[key_of(service)]
                _must((_place(dest) in reals) == isinstance(message, SetDest), message)
                reals[_place(dest)] = dest.weight
            case DelDest(service, dest):
                _must(_place(dest) in self.reals[key_of(service)], message)
                del self.reals[key_of(service)][_place(dest)]
            case _:
                raise ValueError(f"no change: {message}")

    def _check_sets(self) -> None:
        """A rule that names a set which is not there is refused."""
        for chains in self.tables.tables.values():
            for words in (rule.split() for rules in chains.values() for rule in rules):
                if "--match-set" in words:
                    _must(words[words.index("--match-set") + 1] in self.sets, " ".join(words))


def _must(holds: bool, what: object) -> None:
    if not holds:
        raise ValueError(f"the kernel refuses to {what}")


def _named(entry: str) -> str:
    """Return an entry as ipset saves it, with the protocol's name."""
    address, comma, rest = entry.partition(",")
    number, colon, port = rest.partition(":")
    return f"{address}{comma}{_NAMES.get(number, number)}{colon}{port}"


def _kept(service: Service) -> Service:
    return evolve(service, flags=service.flags | HASHED)


def _place(dest: Dest) -> Place:
    return Place(dest.address, dest.port)


def _merged(there: Timeouts, asked: Timeouts) -> Timeouts:
    """Return timeouts after a change; 0 leaves one as it is."""
    return Timeouts(asked.tcp or there.tcp, asked.tcp_fin or there.tcp_fin, asked.udp or there.udp)
