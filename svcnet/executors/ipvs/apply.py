"""Putting IPVS mode on a machine, and taking it away: observe, plan, do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import TypeAlias

from attrs import field, frozen

from svcnet import checks, errors
from svcnet.errors import ApplyError
from svcnet.executors.iptables import Choice, Commands, Ownership, Variant, choose_variant
from svcnet.executors.ipvs import device, rules, sets
from svcnet.executors.ipvs.execution import Execution, Refusal, refusal_lines, service_in
from svcnet.executors.ipvs.observe import IPVSState, key_of, observe
from svcnet.executors.ipvs.plan import IPVSPlan, Step, plan, plan_step
from svcnet.executors.ipvs.probe import require
from svcnet.executors.ipvs.servers import IPVS, has_servers
from svcnet.executors.ipvs.sets import DRAIN, all_sets, draining
from svcnet.executors.machine import Machine
from svcnet.executors.stages import Stages
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.netfilter import SavedTables as Tables
from svcnet.netfilter.ip.wire import DeviceAddress
from svcnet.netfilter.ipvs.messages import MADE_BY_SVCNET, DelService, NewService
from svcnet.nogc import without_gc
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables
from svcnet.renderers.ipvs.sets import IPVS_IPS
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE
from svcnet.words import count_noun

OtherModes: TypeAlias = Callable[[], Collection[Ownership]]
"""Says what chains of iptables other modes have. To ask all modes takes some 40 ms."""


@frozen
class IPVSReport:
    """What an apply did, or with a dry run would do.

    ``draining`` counts endpoints that were just told to take no new connections and still
    have some; a later apply removes them. ``variant`` is that of iptables, None if
    its rules were not looked at. ``stages`` are how many seconds each part took.
    """

    family: IPFamily
    plan: IPVSPlan
    draining: int
    warnings: tuple[str, ...]
    variant: Variant | None = None
    stages: Mapping[str, float] = field(factory=dict, eq=False)

    def __str__(self) -> str:
        done = count_noun(self.plan.operations, "operation")
        what = done if self.plan.steps else "nothing to change"
        left = f", {count_noun(self.draining, 'endpoint')} draining" if self.draining else ""
        return f"{self.family}, ipvs: {what}{left}"


class IncompleteIPVS(errors.Incomplete):
    """The machine refused some of what is wanted; ``report`` is of all else, which is done."""

    report: IPVSReport

    def __init__(self, report: IPVSReport, refused: Iterable[Refusal]) -> None:
        self.refused = tuple(refused)
        super().__init__("\n".join(refusal_lines(self.refused)), report, checks.REFUSED_RULE)


@without_gc()
def apply(
    artifact: IPVSTables,
    *,
    variant: Variant | None = None,
    drain: int = DRAIN,
    dry_run: bool = False,
    other_modes: OtherModes = tuple,
    machine: Machine = THIS_MACHINE,
) -> IPVSReport:
    """Bring a machine's network namespace to what `artifact` says.

    Only what differs is done; with `dry_run` nothing is. What svcnet did not make is left
    alone. `other_modes` says what chains of iptables other modes have, which are removed; it is
    called if there are any that are not this mode's. `drain` is the time in seconds that the
    connections of a removed TCP endpoint have to end.

    Raises :class:`svcnet.executors.ipvs.probe.MissingModules` before anything is done
    when nothing of svcnet's is there yet and the kernel lacks what all Services need;
    :class:`IncompleteIPVS` when it refuses some of what is wanted, such as an endpoint's address
    or one Service's scheduler, after all else is done; and ApplyError for what cannot be
    observed, with nothing changed, :class:`svcnet.executors.lock.Busy` among it when another
    svcnet is at work. What is served goes on being served, and the next apply continues.
    """
    with nullcontext() if dry_run else machine.lock(artifact.family):
        return _apply(machine, artifact, variant, drain, other_modes, dry_run=dry_run)


def _apply(
    machine: Machine,
    artifact: IPVSTables,
    variant: Variant | None,
    drain: int,
    other_modes: OtherModes,
    *,
    dry_run: bool,
) -> IPVSReport:
    family = artifact.family
    stages = Stages()
    with stages.stage("observe"):
        choice = choose_variant(family, variant, machine=machine)
    untried = require(artifact, choice.commands) if _is_first(machine, family) else ()
    found = _find(artifact, choice, drain, other_modes, stages, untried)
    if dry_run:
        return IPVSReport(
            family=family,
            plan=found.plan,
            draining=0,
            warnings=found.warnings,
            variant=choice.commands.variant,
            stages=stages.seconds,
        )
    return carry_out(artifact, found, stages)


@frozen
class IPVSFindings:
    """What is to be done on a machine, and what an operator must see. Nothing is done yet."""

    commands: Commands
    plan: IPVSPlan
    warnings: tuple[str, ...]


@without_gc()
def find(
    artifact: IPVSTables,
    *,
    variant: Variant | None = None,
    drain: int = DRAIN,
    other_modes: OtherModes = tuple,
    stages: Stages,
    machine: Machine = THIS_MACHINE,
) -> IPVSFindings:
    """Return what :func:`apply` would do where svcnet has been before. Raises ApplyError."""
    with stages.stage("observe"):
        choice = choose_variant(artifact.family, variant, machine=machine)
    return _find(artifact, choice, drain, other_modes, stages)


def _find(
    artifact: IPVSTables,
    choice: Choice,
    drain: int,
    other_modes: OtherModes,
    stages: Stages,
    warnings: tuple[str, ...] = (),
) -> IPVSFindings:
    with IPVS(choice.commands.machine) as ipvs, stages.stage("observe"):
        observed = observe(artifact.family, choice.observed, artifact.sysctls, ipvs)
    if observed.device is not None and observed.device.kind != "dummy":
        kind = observed.device.kind
        raise ApplyError(f"{DUMMY_DEVICE} is no dummy device but of kind {kind}")
    with stages.stage("plan"):
        theirs = other_modes() if rules.has_foreign(choice.observed, artifact.family) else ()
        planned = plan(artifact, observed, drain, theirs)
    return IPVSFindings(choice.commands, planned, choice.warnings + warnings + planned.warnings)


def carry_out(artifact: IPVSTables, found: IPVSFindings, stages: Stages) -> IPVSReport:
    """Do what was found, with the lock held. Raises as :func:`apply` does."""
    commands, planned = found.commands, found.plan
    with IPVS(commands.machine) as ipvs, stages.stage("write"):
        execution = Execution(artifact.family, commands, ipvs, artifact)
        execution.do(planned.steps)
        left = execution.settle(planned.drained)
    report = IPVSReport(
        artifact.family,
        planned,
        left,
        found.warnings + execution.warnings,
        commands.variant,
        stages.seconds,
    )
    return _check(report, execution)


def apply_step(
    delta: IPVSDelta,
    ipvs: IPVS,
    *,
    variant: Variant | None = None,
    drain: int = DRAIN,
) -> IPVSReport:
    """Take the network namespace of `ipvs` through `delta`, from the state an apply left it in.

    Costs what the change costs: nothing is listed, and of each virtual server that changes
    it is asked whose it is. Raises ApplyError when the state is not what `delta` starts
    from; :func:`apply` then puts it right. Raises :class:`IncompleteIPVS` as that does.
    """
    planned = plan_step(delta, drain)
    stages = Stages()
    with ipvs.machine.lock(delta.family), stages.stage("write"):
        _check_owner(planned.steps, ipvs)
        choice = (
            choose_variant(delta.family, variant, machine=ipvs.machine) if delta.rules else None
        )
        commands = choice.commands if choice else None
        execution = Execution(delta.family, commands, ipvs, delta)
        execution.do(planned.steps)
        left = execution.settle(planned.drained)
    return _check(IPVSReport(delta.family, planned, left, (), stages=stages.seconds), execution)


def _check(report: IPVSReport, execution: Execution) -> IPVSReport:
    if execution.refused:
        raise IncompleteIPVS(report, execution.refused)
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


def _is_first(machine: Machine, family: IPFamily) -> bool:
    """Return whether nothing of ours is there; raise ApplyError if another's sets are."""
    if sets.headers(machine, (draining(family),)):
        return False
    foreign = tuple(sets.headers(machine, all_sets(family)))
    if foreign and not has_servers(machine, family):
        raise ApplyError(
            f"svcnet did not make the ipset {foreign[0]} that is there: kube-proxy runs here, or "
            "did (kube-proxy --cleanup removes what it left). Nothing was changed"
        )
    return not foreign


