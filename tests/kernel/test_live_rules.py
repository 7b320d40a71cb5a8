"""svcnet verify --live asks the tools of this machine, and tells what they do not say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from svcnet.cli import main
from tests.conftest import ROOT
from tests.kernel.ipvs.netlink import own_namespace, run

pytestmark = pytest.mark.kernel

EXAMPLE = ROOT / "examples" / "my-service"
WAYS = {
    "nft": ("iptables", "iptables-nft-restore --noflush", "iptables-nft -t nat -D PREROUTING 1"),
    "legacy": (
        "iptables",
        "iptables-legacy-restore --noflush",
        "iptables-legacy -t nat -D PREROUTING 1",
    ),
    "nftables": ("nftables", "nft -f -", "nft flush chain ip kube-proxy services"),
}
"""For each way of having rules the mode, what loads them, and what takes something away."""


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with own_namespace():
        run("ip", "link", "set", "lo", "up")
        yield


def svcnet(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return the exit code of a command, and what it prints."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    shown = capsys.readouterr()
    return int(end.value.code or 0), shown.out, shown.err


def verified(capsys: pytest.CaptureFixture[str], mode: str) -> tuple[int, str, str]:
    return svcnet(capsys, "verify", EXAMPLE, "--mode", mode, "--family", "ipv4", "--live")


@pytest.mark.parametrize("way", WAYS)
def test_rules_of_this_machine_are_compared(
    way: str, capsys: pytest.CaptureFixture[str], xtables_lock: None
) -> None:
    """Exit code 0 with the rules that svcnet renders, 1 once one of them is gone."""
    mode, loader, damage = WAYS[way]
    jumps = ["--jumps"] if mode == "iptables" else []
    _, text, _ = svcnet(capsys, "render", EXAMPLE, "--mode", mode, *jumps)
    run(*loader.split(), stdin=text)
    code, shown, told = verified(capsys, mode)
    assert (code, told) == (0, "")
    assert "every packet ends as it should" in shown
    run(*damage.split())
    code, shown, _ = verified(capsys, mode)
    assert code == 1
    assert "default/my-service:http/TCP" in shown


TOOLS = {"iptables": "iptables", "nftables": "nft", "ipvs": "iptables"}


@pytest.mark.parametrize("mode", TOOLS)
def test_a_tool_that_is_missing_is_told(
    mode: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, with the tool's name and nothing on standard output."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("svcnet.executors.this_machine._SYSTEM_FOLDERS", ())
    code, shown, told = verified(capsys, mode)
    assert (code, shown) == (2, "")
    assert TOOLS[mode] in told


@pytest.mark.parametrize(("mode", "tool"), [("iptables", "iptables-save"), ("nftables", "nft")])
def test_a_listing_that_cannot_be_read_is_told(
    mode: str,
    tool: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is cut off, or no listing at all, is exit code 2 with the tool's name."""
    for name in (tool, tool.replace("-", "-nft-"), tool.replace("-", "-legacy-")):
        fake = tmp_path / name
        fake.write_text("#!/bin/sh\necho '*nat'\necho 'table ip kube-proxy {'\n")
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    code, shown, told = verified(capsys, mode)
    assert (code, shown) == (2, "")
    assert tool.partition("-")[0] in told
    assert "[S905 machine]" in told


WITHOUT_RIGHTS = {
    "verify --mode iptables": "iptables-save",
    "verify --mode nftables": "nft list ruleset",
    "verify --mode ipvs": "ipvsadm -Sn",
    "verify": "nft list ruleset",
    "explain --to 10.96.0.100:80": "iptables-save",
    "report": "ipset save",
}


@pytest.mark.parametrize("words", WITHOUT_RIGHTS)
def test_lack_of_rights_is_told_before_anything_is_read(words: str) -> None:
    """Exit code 2 with the first command that takes rights, and what root may save instead."""
    verb, *options = words.split()
    powerless = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")
    command = (sys.executable, "-m", "svcnet", verb, str(EXAMPLE), *options, "--live")
    done = subprocess.run([*powerless, *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    first, *others = done.stderr.splitlines()
    assert "takes CAP_NET_ADMIN and CAP_NET_RAW, which this process lacks: run svcnet with" in first
    assert any(line.startswith(f"  sudo {WITHOUT_RIGHTS[words]} > ") for line in others)
    assert others[0].startswith(f"  sudo {first.split(' takes ')[0].removeprefix('--live: ')} > ")
