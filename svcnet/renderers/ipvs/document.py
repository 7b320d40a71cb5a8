"""Everything of a sync as one JSON document, for programs and golden files."""

from __future__ import annotations

import json
from typing import Any

from svcnet.renderers.ipvs.part import PERSISTENT, SOURCE_HASH, VirtualServer
from svcnet.renderers.ipvs.sets import HASH_SIZE, IPSet
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE, IPVSTables, by_address

_FLAG_NAMES = ((PERSISTENT, "persistent"), (SOURCE_HASH, "sourceHash"))


def document(tables: IPVSTables) -> str:
    """Return the JSON text; lists are ordered by address or name, whatever came first."""
    servers = sorted(tables.servers.values(), key=lambda server: by_address(server.key))
    checks = sorted(tables.health_checks, key=lambda check: (check.service, check.port))
    value = {
        "family": tables.family,
        "virtualServers": [_server(server) for server in servers],
        "ipsets": [_set(found) for found in sorted(tables.sets.values(), key=lambda s: s.name)],
        "dummyDevice": DUMMY_DEVICE,
        "dummyAddresses": list(tables.addresses),
        "sysctls": dict(tables.sysctls),
        "healthChecks": [
            {
                "service": check.service,
                "port": check.port,
                "localEndpoints": len(check.local_endpoints),
            }
            for check in checks
        ],
        "iptables": tables.restore_text.splitlines(),
    }
    return json.dumps(value, indent=1) + "\n"


def _server(server: VirtualServer) -> dict[str, Any]:
    real_servers = sorted(server.real_servers, key=by_address)
    return {
        **server.key._asdict(),
        "scheduler": server.scheduler,
        "flags": server.flags,
        "flagNames": [name for flag, name in _FLAG_NAMES if server.flags & flag],
        "persistenceTimeout": server.timeout,
        "realServers": [real._asdict() for real in real_servers],
    }


def _set(found: IPSet) -> dict[str, Any]:
    bounds: dict[str, Any] = {"hashSize": HASH_SIZE, "maxElem": found.max_elements}
    if found.definition.type == "bitmap:port":
        bounds = {"portRange": "0-65535"}
    return {
        "name": found.name,
        "type": found.definition.type,
        "family": "inet6" if found.family == "IPv6" else "inet",
        **bounds,
        "comment": found.definition.comment,
        "entries": list(found.entries),
    }
