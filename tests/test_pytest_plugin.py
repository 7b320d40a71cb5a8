"""The pytest plugin: what a team asserts of its Services, and what it is told when that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from svcnet.discovery.repository import Assumptions
from svcnet.errors import AbsentError, InputError, UsageError
from svcnet.testing import ServiceGraph, read_services
from tests.cli.test_golden import DEPLOYMENT

ROOT = Path(__file__).parents[1]
EXAMPLE = "examples/my-service"
POD = "10.244.1.5"
WEB = "service/default/my-service:http"


@pytest.fixture(scope="module")
def services() -> ServiceGraph:
    return read_services(EXAMPLE, folder=ROOT)


@pytest.fixture
def lonely(tmp_path: Path) -> ServiceGraph:
    """Return the example without an endpoint that is ready, for whom some sources are refused."""
    shutil.copytree(ROOT / EXAMPLE, tmp_path / "manifests")
    slices = tmp_path / "manifests" / "endpointslices.yaml"
    slices.write_text(slices.read_text().replace("ready: true", "ready: false"))
    return read_services("manifests", folder=tmp_path)


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables", "userspace"])
def test_what_holds_is_silent(mode: str) -> None:
    """All ways to say who reaches what, in any mode."""
    services = read_services(EXAMPLE, folder=ROOT, mode=mode)
    services.assert_reaches(POD, WEB)
    services.assert_reaches("node", WEB, family="IPv4")
    services.assert_reaches(POD, WEB, endpoint="10.244.1.6", probability="1/3")
    services.assert_reaches(POD, "10.96.0.100:443", endpoint="10.244.2.6")
    for third in (Fraction(1, 3), 1 / 3, "1/3"):
        services.assert_reaches("outside", WEB, probability=third)


def test_what_fails_is_explained(services: ServiceGraph, lonely: ServiceGraph) -> None:
    """The message has what explain says: the verdict, the way, the rules."""
    with pytest.raises(AssertionError) as failure:
        services.assert_reaches(POD, WEB, probability="1/2")
    first, _, verdict, *way = str(failure.value).splitlines()
    assert first == f"{POD} does not reach each endpoint of {WEB} with a chance of 1/2:"
    assert verdict.startswith("1/3 ")
    assert any("-A KUBE-SERVICES" in line for line in way)
    with pytest.raises(AssertionError, match=r"not reach 10\.244\.9\.9, of service/"):
        services.assert_reaches(POD, WEB, endpoint="10.244.9.9")
    with pytest.raises(AssertionError, match=r"is not refused at .*\n\n1/3 "):
        services.assert_refused(POD, WEB)
    with pytest.raises(AssertionError, match="left alone"):
        services.assert_refused(POD, "10.96.0.100:9376")
    with pytest.raises(AssertionError, match=r"(?s)does not reach .*no endpoint"):
        lonely.assert_reaches(POD, WEB)
    lonely.assert_refused(POD, WEB)


MISTAKES: dict[str, Callable[[ServiceGraph], object]] = {
    "no source": lambda it: it.assert_reaches("somebody", WEB),
    "no service": lambda it: it.assert_reaches(POD, "web"),
    "no endpoint": lambda it: it.assert_reaches(POD, WEB, endpoint="10.244.1.6:9376"),
    "no chance": lambda it: it.assert_reaches(POD, WEB, probability="often"),
    "no number": lambda it: it.assert_reaches(POD, WEB, probability=float("nan")),
    "infinite": lambda it: it.assert_reaches(POD, WEB, probability=float("inf")),
    "over one": lambda it: it.assert_reaches(POD, WEB, probability=2),
    "by zero": lambda it: it.assert_reaches(POD, WEB, probability="1/0"),
    "no family": lambda it: it.assert_reaches("node", WEB, family="IPv5"),  # type: ignore[arg-type]
    "two families": lambda it: it.assert_refused(POD, WEB, family="IPv6"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_no_failure(
    mistake: Callable[[ServiceGraph], object], services: ServiceGraph
) -> None:
    """What cannot be asked is an error of the test, and neither holds nor fails."""
    with pytest.raises(UsageError):
        mistake(services)


def test_a_service_that_is_not_there(services: ServiceGraph) -> None:
    """A name that the manifests do not have is told, with one that may be meant."""
    with pytest.raises(AbsentError, match="there is default/my-service"):
        services.assert_reaches(POD, "service/shop/my-service:http")


def test_manifests_that_cannot_be_read() -> None:
    """Bad manifests are told with their places; no manifests are no empty state."""
    with pytest.raises(InputError, match=r"nothing-here: error: cannot be read"):
        read_services("nothing-here", folder=ROOT)
    with pytest.raises(UsageError, match="no manifests"):
        read_services(folder=ROOT)


def test_manifests_as_they_are_kept(tmp_path: Path) -> None:
    """Pods of workloads are made up, as the command does it."""
    (tmp_path / "web.yaml").write_text(DEPLOYMENT)
    services = read_services("web.yaml", folder=tmp_path)
    services.assert_reaches("outside", "service/default/web", probability="1/2")
    never = read_services("web.yaml", folder=tmp_path, assume=Assumptions("never"))
    with pytest.raises(AbsentError, match="has no cluster IP"):
        never.assert_reaches("outside", "service/default/web")


def test_rules_of_two_states(services: ServiceGraph, lonely: ServiceGraph) -> None:
    """Other manifests may have other text, as long as all packets end alike."""
    services.assert_same_rules(read_services(EXAMPLE, folder=ROOT))
    with pytest.raises(AssertionError, match=r"(?s)do not mean the same.*IPv4: 2 frontends"):
        services.assert_same_rules(lonely)


def test_golden_files(services: ServiceGraph, lonely: ServiceGraph) -> None:
    """A golden file is compared as render --check does, and written by update alone."""
    services.assert_same_rules(f"{EXAMPLE}/golden.iptables.txt")
    with pytest.raises(AssertionError, match=r"golden\.txt is missing\npytest --svcnet-update"):
        lonely.assert_same_rules("golden.txt")
    lonely.update = True
    lonely.assert_same_rules("golden.txt")
    lonely.assert_same_rules("golden.txt")
    assert lonely.written == [lonely.folder / "golden.txt"]
    lonely.update = False
    shutil.copy(ROOT / EXAMPLE / "golden.iptables.txt", lonely.folder / "golden.txt")
    with pytest.raises(AssertionError, match=r"(?s)^--- .*meaning: changed: 2 frontends"):
        lonely.assert_same_rules("golden.txt")


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    """Those who have svcnet installed and do not use it do not wait for it."""
    program = "import sys, svcnet.plugin; print(*(m for m in sys.modules if 'svcnet' in m))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["svcnet", "svcnet.plugin"], done.stderr


TESTS = """
def test_rules(svcnet_graph):
    svcnet_graph("manifests").assert_same_rules("golden.txt")

def test_chances(svcnet_graph):
    svcnet_graph("manifests").assert_reaches("node", "my-service:http", probability=1)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_a_run(workers: tuple[str, ...], tmp_path: Path) -> None:
    """pytest has the fixture, fails with the explanation alone, and names what it writes."""
    shutil.copytree(ROOT / EXAMPLE, tmp_path / "manifests")
    (tmp_path / "test_services.py").write_text(TESTS)
    plugin = ("-p", "svcnet.plugin", "--svcnet-update")
    command = [sys.executable, "-m", "pytest", *plugin, *workers, "-c", os.devnull, "--rootdir=."]
    done = subprocess.run(
        [*command, "test_services.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert f"svcnet: wrote {tmp_path}/golden.txt" in done.stdout
    assert "node does not reach each endpoint of my-service:http with a chance of 1:" in done.stdout
    assert "service_graph.py" not in done.stdout
