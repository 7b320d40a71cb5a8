"""What other programs have on a machine, and how it looks when nobody has touched it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from attrs import define, field

from svcnet.family import IP_FAMILIES
from tests.kernel.applying import tool

MARK = "foreign"
"""In everything that is here, in small or capital letters."""
COMMENTS = (
    b"plain",
    b"caf\xe9",
    b'it\'s "quoted" and \\ more',
    b"x\nCOMMIT\n*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n",
    b"x\n-A KUBE-SERVICES -j ACCEPT\n#",
    b"x\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n",
    b"-j KUBE-MARK-MASQ",
)
CHAINS = (b"FOREIGN-1", b"FOREIGN-\xe9", b"FOREIGN:x")
PLACES = (
    ("nat", b"PREROUTING"),
    ("nat", b"POSTROUTING"),
    ("filter", b"INPUT"),
    ("filter", b"FORWARD"),
    ("mangle", b"OUTPUT"),
)
OURS = re.compile(rb"-[NA] KUBE-.*|-A [A-Z]+ .*-j KUBE-[A-Z-]+( .*)?|-P .*|# Table .*")
"""A line of ours, as ``iptables -S`` prints it; policies, which nobody changes; and what the nft
variant remarks of a table that it meets half made.
"""


def words(*command: str | bytes, check: bool = False) -> bytes:
    """Run a command whose words may be any bytes, and return what it prints."""
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0 or not check, (command, done.stderr)
    return done.stdout


@define
class ForeignRules:
    """Rules and chains of somebody else's, in the tables of both families and some variants."""

    variants: Sequence[str]
    _seen: list[bytes] = field(factory=list, init=False)

    def stir(self, random: Random) -> None:
        """Add or delete some, and take note of what is there then."""
        for _ in range(random.randint(1, 3)):
            command = tool(random.choice(self.variants), random.choice(IP_FAMILIES))
            table, place = random.choice(PLACES)
            where: tuple[str | bytes, ...] = (command, "-w", "-t", table)
            random.choice((self._chain, self._rule, self._rule, self._delete))(where, place, random)
        self.look()

    def look(self) -> None:
        """Take what is there as what has to be there."""
        self._seen = self._listing()

    def untouched(self) -> None:
        """Nothing may differ from what was there when somebody looked last, in a single byte."""
        now = self._listing()
        assert now == self._seen, f"{self._seen} became {now}"

    def _chain(self, where: tuple[str | bytes, ...], place: bytes, random: Random) -> None:
        chain = random.choice(CHAINS)
        words(*where, "-N", chain)
        words(*where, "-A", chain, *self._match(random), "-j", "RETURN")
        words(*where, "-I", place, "-p", "udp", *self._comment(random), "-j", chain)

    def _rule(self, where: tuple[str | bytes, ...], place: bytes, random: Random) -> None:
        verb = random.choice(("-A", "-I"))
        words(*where, verb, place, *self._match(random), "-j", "ACCEPT")

    def _delete(self, where: tuple[str | bytes, ...], place: bytes, random: Random) -> None:
        listed = words(*where, "-S", place)
        if MARK.encode() in listed and listed.count(b"\n") < 3:
            words(*where, "-D", place, "1")
        else:
            chain = random.choice(CHAINS)
            words(*where, "-F", chain)
            words(*where, "-X", chain)

    def _match(self, random: Random) -> tuple[str | bytes, ...]:
        return ("-p", "tcp", "--dport", str(random.randint(1, 999)), *self._comment(random))

    def _comment(self, random: Random) -> tuple[str | bytes, ...]:
        return ("-m", "comment", "--comment", b"foreign " + random.choice(COMMENTS))

    def _listing(self) -> list[bytes]:
        found = []
        for variant in self.variants:
            for family in IP_FAMILIES:
                command = tool(variant, family)
                for table in dict.fromkeys(table for table, _ in PLACES):
                    lines = words(command, "-w", "-t", table, "-S").split(b"\n")
                    found += [
                        b" ".join((command.encode(), table.encode(), line))
                        for line in lines
                        if line and not OURS.fullmatch(line)
                    ]
        return found


@define
class ForeignServers:
    """Virtual servers, sets and addresses of somebody else's, and rules of the legacy variant."""

    rules: ForeignRules = field(factory=lambda: ForeignRules(("legacy",)))
    _seen: list[bytes] = field(factory=list, init=False)

    def stir(self, random: Random) -> None:
        """Add or delete some, and take note of what is there then."""
        number = random.randint(1, 5)
        server = f"198.18.0.{number}:80"
        name = f"{MARK} {number}"
        acts: tuple[Callable[[], object], ...] = (
            lambda: words("ipvsadm", "-A", "-t", server, "-s", "rr"),
            lambda: words("ipvsadm", "-a", "-t", server, "-r", f"198.18.1.{number}:80", "-m"),
            lambda: words("ipvsadm", "-D", "-t", server),
            lambda: words("ipset", "create", name, "hash:net"),
            lambda: words("ipset", "add", name, f"198.18.{number}.0/24", "-exist"),
            lambda: words("ipset", "destroy", name),
            lambda: words("ip", "address", "add", f"198.18.2.{number}/24", "dev", "lo"),
            lambda: words("ip", "address", "delete", f"198.18.2.{number}/24", "dev", "lo"),
            lambda: self.rules.stir(random),
        )
        random.choice(acts)()
        self.look()

    def look(self) -> None:
        """Take what is there as what has to be there."""
        self.rules.look()
        self._seen = self._listing()

    def untouched(self) -> None:
        """Nothing may differ from what was there when somebody looked last."""
        self.rules.untouched()
        assert self._listing() == self._seen

    def _listing(self) -> list[bytes]:
        lines = [
            *words("ipvsadm", "-Sn").split(b"\n"),
            *words("ipset", "save").split(b"\n"),
            *words("ip", "-o", "-4", "address", "show", "dev", "lo").split(b"\n"),
        ]
        return [line for line in lines if MARK.encode() in line or b"198.18." in line]


def without(lines: Sequence[str]) -> list[str]:
    """Return the lines of a machine's state that are not about anything foreign.

    Tables come in one order: theirs is that in which somebody first used them.
    """
    other = re.compile(rf"(?i){MARK}|198\.18\.|^IPv[46] (mangle|raw|security) ")
    return sorted(
        (line for line in lines if not other.search(line)), key=lambda line: line.split(" ", 2)[:2]
    )


def processes_here(*known: int) -> list[str]:
    """Return the processes in this thread's network namespace, but for those that are known.

    Each is its number and its command line.
    """
    here = Path("/proc/thread-self/ns/net").readlink()
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            named = process.name.isdecimal() and int(process.name) not in known
            if named and (process / "ns/net").readlink() == here:
                found.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
    return found
