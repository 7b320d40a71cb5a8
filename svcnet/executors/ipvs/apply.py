"""Observe, plan, do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from errno import EEXIST

from attrs import field, frozen

from svcnet.errors import ApplyError
from svcnet.executors.counted import counted
from svcnet.executors.iptables import Commands, Variant, choose_variant
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.ipvs import device, ipsets
from svcnet.executors.ipvs.kernel import BATCH, IPVS, Refused
from svcnet.executors.ipvs.names import DRAIN, all_sets, draining
from svcnet.executors.ipvs.observe import SYS, Observed, key_of, observe
from svcnet.executors.ipvs.plan import plan, plan_step
from svcnet.executors.ipvs.probe import require
from svcnet.executors.ipvs.steps import Plan, Step
from svcnet.executors.lock import lock
from svcnet.executors.stages import Stages
from svcnet.nogc import without_gc
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables
from svcnet.renderers.ipvs.messages import (
    MADE_BY_SVCNET,
    DelDest,
    DestKey,
    Message,
    NewDest,
    NewService,
    Service,
    SetDest,
)


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
    is done when the kernel lacks something, and ApplyError when something is refused. What
    is served then goes on being served, and the next apply continues; refusals of IPVS
    itself, such as of an endpoint's address, keep nothing else from being done. Raises
    :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with nullcontext() if dry_run else lock(artifact.family):
        return _apply(artifact, variant, drain, dry_run=dry_run)


def _apply(artifact: IPVSTables, variant: Variant | None, drain: int, *, dry_run: bool) -> Report:
    family = artifact.family
    stages = Stages()
    with stages.stage("observe"):
        choice = choose_variant(family, variant)
    is_first = _is_first(family)
    untried = require(artifact, choice.commands) if is_first else ()
    with IPVS() as ipvs:
        with stages.stage("observe"):
            observed = observe(family, choice.observed, artifact.sysctls, ipvs)
        if not is_first and _has_new_scheduler(artifact, observed):
            untried = require(artifact, choice.commands)
        with stages.stage("plan"):
            planned = plan(artifact, observed, drain)
        left = 0
        if not dry_run:
            with stages.stage("write"):
                _do(planned.steps, choice.commands, ipvs, artifact)
                left = settle(planned.drained, ipvs)
    return Report(
        family,
        planned,
        left,
        choice.warnings + untried + planned.warnings,
        choice.commands.variant,
        stages.seconds,
    )


def apply_step(
    delta: IPVSDelta, ipvs: IPVS, *, variant: Variant | None = None, drain: int = DRAIN
) -> Report:
    """Take this network namespace through `delta`, from the state that an apply left it in.

    Costs what the change costs: nothing is listed, and of each virtual server that changes
    it is asked whose it is. Raises ApplyError when the state is not what `delta` starts
    from; :func:`apply` then puts it right.
    """
    planned = plan_step(delta, drain)
    stages = Stages()
    with lock(delta.family), stages.stage("write"):
        _check_owner(planned.steps, ipvs)
        commands = choose_variant(delta.family, variant).commands if delta.rules else None
        _do(planned.steps, commands, ipvs, None)
        left = settle(planned.drained, ipvs)
    return Report(delta.family, planned, left, (), stages=stages.seconds)


def _check_owner(steps: Iterable[Step], ipvs: IPVS) -> None:
    """Raise ApplyError if a virtual server that a step changes is another program's.

    One that it makes must not be there at all: the kernel would refuse the server, and
    take its real servers for those of the other.
    """
    messages = [message for step in steps for message in step.messages]
    made = {message.service for message in messages if isinstance(message, NewService)}
    for service in {_service(message) for message in messages} - {None}:
        assert service is not None
        there = ipvs.service(service)
        is_ours = there is not None and there.flags & MADE_BY_SVCNET
        if not (there is None if service in made else is_ours):
            raise ApplyError(f"{service.key}: the virtual server is not what svcnet left there")


def settle(drained: Iterable[SetDest], ipvs: IPVS) -> int:
    """Remove the endpoints that were told to drain and have no connection; count the others."""
    waiting: dict[Service, set[DestKey]] = {}
    for message in drained:
        waiting.setdefault(message.service, set()).add(message.dest.key)
    left = 0
    for service, keys in waiting.items():
        found = [each for each in ipvs.dests(service) if each.dest.key in keys]
        busy = [each for each in found if each.active_connections + each.inactive_connections]
        ipvs.send([DelDest(service, each.dest) for each in found if each not in busy])
        left += len(busy)
    return left


def _is_first(family: str) -> bool:
    """Return whether nothing of ours is there; raise ApplyError if another's sets are."""
    there = ipsets.names()
    if draining(family) in there:
        return False
    foreign = [name for name in all_sets(family) if name in there]
    if foreign:
        raise ApplyError(
            f"svcnet did not make the ipset {foreign[0]} that is there: kube-proxy runs here, or "
            "did (kube-proxy --cleanup removes what it left). Nothing was changed"
        )
    return True


