"""Manifests as a verb reads them: with what is told of them, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from attrs import evolve

from svcnet import checks
from svcnet.errors import Diagnostic, InputError, Unsupported, UsageError, list_findings
from svcnet.inputs.standard_input import is_terminal, standard_input
from svcnet.inputs.strictness import Strictness
from svcnet.words import count_noun, list_some

if TYPE_CHECKING:
    from svcnet.checks import Check
    from svcnet.discovery.repository import Additions, Assumptions
    from svcnet.models import IPFamily
    from svcnet.models.state import ClusterObject
    from svcnet.modes import Omission
    from svcnet.sources import ClusterFamilies, InputScope, LoadResult

    EndpointRemark: TypeAlias = tuple[Check, ClusterObject, tuple[str | int, ...], str]


MOST_NAMES = 3
"""So many files are named of those that were passed over."""


def load_manifests(
    paths: tuple[str, ...],
    strict: Strictness,
    from_pods: bool = False,
    ip_families: tuple[IPFamily, ...] = (),
    *,
    endpoints: bool = True,
    anew: bool = False,
    allow_empty: bool | None = None,
    assume: Assumptions | None = None,
    scope: InputScope | None = None,
) -> LoadResult:
    """Load manifests; report warnings, as `strict` says, and what was passed over.

    Without `paths` they come from standard input, if that is no terminal. A verb that would take
    away what is served says by `allow_empty` whether that may be so; with it, True or False, no
    path is an error.

    With `from_pods`, Services without endpoints get those that their selectors find. That
    these are missing is told to whoever asks for `endpoints`. What is wrong with a selector is
    told of these Services, and for who makes all endpoints `anew` of the others too.

    With `assume` what a cluster would add to objects that none has seen is made up and told. Where
    that makes Pods, Services without endpoints get those that their selectors find. `scope` says
    how folders and namespaces are to be read.
    """
    from svcnet.discovery.endpoints import needs_slices
    from svcnet.discovery.repository import Assumptions, RepositoryCompletion
    from svcnet.sources import InputScope, load

    if allow_empty is not None:
        refuse_no_path(paths)
    paths, stdin = paths_or_input(paths), standard_input()
    completion = RepositoryCompletion(assume or Assumptions("never"), from_pods)
    families = ip_families or (assume.families if assume else ())
    _refuse_foreign_ranges(assume, ip_families)
    with strict.heeding():
        loaded = load(
            paths,
            stdin=stdin,
            complete=completion,
            ip_families=families,
            workloads=assume is not None and assume.when != "never",
            scope=scope or InputScope(),
        )
    assumed = completion.additions
    loaded = loaded.with_makers(assumed.owners)
    from_pods = from_pods or bool(assumed.pods)
    found = _warnings(loaded, assumed, from_pods=from_pods, endpoints=endpoints, anew=anew)
    tell_warnings(_judge(found, allow_empty), strict)
    if from_pods and loaded.cluster.decided and not ip_families:
        _tell_families(loaded.cluster, strict)
    if endpoints and not from_pods and needs_slices(loaded.state):
        message = "some Services have no EndpointSlices: --from-pods makes them"
        strict.remark(checks.NO_SLICE, message)
    _tell_assumed(assumed, assume, strict)
    _tell_omissions(loaded, assumed, strict)
    return loaded


def _refuse_foreign_ranges(assume: Assumptions | None, families: tuple[IPFamily, ...]) -> None:
    """Raise UsageError for a range of an IP family that the cluster is said not to have."""
    from svcnet.family import family_of

    for cidr in (*assume.pod_cidrs, *assume.service_cidrs) if assume and families else ():
        if family_of(cidr) not in families:
            raise UsageError(f"{cidr} is {family_of(cidr)}, which --ip-families does not name")


def _warnings(
    loaded: LoadResult, assumed: Additions, *, from_pods: bool, endpoints: bool, anew: bool
) -> list[Diagnostic]:
    """Return what was found when objects were read, and then when they were put together."""
    from svcnet.discovery.endpoints import remarks, services_with_endpoints
    from svcnet.sources import endpoint_remarks

    found = [*loaded.warnings, *loaded.locate_remarks(assumed.remarks())]
    if from_pods:
        given = () if anew else services_with_endpoints(loaded.objects)
        found += loaded.locate_remarks(_of_owners(remarks(loaded.state, given), assumed))
    if endpoints:
        found += loaded.locate_remarks(endpoint_remarks(loaded.objects, loaded.state))
    return found


def _tell_omissions(loaded: LoadResult, assumed: Additions, strict: Strictness) -> None:
    """Say what was passed over, workloads of which no Pods were made among it."""
    skipped = Counter(loaded.skipped)
    skipped.update(each.kind for each in assumed.idle)
    passed_over = describe_omissions(skipped, loaded.left_out, loaded.copies)
    if passed_over:
        strict.remark(checks.PASSED_OVER, passed_over)


def describe_omissions(skipped: Mapping[str, int], left_out: Sequence[str], copies: int) -> str:
    """Return what was passed over, empty if nothing was.

    That is how many documents of which kinds, files without an object, and copies of objects.
    """
    parts = [f"{count} {kind}" for kind, count in sorted(skipped.items())]
    if left_out:
        files = count_noun(len(left_out), "file")
        parts.append(f"{files} without an object ({list_some(left_out, MOST_NAMES)})")
    if copies:
        objects = "objects that are" if copies > 1 else "object that is"
        parts.append(f"{copies} {objects} there already, and alike")
    return f"passed over: {', '.join(parts)}" if parts else ""


def paths_or_input(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a verb reads: paths, else standard input. UsageError if that is a terminal."""
    if not paths and is_terminal():
        raise UsageError("no PATH is given, and standard input is a terminal; - reads it")
    return paths or ("-",)


