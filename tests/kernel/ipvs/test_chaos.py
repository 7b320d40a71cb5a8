"""In IPVS mode, too, a random history ends where a cold apply does."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from tests.kernel.chaos import changes, chaos
from tests.kernel.ipvs.conftest import everything, without_draining
from tests.kernel.ipvs.netlink import run

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]


class IPVSMachine:
    """Virtual servers, sets, addresses and rules of both families."""

    options = ("--mode", "ipvs", "--variant", "legacy")

    def state(self) -> list[str]:
        return without_draining(everything()).splitlines()

    def damage(self, random: Random) -> None:
        """Take virtual servers, rules, entries of sets, or addresses."""
        servers = [line.split() for line in run("ipvsadm", "-Sn").splitlines()]
        match random.choice(("clear", "server", "real", "rules", "set", "address")):
            case "clear":
                run("ipvsadm", "-C")
            case "server" if servers:
                _, *which = random.choice(servers)
                run("ipvsadm", "-D", *which[:2], check=False)
            case "real":
                for which in random.sample(servers, len(servers) // 2):
                    if which[0] == "-a":
                        run("ipvsadm", "-d", *which[1:5], check=False)
            case "rules":
                run(random.choice(("iptables-legacy", "ip6tables-legacy")), "-t", "nat", "-F")
            case "set":
                run("ipset", "flush")
            case "address":
                run("ip", "address", "flush", "dev", "kube-ipvs0", check=False)


def test_servers_after_chaos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes, faults, restarts, kills and damages leave what a cold apply makes."""
    monkeypatch.setenv("XTABLES_LOCKFILE", os.fspath(tmp_path / "xtables.lock"))
    with chaos(tmp_path, IPVSMachine()) as node:
        node.go_on(changes(800))
