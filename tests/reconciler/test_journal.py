"""What a journal keeps of the events of a loop, and the document that it makes of them."""

from __future__ import annotations

import json
from typing import Any

from attrs import define

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState
from svcnet.modes import SyncResult
from svcnet.reconciler import (
    Journal,
    RefusalEvent,
    RefusedFile,
    RefusedInput,
    RefusedRules,
    SyncEvent,
    status_document,
)
from svcnet.reconciler.events import Trigger
from svcnet.testing import make_service, make_slice


@define
class Clock:
    now: float = 1_000_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def graph(*addresses: str) -> RuleGraph:
    state = ClusterState.of([make_service(), make_slice("web", *addresses)])
    return compile_state(state, node_view(state, family="IPv4"))


def synced(
    made: RuleGraph, trigger: Trigger = "change", done: SyncResult | None = None
) -> SyncEvent:
    done = done or SyncResult("delta", "3 lines", ("mind",))
    return SyncEvent("IPv4", "iptables", trigger, done, made, None, 0.5, {"compile": 0.1}, 0.25)


def refused(made: RuleGraph) -> RefusalEvent:
    return RefusalEvent("IPv4", "iptables", "line 3: no", made, full=True, retry_in=2.0)


def test_a_refusal_stays_known_after_it_is_over() -> None:
    """What is refused is a problem until something is good, and the last refusal after that."""
    journal, good, bad = Journal(Clock()), graph("10.244.1.5"), graph("10.244.1.6")
    journal.take(synced(good))
    journal.take(refused(bad))
    family = journal.record.families["IPv4"]
    assert family.refusing
    assert family.good is good
    journal.take(synced(bad))
    family = journal.record.families["IPv4"]
    assert not family.refusing
    assert family.good is bad
    assert (family.syncs, family.failures) == (2, 1)
    failed = journal.record.last_failed
    assert isinstance(failed, RefusedRules)
    assert failed.graph is bad


def test_only_looks_that_found_something_are_repairs() -> None:
    """A look that changed nothing is a sync and no repair."""
    journal, made = Journal(Clock()), graph("10.244.1.5")
    journal.take(synced(made, "check", SyncResult("none", "nothing to change")))
    journal.take(synced(made, "change"))
    journal.take(synced(made, "check"))
    assert journal.record.families["IPv4"].repaired == 1


def test_the_last_refusal_is_of_input_or_rules() -> None:
    """Of input and rules that were refused the later one is the last; good input ends nothing."""
    journal = Journal(Clock())
    assert journal.record.last_failed is None
    journal.take(refused(graph("10.244.1.5")))
    journal.input_refused("a.yaml:1: no", (RefusedFile("a.yaml", "x", cut=False),))
    assert journal.record.refusing
    journal.input_read()
    assert not journal.record.refusing
    failed = journal.record.last_failed
    assert isinstance(failed, RefusedInput)
    assert failed.files[0].text == "x"
    journal.take(refused(graph("10.244.1.5")))
    assert isinstance(journal.record.last_failed, RefusedRules)


def test_an_object_that_cannot_be_used_refuses_nothing_else() -> None:
    """An API server's wrong object is the last refusal, but the input goes on being good."""
    journal = Journal(Clock())
    journal.server("services", "synced", synced=True)
    journal.object_refused("Service shop/web: no")
    assert not journal.record.refusing
    assert journal.record.server == {"services": "synced"}
    assert journal.record.last_failed is not None


def test_what_an_api_server_has_was_last_good_when_it_last_said_so() -> None:
    """That is of the kind that is furthest back; what is read besides objects says nothing."""
    journal = Journal(Clock())

    def given() -> dict[str, Any]:
        found: dict[str, Any] = status_document(journal.record)["input"]
        return found

    journal.input_read(objects=False)
    journal.server("Node", "synced", synced=True)
    assert given()["read"] is None
    for kind in ("Service", "Node"):
        journal.server_confirmed(kind)
        journal.server(kind, "synced", synced=True)
    good = given()["confirmed"]
    assert good["Service"] < good["Node"]
    assert given()["read"] == good["Service"]
    for _ in range(2):
        journal.server("Node", "unreachable: no route", synced=False)
    away = given()["unreachableSince"]
    journal.input_read(objects=False)
    journal.server("Node", "unreachable: Connection refused", synced=False)
    journal.server_confirmed("Service")
    assert given()["unreachableSince"] == away
    assert set(away) == {"Node"}
    assert given()["read"] == good["Node"]
    journal.server("Node", "synced", synced=True)
    assert given()["unreachableSince"] == {}


def test_the_document() -> None:
    """It is plain JSON with times in UTC, and each service with frontends and endpoints."""
    journal = Journal(Clock())
    journal.input_read()
    journal.take(synced(graph("10.244.1.5")))
    document = status_document(journal.record)
    assert json.loads(json.dumps(document)) == document
    assert document["since"] == "2001-09-09T01:46:41Z"
    [family] = document["families"]
    assert family["lastSync"] == {
        "time": "2001-09-09T01:46:43Z",
        "trigger": "change",
        "text": "3 lines",
        "seconds": 0.5,
        "stages": {"compile": 0.1},
        "lagSeconds": 0.25,
    }
    assert family["warnings"] == ["mind"]
    assert family["services"] == [
        {
            "namespace": "shop",
            "name": "web",
            "port": "http",
            "protocol": "TCP",
            "frontends": [{"type": "cluster-ip", "address": "10.96.0.10", "port": 80}],
            "endpoints": [{"address": "10.244.1.5", "port": 8080, "local": False}],
            "allEndpoints": 1,
            "healthCheckNodePort": None,
            "refusals": [],
        }
    ]
    document = status_document(Journal(Clock()).record)
    assert document["families"] == []
    assert document["input"]["read"] is None
    assert document["lastFailed"] is None


def test_a_service_without_endpoints_says_what_becomes_of_its_traffic() -> None:
    """The refusal and its reason are told in place of endpoints."""
    journal = Journal(Clock())
    journal.take(synced(graph()))
    [family] = status_document(journal.record)["families"]
    [service] = family["services"]
    assert service["endpoints"] == []
    assert service["refusals"][0]["how"] == "reject"
    assert service["refusals"][0]["reason"]
