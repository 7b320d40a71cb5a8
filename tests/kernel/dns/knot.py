"""Knot DNS, a real authoritative server, on loopback of a test's network namespace."""

from __future__ import annotations

import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from svcnet.executors.dns.push import PrimaryServer
from svcnet.executors.dns.tsig import read_key

PORT = 5354
SECRET = b64encode(b"a secret of thirty-two characters").decode()
CONFIG = """\
server:
  rundir: {folder}
  listen: 127.0.0.1@{port}
  udp-workers: 1
database:
  storage: {folder}/db
log:
  - target: stderr
    any: warning
key:
  - id: svcnet
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: svcnet
    key: svcnet
    action: [transfer, update]
zone:
"""
ZONE = """\
  - domain: {origin}
    storage: {folder}
    file: {file}
    acl: svcnet
"""


@contextmanager
def knot(folder: Path, zones: Sequence[tuple[str, str]]) -> Iterator[PrimaryServer]:
    """Run Knot with zones, pairs of an origin and a zone file's text; yield where it is."""
    (folder / "db").mkdir()
    config = CONFIG.format(folder=folder, port=PORT, secret=SECRET)
    for number, (origin, text) in enumerate(zones):
        (folder / f"{number}.zone").write_text(text)
        config += ZONE.format(origin=origin, folder=folder, file=f"{number}.zone")
    (folder / "knot.conf").write_text(config)
    key = folder / "key"
    key.write_text(f'key "svcnet" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
    process = subprocess.Popen(["knotd", "-c", folder / "knot.conf"])
    try:
        wait(zones[0][0])
        yield PrimaryServer("127.0.0.1", PORT, read_key(key))
    finally:
        process.terminate()
        process.wait(10)


def wait(origin: str) -> None:
    deadline = time.monotonic() + 20
    while not ask(origin, "SOA"):
        assert time.monotonic() < deadline, "Knot does not answer"
        time.sleep(0.05)


def ask(name: str, kind: str) -> list[str]:
    """Return the data that kdig prints for a question, sorted."""
    done = subprocess.run(
        ["kdig", "@127.0.0.1", "-p", str(PORT), "+short", "+timeout=2", name, kind],
        capture_output=True,
        text=True,
        check=False,
    )
    return sorted(line for line in done.stdout.splitlines() if not line.startswith(";"))
