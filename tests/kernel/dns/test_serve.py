"""``svcnet dns serve`` with real clients, in a network namespace of its own."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import pytest

from tests.kernel.dns.knot import PORT as KNOT_PORT
from tests.kernel.dns.knot import knot
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00::10"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 5432}]
endpoints:
  - {addresses: [10.244.1.5], hostname: db-0}
  - {addresses: [10.244.1.6], hostname: db-1}
---
apiVersion: v1
kind: Service
metadata: {name: out, namespace: shop}
spec: {type: ExternalName, externalName: www.example.org}
"""
UPSTREAM_ZONE = """\
$ORIGIN example.org.
@ 60 SOA ns hostmaster 1 7200 1800 86400 5
@ 60 NS ns
ns 60 A 127.0.0.1
www 60 A 192.0.2.80
many 60 TXT "{}"
"""
NAME = "web.shop.svc.cluster.local."


class Served(Told):
    """A server that runs: its manifest and its port, and what it told."""

    seconds = 20

    def __init__(self, manifest: Path, *options: str) -> None:
        super().__init__("dns", "serve", manifest, *options)
        self.manifest = manifest
        self.wait("listening on")
        listening = [line for line in self.lines if line.startswith("listening on")]
        self.port = int(listening[-1].rpartition(":")[2])

    def kdig(self, *arguments: str) -> list[str]:
        command = ["kdig", "@127.0.0.1", "-p", str(self.port), "+short", "+timeout=3", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return sorted(done.stdout.splitlines())


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    manifest = folder / "cluster.yaml"
    if not manifest.exists():
        manifest.write_text(MANIFEST)
    served = Served(manifest, *options)
    try:
        yield served
    finally:
        served.end()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with own_namespace(), serving(tmp_path, "--listen", "127.0.0.1:0") as served:
        yield served


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_a_client_gets_every_kind_of_record(served: Served, transport: str) -> None:
    """kdig is answered by UDP and TCP."""
    assert served.kdig(transport, NAME, "A") == ["10.96.0.10"]
    assert served.kdig(transport, NAME, "AAAA") == ["fd00::10"]
    assert served.kdig(transport, f"_http._tcp.{NAME}", "SRV") == [f"0 50 80 {NAME}"]
    assert served.kdig(transport, "db.shop.svc.cluster.local", "A") == ["10.244.1.5", "10.244.1.6"]
    assert served.kdig(transport, "-x", "10.244.1.6") == ["db-1.db.shop.svc.cluster.local."]
    assert served.kdig(transport, "-x", "fd00::10") == [NAME]
    assert served.kdig(transport, "out.shop.svc.cluster.local", "CNAME") == ["www.example.org."]
    assert served.kdig(transport, "dns-version.cluster.local", "TXT") == ['"1.1.0"']


def test_the_c_library_resolves_short_names(tmp_path: Path) -> None:
    """The C library's resolver finds a Service by the search path of a Pod."""
    (tmp_path / "resolv.conf").write_text(
        "nameserver 127.0.0.1\n"
        "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
        "options ndots:5\n"
    )
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    with own_namespace(), serving(tmp_path, "--listen", "127.0.0.1:53"):
        for name, expected in (
            ("web", {"10.96.0.10", "fd00::10"}),
            ("web.shop", {"10.96.0.10", "fd00::10"}),
            ("db-0.db", {"10.244.1.5"}),
            ("db", {"10.244.1.5", "10.244.1.6"}),
            ("no-such-service", set()),
        ):
            script = (
                'for file in resolv.conf nsswitch.conf; do touch "/etc/$file"; '
                'mount --bind "$1/$file" "/etc/$file"; done; getent ahosts "$2"'
            )
            done = subprocess.run(
                ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), name],
                capture_output=True,
                text=True,
                check=False,
            )
            assert {line.split()[0] for line in done.stdout.splitlines()} == expected, name


def test_a_change_is_followed_and_no_question_is_lost(served: Served) -> None:
    """While the manifest changes, each question has an answer, the old one or the new one."""
    answers: list[str] = []
    going = threading.Event()

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", served.port))
            client.settimeout(3)
            while not going.is_set():
                client.send(dns.message.make_query(NAME, "A").to_wire())
                answers.append(str(dns.message.from_wire(client.recv(4096)).answer[0][0]))

    client = threading.Thread(target=ask)
    client.start()
    expected = ["10.96.0.10"]
    for round in range(1, 6):
        address = f"10.96.0.{100 + round}"
        expected.append(address)
        new = served.manifest.with_suffix(".new")
        new.write_text(MANIFEST.replace("10.96.0.10", address))
        new.rename(served.manifest)
        served.wait("was read again", round)
        asked_for_more(answers, 201)
        assert answers[-1] == address
    going.set()
    client.join()
    assert list(dict.fromkeys(answers)) == expected
    assert len(answers) > 1000


def asked_for_more(answers: list[str], count: int) -> None:
    """Wait until `count` more answers have come, however long a busy machine needs for one."""
    enough, deadline = len(answers) + count, time.monotonic() + 60
    while len(answers) < enough:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_wrong_change_is_told_and_changes_nothing(served: Served) -> None:
    """A manifest that is half written keeps the answers, and is told of with its line."""
    served.manifest.write_text(MANIFEST.replace("10.96.0.10", "10.96.0.x"))
    served.wait("the answers stay as they were")
    assert any(re.search(r"cluster\.yaml:\d+: error: ", line) for line in served.lines)
    assert served.kdig(NAME, "A") == ["10.96.0.10"]
    served.manifest.write_text(MANIFEST.replace("10.96.0.10", "10.96.0.12"))
    served.wait("was read again")
    assert served.kdig(NAME, "A") == ["10.96.0.12"]


