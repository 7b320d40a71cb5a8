"""``svcnet run`` with its rules, in a network namespace of its own: real clients, real signals."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnet.cli import main
from svcnet.executors.iptables.commands import VARIANTS
from svcnet.executors.userspace import remove
from svcnet.family import IP_FAMILIES
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.reconciler.test_keep import until
from tests.kernel.told import Told
from tests.servers.userspace.backends import DatagramServer, Server, greet, received

pytestmark = pytest.mark.kernel

NODE = {"IPv4": "10.0.0.2", "IPv6": "fd00::2"}
CLUSTER_IP = {"IPv4": "10.96.0.10", "IPv6": "fd00:96::10"}
OTHER_IP = {"IPv4": "10.96.0.11", "IPv6": "fd00:96::11"}
NODE_MANIFEST = """\
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: 10.0.0.2}, {type: InternalIP, address: "fd00::2"}]}
"""
SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  clusterIP: "{ips[IPv4]}"
  clusterIPs: ["{ips[IPv4]}", "{ips[IPv6]}"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  ports: [{{name: main, port: 80, protocol: {protocol}}}]
"""
SLICE = """\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-{number}, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: {family}
ports: [{{name: main, port: {port}, protocol: {protocol}}}]
endpoints: [{{addresses: ["{address}"]}}]
"""
UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")


def service(
    *servers: Server | DatagramServer,
    name: str = "web",
    ips: dict[str, str] = CLUSTER_IP,
    protocol: str = "TCP",
) -> str:
    """Return the manifests of a Service whose endpoints are servers on the node's addresses."""
    slices = [
        SLICE.format(
            name=name,
            number=number,
            family=server.family,
            port=server.backend.port,
            protocol=protocol,
            address=NODE[server.family],
        )
        for number, server in enumerate(servers)
    ]
    return SERVICE.format(name=name, ips=ips, protocol=protocol) + "".join(slices)


@pytest.fixture(autouse=True)
def node() -> Iterator[None]:
    """A namespace that is a node: two addresses, and routes for everything else."""
    with own_namespace():
        for address, nodad in (("10.0.0.2/32", ()), ("fd00::2/128", ("nodad",))):
            run("ip", "address", "add", address, "dev", "lo", *nodad)
        run("ip", "route", "add", "default", "dev", "lo", "src", "10.0.0.2")
        run("ip", "-6", "route", "add", "default", "dev", "lo", "src", "fd00::2")
        yield


@pytest.fixture(name="servers")
def three_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Server]]:
    servers = [Server(greet, name, host="") for name in ("a", "b", "c")]
    yield servers
    for server in servers:
        server.close()


CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
iptables: {syncPeriod: 1s, minSyncPeriod: 100ms}
"""


class Running(Told):
    """A running ``svcnet run``; ``listing`` is the line about the first service port."""

    def __init__(self, folder: Path, *options: object, wrap: tuple[str, ...] = ()) -> None:
        config = folder.parent / f"{folder.name}.yaml"
        config.write_text(CONFIG)
        arguments = ("run", "--mode", "userspace", "--config", config, *options, folder)
        super().__init__(*arguments, wrap=wrap, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        heading = self.process.stdout.readline()
        if not heading:
            self.ended()
            raise AssertionError(self.lines)
        self.listing = self.process.stdout.readline()
        self.wait('"event":"synced"')

    def ended(self) -> int:
        assert self.process.stdout is not None
        code = super().ended()
        self.process.stdout.close()
        return code


@pytest.fixture(name="folder")
def manifests(tmp_path: Path, servers: list[Server]) -> Path:
    (tmp_path / "node.yaml").write_text(NODE_MANIFEST)
    (tmp_path / "web.yaml").write_text(service(*servers))
    return tmp_path


def ask(address: str = CLUSTER_IP["IPv4"], port: int = 80) -> str:
    """Return the name of the server that answers."""
    with socket.create_connection((address, port), 5) as sock, sock.makefile("r") as lines:
        return lines.readline().strip()


def rules() -> str:
    return run("iptables-nft-save") + run("ip6tables-nft-save")


def test_services_of_both_families(tmp_path: Path) -> None:
    """Clients reach endpoints by TCP and UDP at cluster IPs of both families, and no rule stays."""
    tcp = [Server(greet, family, family, host="") for family in NODE]
    udp = [DatagramServer(family, family, host="") for family in NODE]
    (tmp_path / "node.yaml").write_text(NODE_MANIFEST)
    text = service(*tcp) + service(*udp, name="dns", ips=OTHER_IP, protocol="UDP")
    (tmp_path / "services.yaml").write_text(text)
    with Running(tmp_path, "--family", "both", "--udp-timeout", "5"):
        for family in NODE:
            assert ask(CLUSTER_IP[family]) == family
            kind = socket.AF_INET6 if family == "IPv6" else socket.AF_INET
            with socket.socket(kind, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.connect((OTHER_IP[family], 80))
                for _ in range(3):
                    sock.send(b"?")
                    assert sock.recv(100) == f"{family} ?".encode()
        check_verified(tmp_path)
    assert "KUBE-" not in rules()
    for server in tcp:
        server.close()
    for other in udp:
        other.close()


def check_verified(folder: Path) -> None:
    """Check that the proxy and its rules are as the objects say, live and by what is printed."""
    said = [f"{family}: every packet ends as it should" for family in NODE]
    live = svcnet("verify", folder, "--family", "both", "--live")
    assert [line.partition(",")[0] for line in live.splitlines()] == said
    printed = {
        "table": svcnet("status", "--proxy-table"),
        "four": run("iptables-nft-save"),
        "six": run("ip6tables-nft-save"),
        "addresses": run("ip", "-j", "addr"),
    }
    files: list[object] = []
    for name, text in printed.items():
        (file := folder.parent / f"{folder.name}.{name}").write_text(text)
        files += ["--rules", file]
    assert svcnet("verify", folder, "--family", "both", *files) == live
    told = svcnet("explain", "--live", "--to", f"{OTHER_IP['IPv4']}:80/udp", "--from", "node")
    assert "shop/dns:main/UDP at port" in told


def svcnet(*words: object) -> str:
    """Return what a command prints that ends with exit code 0."""
    result = CliRunner().invoke(main, [*map(str, words)])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_changes_under_load(folder: Path, servers: list[Server]) -> None:
    """Services come, change and go while clients ask: no request to one that stays fails."""
    a, b, c = servers
    answers: list[str] = []
    over = threading.Event()
    inside = own_namespace_file()

    def load() -> None:
        with inside():
            while not over.is_set():
                answers.append(ask())

    with Running(folder, "--drain", "5"):
        clients = [threading.Thread(target=load) for _ in range(3)]
        for thread in clients:
            thread.start()
        other = folder / "other.yaml"
        for text in (service(a), service(b, c), service(c), service(a, b)):
            (folder / "web.yaml").write_text(text)
            other.write_text(service(c, name="other", ips=OTHER_IP))
            until(lambda: "shop/other" in rules())
            assert ask(OTHER_IP["IPv4"]) == "c"
            other.unlink()
            until(lambda: "shop/other" not in rules())
            until(partial(has_grown, answers, len(answers) + 13))
        over.set()
        for thread in clients:
            thread.join()
    assert len(answers) > 50
    assert set(answers) == {"a", "b", "c"}


def has_grown(answers: list[str], enough: int) -> bool:
    """Say whether `enough` answers have come."""
    return len(answers) >= enough


def own_namespace_file() -> Callable[[], AbstractContextManager[None]]:
    """Return a context for other threads that puts them into this thread's namespace."""
    import ctypes
    import os

    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    @contextmanager
    def inside() -> Iterator[None]:
        assert ctypes.CDLL(None).setns(here, 0x40000000) == 0
        yield

    return inside


def test_the_end_under_load(folder: Path) -> None:
    """Told to end, it serves what is open, refuses what is new, and takes its rules away."""
    ended: list[bytes] = []
    refused: list[int] = []
    inside = own_namespace_file()

    def load() -> None:
        with inside(), suppress(ConnectionRefusedError):
            while True:
                assert ask() in "abc"
        refused.append(1)

    running = Running(folder, "--drain", "10")
    clients = [threading.Thread(target=load) for _ in range(4)]
    for thread in clients:
        thread.start()
    held = [socket.create_connection((CLUSTER_IP["IPv4"], 80), 5) for _ in range(20)]
    for sock in held:
        assert sock.recv(2)
    running.process.send_signal(signal.SIGTERM)
    for thread in clients:
        thread.join(10)
    assert len(refused) == 4
    for sock in held:
        sock.sendall(b"x" * 100_000)
        sock.shutdown(socket.SHUT_WR)
        ended.append(received(sock))
        sock.close()
    assert running.ended() == 0, running.lines
    assert ended == [b"x" * 100_000] * 20
    assert "KUBE-" not in rules()


