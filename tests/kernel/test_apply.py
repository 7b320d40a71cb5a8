"""``svcnet apply`` and ``svcnet cleanup`` on a real kernel, in namespaces of their own."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from svcnet.compiler import compile_state, node_view
from svcnet.graph import diff
from svcnet.models import ClusterState, KubeProxyConfiguration
from svcnet.models.state import ClusterObject
from svcnet.renderers.iptables import delta, full
from svcnet.sources import load
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.applying import Namespace, namespace, tool, write_host
from tests.test_conformance import CASES, SECOND, case_id, compile_case, family_of_file

pytestmark = pytest.mark.kernel

VARIANTS = ("nft", "legacy")
FAMILIES = ("IPv4", "IPv6")
CASE = "dual-lb-everything"
FOREIGN = """*filter
:DOCKER - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER
-A DOCKER -j RETURN
COMMIT
*nat
:KUBE-SVC-FOO - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j RETURN
-A KUBE-SVC-FOO -j RETURN
COMMIT
"""


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A copy of a dual-stack case with a configuration and host facts, to change at will."""
    shutil.copytree(CASES / CASE, tmp_path, dirs_exist_ok=True)
    write_host(tmp_path)
    return tmp_path


def apply(
    ns: Namespace, case: Path, variant: str, family: str = "IPv4", *more: str
) -> subprocess.CompletedProcess[str]:
    """Run svcnet apply for a case."""
    return ns.svcnet(
        "apply",
        case / "objects.yaml",
        *("--config", case / "config.yaml"),
        *("--host", case / "host.yaml"),
        *("--variant", variant),
        *("--family", family.lower()),
        *more,
    )


