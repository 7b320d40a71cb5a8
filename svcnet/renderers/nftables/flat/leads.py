"""Where the frontends of one service port lead: to which bucket, and with which endpoints."""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from svcnet.graph import Dispatch, Fragment
from svcnet.renderers.nftables.flat.buckets import Bucket
from svcnet.renderers.nftables.flat.endpoints import EndpointRow


class Lead(NamedTuple):
    """Where a frontend leads: a bucket, and the elements that this finds there."""

    bucket: Bucket
    rows: tuple[EndpointRow, ...]


class Leads:
    """The leads of one service port.

    They are made when they are asked for: of all service ports they would be much to keep.
    """

    __slots__ = ("_cluster", "_external", "_local", "_protocol")

    def __init__(self, fragment: Fragment) -> None:
        self._external = fragment.external
        self._protocol = intern(fragment.name.protocol.lower())
        self._cluster = fragment.endpoints(fragment.cluster)
        self._local = fragment.endpoints(fragment.local)

    def bucket(self, dispatch: Dispatch) -> Bucket | None:
        """Return the bucket that a frontend leads to, None if nothing is behind it."""
        protocol, external = self._protocol, self._external
        is_node_port = dispatch.frontend == "node-port"
        cluster, local = len(self._cluster), len(self._local)
        match dispatch.target:
            case "cluster":
                return Bucket("cluster", protocol, is_node_port, cluster)
            case "local":
                return Bucket("local", protocol, is_node_port, local)
            case "external" | "firewall" if external is not None and external.keep_source:
                local = local if external.target == "local" else 0
                return Bucket("external-local", protocol, is_node_port, cluster, local)
            case "external" | "firewall":
                return Bucket("external", protocol, is_node_port, cluster)
            case _:
                return None

    def of(self, dispatch: Dispatch) -> Lead | None:
        """Return where a frontend leads, None if nothing is behind it."""
        bucket = self.bucket(dispatch)
        if bucket is None:
            return None
        key = f"{dispatch.address} . {dispatch.port}" if dispatch.address else str(dispatch.port)
        rows = [
            EndpointRow(each.container, key, self._local if each.is_local else self._cluster)
            for each in bucket.choosers()
        ]
        return Lead(bucket, tuple(rows))
