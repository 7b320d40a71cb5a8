"""Whether this node's rules are up to date, and the pages that say so.

Source of ``/healthz`` and ``/livez``: pkg/proxy/healthcheck of Kubernetes v1.30. kube-proxy has
no ``/readyz``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from svcnet.servers.monitoring.http import NOSNIFF, HTTPResponse, Responder, plain
from svcnet.servers.monitoring.metrics import Metrics

HEALTHZ_BIND_ADDRESS = ("127.0.0.1", 10256)
"""Where the pages are unless told otherwise; the name is that of kube-proxy's configuration."""

TIMEOUT_SECONDS = 60.0
"""kube-proxy's default: twice its period of full syncs."""


class Health:
    """What the loop has seen and done. Its methods may be called from any thread.

    A node is healthy as long as no change has waited `timeout` seconds for its rules, and while
    it starts. It is ready once the cluster's objects were listed and the first rules are there.
    ``monotonic`` and ``wall`` are the clocks, in seconds and in nanoseconds since 1970.
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
        self._waiting_since: float | None = None
        self._synced_at: int | None = None
        self._listed = False
        self._eligible = True

    def queued(self) -> None:
        """A change came that rules are to be made of."""
        if self._waiting_since is None:
            self._waiting_since = self._monotonic()

    def synced(self) -> None:
        """All changes that were queued are in the rules, of each IP family.

        One that came while the rules were written is queued again, after this.
        """
        self._waiting_since = None
        self._synced_at = self._wall()

    def listed(self) -> None:
        """All objects of the cluster have been listed once."""
        self._listed = True

    def node(self, *, eligible: bool) -> None:
        """Whether this node is to have traffic: it is not being deleted.

        kube-proxy: no ``metadata.deletionTimestamp`` and no taint of the cluster autoscaler,
        ``ToBeDeletedByClusterAutoscaler``.
        """
        self._eligible = eligible

    @property
    def healthy(self) -> bool:
        """Whether no change waits too long. Whether the node is being deleted does not matter."""
        since = self._waiting_since
        return since is None or self._monotonic() - since < self.timeout

    @property
    def ready(self) -> bool:
        """Whether the objects were listed and the first rules are there."""
        return self._listed and self._synced_at is not None

    def healthz(self) -> HTTPResponse:
        """Return the answer to load balancers that check nodes by it: it heeds deletion."""
        eligible = self._eligible
        return self._answer(self.healthy and eligible, f', "nodeEligible": {_word(eligible)}')

    def livez(self) -> HTTPResponse:
        """Return the answer to a liveness probe, to which a restart is the cure."""
        return self._answer(self.healthy, "")

    def readyz(self) -> HTTPResponse:
        """Return the answer to a readiness probe."""
        synced = self._synced_at is not None
        body = f'{{"listed": {_word(self._listed)}, "synced": {_word(synced)}}}'
        return _json(self.ready, body)

    def _answer(self, well: bool, more: str) -> HTTPResponse:
        now = self._wall()
        updated = now if well else self._synced_at
        return _json(well, f'{{"lastUpdated": "{_go(updated)}","currentTime": "{_go(now)}"{more}}}')


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


def _json(well: bool, body: str) -> HTTPResponse:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPResponse(status, body.encode(), "application/json", (NOSNIFF,))


def _word(flag: bool) -> str:
    return "true" if flag else "false"


def _go(nanoseconds: int | None) -> str:
    """Return a time as Go prints it; its zero time where there is none."""
    if nanoseconds is None:
        return "0001-01-01 00:00:00 +0000 UTC"
    seconds, fraction = divmod(nanoseconds, 10**9)
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    return f"{text}{f'.{fraction:09}'.rstrip('0').rstrip('.')} +0000 UTC"