def _has_new_scheduler(artifact: IPVSTables, observed: Observed) -> bool:
    known = {service.scheduler for service in observed.services.values()}
    return any(server.scheduler not in known for server in artifact.servers.values())


def _do(
    steps: Iterable[Step], commands: Commands | None, ipvs: IPVS, artifact: IPVSTables | None
) -> None:
    """Carry out steps; raise ApplyError at the first that fails, for IPVS itself at the end."""
    refused: list[Refused] = []
    for step in steps:
        match step.tool:
            case "sysctl":
                _write_sysctls(step.lines)
            case "link":
                device.make()
            case "ipset":
                ipsets.restore(step.text)
            case "iptables":
                assert commands is not None
                _restore(commands, step.text)
            case "address":
                device.change_addresses(_without_servers(step.text, refused))
            case "ipvs":
                refused += _send(step.messages, ipvs)
    if refused:
        raise ApplyError("\n".join(f"{each}{_cause(each.message, artifact)}" for each in refused))


def _without_servers(lines: str, refused: Iterable[Refused]) -> str:
    """Leave out the addresses whose virtual server the kernel has refused."""
    messages = [each.message for each in refused]
    keep_out = {f" {m.service.address}/" for m in messages if isinstance(m, NewService)}
    return "".join(
        line for line in lines.splitlines(True) if not any(text in line for text in keep_out)
    )


def _write_sysctls(lines: Iterable[str]) -> None:
    for line in lines:
        path, _, value = line.strip().partition("=")
        try:
            (SYS / path).write_text(value)
        except OSError as error:
            raise ApplyError(f"{SYS / path}: {error.strerror}") from None


def _restore(commands: Commands, text: str) -> None:
    try:
        commands.restore(text)
    except RestoreError as error:
        lines = text.splitlines()
        refused = lines[error.line - 1] if 0 < error.line <= len(lines) else ""
        raise ApplyError(f"{error}\n  refused: {refused}") from None


def _send(messages: Sequence[Message], ipvs: IPVS) -> Iterator[Refused]:
    """Send changes, and yield what is refused.

    An endpoint that returns while it drains is there already: it is told its weight.
    """
    for start in range(0, len(messages), BATCH):
        again: list[Message] = []
        for refusal in ipvs.attempt(messages[start : start + BATCH]):
            match refusal.message:
                case NewDest(service, dest) if refusal.errno == EEXIST:
                    again.append(SetDest(service, dest))
                case _:
                    yield refusal
        ipvs.send(again)


def _cause(message: Message, artifact: IPVSTables | None) -> str:
    """Say what in the input a message came from, where that can be told."""
    service = _service(message)
    origin = artifact.origin_of(key_of(service)) if artifact and service else None
    return f" (from {origin})" if origin else ""


def services(planned: Plan, artifact: IPVSTables) -> Iterator[str]:
    """Yield ``namespace/name`` of the Service of each message in a plan, where that can be told."""
    for message in (message for step in planned.steps for message in step.messages):
        service = _service(message)
        origin = artifact.origin_of(key_of(service)) if service else None
        if origin is not None:
            yield f"{origin.namespace}/{origin.name}"


def _service(message: Message) -> Service | None:
    """Return the virtual server that a message is about, if it is about one."""
    service: Service | None = getattr(message, "service", None)
    return service
