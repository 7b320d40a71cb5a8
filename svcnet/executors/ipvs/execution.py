"""Doing a plan: what is refused holds up nothing but what depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from errno import EEXIST, ENOENT, ESRCH

from attrs import evolve, field, frozen

from svcnet.errors import ApplyError
from svcnet.executors.iptables import Commands
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.iptables.proof import Proof
from svcnet.executors.iptables.writer import Writer
from svcnet.executors.ipvs import device, sets
from svcnet.executors.ipvs.observe import SYS, key_of
from svcnet.executors.ipvs.plan import Step
from svcnet.executors.ipvs.servers import BATCH, IPVS, MessageRefusal
from svcnet.executors.machine import Machine
from svcnet.family import IPFamily
from svcnet.netfilter import ip, ipset
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    DelDest,
    DelService,
    Dest,
    DestKey,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetDest,
    SetService,
)
from svcnet.netfilter.restore import line_at
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables
from svcnet.renderers.ipvs.sets import IPVS_IPS

MOST_TOLD = 5
"""How many things that are refused for the same reason are named."""


@frozen
class Refusal:
    """One thing that a tool refused to do, in words, and why.

    ``line`` is the line that the tool was given, empty for a message.
    """

    tool: str
    what: str
    why: str
    line: str = ""
    origin: str = field(default="", eq=False)

    def __str__(self) -> str:
        origin = f" (from {self.origin})" if self.origin else ""
        return f"{self.tool} refused to {self.what}: {self.why}{origin}"


def refusal_lines(refusals: Iterable[Refusal]) -> Iterator[str]:
    """Yield a line for each refusal; of many with the same reason, how many more there are."""
    alike: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in dict.fromkeys(refusals):
        alike.setdefault((refusal.tool, refusal.why), []).append(refusal)
    for found in alike.values():
        yield from map(str, found[:MOST_TOLD])
        rest = found[MOST_TOLD:]
        if rest:
            yield f"{rest[0].tool} refused {len(rest)} more for the same reason: {rest[0].why}"


class Execution:
    """Carries out steps, and keeps what is refused in ``refused``.

    Everything else is done, but for what would be unsafe without it:

    - an address is not added whose virtual server or entry of a set was refused, and none is
      without the device or the rules that keep the host's own processes out of reach;
    - an address that cannot be taken away keeps its entry in the set of those that are
      svcnet's;
    - a virtual server that was refused gets no real servers.
    """

    def __init__(
        self,
        family: IPFamily,
        commands: Commands | None,
        ipvs: IPVS,
        wanted: IPVSTables | IPVSDelta | None,
    ) -> None:
        self.refused: list[Refusal] = []
        self.warnings: tuple[str, ...] = ()
        self._family = family
        self._commands = commands
        self._ipvs = ipvs
        self._machine = ipvs.machine
        self._wanted = wanted
        self._without_addresses = False
        self._has_rules = False
        self._left_out: set[str] = set()
        self._kept: set[str] = set()

    def do(self, steps: Iterable[Step]) -> None:
        """Carry out steps in their order. Raises ApplyError when IPVS cannot be spoken to."""
        for step in steps:
            match step.tool:
                case "sysctl":
                    self.refused += _write_sysctls(self._machine, step.lines)
                case "link":
                    self._make_device(step)
                case "ipset":
                    self._change_sets(step.lines)
                case "iptables":
                    self._restore(step.lines)
                case "address":
                    self._change_addresses(step.lines)
                case "ipvs":
                    self._send(step.messages)

    def settle(self, drained: Iterable[SetDest]) -> int:
        """Remove the endpoints told to drain that have no connection; count the others."""
        waiting: dict[IPVSService, set[DestKey]] = {}
        for message in drained:
            waiting.setdefault(message.service, set()).add(message.dest.key)
        left = 0
        for service, keys in waiting.items():
            found = [each for each in self._ipvs.dests(service) if each.dest.key in keys]
            busy = [each for each in found if each.active_connections + each.inactive_connections]
            self._send([DelDest(service, each.dest) for each in found if each not in busy])
            left += len(busy)
        return left

    def _make_device(self, step: Step) -> None:
        try:
            device.make(self._machine)
        except ApplyError as error:
            self.refused.append(Refusal("ip", step.lines[0].strip(), str(error)))
            self._without_addresses = True

    def _change_sets(self, lines: Iterable[str]) -> None:
        held = f"del {IPVS_IPS.name_in(self._family)} "
        kept = [f"{held}{address} " for address in self._kept]
        wanted = [line for line in lines if not line.startswith(tuple(kept))]
        for line, why in sets.carry_out(self._machine, wanted):
            self._refuse(Refusal("ipset", line.strip(), why, line))
            verb, _, entry = ipset.read(line)
            if verb == "add":
                self._left_out.add(entry.split(",")[0])

    def _restore(self, texts: Sequence[str]) -> None:
        """Load rules; those behind what is refused may need it, and are not loaded either.

        A chain that another mode left goes if it can: one that a foreign rule leads to stays.
        """
        assert self._commands is not None
        proof, writer = Proof(self._commands, texts), Writer(self._commands)
        # One command for all, unless deletions that may fail have to be told apart.
        deletes = any("\n-X " in text for text in texts)
        for text in texts if deletes else ("".join(texts),):
            try:
                writer.write(text)
            except RestoreError as error:
                refused = line_at(text, error.line) or "load rules"
                self._refuse(Refusal(self._commands.name, refused, str(error), refused))
                self._without_addresses = True
                return
        self._prove(proof, writer)
        self.warnings += writer.warnings()

    def _prove(self, proof: Proof, writer: Writer) -> None:
        """Refuse rules that the kernel has not got, though the command says so.

        Texts that follow in the same execution may say again what is there by then.
        """
        assert self._commands is not None
        if self._has_rules:
            return
        try:
            proof.check(writer.written)
        except ApplyError as error:
            self._refuse(Refusal(self._commands.name, "load rules", str(error)))
            self._without_addresses = True
        self._has_rules = bool(writer.written)

    def _change_addresses(self, lines: Sequence[str]) -> None:
        wanted = [line for line in lines if self._may_have(line)]
        for line, why in device.change_addresses(self._machine, wanted, self._family):
            self._refuse(Refusal("ip", line.strip(), why, line))
            asked = ip.read(line)
            if asked is not None and asked.verb == "del":
                self._kept.add(asked.address)

    def _may_have(self, line: str) -> bool:
        asked = ip.read(line)
        if asked is None or asked.verb != "add":
            return True
        return not self._without_addresses and asked.address not in self._left_out

    def _refuse(self, refusal: Refusal) -> None:
        """Keep a refused line, and with it what in the input it came from."""
        origin = None if self._wanted is None else self._wanted.origin_of_line(refusal.line)
        self.refused.append(evolve(refusal, origin=str(origin or "")))

    def _send(self, messages: Sequence[Message]) -> None:
        without: set[IPVSService] = set()
        for start in range(0, len(messages), BATCH):
            batch = [
                message
                for message in messages[start : start + BATCH]
                if not (isinstance(message, NewDest) and message.service in without)
            ]
            refused = self._ipvs.attempt(batch)
            without |= {
                each.message.service for each in refused if isinstance(each.message, NewService)
            }
            for each in refused:
                self._meet(each, without)

    def _meet(self, refused: MessageRefusal, without: set[IPVSService]) -> None:
        """Do what comes of a refusal: nothing where all is as wanted, by another's hand."""
        message, errno = refused.message, refused.errno
        match message:
            case NewDest(service, dest) if errno == EEXIST:
                # An endpoint that returns while it drains is there already.
                again = self._ipvs.attempt([SetDest(service, dest)])
            case SetDest(service, dest) if errno == ENOENT:
                again = self._ipvs.attempt([NewDest(service, dest)])
            case DelService() | DelDest() if errno in (ENOENT, ESRCH):
                again = []
            case NewDest(service) if errno == ESRCH and service in without:
                again = []
            case NewService(service) if errno == EEXIST and self._is_ours(service):
                again = self._ipvs.attempt([SetService(service)])
                without.discard(service)
            case _:
                again = [refused]
        for each in again:
            if isinstance(each.message, NewService):
                self._left_out.add(each.message.service.address)
            self.refused.append(_refusal(each, self._wanted))

    def _is_ours(self, service: IPVSService) -> bool:
        there = self._ipvs.service(service)
        return there is not None and bool(there.flags & MADE_BY_SVCNET)


def _refusal(refused: MessageRefusal, wanted: IPVSTables | IPVSDelta | None) -> Refusal:
    """Say what was refused, and what in the input it came from, where that can be told."""
    message = refused.message
    service, origin = service_in(message), None
    if wanted is not None and service is not None:
        key, dest = key_of(service), dest_in(message)
        if dest is not None:
            origin = wanted.origin_of_endpoint(key, dest.address, dest.port)
        origin = origin or wanted.origin_of(key)
    return Refusal("IPVS", str(message), refused.why, origin=str(origin or ""))


def service_in(message: Message) -> IPVSService | None:
    """Return the virtual server that a message is about, if it is about one."""
    service: IPVSService | None = getattr(message, "service", None)
    return service


def dest_in(message: Message) -> Dest | None:
    """Return the real server that a message is about, if it is about one."""
    dest: Dest | None = getattr(message, "dest", None)
    return dest


def _write_sysctls(machine: Machine, lines: Iterable[str]) -> Iterator[Refusal]:
    for line in lines:
        path, _, value = line.strip().partition("=")
        try:
            machine.write(SYS / path, value)
        except OSError as error:
            yield Refusal("sysctl", f"set {line.strip()}", f"{SYS / path}: {error.strerror}")