def clean_tables(case: Path, variant: str, family: str = "IPv4") -> object:
    """Return the tables that an apply leaves on a clean machine."""
    with namespace() as fresh:
        done = apply(fresh, case, variant, family)
        assert done.returncode == 0, done.stderr
        return fresh.tables(variant, family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_apply_is_the_text_and_the_jumps(
    ns: Namespace, case: Path, variant: str, family: str
) -> None:
    """An apply on a clean machine leaves what the printed text would; a second writes nothing."""
    done = apply(ns, case, variant, family)
    assert done.returncode == 0, done.stderr
    assert f"iptables-{variant}: all 1 service port written" in done.stderr
    options = ("--config", case / "config.yaml", "--host", case / "host.yaml")
    text = ns.svcnet(
        "render", case / "objects.yaml", *options, "--jumps", "--family", family.lower()
    ).stdout
    with namespace() as other:
        for _ in range(2):
            other.run(f"{tool(variant, family)}-restore", "--noflush", stdin=text)
        assert other.tables(variant, family) == ns.tables(variant, family)
    before = ns.save(variant, family)
    again = apply(ns, case, variant, family)
    assert "nothing to change" in again.stderr
    assert ns.save(variant, family) == before


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("expected", SECOND, ids=case_id)
def test_delta_text_in_the_kernel(ns: Namespace, expected: Path, variant: str) -> None:
    """full(old) and then the delta leaves what full(new) alone leaves."""
    family = family_of_file(expected)
    old = compile_case(expected.parent, family)
    new = compile_case(expected.parent, family, "objects.second.yaml")
    restore = (f"{tool(variant, family)}-restore", "--noflush")
    ns.run(*restore, stdin=full(old).text)
    ns.run(*restore, stdin=delta(diff(old, new)).text)
    with namespace() as fresh:
        fresh.run(*restore, stdin=full(new).text)
        assert ns.tables(variant, family) == fresh.tables(variant, family)


@pytest.mark.parametrize("variant", VARIANTS)
def test_random_histories_by_delta(ns: Namespace, variant: str) -> None:
    """A long chain of random deltas, settings included, ends where a full text would."""
    chance = random.Random(7)
    restore = (f"iptables-{variant}-restore", "--noflush")
    graph = None
    guard: list[str] = []
    for _ in range(12):
        objects: list[ClusterObject] = [make_node()]
        for number in range(6):
            if chance.random() < 0.8:
                objects.append(
                    make_service(
                        f"s{number}",
                        f"10.96.0.{number + 1}",
                        external_ips=chance.choice([(), (f"203.0.113.{number}",)]),
                        session_affinity=chance.choice(["None", "ClientIP"]),
                        internal_traffic_policy=chance.choice(["Cluster", "Local"]),
                    )
                )
            ends = [f"10.244.1.{n}@node-a" for n in range(1, chance.randrange(1, 5))]
            objects.append(make_slice(f"s{number}", *ends))
        config = KubeProxyConfiguration(
            cluster_cidrs=chance.choice([(), ("10.244.0.0/16",)]),
            node_port_addresses=chance.choice([(), ("192.0.2.0/24",), ("127.0.0.0/8",)]),
        )
        state = ClusterState.of(objects)
        new = compile_state(state, node_view(state, config))
        text = full(new).text if graph is None else delta(diff(graph, new)).text
        if text:
            ns.run(*restore, stdin=text)
        graph = new
        with namespace() as fresh:
            fresh.run(*restore, stdin=full(new).text)
            left, wanted = ns.tables(variant), fresh.tables(variant)
        # What keeps neighbours off the loopback stays: the kernel may route packets there.
        if not new.settings.localhost_node_ports:
            assert left["filter"].pop("KUBE-FIREWALL", []) == guard
        assert left == wanted
        guard = wanted["filter"].get("KUBE-FIREWALL", guard)


DAMAGE = {
    "own chain flushed": "-t nat -F KUBE-MARK-MASQ",
    "service chains gone": "-t nat -F",
    "filter table flushed": "-t filter -F",
    "shared rule deleted": "-t nat -D KUBE-SERVICES 1",
    "jump deleted": "-t nat -D PREROUTING 1",
    "jump doubled": '-t nat -I OUTPUT -m comment --comment "kubernetes service portals" '
    "-j KUBE-SERVICES",
    "rule added to a shared chain": "-t nat -I KUBE-SERVICES -j RETURN",
    "rule added behind the last": "-t nat -A KUBE-SERVICES -j RETURN",
    "rule added to a fixed chain": "-t filter -I KUBE-FORWARD -j DROP",
    "rule added to an own chain": "-t nat -I KUBE-SVC-67NZLRHBNDSAWJRO -j RETURN",
    "stale chain": "-t nat -N KUBE-SEP-AAAAAAAAAAAAAAAA",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("variant", VARIANTS)
def test_drift_is_repaired(ns: Namespace, case: Path, variant: str, damage: str) -> None:
    """Whatever somebody did to our rules, the next apply puts right."""
    apply(ns, case, variant)
    wanted = ns.tables(variant)
    command = DAMAGE[damage].replace('"', "")
    words = command.split(" --comment ")
    arguments = words[0].split()
    if len(words) > 1:
        comment, _, rest = words[1].partition(" -j ")
        arguments += ["--comment", comment, "-j", rest]
    ns.run(f"iptables-{variant}", *arguments)
    assert ns.tables(variant) != wanted
    done = apply(ns, case, variant)
    assert done.returncode == 0, done.stderr
    assert ns.tables(variant) == wanted
    assert "nothing to change" in apply(ns, case, variant).stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_deleted_is_repaired(ns: Namespace, case: Path, variant: str) -> None:
    """After a flush of every table and chain, apply starts from nothing."""
    apply(ns, case, variant)
    wanted = ns.tables(variant)
    for table in ("filter", "nat"):
        ns.run(f"iptables-{variant}", "-t", table, "-F")
        ns.run(f"iptables-{variant}", "-t", table, "-X")
    apply(ns, case, variant)
    assert ns.tables(variant) == wanted


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_foreign_rules_and_cleanup(ns: Namespace, case: Path, variant: str, family: str) -> None:
    """Foreign rules live through apply and cleanup, which leaves what was there before.

    But for what keeps neighbours off 127.0.0.1: that goes when nothing leads them there.
    """
    ns.run(f"{tool(variant, family)}-restore", "--noflush", stdin=FOREIGN)
    before = ns.save(variant, family)
    apply(ns, case, variant, family)
    during = ns.save(variant, family)
    for line in before.splitlines():
        assert line in during
    done = ns.svcnet("cleanup")
    assert done.returncode == 0, done.stderr
    left = ns.save(variant, family).splitlines()
    assert [line for line in left if "KUBE-FIREWALL" not in line] == before.splitlines()
    ns.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=0")
    assert ns.svcnet("cleanup").returncode == 0
    assert ns.save(variant, family) == before
    assert ns.svcnet("cleanup").stderr == ""


@pytest.mark.parametrize("variant", VARIANTS)
def test_cleanup_leaves_a_chain_that_others_use(ns: Namespace, case: Path, variant: str) -> None:
    """A foreign rule that leads to one of our chains keeps it from going, and nothing else."""
    apply(ns, case, variant)
    ns.run(f"iptables-{variant}", "-t", "nat", "-A", "PREROUTING", "-j", "KUBE-MARK-MASQ")
    assert ns.svcnet("cleanup").returncode == 0
    tables = ns.tables(variant)
    assert tables["nat"]["PREROUTING"] == ["-j KUBE-MARK-MASQ"]
    assert [chain for chain in tables["nat"] if chain.startswith("KUBE")] == ["KUBE-MARK-MASQ"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_dry_run_writes_nothing(ns: Namespace, case: Path, variant: str) -> None:
    """--dry-run prints text that does the same, and changes nothing."""
    before = ns.save(variant)
    done = apply(ns, case, variant, "IPv4", "--dry-run")
    assert ns.save(variant) == before
    ns.run(f"iptables-{variant}-restore", "--noflush", stdin=done.stdout)
    assert ns.tables(variant) == clean_tables(case, variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_refusal_leaves_what_was_there(ns: Namespace, case: Path, variant: str) -> None:
    """A rule the kernel refuses is named with its Service, and the rules stay as they were."""
    apply(ns, case, variant)
    before = ns.tables(variant)
    code = (
        "import sys, svcnet\nfrom pathlib import Path\nfrom attrs import evolve\n"
        "from svcnet.sources import load_config, load_host\n"
        "from svcnet.executors.iptables import apply\n"
        "case = Path(sys.argv[1])\n"
        "state = svcnet.load([case / 'objects.yaml', case / 'more.yaml']).state\n"
        "graph = svcnet.compile(state, load_config(case / 'config.yaml'), "
        "load_host(case / 'host.yaml'))\n"
        "artifact = svcnet.render(graph)\n"
        "name = max(artifact.blocks)\n"
        "block = artifact.blocks[name]\n"
        "own = block.own.replace('10.244.9.9:8080', '10.244.9.9:no-port')\n"
        "assert own != block.own\n"
        "blocks = {**artifact.blocks, name: evolve(block, own=own)}\n"
        "from svcnet.errors import ApplyError\n"
        "try:\n    apply(evolve(artifact, blocks=blocks), variant=sys.argv[2])\n"
        "except ApplyError as error:\n    print(error)\n    sys.exit(error.exit_code)\n"
    )
    more = (
        "{apiVersion: v1, kind: Service, metadata: {name: zzz, namespace: shop}, spec: "
        "{clusterIP: 10.96.0.99, ports: [{name: http, port: 80}]}}\n---\n"
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: zzz-1, "
        "namespace: shop, labels: {kubernetes.io/service-name: zzz}}, addressType: IPv4, "
        "ports: [{name: http, port: 8080}], endpoints: [{addresses: [10.244.9.9]}]}\n"
    )
    (case / "more.yaml").write_text(more)
    done = ns.attempt(sys.executable, "-c", code, case, variant)
    assert done.returncode == 3, done.stderr
    assert "10.244.9.9:no-port" in done.stdout
    assert "from EndpointSlice shop/zzz-1: endpoints[0].addresses[0]" in done.stdout
    assert "what was there before is still there" in done.stdout
    assert ns.tables(variant) == before


def test_both_variants_are_reported(ns: Namespace, case: Path) -> None:
    """Rules in the other variant are a warning; without a choice the one in use is taken."""
    apply(ns, case, "legacy")
    plain = ns.svcnet("apply", case / "objects.yaml", "--host", case / "host.yaml", "--node", "n")
    assert "iptables-legacy" in plain.stderr or plain.returncode == 2
    done = apply(ns, case, "nft")
    assert "warning: iptables-legacy holds chains" in done.stderr
    assert "iptables-nft: all" in done.stderr


def test_a_table_that_only_nft_prints(ns: Namespace, case: Path) -> None:
    """A rule that iptables-nft-save has no words for hides its table: nothing is guessed."""
    assert apply(ns, case, "nft").returncode == 0
    before = ns.run("nft", "-s", "list", "ruleset")
    ns.run("nft", "add chain ip nat THEIRS; add rule ip nat THEIRS udp dport 5 dnat to 5.6.7.8")
    for done in (apply(ns, case, "nft"), ns.svcnet("cleanup", "--family", "ipv4")):
        assert done.returncode == 3, done.stderr
        assert done.stderr.startswith("iptables-nft-save: does not print table nat, ")
        assert done.stderr.count("\n") == 1
    ns.run("nft", "flush chain ip nat THEIRS; delete chain ip nat THEIRS")
    assert ns.run("nft", "-s", "list", "ruleset") == before
    assert "nothing to change" in apply(ns, case, "nft").stderr


def test_a_table_of_others_that_only_nft_prints(ns: Namespace, case: Path) -> None:
    """Legacy rules are made beside it, and it is told that ours may be there too."""
    ns.run("nft", "add table ip nat; add chain ip nat THEIRS")
    ns.run("nft", "add rule ip nat THEIRS udp dport 5 dnat to 5.6.7.8")
    done = apply(ns, case, "legacy")
    assert done.returncode == 0, done.stderr
    assert "warning: whether iptables-nft holds chains of Kubernetes too cannot" in done.stderr
    assert "nothing to change" in apply(ns, case, "legacy").stderr
    done = ns.svcnet("cleanup", "--family", "ipv4")
    assert done.returncode == 3
    assert "iptables-nft-save: does not print table nat" in done.stderr.splitlines()[-1]
    assert "KUBE-S" not in ns.save("legacy")


def test_lock(ns: Namespace, case: Path) -> None:
    """A lock that another program holds is waited for, and named when it stays."""
    lock = Path(os.environ["XTABLES_LOCKFILE"])
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        started = time.monotonic()
        done = apply(ns, case, "legacy")
        assert time.monotonic() - started > 3
    assert done.returncode == 3
    assert "lock" in done.stderr
    assert apply(ns, case, "legacy").returncode == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_any_moment(ns: Namespace, tmp_path: Path, variant: str) -> None:
    """However often and whenever an apply is killed, the next one puts everything right."""
    chance = random.Random(3)
    host = write_host(tmp_path)
    states = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for number, path in enumerate(states):
        path.write_text(many_services(number))
    for attempt in range(8):
        command = [sys.executable, "-m", "svcnet", "apply", str(states[attempt % 2])]
        command += ["--host", str(host), "--variant", variant]
        process = subprocess.Popen(
            ["ip", "netns", "exec", ns.name, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.25 + chance.random() * 0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # What the killed process had started may still be at work.
        time.sleep(0.3)
    done = ns.svcnet("apply", states[0], "--host", host, "--variant", variant)
    assert done.returncode == 0, done.stderr
    with namespace() as fresh:
        fresh.svcnet("apply", states[0], "--host", host, "--variant", variant)
        assert ns.tables(variant) == fresh.tables(variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_between_any_two_steps(tmp_path: Path, variant: str) -> None:
    """An apply that got no further than any one of its transactions is finished by the next."""
    host = write_host(tmp_path)
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for number, path in enumerate(paths):
        path.write_text(many_services(number))
    artifacts = [full(compile_state(s, node_view(s))) for s in (load([p]).state for p in paths)]
    with namespace() as fresh:
        fresh.svcnet("apply", paths[1], "--host", host, "--variant", variant)
        wanted = fresh.tables(variant)
    steps = list(artifacts[0].transactions(1100))
    for count in range(1, len(steps) + 1):
        with namespace() as half:
            for text in steps[:count]:
                half.run(f"iptables-{variant}-restore", "--noflush", stdin=text)
            done = half.svcnet("apply", paths[1], "--host", host, "--variant", variant)
            assert done.returncode == 0, done.stderr
            assert half.tables(variant) == wanted


def many_services(offset: int) -> str:
    """Return 250 Services whose endpoints depend on `offset`, as JSON text in YAML."""
    node = (
        "{apiVersion: v1, kind: Node, metadata: {name: node-a}, "
        "status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}}"
    )
    documents = [node]
    for number in range(250):
        documents.append(
            f"{{apiVersion: v1, kind: Service, metadata: {{name: s{number}}}, "
            f"spec: {{clusterIP: 10.96.1.{number}, ports: [{{port: 80}}]}}}}"
        )
        documents.append(
            f"{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: "
            f"s{number}-1, labels: {{kubernetes.io/service-name: s{number}}}}}, "
            f"addressType: IPv4, ports: [{{port: 8080}}], endpoints: "
            f"[{{addresses: [10.244.{offset}.{number}]}}, {{addresses: [10.245.0.{number}]}}]}}"
        )
    return "\n---\n".join(documents)


def test_probe_is_what_host_reads(ns: Namespace, tmp_path: Path) -> None:
    """What svcnet probe prints is read back by --host, with the namespace's addresses."""
    ns.run("ip", "link", "set", "lo", "up")
    ns.run("ip", "addr", "add", "192.0.2.10/24", "dev", "lo")
    facts = tmp_path / "host.yaml"
    facts.write_text(ns.run(sys.executable, "-m", "svcnet", "probe"))
    assert facts.read_text().splitlines()[:3] == ["addresses:", '- "127.0.0.1"', '- "192.0.2.10"']
    case = CASES / "clusterip-basic"
    rendered = ns.svcnet("render", case / "objects.yaml", "--host", facts)
    # The case is of a host that does not count, which this one may do.
    counter = " -m nfacct --nfacct-name ct_state_invalid_dropped_pkts"
    assert rendered.stdout.replace(counter, "") == (case / "iptables.ipv4.txt").read_text()
    assert (counter in rendered.stdout) == ("nfacct: true" in facts.read_text())


def test_localhost_node_ports_need_a_sysctl(ns: Namespace, case: Path) -> None:
    """Where node ports answer on 127.0.0.1, apply turns route_localnet on, after the rules."""
    sysctl = "/proc/sys/net/ipv4/conf/all/route_localnet"
    assert ns.run("cat", sysctl).strip() == "0"
    apply(ns, case, "nft", "IPv4", "--dry-run")
    assert ns.run("cat", sysctl).strip() == "0"
    apply(ns, case, "nft")
    assert ns.run("cat", sysctl).strip() == "1"


def test_family_both(ns: Namespace, case: Path) -> None:
    """--family both applies each family with its own commands."""
    done = apply(ns, case, "nft", "both")
    assert done.stderr.count("all 1 service port written") == 2
    assert load([case / "objects.yaml"]).state.services
    assert "KUBE-SVC-67NZLRHBNDSAWJRO" in ns.save("nft", "IPv6")


def test_without_privilege(case: Path) -> None:
    """Without root the error says so, in one line and with exit code 3."""
    command = ["unshare", "-n", "setpriv", "--reuid", "65534", "--bounding-set", "-all", "--"]
    command += [
        sys.executable,
        "-m",
        "svcnet",
        "apply",
        "-",
        "--node",
        "node-a",
        "--variant",
        "nft",
    ]
    done = subprocess.run(
        command,
        input=(case / "objects.yaml").read_text(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "root" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_mode_takes_over(ns: Namespace, case: Path) -> None:
    """What the mode before left goes once the new one serves, and is told; foreign rules stay."""
    ns.run("iptables-nft-restore", "--noflush", stdin=FOREIGN)

    def applied(mode: str, *options: str) -> tuple[list[str], set[str]]:
        done = ns.svcnet(
            "apply", case / "objects.yaml", "--mode", mode, "--family", "ipv4", *options
        )
        assert done.returncode == 0, done.stderr
        there = {
            name
            for name, listing in (
                ("nft", ns.run("iptables-nft-save")),
                ("legacy", ns.run("iptables-legacy-save")),
                ("nftables", ns.run("nft", "list", "ruleset")),
            )
            if f"{'chain service-' if name == 'nftables' else ':KUBE-EXT-'}" in listing
        }
        return [
            line for line in done.stderr.splitlines() if "what another mode left" in line
        ], there

    assert applied("iptables", "--variant", "nft") == ([], {"nft"})
    told, there = applied("nftables")
    assert told
    assert there == {"nftables"}
    assert applied("nftables") == ([], {"nftables"})
    told, there = applied("iptables", "--variant", "legacy")
    assert told[-1] == "IPv4, what another mode left: nftables: table ip kube-proxy removed"
    assert there == {"legacy"}
    assert "-A KUBE-SVC-FOO -j RETURN" in ns.run("iptables-nft-save")