def _of_owners(found: Iterable[EndpointRemark], assumed: Additions) -> Iterator[EndpointRemark]:
    """Yield remarks but for those of Pods that were made, whose workload has one of its own."""
    from svcnet.models import NamespacedName, Pod

    for check, item, path, message in found:
        made = isinstance(item, Pod) and NamespacedName(item.namespace, item.name) in assumed.owners
        if not made:
            yield check, item, path, message


def _tell_assumed(assumed: Additions, asked: Assumptions | None, strict: Strictness) -> None:
    """Say what was made up, and of what nothing was although it lacks it."""
    from svcnet.inputs.additions import lines_of

    if asked is not None:
        for line in lines_of(assumed, asked):
            strict.remark(checks.ASSUMED, line)
        if asked.when == "auto" and (lacking := assumed.without_pods()):
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(lacking.items()))
            message = (
                f"no Pods are made up for {kinds} that has none, as others are of a cluster: "
                "--assume always makes them"
            )
            strict.remark(checks.ASSUMED, message)


def refuse_no_path(paths: tuple[str, ...]) -> None:
    """Raise UsageError where a verb that changes something was not told what to read.

    What a script passes may have come to nothing, and its standard input be anything.
    """
    if not paths:
        raise UsageError("no PATH is given; - stands for standard input")


def _judge(found: list[Diagnostic], allow_empty: bool | None) -> list[Diagnostic]:
    """Return warnings as a verb that would take away what is served takes them.

    What says that there is nothing to serve is an error, or else what was meant.
    """
    if allow_empty is None:
        return found
    empty = [each for each in found if each.check in (checks.EMPTY_FILE, checks.NO_OBJECT)]
    if empty and not allow_empty:
        message = "{}: nothing is changed; --allow-empty takes it for what is meant"
        raise InputError(
            evolve(each, severity="error", message=message.format(each.message)) for each in empty
        )
    return [each for each in found if each not in empty]


def _tell_families(cluster: ClusterFamilies, strict: Strictness) -> None:
    """Say which IP families Services have that do not name theirs, and why."""
    why = f"by {cluster.source}" if cluster.source else "as nothing says otherwise"
    are = "families are" if len(cluster.families) > 1 else "family is"
    named = " and ".join(cluster.families)
    message = f"the cluster's IP {are} {named}, {why}; else say --ip-families"
    strict.remark(checks.CLUSTER_FAMILIES, message)


def tell_warnings(warnings: Iterable[Diagnostic], strict: Strictness) -> None:
    """Tell warnings, or raise them, as `strict` says."""
    found = strict.judge(warnings)
    if strict.errors and found:
        raise InputError(found)
    for each in found:
        strict.note(each)
    for line in list_findings(found):
        strict.tell(line)


class UnsupportedPorts(Unsupported):
    """What a mode cannot carry, a line each with its check."""

    check = None


def tell_findings(findings: Iterable[Omission], strict: Strictness) -> None:
    """Tell what a mode or a form cannot carry, or raise it, as `strict` says."""
    lines = [str(each) for each in dict.fromkeys(findings) if each.check not in strict.ignored]
    if strict.errors and lines:
        raise UnsupportedPorts("\n".join(lines))
    for line in lines:
        strict.tell(line)
