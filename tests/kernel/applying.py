"""A network namespace of its own for each test, and svcnet run inside it."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from svcnet.netfilter import SavedTables, parse_save

NUMBERS = itertools.count()


@frozen
class Namespace:
    """A network namespace; commands run in it, nothing outside is touched."""

    name: str

    def run(self, *command: object, stdin: str = "", check: bool = True) -> str:
        """Run a command inside and return its output."""
        done = self.attempt(*command, stdin=stdin)
        if check and done.returncode:
            raise AssertionError(f"{command} failed: {done.stderr or done.stdout}")
        return done.stdout

    def attempt(self, *command: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside, whatever comes of it."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *map(str, command)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def svcnet(self, *args: object) -> subprocess.CompletedProcess[str]:
        """Run svcnet inside."""
        return self.attempt(sys.executable, "-m", "svcnet", *args)

    def save(self, variant: str, family: str = "IPv4") -> str:
        """Return what iptables-save prints, without times and counters."""
        text = self.run(f"{tool(variant, family)}-save")
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        return "\n".join(re.sub(r" \[\d+:\d+\]$", "", line) for line in lines)

    def tables(self, variant: str, family: str = "IPv4") -> dict[str, dict[str, list[str]]]:
        """Return the rules in the form that does not depend on the shared chains' order."""
        return order_free(parse_save(self.save(variant, family)))


def tool(variant: str, family: str) -> str:
    """Return the name that a variant's commands for a family begin with."""
    return f"{'ip6tables' if family == 'IPv6' else 'iptables'}-{variant}"


def order_free(observed: SavedTables) -> dict[str, dict[str, list[str]]]:
    """Return tables with shared chains sorted and tables without rules or chains left out."""
    shared = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL")
    found = {}
    for table, chains in observed.tables.items():
        kept = {
            chain: sorted(rules, key=lambda rule: ("must be the last" in rule, rule))
            if chain in shared
            else rules
            for chain, rules in sorted(chains.items())
        }
        if any(rules or chain.startswith("KUBE") for chain, rules in kept.items()):
            found[table] = kept
    return found


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make a namespace and remove it at the end."""
    name = f"svcnet-{os.getpid()}-{next(NUMBERS)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def write_host(folder: Path) -> Path:
    """Write host facts with a node address, and return the file."""
    path = folder / "host.yaml"
    path.write_text("addresses: [192.0.2.10, 127.0.0.1, '2001:db8:a::10', '::1']\n")
    return path
