"""What is wrong, and comes first on a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from svcnet.errors import Diagnostic, one_line
from svcnet.models import ClusterState, NamespacedName

ERROR, WARNING, NOTE = "error", "warning", "note"

LEVELS = (NOTE, WARNING, ERROR)
"""How bad something is, the worst last."""


def of_document(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what packets for a Service meet that are refused or dropped, by its own document."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for part in document["parts"]:
        for cell in part["cells"]:
            for kind, reason in dict.fromkeys(_refusals(document, part, cell)):
                senders = found.setdefault((kind, reason), {}).setdefault(cell["asked"], [])
                senders.append(cell["sender"])
    if found and not any(map(_delivers, document["parts"])):
        reasons = "; ".join(dict.fromkeys(reason for _, reason in found))
        yield problem(ERROR, "Nobody answers", f"no packet gets to an endpoint: {reasons}")
        return
    for (kind, reason), asked in found.items():
        level, title = _KINDS[kind]
        yield problem(level, title, f"{reason}: {'; '.join(_describe_askers(asked))}")


def _delivers(part: Mapping[str, Any]) -> bool:
    """Return whether some packet for a service port gets to an endpoint."""
    ends = {way["end"] for cell in part["cells"] for way in cell["ways"]}
    return any(part["nodes"][end]["title"] not in _NOWHERE for end in ends)


def _describe_askers(asked: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield which frontends are asked by whom, those that the same senders ask together."""
    alike: dict[str, list[str]] = {}
    for where, senders in asked.items():
        *firsts, last = senders
        all_of_them = " and ".join([", ".join(firsts), last]) if firsts else last
        alike.setdefault(all_of_them, []).append(where)
    for senders, frontends in alike.items():
        yield f"{', '.join(frontends)} from {senders}"


_NOWHERE = ("refused", "dropped", "left alone")
_KINDS = {
    "refused": (ERROR, "Refused"),
    "dropped": (WARNING, "Dropped on this node"),
    "kept out": (NOTE, "Kept out by source ranges"),
}


def _refusals(
    document: Mapping[str, Any], part: Mapping[str, Any], cell: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for way in cell["ways"]:
        end = part["nodes"][way["end"]]
        if end["title"] not in ("refused", "dropped"):
            continue
        nodes = [document["steps"][step][0] for step in way["steps"]]
        columns = [part["nodes"][node]["column"] for node in nodes if node >= 0]
        is_kept_out = end["title"] == "dropped" and columns[-2:-1] == ["firewall"]
        yield "kept out" if is_kept_out else end["title"], end["note"]


def of_findings(
    findings: Iterable[Diagnostic], state: ClusterState
) -> Iterator[tuple[NamespacedName | None, dict[str, Any]]]:
    """Yield what checks found, each with the Service that it is about, if it is one's."""
    for each in findings:
        about = f"{each.object}: {each.field}: " if each.field else f"{each.object}: "
        found = problem(
            ERROR if each.severity == "error" else WARNING,
            "Found by checks",
            f"{about if each.object else ''}{each.message}",
            place=f"{each.file}:{each.line}" if each.line else each.file,
            check=str(each.check),
            reason=each.check.reason,
        )
        yield _owner(each.object, state), found


def _owner(label: str, state: ClusterState) -> NamespacedName | None:
    """Return the Service that an object is, or belongs to."""
    kind, _, rest = label.partition(" ")
    namespace, _, name = rest.partition("/")
    found: NamespacedName | None = NamespacedName(namespace, name)
    if kind == "EndpointSlice":
        found = state.slice_owners.get(NamespacedName(namespace, name))
    elif kind not in ("Service", "Endpoints"):
        return None
    return found if found in state.services else None


def problem(level: str, title: str, text: str, **more: str) -> dict[str, Any]:
    """Return something that is wrong, for a page."""
    told = {name: one_line(value) for name, value in more.items()}
    return {"level": level, "title": title, "text": one_line(text), **told}


def worst(problems: Sequence[Mapping[str, Any]]) -> str:
    """Return how bad the worst is, empty where nothing is wrong."""
    levels = [LEVELS.index(each["level"]) for each in problems]
    return LEVELS[max(levels)] if levels else ""
