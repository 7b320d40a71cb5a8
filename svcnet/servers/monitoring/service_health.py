"""Health-check node ports: load balancers ask there which nodes have endpoints of a Service.

Source of the answers: pkg/proxy/healthcheck/service_health.go of Kubernetes v1.36.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import TypeAlias

from svcnet import checks
from svcnet.errors import Diagnostic
from svcnet.family import IPFamily, family_of
from svcnet.renderers.monitoring import HealthCheck
from svcnet.servers.clients import Acceptor, Clients
from svcnet.servers.descriptors import affordable
from svcnet.servers.monitoring.health import Health
from svcnet.servers.monitoring.http import NOSNIFF, HTTPResponse, plain
from svcnet.servers.monitoring.listening import Where, converse, listen

_Port: TypeAlias = tuple[IPFamily, int]

CLIENTS = 512
"""How many clients may be connected at a time, of all Services together."""


class ServiceHealth:
    """Answers on the health-check node ports that it is told of.

    All methods are called in one running event loop. `health` says whether this node's rules
    are up to date; if not, no Service is answered for with 200.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._clients = Clients(affordable(CLIENTS))
        self._checks: dict[_Port, HealthCheck] = {}
        self._listeners: dict[Where, Acceptor] = {}

    def follow(
        self, checks: Iterable[HealthCheck], addresses: Mapping[IPFamily, Iterable[str]]
    ) -> tuple[Diagnostic, ...]:
        """Answer for `checks` from now on, and for no other; return a warning for each trouble.

        `addresses` are the node's that answer for a family. A port that stays is not closed in
        between, whatever else changes. One that cannot be listened on is tried again at the next
        call. Of two Services with one port, the one that has it keeps it.
        """
        had = self._checks
        self._checks = {}
        troubles: list[Diagnostic] = []
        for check in sorted(checks, key=lambda check: (not _has(had, check), check)):
            other = self._checks.setdefault((check.family, check.port), check)
            if other is not check:
                owner = f"Service {other.namespace}/{other.name}"
                troubles.append(_trouble(check, f"port {check.port} is the one of {owner}"))
        wanted = {
            (address, check.port): check
            for check in self._checks.values()
            for address in addresses.get(check.family, ())
        }
        for where in self._listeners.keys() - wanted.keys():
            self._listeners.pop(where).close()
        for where, check in wanted.items():
            troubles += self._open(where, check)
        return tuple(sorted(troubles))

    @property
    def ports(self) -> frozenset[int]:
        """The ports that are listened on, on one address at least."""
        return frozenset(port for _, port in self._listeners)

    def close(self) -> None:
        """Answer for nobody any more."""
        self.follow((), {})
        self._clients.close()

    def _open(self, where: Where, check: HealthCheck) -> list[Diagnostic]:
        if where in self._listeners:
            return []
        address, port = where
        try:
            listening = listen(where)
        except OSError as error:
            problem = f"port {port} of {address} cannot be listened on: {error.strerror}"
            return [_trouble(check, problem)]
        talk = partial(converse, partial(self._answer, (family_of(address), port)))
        self._listeners[where] = Acceptor(listening, talk, self._clients)
        return []

    def _answer(self, port: _Port, _: str) -> HTTPResponse:
        """Answer for the Service of a port, whatever path is asked for."""
        check = self._checks.get(port)
        if check is None:
            return plain(HTTPStatus.SERVICE_UNAVAILABLE)
        return answer_for(check, healthy=self._health.healthy)


def answer_for(check: HealthCheck, *, healthy: bool) -> HTTPResponse:
    """Return the answer for a Service on a node whose rules are up to date, or are not."""
    usable = healthy and check.local_endpoints > 0
    document = {
        "service": {"namespace": check.namespace, "name": check.name},
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": healthy,
    }
    return HTTPResponse(
        HTTPStatus.OK if usable else HTTPStatus.SERVICE_UNAVAILABLE,
        json.dumps(document, indent="\t").encode(),
        "application/json",
        (NOSNIFF, ("X-Load-Balancing-Endpoint-Weight", str(check.local_endpoints))),
    )


def _has(checks: Mapping[_Port, HealthCheck], check: HealthCheck) -> bool:
    had = checks.get((check.family, check.port))
    return had is not None and (had.namespace, had.name) == (check.namespace, check.name)


def _trouble(check: HealthCheck, message: str) -> Diagnostic:
    return Diagnostic(
        file="",
        line=0,
        object=f"Service {check.namespace}/{check.name}",
        field="spec.healthCheckNodePort",
        message=f"{message}; nobody is told of this node's endpoints there",
        severity="warning",
        check=checks.HEALTH_CHECK_PORT,
    )
