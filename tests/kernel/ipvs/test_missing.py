"""A kernel that lacks modules: one error names them all, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.executors.iptables import Commands
from svcnet.executors.ipvs import IncompleteIPVS, missing
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.executors.userspace import install
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.netfilter import Rule
from svcnet.renderers.ipvs import full
from svcnet.renderers.userspace.portals import PortalRules, jumps
from svcnet.sources import load_bytes
from tests.conftest import ROOT
from tests.kernel.ipvs.conftest import everything, run
from tests.kernel.keepers import ipvs_keeper
from tests.kernel.told import Told

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

CASE = ROOT / "tests/conformance/cases/lb-source-ranges"
SETS = (
    "xt_set",
    "ip_set_hash_ip",
    "ip_set_hash_ipport",
    "ip_set_hash_ipportip",
    "ip_set_hash_ipportnet",
    "ip_set_bitmap_port",
    "ip_set",
)
LACKING = ("dummy", "ip_vs_sh", "xt_ipvs")


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Take modules out of the kernel for a while.

    The namespaces of earlier tests may use them for a moment yet.
    """
    names = " ".join(modules)
    run(f"for i in $(seq 50); do modprobe -d /run/modules -r -a {names} && exit; sleep 0.1; done")
    try:
        yield
    finally:
        run(f"modprobe -d /run/modules -a {names}")


@pytest.fixture
def lacking() -> Iterator[None]:
    with without(*LACKING):
        yield


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
        "kind: KubeProxyConfiguration\n"
        "mode: ipvs\n"
        "ipvs: {scheduler: sh}\n"
    )
    return path


def svcnet(*args: object) -> Result:
    return CliRunner().invoke(main, list(map(str, args)))


def apply(config: Path, *options: str) -> Result:
    arguments = ("--config", config, "--node", "node-a", "--variant", "legacy", *options)
    return svcnet("apply", CASE / "objects.yaml", *arguments)


@pytest.mark.usefixtures("lacking")
def test_what_is_missing_is_named_and_nothing_is_changed(config: Path) -> None:
    """Every missing module is in the one error, with the command that loads them."""
    before = everything()
    done = apply(config)
    assert done.exit_code == 3
    assert "modprobe -a ip_vs_sh dummy xt_ipvs" in done.stderr
    assert "Nothing was changed" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert everything() == before


@pytest.mark.usefixtures("lacking")
def test_a_run_falls_back_if_asked(config: Path) -> None:
    """A run is refused what the kernel lacks, or keeps iptables mode and warns."""
    options = ("run", CASE / "objects.yaml", "--config", config, "--variant", "legacy")
    with Told(*options) as process:
        process.wait('"event":"refused"')
        assert all(name in process.lines[-1] for name in LACKING)
    with Told(*options, "--fallback", "iptables") as process:
        process.wait("keeping iptables mode instead")
        process.wait("iptables-legacy: all")


@pytest.mark.usefixtures("lacking")
def test_fallback_to_iptables_mode(config: Path) -> None:
    """With --fallback the same Services are served by iptables rules, and it says so."""
    done = apply(config, "--fallback", "iptables")
    assert done.exit_code == 0
    assert "applying iptables mode instead" in done.stderr
    assert "KUBE-SVC-" in everything()
    assert "-A -t" not in everything()


def test_no_fallback_where_nothing_is_missing(config: Path) -> None:
    """Where the kernel has everything, --fallback changes nothing, and probe says so."""
    assert apply(config, "--fallback", "iptables").exit_code == 0
    assert "-s sh" in run("ipvsadm -Sn")
    assert "KUBE-SVC-" not in everything()
    assert "# mode ipvs: the kernel has what it takes" in svcnet("probe").stdout


def test_a_variant_of_iptables_that_the_kernel_cannot(config: Path) -> None:
    """Where iptables itself fails, its own words are the error, not every module there is."""
    before = everything()
    done = svcnet("apply", CASE / "objects.yaml", "--config", config, "--variant", "nft")
    assert done.exit_code == 3
    assert "iptables-nft-restore" in done.stderr
    assert "xt_comment" not in done.stderr
    assert everything() == before


def test_the_addresses_of_services_are_not_the_nodes(config: Path) -> None:
    """What an apply puts on the dummy device is no fact of the host for the next one."""
    run("ip address add 192.0.2.10/32 dev lo")
    assert apply(config).exit_code == 0
    before = everything()
    done = apply(config)
    assert "nothing to change" in done.stderr
    assert everything() == before
    assert "203.0.113.20" not in svcnet("probe").stdout


def test_a_scheduler_that_comes_later(config: Path) -> None:
    """A change to a scheduler that the kernel lacks leaves all as it was, and names the module."""
    assert apply(config).exit_code == 0
    before = everything()
    config.write_text(config.read_text().replace("sh", "dh"))
    with without("ip_vs_dh"):
        done = apply(config)
    assert done.exit_code == 3
    assert "ip_vs_dh" in done.stderr
    assert everything() == before