def test_killed_and_started_again(folder: Path) -> None:
    """After a kill the rules lead to the ports that the next process takes: nothing is written."""
    running = Running(folder)
    held = socket.create_connection((CLUSTER_IP["IPv4"], 80), 5)
    assert held.recv(2)
    before = rules()
    running.process.kill()
    running.ended()
    held.close()
    assert [line for line in rules().splitlines() if line.startswith("-A")] == [
        line for line in before.splitlines() if line.startswith("-A")
    ]
    with pytest.raises(ConnectionRefusedError):
        ask()
    with Running(folder) as again:
        assert again.listing == running.listing
        assert ask() in "abc"
        again.wait("nothing to change")


def test_a_second_process_is_refused(folder: Path) -> None:
    """Two proxies of a node would fight for its rules: the second does not start."""
    with Running(folder):
        done = subprocess.run(
            [sys.executable, "-m", "svcnet", "run", "--mode", "userspace", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3
        assert "another svcnet run keeps IPv4" in done.stderr
        assert ask() in "abc"


def test_without_privilege_it_listens_on_loopback(folder: Path) -> None:
    """Without any capability --no-redirect serves; without that option it says what it takes."""
    with Running(folder, "--no-redirect", wrap=UNPRIVILEGED) as running:
        address, port = running.listing.split()[2].split(":")
        assert address == "127.0.0.1"
        assert sorted(ask(address, int(port)) for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]
        assert "KUBE-" not in rules()
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "svcnet", "run", "--mode", "userspace", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_workers_serve_one_service(folder: Path) -> None:
    """Two processes share the connections, and are counted as one."""
    stats = folder.parent / "stats.sock"
    with Running(folder, "--workers", "2", "--stats", str(stats)) as running:
        assert {ask() for _ in range(40)} == {"a", "b", "c"}
        assert counted(stats) == 40
        running.process.send_signal(signal.SIGHUP)
        running.wait("the input was read again")
        assert ask() in "abc"
    assert not stats.exists()


def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    """Connections that would be waited for are reset, in every process, and the rules go."""
    running = Running(folder, "--workers", "2", "--drain", "60")
    held = [socket.create_connection((CLUSTER_IP["IPv4"], 80), 5) for _ in range(10)]
    running.process.send_signal(signal.SIGTERM)
    running.wait("ending")
    running.end()
    for sock in held:
        with sock, suppress(ConnectionResetError):
            received(sock)
    assert "KUBE-" not in rules()


def test_a_lost_rule_is_put_back_with_the_next_change(folder: Path, servers: list[Server]) -> None:
    """When rules were flushed, the next change writes them anew, or the next look does."""
    with Running(folder):
        run("iptables-nft", "-t", "nat", "-F")
        (folder / "web.yaml").write_text(
            service(servers[0]) + service(servers[1], name="other", ips=OTHER_IP)
        )
        until(lambda: "shop/other" in rules() and "KUBE-PORTALS-HOST" in outgoing())
        until(lambda: ask() == "a")
        assert ask(OTHER_IP["IPv4"]) == "b"


def outgoing() -> str:
    return run("iptables-nft", "-t", "nat", "-S", "OUTPUT")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("table", ["nat", "filter"])
def test_flushed_rules_come_back(folder: Path, variant: str, table: str) -> None:
    """What another program flushed is there again after the next look, and is told of."""
    command = f"iptables-{variant}"
    with Running(folder, "--variant", variant) as running:
        held = socket.create_connection((CLUSTER_IP["IPv4"], 80), 5)
        assert held.recv(2)
        before = own_rules(variant)
        time.sleep(2.5)
        assert not any("somebody else" in line for line in running.lines)
        run(command, "-t", table, "-F")
        running.wait("somebody else changed the rules")
        until(lambda: own_rules(variant) == before)
        told = next(line for line in running.lines if "somebody else" in line)
        assert json.loads(told)["differed"]["jumps"] == (2 if table == "nat" else 1)
        assert ask() in "abc"
        held.sendall(b"still there")
        assert held.recv(20) == b"still there"
        held.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_damage_is_repaired(folder: Path, variant: str) -> None:
    """A look puts right what somebody did to any rule, and counts it; foreign rules stay."""
    tool = f"iptables-{variant}"
    with Running(folder, "--variant", variant) as running:
        until(lambda: ask() in "abc")
        before = own_rules(variant)
        run(tool, "-A", "FORWARD", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
        prerouting = run(tool, "-t", "nat", "-S", "PREROUTING").splitlines()
        jump = next(rule for rule in prerouting if "KUBE" in rule).replace("-A", "-D", 1)
        commands = [
            "-t nat -F KUBE-PORTALS-HOST",
            "-t nat -D KUBE-PORTALS-CONTAINER 1",
            f"-t nat {jump}",
            "-t nat -A KUBE-PORTALS-HOST -p tcp --dport 99 -j RETURN",
            "-F INPUT",
        ]
        for count, command in enumerate(commands, 1):
            run(tool, *shlex.split(command))
            running.wait("somebody else changed the rules", count)
            until(lambda: own_rules(variant) == before)
        assert '"services":["shop/web"]' in running.first("somebody else")
        assert "--dport 22" in run(tool, "-S", "FORWARD")


def own_rules(variant: str) -> list[str]:
    saved = run(f"iptables-{variant}-save").splitlines()
    return [line for line in saved if "KUBE-" in line and not line.startswith(":")]


def test_a_wrong_file_changes_nothing(folder: Path, servers: list[Server]) -> None:
    """A broken manifest is told of with its line, and what was served before is served."""
    with Running(folder) as running:
        web = folder / "web.yaml"
        web.write_text(service(servers[0]).replace("10.96.0.10", "x"))
        running.wait("the state before goes on being served")
        assert any(f"{web}:" in line for line in running.lines)
        assert {ask() for _ in range(6)} == {"a", "b", "c"}
        web.write_text(service(servers[0]))
        running.wait("1 service port changed")
        assert {ask() for _ in range(3)} == {"a"}


def test_a_kill_of_a_mode_and_the_start_of_another(folder: Path) -> None:
    """What a killed proxy left goes once rules serve, and the other way round."""
    running = Running(folder)
    running.process.kill()
    running.ended()
    with pytest.raises(ConnectionRefusedError):
        ask()
    with Told("run", "--mode", "iptables", folder) as rules_only:
        rules_only.wait("what another mode left was removed", len(NODE))
        assert "KUBE-PORTALS" not in rules()
        assert ask() in "abc"
    assert "KUBE-SVC" in rules()
    with Running(folder) as running:
        running.wait("what another mode left was removed", len(NODE))
        assert "KUBE-SVC" not in rules()
        assert ask() in "abc"


def test_the_proxy_protocol_tells_the_address_that_was_asked(tmp_path: Path) -> None:
    """Through a redirection the header has the client's address and the Service's."""

    def give_back(connection: socket.socket, _name: str) -> None:
        connection.sendall(connection.recv(100))

    servers = [Server(give_back, family=family, host="") for family in NODE]
    (tmp_path / "node.yaml").write_text(NODE_MANIFEST)
    annotated = service(*servers).replace(
        "namespace: shop}", 'namespace: shop, annotations: {svcnet.io/proxy-protocol: "v2"}}', 1
    )
    (tmp_path / "web.yaml").write_text(annotated)
    with Running(tmp_path, "--family", "both"):
        for family, width in (("IPv4", 4), ("IPv6", 16)):
            with socket.create_connection((CLUSTER_IP[family], 80), 5) as sock:
                header = received(sock)
                assert header[16:][:width] == socket.inet_pton(sock.family, NODE[family])
                assert header[16 + width :][:width] == socket.inet_pton(
                    sock.family, CLUSTER_IP[family]
                )
                own = sock.getsockname()[1]
                assert header[16 + 2 * width :] == own.to_bytes(2, "big") + (80).to_bytes(2, "big")
    for server in servers:
        server.close()


def counted(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        value = json.loads(received(sock))
    return sum(b["connections"] for s in value["services"] for b in s["backends"])


@pytest.fixture(autouse=True)
def clean(node: None) -> Iterator[None]:
    yield
    for family in IP_FAMILIES:
        remove(family)
