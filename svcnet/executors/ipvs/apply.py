"""Observe, plan, do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext

from attrs import field, frozen

from svcnet import checks, errors
from svcnet.errors import ApplyError
from svcnet.executors.counted import counted
from svcnet.executors.iptables import Variant, choose_variant
from svcnet.executors.ipvs import ipsets
from svcnet.executors.ipvs.execution import Execution, service_in
from svcnet.executors.ipvs.kernel import IPVS, has_servers
from svcnet.executors.ipvs.names import DRAIN, all_sets
from svcnet.executors.ipvs.observe import key_of, observe
from svcnet.executors.ipvs.plan import plan, plan_step
from svcnet.executors.ipvs.probe import require
from svcnet.executors.ipvs.refusals import Refusal, told
from svcnet.executors.ipvs.steps import Plan, Step
from svcnet.executors.lock import lock
from svcnet.executors.stages import Stages
from svcnet.netfilter.ipvs.messages import MADE_BY_SVCNET, NewService
from svcnet.nogc import without_gc
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE


@frozen
class Report:
    """What an apply did, or with a dry run would do.

    ``draining`` counts endpoints that were just told to take no new connections and still
    have some; a later apply removes them. ``variant`` is that of iptables, None if
    its rules were not looked at. ``stages`` are how many seconds each part took.
    """

    family: str
    plan: Plan
    draining: int
    warnings: tuple[str, ...]
    variant: Variant | None = None
    stages: Mapping[str, float] = field(factory=dict, eq=False)

    def __str__(self) -> str:
        done = counted(self.plan.operations, "operation")
        what = done if self.plan.steps else "nothing to change"
        left = f", {counted(self.draining, 'endpoint')} draining" if self.draining else ""
        return f"{self.family}, ipvs: {what}{left}"


class Incomplete(errors.Incomplete):
    """The machine refused some of what is wanted; ``report`` is of all else, which is done."""

    report: Report

    def __init__(self, report: Report, refused: Iterable[Refusal]) -> None:
        self.refused = tuple(refused)
        super().__init__("\n".join(told(self.refused)), report, checks.REFUSED_RULE)


@without_gc()
def apply(
    artifact: IPVSTables,
    *,
    variant: Variant | None = None,
    drain: int = DRAIN,
    dry_run: bool = False,
) -> Report:
    """Bring this network namespace to what `artifact` says.

    Only what differs is done; with `dry_run` nothing is. What svcnet did not make is left
    alone. `drain` is the time in seconds that the connections of a removed TCP endpoint
    have to end. Raises :class:`svcnet.executors.ipvs.probe.MissingModules` before anything
    is done when nothing of svcnet's is there yet and the kernel lacks what all Services need;
    :class:`Incomplete` when it refuses some of what is wanted, such as an endpoint's address
    or one Service's scheduler, after all else is done; and ApplyError for what cannot be
    observed, with nothing changed, :class:`svcnet.executors.lock.Busy` among it when another
    svcnet is at work. What is served goes on being served, and the next apply continues.
    """
    with nullcontext() if dry_run else lock(artifact.family):
        return _apply(artifact, variant, drain, dry_run=dry_run)


def _apply(artifact: IPVSTables, variant: Variant | None, drain: int, *, dry_run: bool) -> Report:
    family = artifact.family
    stages = Stages()
    with stages.stage("observe"):
        choice = choose_variant(family, variant)
    untried = require(artifact, choice.commands) if _is_first(family) else ()
    with IPVS() as ipvs:
        with stages.stage("observe"):
            observed = observe(family, choice.observed, artifact.sysctls, ipvs)
        if observed.device is not None and observed.device.kind != "dummy":
            kind = observed.device.kind
            raise ApplyError(f"{DUMMY_DEVICE} is no dummy device but of kind {kind}")
        with stages.stage("plan"):
            planned = plan(artifact, observed, drain)
        execution = Execution(family, choice.commands, ipvs, artifact)
        left = 0
        if not dry_run:
            with stages.stage("write"):
                execution.do(planned.steps)
                left = execution.settle(planned.drained)
    report = Report(
        family,
        planned,
        left,
        choice.warnings + untried + planned.warnings + execution.warnings,
        choice.commands.variant,
        stages.seconds,
    )
    return _checked(report, execution)


def apply_step(
    delta: IPVSDelta,
    ipvs: IPVS,
    *,
    variant: Variant | None = None,
    drain: int = DRAIN,
) -> Report:
    """Take this network namespace through `delta`, from the state that an apply left it in.

    Costs what the change costs: nothing is listed, and of each virtual server that changes
    it is asked whose it is. Raises ApplyError when the state is not what `delta` starts
    from; :func:`apply` then puts it right. Raises :class:`Incomplete` as that does.
    """
    planned = plan_step(delta, drain)
    stages = Stages()
    with lock(delta.family), stages.stage("write"):
        _check_owner(planned.steps, ipvs)
        commands = choose_variant(delta.family, variant).commands if delta.rules else None
        execution = Execution(delta.family, commands, ipvs, delta)
        execution.do(planned.steps)
        left = execution.settle(planned.drained)
    return _checked(Report(delta.family, planned, left, (), stages=stages.seconds), execution)


def _checked(report: Report, execution: Execution) -> Report:
    if execution.refused:
        raise Incomplete(report, execution.refused)
    return report


def _check_owner(steps: Iterable[Step], ipvs: IPVS) -> None:
    """Raise ApplyError if a virtual server that a step changes is another program's.

    One that it makes must not be there at all: the kernel would refuse the server, and
    take its real servers for those of the other.
    """
    messages = [message for step in steps for message in step.messages]
    made = {message.service for message in messages if isinstance(message, NewService)}
    for service in {service_in(message) for message in messages} - {None}:
        assert service is not None
        there = ipvs.service(service)
        is_ours = there is not None and there.flags & MADE_BY_SVCNET
        if not (there is None if service in made else is_ours):
            raise ApplyError(f"{service.key}: the virtual server is not what svcnet left there")


def _is_first(family: str) -> bool:
    """Return whether nothing of ours is there; raise ApplyError if another's sets are."""
    mark, *others = all_sets(family)
    if ipsets.there((mark,)):
        return False
    foreign = ipsets.there(others)
    if foreign and not has_servers(family):
        raise ApplyError(
            f"svcnet did not make the ipset {foreign[0]} that is there: kube-proxy runs here, or "
            "did (kube-proxy --cleanup removes what it left). Nothing was changed"
        )
    return not foreign


def services(planned: Plan, artifact: IPVSTables) -> Iterator[str]:
    """Yield ``namespace/name`` of the Service of each message in a plan, where that can be told."""
    for message in (message for step in planned.steps for message in step.messages):
        service = service_in(message)
        origin = artifact.origin_of(key_of(service)) if service else None
        if origin is not None:
            yield f"{origin.namespace}/{origin.name}"
