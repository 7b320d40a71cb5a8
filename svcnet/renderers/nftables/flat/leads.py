"""Where the frontends of one service port lead: to which bucket, and with which endpoints."""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from svcnet.graph import Dispatch, Fragment
from svcnet.renderers.nftables.flat.buckets import Bucket
from svcnet.renderers.nftables.flat.endpoints import EndpointRow, endpoint_map


class Lead(NamedTuple):
    """Where a frontend leads: a bucket, and the elements that this finds there."""

    bucket: Bucket
    rows: tuple[EndpointRow, ...]


class Leads:
    """The leads of one service port."""

    __slots__ = ("_cluster", "_fragment", "_local", "_protocol")

    def __init__(self, fragment: Fragment) -> None:
        self._fragment = fragment
        self._protocol = intern(fragment.name.protocol.lower())
        self._cluster = fragment.endpoints(fragment.cluster)
        self._local = fragment.endpoints(fragment.local)

    def of(self, dispatch: Dispatch) -> Lead | None:
        """Return where a frontend leads, None if nothing is behind it."""
        protocol, external = self._protocol, self._fragment.external
        is_node_port = dispatch.frontend == "node-port"
        cluster, local = self._cluster, self._local
        match dispatch.target:
            case "cluster":
                bucket, local = Bucket("cluster", protocol, is_node_port, len(cluster)), ()
            case "local":
                bucket, cluster = Bucket("local", protocol, is_node_port, len(local)), ()
            case "external" | "firewall" if external is not None and external.keep_source:
                local = local if external.target == "local" else ()
                counts = len(cluster), len(local)
                bucket = Bucket("external-local", protocol, is_node_port, *counts)
            case "external" | "firewall":
                bucket, local = Bucket("external", protocol, is_node_port, len(cluster)), ()
            case _:
                return None
        key = str(dispatch.port) if is_node_port else f"{dispatch.address} . {dispatch.port}"
        rows = []
        for is_local, endpoints in ((False, cluster), (True, local)):
            if endpoints:
                where = endpoint_map(protocol, is_node_port=is_node_port, is_local=is_local)
                rows.append(EndpointRow(where, key, endpoints))
        return Lead(bucket, tuple(rows))
