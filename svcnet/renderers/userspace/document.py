"""The proxy table as one JSON document, for programs and golden files."""

from __future__ import annotations

import json
from typing import Any

from svcnet.graph import FragmentName
from svcnet.renderers.userspace.table import (
    Listener,
    ListenerName,
    ProxiedPort,
    ProxyTable,
    UnsupportedPort,
)

VERSION = 1
"""The version of the document. It changes when a field goes, or changes its meaning."""


def document(table: ProxyTable) -> str:
    """Return the JSON text; service ports come in the order of their names."""
    value = {
        "version": VERSION,
        "family": table.family,
        "node": {"name": table.settings.node_name, "address": table.settings.node_ip},
        "servicePorts": [_service_port(service, table) for service in table],
        "unsupported": [_describe_refusal(port) for port in table.unsupported],
    }
    return json.dumps(value, indent=1) + "\n"


def _service_port(service: ProxiedPort, table: ProxyTable) -> dict[str, Any]:
    return {
        **_name(service.name),
        "internalTrafficPolicy": "Local" if service.internal_local else "Cluster",
        "externalTrafficPolicy": "Local" if service.external_local else "Cluster",
        "affinityTimeout": service.affinity,
        "proxyProtocol": "v2" if service.proxy_protocol else None,
        "healthCheckNodePort": service.health_check,
        "portals": [
            {
                "frontend": portal.frontend,
                "address": portal.address,
                "port": portal.port,
                "listener": portal.role,
                "nearListener": portal.near,
            }
            for portal in service.portals
        ],
        "listeners": [
            _listener(listener, table.ports[ListenerName(service.name, listener.role)])
            for listener in service.listeners
        ],
    }


def _listener(listener: Listener, port: int) -> dict[str, Any]:
    return {
        "role": listener.role,
        "port": port,
        "answer": listener.answer,
        "backends": [backend._asdict() for backend in listener.backends],
        "sources": list(listener.sources),
    }


def _describe_refusal(port: UnsupportedPort) -> dict[str, str]:
    return {**_name(port.name), "field": port.field, "reason": port.reason}


def _name(name: FragmentName) -> dict[str, str]:
    return {
        "namespace": name.namespace,
        "name": name.name,
        "portName": name.port_name,
        "protocol": name.protocol,
    }