def services(planned: IPVSPlan, artifact: IPVSTables) -> Iterator[str]:
    """Yield ``namespace/name`` of the Service of each message in a plan, where that can be told."""
    for message in (message for step in planned.steps for message in step.messages):
        service = service_in(message)
        origin = artifact.origin_of(key_of(service)) if service else None
        if origin is not None:
            yield f"{origin.namespace}/{origin.name}"


def cleanup(
    family: IPFamily, *, with_rules: bool = True, machine: Machine = THIS_MACHINE
) -> tuple[str, ...]:
    """Remove the addresses, virtual servers, rules and sets of `family` that svcnet made.

    Addresses go before the servers that answer on them, rules before the sets that they
    name, and the dummy device with the last address of either family. Kernel settings
    stay. Without `with_rules` the caller has removed the rules, which share chains with another
    mode's. Returns a line for each kind of thing removed or left; none where svcnet has nothing.
    Raises ApplyError, after all else is done, when the machine refuses something, and
    :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with machine.lock(family):
        if is_there(family, machine=machine):
            done = _cleanup(machine, family, with_rules=with_rules)
        else:
            done = list(device.remove_unused(machine))
        return tuple(f"{family}, ipvs: {line}" for line in done)


def remains(family: IPFamily, *, machine: Machine = THIS_MACHINE) -> tuple[str, ...]:
    """Return a line for each kind of thing that :func:`cleanup` would remove. Raises ApplyError."""
    if not is_there(family, machine=machine):
        return ()
    with IPVS(machine) as ipvs:
        observed = observe(family, Tables({}), (), ipvs)
    found = [
        (len({each.address for each in _own_addresses(observed)[0]}), "address"),
        (len(observed.own_services), "virtual server"),
    ]
    lines = [count_noun(count, what) for count, what in found if count]
    lines += rules.remains(machine, family)
    lines.append(count_noun(len(sets.own(family, observed.sets)), "set"))
    return tuple(f"{family}, ipvs: {line}" for line in lines)


def _cleanup(machine: Machine, family: IPFamily, *, with_rules: bool) -> list[str]:
    with IPVS(machine) as ipvs:
        observed = observe(family, Tables({}), (), ipvs)
        execution = Execution(family, None, ipvs, None)
        done = [*_addresses(observed, execution), *_servers(observed, execution)]
    refused = list(refusal_lines(execution.refused))
    try:
        done += rules.remove(machine, family) if with_rules else ()
    except ApplyError as error:
        # Rules that are still there name the sets.
        refused.append(str(error))
    else:
        done += sets.remove(machine, family, observed.sets)
    done += device.remove_unused(machine)
    if refused:
        raise ApplyError("\n".join(refused))
    return done


def is_there(family: IPFamily, *, machine: Machine = THIS_MACHINE) -> bool:
    """Return whether svcnet has put IPVS mode of a family on a machine.

    It has sets then; where somebody destroyed the one that tells, it has virtual servers.
    """
    mark = sets.headers(machine, (draining(family),))
    return bool(mark) or has_servers(machine, family)


def _own_addresses(
    observed: IPVSState,
) -> tuple[list[DeviceAddress], tuple[DeviceAddress, ...]]:
    """Return the addresses that svcnet made, and all that are there."""
    there = tuple(observed.device.held) if observed.device else ()
    names = observed.entries(IPVS_IPS.name_in(observed.family))
    return [each for each in there if each.address in names], there


def _addresses(observed: IPVSState, execution: Execution) -> Iterator[str]:
    own, there = _own_addresses(observed)
    if own:
        execution.do([Step("address", device.removed_addresses(own, there))])
        yield f"{count_noun(len({each.address for each in own}), 'address')} removed"


def _servers(observed: IPVSState, execution: Execution) -> Iterator[str]:
    own = observed.own_services
    if own:
        execution.do([Step("ipvs", messages=tuple(map(DelService, own)))])
        yield f"{count_noun(len(own), 'virtual server')} removed"
