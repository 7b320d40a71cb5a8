"""A record of a journal as a document: plain values for JSON, in a fixed order.

Documents are made of frozen values, so a thread may make one while the loop goes on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from svcnet.graph import Fragment, Reject, RuleGraph
from svcnet.nogc import without_gc
from svcnet.reconciler.journal import FamilyRecord, JournalEntry, RefusedInput, RefusedRules

VERSION = 1
"""Another number means that fields have changed their meaning or are gone."""


@without_gc()
def status_document(record: JournalEntry) -> dict[str, Any]:
    """Return all that is known of a run: how it stands, and the services of each family."""
    failed = record.last_failed
    return {
        "version": VERSION,
        "since": _time(record.since),
        "input": {
            "read": _time(_last_good(record)),
            "server": dict(sorted(record.server.items())),
            "confirmed": {kind: _time(when) for kind, when in sorted(record.confirmed.items())},
            "unreachableSince": {kind: _time(when) for kind, when in sorted(record.away.items())},
            "problem": record.refused.error if record.refused and record.refusing else None,
        },
        "lastFailed": None if failed is None else _failure_status(failed),
        "families": [_family(record.families[name]) for name in sorted(record.families)],
    }


def _last_good(record: JournalEntry) -> float | None:
    """Return when what is known was last so; of a server, for the kind that is furthest back."""
    if not record.server:
        return record.read
    needed = record.server.keys() - record.optional
    if not needed <= record.confirmed.keys():
        return None
    return min((record.confirmed[kind] for kind in needed), default=None)


def _failure_status(failed: RefusedInput | RefusedRules) -> dict[str, Any]:
    what = "rules" if isinstance(failed, RefusedRules) else "input"
    return {"time": _time(failed.when), "what": what, "error": failed.error}


def _family(family: FamilyRecord) -> dict[str, Any]:
    last, refused = family.last, family.refused
    return {
        "family": family.family,
        "mode": family.mode,
        "problem": refused.error if refused and family.refusing else None,
        "retrySeconds": refused.retry_in if refused and family.refusing else None,
        "warnings": [] if last is None else list(last.warnings),
        "lastSync": None
        if last is None
        else {
            "time": _time(last.when),
            "trigger": last.trigger,
            "text": last.text,
            "seconds": last.seconds,
            "stages": dict(last.stages),
            "lagSeconds": last.lag,
        },
        "syncs": family.syncs,
        "failures": family.failures,
        "repaired": family.repaired,
        "services": [] if family.good is None else _services(family.good),
    }


def _services(graph: RuleGraph) -> list[dict[str, Any]]:
    return [_service(fragment) for fragment in graph]


def _service(fragment: Fragment) -> dict[str, Any]:
    name, ends, check = fragment.name, fragment.translates, fragment.health_check
    return {
        "namespace": name.namespace,
        "name": name.name,
        "port": name.port_name,
        "protocol": name.protocol,
        "frontends": [
            {"type": one.frontend, "address": one.address, "port": one.port}
            for one in fragment.dispatches
        ],
        "endpoints": [
            {"address": end.address, "port": end.port, "local": end.local} for end in ends
        ],
        "allEndpoints": fragment.endpoint_count,
        "healthCheckNodePort": None if check is None else check.port,
        "refusals": [
            {"how": "reject" if isinstance(node, Reject) else "drop", "reason": node.reason}
            for node in fragment.refusals
        ],
    }


def _time(seconds: float | None) -> str | None:
    """Return a time as RFC 3339 has it, in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
