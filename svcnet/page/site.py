"""All that a page tells: its Services, what is wrong with them, and whose rules they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from svcnet.errors import Diagnostic, one_line
from svcnet.graph import Dispatch, Fragment, Origin, Packet
from svcnet.graph.nodes import Accept
from svcnet.meaning.comparison.difference import Verdicts
from svcnet.meaning.explanation.explanation import (
    Excerpt,
    Explanation,
    Remedy,
    no_excerpt,
    places_by_origin,
)
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.sender_kinds import SenderKinds
from svcnet.meaning.explanation.sentences import endpoint_text
from svcnet.meaning.explanation.text import GOES_ON, verdict_text
from svcnet.models import ClusterState, NamespacedName, Service
from svcnet.natural import natural_key
from svcnet.page.differences import by_port, of_verdicts
from svcnet.page.problems import LEVELS, of_document, of_findings, problem, worst
from svcnet.page.services import ServicePage, facts, without_rules
from svcnet.page.surroundings import Surroundings
from svcnet.words import count_noun


@frozen
class SiteContent:
    """What a page tells. ``head`` is read at once; of ``services`` each when it is looked at."""

    head: Mapping[str, Any]
    services: Sequence[Mapping[str, Any]] = field(repr=False)


def content(
    questions: Sequence[Question],
    findings: Iterable[Diagnostic] = (),
    verdicts: Sequence[Verdicts] = (),
) -> SiteContent:
    """Return what becomes of packets for all Services; `questions` are those of one node.

    Each is of another IP family. `findings` are what checks say of the objects, and `verdicts` in
    what a machine does something else.
    """
    first = questions[0]
    state = first.state
    surroundings = Surroundings(state, _places(questions, verdicts), first.excerpt)
    asked = [(question, SenderKinds(question)) for question in questions]
    fragments = _fragments(questions)
    told: dict[NamespacedName | None, list[dict[str, Any]]] = {}
    differences = by_port(verdicts)
    for owner, found in (*of_verdicts(verdicts), *of_findings(findings, state)):
        told.setdefault(owner, []).append(found)
    names = sorted(state.services, key=lambda name: tuple(map(natural_key, name)))
    services, entries, problems = [], [], told.get(None, [])
    for number, name in enumerate(names):
        service = state.services[name]
        page = ServicePage(surroundings)
        for index, fragment in fragments.get(name, ()):
            question, kinds = asked[index]
            own_differences = differences.get((question.view.family, fragment.name), ())
            page.add(question, fragment, _packets(kinds, fragment), own_differences)
        document = page.document()
        own = _worst_first([*of_document(document), *told.get(name, ())])
        problems += [{**each, "service": number} for each in own]
        services.append({**document, **_describe(service, document), "problems": own})
        entries.append([*name, service.type, _addresses(service), worst(own)])
    node = f" on {first.node}" if first.node else ""
    head = {
        "title": f"Services{node}",
        "whose": _whose(questions),
        "lead": _lead(services),
        "single": False,
        "compared": bool(verdicts),
        "services": entries,
        "problems": _worst_first(problems),
    }
    return SiteContent(head, services)


def _worst_first(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(problems, key=lambda each: -LEVELS.index(each["level"]))


def _whose(questions: Sequence[Question]) -> str:
    families = " and ".join(question.view.family for question in questions)
    return f"mode {questions[0].mode.name}, {families}"


def _lead(services: Sequence[Mapping[str, Any]]) -> str:
    parts = [part for each in services for part in each["parts"]]
    count = sum(len(part["frontends"]) for part in parts)
    frontends = count_noun(count, "frontend")
    return (
        f"{count_noun(len(services), 'Service')}, {frontends} that "
        "packets may ask for. Choose a Service to see where its packets go, by which rules, and "
        "which lines of the objects make it so."
    )


def _places(questions: Sequence[Question], verdicts: Sequence[Verdicts]) -> Mapping[Origin, Any]:
    """Return where all fields are that decide anything; one reading of each file."""
    differences = [each for found in verdicts for each in found.differences]
    origins = [
        node.origin
        for question in questions
        for fragment in question.graph
        for node in fragment.nodes()
        if not isinstance(node, Accept)
    ]
    origins += [each.field for each in differences if each.field is not None]
    return places_by_origin(questions[0].locate, origins)


def _fragments(
    questions: Sequence[Question],
) -> Mapping[NamespacedName, list[tuple[int, Fragment]]]:
    """Return the service ports of each Service, each with the number of its question."""
    found: dict[NamespacedName, list[tuple[int, Fragment]]] = {}
    for index, question in enumerate(questions):
        for fragment in question.graph:
            found.setdefault(NamespacedName(*fragment.name[:2]), []).append((index, fragment))
    return found


def _packets(kinds: SenderKinds, fragment: Fragment) -> Iterator[tuple[Dispatch, str, Packet]]:
    for dispatch in fragment.dispatches:
        for kind, packet in kinds.packets(fragment, dispatch):
            yield dispatch, kind, packet


def _describe(service: Service, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "namespace": service.namespace,
        "name": service.name,
        "facts": list(facts(service)),
        "why": "" if document["parts"] else without_rules(service),
    }


def _addresses(service: Service) -> str:
    ports = [str(port.port) for port in service.ports]
    nodes = [str(port.node_port) for port in service.ports if port.node_port]
    balancers = [each.ip for each in service.load_balancer_ingress if each.ip]
    return " ".join([*service.cluster_ips, *service.external_ips, *balancers, *ports, *nodes])


def packet_content(
    question: Question,
    found: Explanation,
    who: str,
    lookup: Sequence[str] = (),
) -> SiteContent:
    """Return what a page tells of one packet, which `who` sends.

    `found` is what :func:`explain` says of it, and `lookup` how its destination was found.
    """
    account = question.account(found.packet)
    stages = (stage for passage in account.passages for stage in passage.stages)
    origins = (stage.decision.node.origin for stage in stages if stage.decision)
    places = places_by_origin(question.locate, origins)
    page = ServicePage(Surroundings(question.state, places, question.excerpt))
    page.add_packet(who, found.packet, account)
    return _of_one(page, found, lookup)


def rules_content(
    found: Explanation,
    who: str,
    excerpt: Excerpt = no_excerpt,
    lookup: Sequence[str] = (),
) -> SiteContent:
    """Return what a page tells of one packet by rules of a machine."""
    places = {
        step.origin: step.place for end in found.outcomes for step in end.steps if step.origin
    }
    page = ServicePage(Surroundings(ClusterState(), places, excerpt))
    page.add_explanation(who, found)
    return _of_one(page, found, lookup)


def _of_one(page: ServicePage, found: Explanation, lookup: Sequence[str]) -> SiteContent:
    packet = found.packet
    where = f"{endpoint_text(packet.destination, packet.port)}/{packet.protocol}"
    node = f", node {found.node}" if found.node else ""
    head = {
        "title": f"A packet to {where}",
        "whose": f"mode {found.mode}{node}",
        "lead": "",
        "single": True,
        "compared": False,
        "services": [["", where, "", "", ""]],
        "problems": [],
    }
    described = {
        "namespace": "",
        "name": f"A packet to {where}",
        "facts": list(_facts(found)),
        "why": "",
        "problems": list(_problems_of(found)),
        "lookup": [one_line(line) for line in lookup],
        "changes": [_remedy(each) for each in found.changes],
    }
    return SiteContent(head, [{**page.document(), **described}])


def _facts(found: Explanation) -> Iterator[tuple[str, str]]:
    packet = found.packet
    yield "From", packet.source
    if packet.interface:
        yield "By the interface", packet.interface
    if packet.remembered:
        yield "Session affinity remembers", ", ".join(sorted(packet.remembered))
    if found.files:
        yield "Rules", one_line(", ".join(found.files))


def _problems_of(found: Explanation) -> Iterator[dict[str, Any]]:
    """Yield in what rules of a machine are not what objects say, or are not understood."""
    if found.wanted:
        yield problem("error", "The objects say otherwise", verdict_text(found.wanted))
    for case in found.cases:
        yield problem("warning", case.assumption, verdict_text(case.ends, GOES_ON))


def _remedy(change: Remedy) -> dict[str, str]:
    place = change.place
    where = "" if place is None else f"{place.file}:{place.line}" if place.line else place.file
    field = "" if change.origin is None else str(change.origin)
    return {
        "text": change.text,
        "then": verdict_text(change.ends),
        "place": one_line(", ".join(part for part in (field, where) if part)),
    }
