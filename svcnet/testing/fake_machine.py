"""A machine that is none: what executors do to it stays in memory, and needs no root."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from errno import EACCES, EAGAIN, EINVAL, ENOENT, EPERM
from itertools import pairwise
from os import strerror
from pathlib import Path
from threading import Condition
from typing import TypeVar

from svcnet.errors import ApplyError
from svcnet.executors.lock import Busy
from svcnet.executors.machine import Machine, Netlink, Output
from svcnet.executors.namespace import NoNamespace
from svcnet.family import IPFamily
from svcnet.testing.fake_iptables import FakeIPTables, FakeRestoreError
from svcnet.testing.fake_kernel import VARIANTS, Ear, FakeKernel, Variant

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}
ROUTE_LOCALNET = "/proc/sys/net/ipv4/conf/{}/route_localnet"
OF_IPVS = (
    *("ipv4/ip_forward", "ipv4/vs/conntrack", "ipv4/vs/expire_nodest_conn"),
    *("ipv4/vs/expire_quiescent_template", "ipv4/conf/all/arp_ignore"),
    *("ipv4/conf/all/arp_announce", "netfilter/nf_conntrack_tcp_be_liberal"),
)
"""Settings that IPVS mode writes."""
FOLDER = "/usr/sbin"
SYS = Path("/proc/sys")
_ADD_MEMBERSHIP = 1  # linux/netlink.h
VERSION = "1.8.9"

_Value = TypeVar("_Value")


def _programs() -> set[str]:
    names = [f"{each}tables-{variant}" for each in ("ip", "ip6") for variant in VARIANTS]
    return {
        "iptables",
        "ipset",
        "nft",
        *(f"{name}-{verb}" for name in names for verb in ("save", "restore")),
    }


class FakeMachine(Machine):
    """A machine with iptables in both variants, nf_tables, IPVS, sets, and connection tracking.

    What is there can be looked at, and changed as somebody else would:

    - :meth:`tables` are those of iptables, in one variant and family; :meth:`load` changes them.
    - ``kernel.nft`` has the tables of nf_tables beside those of iptables.
    - ``kernel`` has entries of connection tracking in ``flows``, settings below /proc/sys, and
      virtual servers, sets and addresses of a family in ``ipvs.families``; ``ipvs.addresses`` are
      those of the machine itself.
    - ``lacks`` are the modules that the kernel does not have: those of IPVS mode, and of counting
      (``nfnetlink_acct``, ``xt_nfacct``, ``nft_compat``).
    - ``programs`` are those that are installed, ``capabilities`` those that svcnet has.
    - ``busy`` are the families that another svcnet has the lock of.
    - :meth:`misbehave` has a program do something else the next time.
    - ``refuses`` says what the kernel refuses: lines of ``ipset restore`` and ``ip -batch``,
      messages of IPVS as text, settings as ``path=value``, and programs that load rules, by name.
    - ``calls`` are the programs that were run, with their options.
    - ``kernel.commit`` changes a table of nf_tables that is somebody else's, and ``kernel.deafen``
      has all who listen to that lose what they were not told yet.
    """

    def __init__(self) -> None:
        self.lacks: set[str] = set()
        self.refuses: Callable[[str], bool] = lambda _: False
        self.kernel = _kernel(self.lacks, self._is_refused)
        self.programs = _programs()
        self.capabilities = set(CAPABILITIES)
        self.busy: set[str] = set()
        self.calls: list[tuple[str, ...]] = []
        self._faults: dict[str, deque[Output | Exception]] = {}
        self._taken: set[str] = set()
        self._free = Condition()
        self._held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())

    def tables(self, variant: Variant = "nft", family: IPFamily = "IPv4") -> FakeIPTables:
        """Return the tables of iptables in one variant and family."""
        return self.kernel.tables[variant, family]

    def load(self, text: str, variant: Variant = "nft", family: IPFamily = "IPv4") -> None:
        """Load restore text, as somebody else would. Raises :class:`FakeRestoreError`."""
        self.tables(variant, family).restore(text)

    def misbehave(self, program: str, *outcomes: Output | Exception) -> None:
        """Have a program end so the next times, one after the other, in place of its work.

        Without any outcome it does its work again.
        """
        self._faults[program] = deque(outcomes)

    def find(self, command: str) -> str | None:
        """Return the path of a command that is installed."""
        return f"{FOLDER}/{command}" if command in self.programs else None

    def run(
        self, path: str, *options: str, stdin: str | bytes = b"", seconds: float | None = None
    ) -> Output:
        """Do what a program of iptables, ipset or nft does, or what it was told to do instead."""
        program = path.removeprefix(f"{FOLDER}/")
        if program not in self.programs:
            raise ApplyError(f"{path}: {FileNotFoundError(ENOENT, strerror(ENOENT), path)}")
        self.calls.append((program, *options))
        if faults := self._faults.get(program):
            fault = faults.popleft()
            if isinstance(fault, Exception):
                raise fault
            return fault
        if program == "iptables":
            return Output(0, f"iptables v{VERSION} (nf_tables)\n", "")
        text = stdin.decode("utf-8", "surrogateescape") if isinstance(stdin, bytes) else stdin
        if program == "nft":
            return self.kernel.nft.run(options, text, may="CAP_NET_ADMIN" in self.capabilities)
        if program == "ipset":
            if "CAP_NET_ADMIN" not in self.capabilities:
                told = "ipset v7.17: Kernel error received: Operation not permitted"
                return Output(1, "", told)
            return self.kernel.ipvs.ipset(text)
        name, _, verb = program.rpartition("-")
        variant: Variant = "legacy" if name.endswith("-legacy") else "nft"
        tables = self.tables(variant, "IPv6" if name.startswith("ip6") else "IPv4")
        if "CAP_NET_ADMIN" not in self.capabilities:
            return Output(4, "", "Could not fetch rule set: Permission denied (you must be root)")
        try:
            if verb == "restore":
                if self.refuses(program):
                    raise FakeRestoreError(1, "it is refused")
                self._check_modules(text)
                tables.restore(text)
                return Output(0, "", "")
            return Output(0, tables.save(*options[1:2]), "")
        except FakeRestoreError as error:
            return Output(1, "", f"{program}: {error}")

    def _check_modules(self, text: str) -> None:
        """Raise FakeRestoreError for a rule that needs a module, or a set, that is not there."""
        modules = [each.removeprefix("xt_") for each in self.lacks if each.startswith("xt_")]
        for number, line in enumerate(text.split("\n"), 1):
            words = line.split()
            pairs = list(pairwise(words))
            if any(pair in pairs for name in modules for pair in (("-m", name), ("-j", name))):
                raise FakeRestoreError(number, f"{line}: the kernel lacks a module")
            named = [name for option, name in pairs if option == "--match-set"]
            if any(name not in self.kernel.ipvs.sets for name in named):
                raise FakeRestoreError(number, f"{line}: the set does not exist")

    def netlink(self, protocol: int) -> Netlink:
        """Open a socket to the kernel as it is now."""
        return _Socket(self, protocol)

    def socket_option(self, family: IPFamily, option: int, value: bytearray) -> None:
        """Tell of a table of iptables-legacy."""
        self.need("CAP_NET_ADMIN")
        self.kernel.socket_option(family, option, value)

    def read(self, path: Path) -> str:
        """Return a setting, the names of tables of iptables-legacy, or what this process may."""
        files = self._files()
        if str(path) not in files:
            raise FileNotFoundError(ENOENT, strerror(ENOENT), str(path))
        return files[str(path)]

    def write(self, path: Path, text: str) -> None:
        """Write a setting."""
        if str(path) not in self.kernel.settings:
            raise FileNotFoundError(ENOENT, strerror(ENOENT), str(path))
        if "CAP_NET_ADMIN" not in self.capabilities:
            raise PermissionError(EACCES, strerror(EACCES), str(path))
        if self.refuses(f"{path.relative_to(SYS)}={text.strip()}"):
            raise OSError(EINVAL, strerror(EINVAL), str(path))
        self.kernel.settings[str(path)] = f"{text.strip()}\n"

    def names(self, folder: Path) -> tuple[str, ...]:
        """Return the names below a folder."""
        begin = f"{folder}/"
        found = {
            each.removeprefix(begin).partition("/")[0]
            for each in self._files()
            if each.startswith(begin)
        }
        if not found:
            raise FileNotFoundError(ENOENT, strerror(ENOENT), str(folder))
        return tuple(found)

    @contextmanager
    def lock(self, family: IPFamily, *, wait: bool = False, keeps: bool = False) -> Iterator[None]:
        """Take the lock of a family; another context has to wait for it."""
        held = self._held.get()
        if family in held:
            yield
            return
        with self._free:
            while family in self.busy | self._taken:
                if not wait:
                    raise Busy(f"another svcnet changes {family} in this network namespace")
                self._free.wait()
            self._taken.add(family)
        token = self._held.set(held | {family})
        try:
            yield
        finally:
            self._held.reset(token)
            with self._free:
                self._taken.discard(family)
                self._free.notify_all()

    def is_free(self, family: IPFamily) -> bool:
        """Return whether nobody has the lock of a family."""
        return family not in self.busy | self._taken

    def in_own_namespace(self, work: Callable[[], _Value]) -> _Value:
        """Do `work` with a kernel that has nothing yet."""
        if "CAP_SYS_ADMIN" not in self.capabilities:
            raise NoNamespace("a network namespace to try the kernel in: Operation not permitted")
        before, self.kernel = self.kernel, _kernel(self.lacks, self._is_refused)
        try:
            return work()
        finally:
            self.kernel = before

    def _is_refused(self, text: str) -> bool:
        return self.refuses(text)

    def need(self, capability: str) -> None:
        """Raise PermissionError without a capability."""
        if capability not in self.capabilities:
            raise PermissionError(EPERM, strerror(EPERM))

    def _files(self) -> dict[str, str]:
        files = dict(self.kernel.settings)
        names: dict[IPFamily, str] = {"IPv4": "ip_tables_names", "IPv6": "ip6_tables_names"}
        for family, name in names.items():
            if there := self.tables("legacy", family).there:
                files[f"/proc/thread-self/net/{name}"] = "".join(f"{each}\n" for each in there)
        files["/proc/thread-self/net/netlink"] = ""
        if self.kernel.ipvs.is_loaded:
            files["/proc/thread-self/net/ip_vs"] = ""
        held = sum(1 << bit for name, bit in CAPABILITIES.items() if name in self.capabilities)
        files["/proc/thread-self/status"] = f"Name:\tsvcnet\nCapEff:\t{held:016x}\n"
        return files


def _kernel(lacks: set[str], refuses: Callable[[str], bool]) -> FakeKernel:
    settings = {ROUTE_LOCALNET.format(each): "0\n" for each in ("all", "default", "lo")}
    settings["/proc/sys/kernel/osrelease"] = "6.12.0\n"
    settings |= {f"/proc/sys/net/{each}": "0\n" for each in OF_IPVS}
    return FakeKernel(settings, lacks, refuses)


class _Socket(Netlink):
    """A socket of a fake machine, which keeps what the kernel has answered."""

    def __init__(self, machine: FakeMachine, protocol: int) -> None:
        self._machine = machine
        self._kernel = machine.kernel
        self._protocol = protocol
        self._answered: Ear = deque()

    def enable(self, option: int, value: int = 1) -> None:
        if option == _ADD_MEMBERSHIP:
            self._machine.need("CAP_NET_ADMIN")
            self._kernel.listen(self._protocol, value, self._answered)

    def hold(self, size: int) -> None:
        pass

    def allow(self, size: int) -> None:
        pass

    def send(self, data: bytes) -> None:
        may = "CAP_NET_ADMIN" in self._machine.capabilities
        self._answered.extend(self._kernel.answers(self._protocol, data, may=may))

    def receive(self) -> bytes:
        if not self._answered:
            raise BlockingIOError(EAGAIN, strerror(EAGAIN))
        return self._next()

    def pending(self) -> Iterator[bytes]:
        while self._answered:
            yield self._next()

    def _next(self) -> bytes:
        found = self._answered.popleft()
        if isinstance(found, OSError):
            raise found
        return found

    def close(self) -> None:
        self._kernel.ears = [each for each in self._kernel.ears if each is not self._answered]
        self._answered.clear()
