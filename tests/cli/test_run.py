"""``svcnet run`` without privilege: ports of loopback, signals, and what it tells."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnet.cli import main
from tests.executors.userspace.backends import Server, greet

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  clusterIP: 10.96.0.10
  ports: [{{name: http, port: 80, protocol: {protocol}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}, protocol: {protocol}}}]
endpoints: [{{addresses: [{address}]}}]
"""
ADDRESS = "127.0.0.1"
PATIENCE = 10


def manifest(port: int, name: str = "web", protocol: str = "TCP") -> str:
    return MANIFEST.format(name=name, port=port, address="10.0.0.1", protocol=protocol)


@pytest.fixture(name="servers")
def two_servers() -> Iterator[list[Server]]:
    servers = [Server(greet, name) for name in ("a", "b")]
    yield servers
    for server in servers:
        server.close()
