"""Looking for mistakes: the input is read, rules look at it, and what was ignored is left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from attrs import field, frozen

from svcnet import checks
from svcnet.check.registry import RULES
from svcnet.check.repository import Repository
from svcnet.check.rules.configuration import old_modes
from svcnet.checks import Check
from svcnet.discovery.endpoints import remarks, with_slices
from svcnet.errors import Diagnostic
from svcnet.family import IPFamily
from svcnet.models import ClusterState
from svcnet.sources import LoadedConfig, Manifests, Survey, node_remarks, survey

API_SERVER = "Service default/kubernetes"

FOUND_BY_RULES = frozenset(rule.check for rule in RULES if rule.find is not None)
"""What rules of this room look for; of Pods others say the same in fewer words."""

LOOKED_FOR = frozenset(rule.check for rule in RULES if rule.is_found_in_manifests)
"""What may be found here; other warnings are about a node, a request or a machine."""


@frozen
class CheckReport:
    """What was found, by file and line.

    ``objects`` is how many were read, ``doubtful`` how many of them were not compared with others,
    because something is wrong with them or near them. ``skipped`` counts documents of each kind
    that svcnet does not read.
    """

    findings: tuple[Diagnostic, ...]
    objects: int = 0
    doubtful: int = 0
    skipped: Mapping[str, int] = field(factory=dict)


def check(
    given: Manifests,
    *,
    stdin: BinaryIO | None = None,
    config: LoadedConfig | None = None,
    ip_families: tuple[IPFamily, ...] = (),
    select: Collection[Check] | None = None,
    ignore: Collection[Check] = (),
    baseline: Path | None = None,
) -> CheckReport:
    """Look for mistakes in manifests, which are given as to :func:`svcnet.load`.

    `config` is the configuration of kube-proxy in the cluster. Warnings are looked for that are of
    `select`, without it all, and never those of `ignore`; errors are told always.
    The file of a `baseline` may lie among manifests, and is none.

    Raises InputError where a file cannot be read. What is wrong with an object is a finding.
    """

    def is_wanted(check: Check) -> bool:
        if check.severity == "error":
            return True
        chosen = select is None or check in select
        return chosen and check not in ignore and check in LOOKED_FOR

    loaded, found = survey(
        given, stdin=stdin, complete=with_slices, ip_families=ip_families, apart_from=baseline
    )
    repository = Repository(
        objects=[item for item, _ in found.located],
        state=loaded.state,
        kinds=loaded.skipped,
        asked=ip_families,
    )
    _look(found, repository, is_wanted)
    found.warn_of_unused_ignores(is_wanted)
    findings = {*found.diagnostics(), *_of_configuration(config, loaded.state)}
    return CheckReport(
        findings=tuple(
            sorted(each for each in findings if is_wanted(each.check) and _counts(each))
        ),
        objects=len(loaded.objects),
        doubtful=found.doubtful,
        skipped=loaded.skipped,
    )


def _counts(finding: Diagnostic) -> bool:
    """Return whether a finding is one: the API server has no selector, and its own endpoints."""
    return finding.check is not checks.NO_ENDPOINTS or finding.object != API_SERVER


def _look(found: Survey, repository: Repository, is_wanted: Callable[[Check], bool]) -> None:
    """Have every rule that is asked for look at the repository."""
    for rule in RULES:
        if rule.find is not None and is_wanted(rule.check):
            found.add(rule.find(repository))
    if repository.state.pods:
        said = remarks(repository.state, repository.with_given_endpoints)
        found.add(each for each in said if each[0] not in FOUND_BY_RULES)


def _of_configuration(config: LoadedConfig | None, state: ClusterState) -> Iterator[Diagnostic]:
    """Yield what is to be said of a configuration, also beside the objects."""
    if config is None:
        return
    yield from config.warnings
    yield from config.locate_remarks(old_modes(config.config))
    name = config.config.hostname_override
    yield from config.locate_remarks(node_remarks(state, config.config, name))