MANY = """
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop, annotations: {svcnet.io/ipvs-scheduler: SCHEDULER}}
spec: {clusterIP: ADDRESS, selector: {app: x}, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: NAME-1, namespace: shop, labels: {kubernetes.io/service-name: NAME}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
---"""


def manifest(*services: tuple[str, str]) -> str:
    """Return Services, each with a scheduler."""
    return "".join(
        MANY.replace("NAME", name).replace("SCHEDULER", scheduler).replace("ADDRESS", address)
        for (name, scheduler), address in zip(services, ADDRESSES, strict=False)
    )


ADDRESSES = ("10.96.0.10", "10.96.0.11", "10.96.0.12")


def test_a_scheduler_of_one_service(tmp_path: Path) -> None:
    """That Service is left out and named; all others follow, by a whole apply and by steps."""
    path = tmp_path / "services.yaml"
    path.write_text(manifest(("a", "rr"), ("b", "nq")))
    options = ("--mode", "ipvs", "--variant", "legacy", "--node", "node-a")
    with without("ip_vs_nq"):
        done = svcnet("apply", path, *options)
        assert done.exit_code == 3
        assert "IPVS refused to add 10.96.0.11:80 TCP scheduler nq" in done.stderr
        assert "lacks the module ip_vs_nq (from Service shop/b: " in done.stderr
        assert "Nothing was changed" not in done.stderr
        assert run("ipvsadm -Sn").splitlines() == [
            "-A -t 10.96.0.10:80 -s rr",
            "-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1",
        ]
        assert "10.96.0.11" not in run("ip address show dev kube-ipvs0")
        follows_by_steps()
    assert svcnet("apply", path, *options).exit_code == 0
    assert "-s nq" in run("ipvsadm -Sn")


def follows_by_steps() -> None:
    """A node that is refused one Service follows the changes of others without a whole look."""
    target = ipvs_keeper("IPv4", "legacy")
    with pytest.raises(IncompleteIPVS):
        target.whole(graph_of(("a", "rr"), ("b", "nq")))
    done = target.step(graph_of(("a", "wlc"), ("b", "nq"), ("c", "rr")), None)
    assert done.kind == "delta"
    with pytest.raises(IncompleteIPVS) as caught:
        target.step(graph_of(("a", "rr"), ("b", "nq"), ("c", "nq")), None)
    assert "ip_vs_nq" in str(caught.value)
    served = run("ipvsadm -Sn")
    assert "-A -t 10.96.0.10:80 -s rr" in served
    assert "-A -t 10.96.0.12:80 -s rr" in served


def graph_of(*services: tuple[str, str]) -> RuleGraph:
    state = load_bytes(manifest(*services).encode()).state
    return compile_state(state, node_view(state, family="IPv4"))


def test_a_type_of_set_is_named_and_not_the_rules_of_such_sets() -> None:
    """The module of the set is what is missing, though rules are refused without it."""
    nothing = full(RuleGraph(NodeSettings("IPv4")))
    commands = Commands("IPv4", "legacy", THIS_MACHINE)
    with without("ip_set_bitmap_port"):
        assert missing(nothing, commands) == ("ip_set_bitmap_port",)
    with without("ip_set_bitmap_port", "xt_ipvs"):
        assert missing(nothing, commands) == ("ip_set_bitmap_port", "xt_ipvs")
    assert missing(nothing, commands) == ()


def test_a_scheduler_that_does_not_exist_is_an_error_in_the_input(config: Path) -> None:
    """It has a file and a line, and nothing is asked of the kernel."""
    config.write_text(config.read_text().replace("sh", "fastest"))
    done = apply(config)
    assert done.exit_code == 2
    assert f"{config}:4" in done.stderr
    assert run("ipvsadm -Sn") == ""


def test_a_kernel_without_sets(config: Path) -> None:
    """It is told from a refusal: what is missing is named, and other modes go on working."""
    with without(*SETS):
        done = apply(config)
        assert done.exit_code == 3
        assert "ip_set_hash_ip" in done.stderr
        assert "Nothing was changed" in done.stderr
        assert apply(config, "--fallback", "iptables").exit_code == 0
        done = svcnet("cleanup")
        assert done.exit_code == 0, done.stderr


def test_a_match_of_portal_rules() -> None:
    """Userspace mode names the module that its rules lack, and leaves the table as it was."""
    rule = Rule("nat", "KUBE-PORTALS-CONTAINER", "-m physdev ! --physdev-is-in -j ACCEPT")
    rules = PortalRules("IPv4", (rule,), jumps(NodeSettings("IPv4")))
    with without("xt_physdev"), pytest.raises(ApplyError) as caught:
        install(rules, variant="legacy")
    assert "modprobe -a xt_physdev" in str(caught.value)
    assert "KUBE-PORTALS-CONTAINER" not in everything()
    install(rules, variant="legacy")
