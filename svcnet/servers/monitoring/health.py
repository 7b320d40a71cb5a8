"""Whether this node's rules are up to date, and the pages that say so.

Source of ``/healthz`` and ``/livez``: pkg/proxy/healthcheck of Kubernetes v1.36. kube-proxy has
no ``/readyz``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

from attrs import define

from svcnet.servers.monitoring.http import NOSNIFF, HTTPResponse, Responder, plain
from svcnet.servers.monitoring.metrics import Metrics

HEALTHZ_BIND_ADDRESS = ("127.0.0.1", 10256)
"""Where the pages are unless told otherwise; the name is that of kube-proxy's configuration."""

TIMEOUT_SECONDS = 60.0
"""kube-proxy's default: twice its period of full syncs."""


@define
class _Family:
    """How it stands with the rules of one IP family; ``updated`` is in nanoseconds since 1970."""

    waiting_since: float | None = None
    updated: int | None = None


class Health:
    """What the loop has seen and done. Its methods may be called from any thread.

    A node is healthy as long as no change has waited `timeout` seconds for the rules of any IP
    family, and while it starts. It is ready once the cluster's objects were listed and the first
    rules are there. ``monotonic`` and ``wall`` are the clocks, in seconds and in nanoseconds since
    1970.
    """

    def __init__(
        self,
        timeout: float = TIMEOUT_SECONDS,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.timeout = timeout
        self._monotonic = monotonic
        self._wall = wall
        self._families: dict[str, _Family] = {}
        self._listed = False
        self._eligible = False

    def note_queue(self, families: Iterable[str]) -> None:
        """A change came that rules of these IP families are to be made of."""
        now = self._monotonic()
        # A new mapping, for it may be read at the same time.
        self._families = {name: self._families.get(name) or _Family() for name in families}
        for family in self._families.values():
            if family.waiting_since is None:
                family.waiting_since = now

    def note_sync(self, family: str) -> None:
        """All changes that were queued are in the rules of an IP family.

        One that came while the rules were written is queued again, after this.
        """
        self._families = {**self._families, family: _Family(updated=self._wall())}

    def note_list(self) -> None:
        """All objects of the cluster have been listed once."""
        self._listed = True

    def node(self, *, eligible: bool) -> None:
        """Whether this node is to have traffic: it is known, and not being deleted.

        kube-proxy: no ``metadata.deletionTimestamp`` and no taint of the cluster autoscaler,
        ``ToBeDeletedByClusterAutoscaler``.
        """
        self._eligible = eligible

    @property
    def healthy(self) -> bool:
        """Whether no change waits too long. Whether the node is being deleted does not matter."""
        return not any(map(self._is_late, self._families.values()))

    @property
    def ready(self) -> bool:
        """Whether the objects were listed and the first rules of each family are there."""
        return self._listed and self._is_synced()

    def healthz(self) -> HTTPResponse:
        """Return the answer to load balancers that check nodes by it: it heeds deletion."""
        eligible = self._eligible
        return self._answer(self.healthy and eligible, {"nodeEligible": eligible})

    def livez(self) -> HTTPResponse:
        """Return the answer to a liveness probe, to which a restart is the cure."""
        return self._answer(self.healthy, {})

    def readyz(self) -> HTTPResponse:
        """Return the answer to a readiness probe."""
        return _json(self.ready, {"listed": self._listed, "synced": self._is_synced()})

    def _is_synced(self) -> bool:
        families = self._families.values()
        return bool(families) and all(one.updated is not None for one in families)

    def _is_late(self, family: _Family) -> bool:
        since = family.waiting_since
        return since is not None and self._monotonic() - since >= self.timeout

    def _answer(self, well: bool, more: dict[str, bool]) -> HTTPResponse:
        now = self._wall()
        status = {
            name: {"lastUpdated": _go(one.updated), "healthy": not self._is_late(one)}
            for name, one in sorted(self._families.items())
            if one.updated is not None or self._is_late(one)
        }
        last = max((one.updated or 0 for one in self._families.values()), default=0)
        document = {
            "lastUpdated": _go(now if well else last),
            "currentTime": _go(now),
            **more,
            "healthy": self.healthy,
        }
        return _json(well, {**document, "status": status} if status else document)


def health_pages(health: Health, metrics: Metrics) -> Responder:
    """Return what answers ``/healthz``, ``/livez`` and ``/readyz``, and counts the answers."""

    def respond(path: str) -> HTTPResponse:
        match path:
            case "/healthz":
                answer = health.healthz()
                metrics.healthz(answer.status)
            case "/livez":
                answer = health.livez()
                metrics.livez(answer.status)
            case "/readyz":
                answer = health.readyz()
            case _:
                answer = plain(HTTPStatus.NOT_FOUND)
        return answer

    return respond


def _json(well: bool, document: Mapping[str, object]) -> HTTPResponse:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps(document, separators=(",", ":")).encode()
    return HTTPResponse(status, body, "application/json", (NOSNIFF,))


def _go(nanoseconds: int | None) -> str:
    """Return a time as Go's JSON has it (RFC 3339); its zero time where there is none."""
    if not nanoseconds:
        return "0001-01-01T00:00:00Z"
    seconds, fraction = divmod(nanoseconds, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}{f'.{fraction:09}'.rstrip('0').rstrip('.')}Z"
