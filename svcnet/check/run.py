"""Looking for mistakes: the input is read, rules look at it, and what was ignored is left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from attrs import define, field, frozen

from svcnet import checks
from svcnet.check.registry import RULES
from svcnet.check.repository import Repository
from svcnet.check.rules.configuration import old_modes
from svcnet.checks import Check
from svcnet.discovery.endpoints import remarks
from svcnet.discovery.repository import Additions, Assumptions, assume, was_in_cluster
from svcnet.errors import Diagnostic
from svcnet.family import IPFamily
from svcnet.models import ClusterState, NamespacedName
from svcnet.sources import InputScope, LoadedConfig, Manifests, Survey, node_remarks, survey

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
    that svcnet does not read, ``left_out`` are files without an object, and ``copies`` objects that
    are there already.
    """

    findings: tuple[Diagnostic, ...]
    objects: int = 0
    doubtful: int = 0
    skipped: Mapping[str, int] = field(factory=dict)
    left_out: tuple[str, ...] = ()
    copies: int = 0


def check(
    given: Manifests,
    *,
    stdin: BinaryIO | None = None,
    config: LoadedConfig | None = None,
    ip_families: tuple[IPFamily, ...] = (),
    select: Collection[Check] | None = None,
    ignore: Collection[Check] = (),
    baseline: Path | None = None,
    assumed: Assumptions | None = None,
    scope: InputScope | None = None,
) -> CheckReport:
    """Look for mistakes in manifests, which are given as to :func:`svcnet.load`.

    `config` is the configuration of kube-proxy in the cluster. Warnings are looked for that are of
    `select`, without it all, and never those of `ignore`; errors are told always.
    The file of a `baseline` may lie among manifests, and is none. `assumed` says what to make up
    for objects that no cluster has seen, and `scope` how folders and namespaces are to be read.

    Raises InputError where a file cannot be read. What is wrong with an object is a finding.
    """

    def is_wanted(check: Check) -> bool:
        if check.severity == "error":
            return True
        chosen = select is None or check in select
        return chosen and check not in ignore and check in LOOKED_FOR

    completion = _Completion(assumed or Assumptions())
    loaded, found = survey(
        given,
        stdin=stdin,
        complete=completion,
        ip_families=ip_families,
        workloads=True,
        apart_from=baseline,
        scope=scope or InputScope(),
    )
    repository = Repository(
        objects=[item for item, _ in found.located],
        state=loaded.state,
        kinds=loaded.skipped,
        asked=ip_families,
        owners=completion.additions.owners,
        balanced=completion.balanced,
    )
    _look(found, repository, is_wanted)
    found.add(completion.additions.remarks())
    found.warn_of_unused_ignores(is_wanted)
    findings = {*found.diagnostics(), *_of_configuration(config, loaded.state)}
    told = [each for each in findings if is_wanted(each.check) and completion.confirms(each)]
    return CheckReport(
        findings=tuple(sorted(told)),
        objects=len(loaded.objects),
        doubtful=found.doubtful,
        skipped=loaded.skipped,
        left_out=loaded.left_out,
        copies=loaded.copies,
    )


@define
class _Completion:
    """Adds to a state what a cluster would, and keeps what that was."""

    asked: Assumptions
    additions: Additions = field(init=False)
    was_in_cluster: bool = False
    balanced: frozenset[NamespacedName] = frozenset()
    has_workloads: bool = False

    def __call__(self, state: ClusterState) -> ClusterState:
        self.was_in_cluster = was_in_cluster(state)
        balanced = {name for name, each in state.services.items() if each.load_balancer_ingress}
        self.balanced = frozenset(balanced)
        self.has_workloads = bool(state.workloads)
        self.additions = assume(state, self.asked, from_pods=True)
        return self.additions.state

    def confirms(self, finding: Diagnostic) -> bool:
        """Return whether a finding is one of what was read, and not of what was added.

        The API server has no selector, and endpoints of its own. What was in no cluster has no
        slices of selectors, whatever slices people wrote, and no addresses of load balancers.
        A workload is an object to look at, though it has no rules.
        """
        match finding.check:
            case checks.NO_ENDPOINTS:
                return finding.object != API_SERVER
            case checks.NO_OBJECT:
                return not self.has_workloads
            case checks.NO_SLICE:
                return self.was_in_cluster
            case checks.OPEN_ADDRESS:
                namespace, _, name = finding.object.removeprefix("Service ").partition("/")
                return NamespacedName(namespace, name) in self.balanced
        return True


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