def test_the_serial_grows_with_each_change(served: Served) -> None:
    """Whoever copies a zone sees by the SOA record that it changed."""
    before = int(served.kdig("cluster.local", "SOA")[0].split()[2])
    served.process.send_signal(signal.SIGHUP)
    served.wait("was read again")
    assert int(served.kdig("cluster.local", "SOA")[0].split()[2]) > before


def test_a_connection_has_many_questions(served: Served) -> None:
    """Questions that are sent at once on one connection are all answered, in their order."""
    asked = [dns.message.make_query(NAME, "A") for _ in range(50)]
    with socket.create_connection(("127.0.0.1", served.port), 3) as client:
        wires = [query.to_wire() for query in asked]
        client.sendall(b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires))
        stream = client.makefile("rb")
        for query in asked:
            wire = stream.read(int.from_bytes(stream.read(2), "big"))
            assert dns.message.from_wire(wire).id == query.id


def test_what_is_no_message_harms_nobody(served: Served) -> None:
    """After rubbish by UDP and TCP, and connections that say nothing, others are answered."""
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for wire in (b"", b"x", bytes(512), b"\xff" * 1400):
            client.sendto(wire, ("127.0.0.1", served.port))
    with socket.create_connection(("127.0.0.1", served.port), 3) as client:
        client.sendall(b"\0\1x")
        assert client.recv(10) == b""
    assert served.kdig("+tcp", NAME, "A") == ["10.96.0.10"]
    for one in silent:
        one.close()


def test_descriptors_run_out(served: Served) -> None:
    """Without descriptors for more connections datagrams are answered, and later all is well."""
    used = len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
        assert served.kdig("+notcp", NAME, "A") == ["10.96.0.10"]
        before = cpu(served.process.pid)
        time.sleep(1)
        assert cpu(served.process.pid) - before < 0.5
    assert served.kdig("+tcp", "+retry=5", NAME, "A") == ["10.96.0.10"]


def cpu(pid: int) -> float:
    """Return the seconds of a processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_every_address_answers_for_itself(tmp_path: Path) -> None:
    """A server that listens on all addresses answers from the one that was asked."""
    options = ("--listen", "0.0.0.0:5353", "--listen", "[::]:5353")
    with own_namespace(), serving(tmp_path, *options):
        subprocess.run(["ip", "address", "add", "fd00::53/128", "dev", "lo"], check=True)
        subprocess.run(["ip", "address", "add", "192.0.2.53/32", "dev", "lo"], check=True)
        for address in ("127.0.0.3", "192.0.2.53", "::1", "fd00::53"):
            query = dns.message.make_query(NAME, "A")
            found = dns.query.udp(query, address, timeout=3, port=5353)
            assert str(found.answer[0][0]) == "10.96.0.10"


def test_other_names_are_another_servers(tmp_path: Path) -> None:
    """With --forward, names outside and aliases that lead there are answered in full."""
    long = '" "'.join(["x" * 200] * 10)
    with ExitStack() as stack:
        stack.enter_context(own_namespace())
        (tmp_path / "knot").mkdir()
        zone = UPSTREAM_ZONE.format(long)
        stack.enter_context(knot(tmp_path / "knot", [("example.org.", zone)]))
        upstream = ("--listen", "127.0.0.1:0", "--forward", f"127.0.0.1:{KNOT_PORT}")
        served = stack.enter_context(serving(tmp_path, *upstream))
        assert served.kdig("www.example.org", "A") == ["192.0.2.80"]
        assert served.kdig("+tcp", "www.example.org", "A") == ["192.0.2.80"]
        assert served.kdig("out.shop.svc.cluster.local", "A") == ["192.0.2.80", "www.example.org."]
        assert len(served.kdig("many.example.org", "TXT")[-1]) > 2000
        served.manifest.write_text(MANIFEST.replace("www.example.org", "no.example.org"))
        served.wait("was read again")
        assert served.kdig("out.shop.svc.cluster.local", "A") == ["no.example.org."]
        query = dns.message.make_query("no.example.org.", "A")
        found = dns.query.udp(query, "127.0.0.1", timeout=3, port=served.port)
        assert found.rcode() == dns.rcode.NXDOMAIN


def test_another_server_that_is_away(tmp_path: Path) -> None:
    """Without its answer the client is told SERVFAIL, and an alias has no address."""
    options = ("--listen", "127.0.0.1:0", "--forward", "127.0.0.1:9")
    with own_namespace(), serving(tmp_path, *options) as served:
        for name, rcode in (
            ("www.example.org.", "SERVFAIL"),
            ("out.shop.svc.cluster.local.", "NOERROR"),
        ):
            query = dns.message.make_query(name, "A")
            found = dns.query.udp(query, "127.0.0.1", timeout=8, port=served.port)
            assert dns.rcode.to_text(found.rcode()) == rcode
            assert not found.answer
            assert bool(found.authority) is (rcode == "NOERROR")
        assert served.kdig(NAME, "A") == ["10.96.0.10"]


def test_an_address_in_use_is_an_error_with_words(served: Served) -> None:
    """A second server on one port ends with exit code 3 and says why."""
    command = [sys.executable, "-m", "svcnet", "dns", "serve", str(served.manifest)]
    done = subprocess.run(
        [*command, "--listen", f"127.0.0.1:{served.port}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    reason = "cannot be listened on: Address already in use"
    assert done.stderr.splitlines()[-1] == f"127.0.0.1 port {served.port}: {reason} [S905 machine]"
