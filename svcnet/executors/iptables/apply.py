"""Observe, plan, write."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from attrs import field, frozen

from svcnet.errors import ApplyError
from svcnet.executors.iptables.commands import Commands, RestoreError, Variant
from svcnet.executors.iptables.observe import Observed
from svcnet.executors.iptables.plan import Plan, back, most_chains, plan
from svcnet.executors.iptables.variants import Choice, choose_variant
from svcnet.executors.lock import lock
from svcnet.executors.stages import Stages
from svcnet.nogc import without_gc
from svcnet.renderers.iptables import RestoreText

ROUTE_LOCALNET = Path("/proc/sys/net/ipv4/conf/all/route_localnet")


@frozen
class Report:
    """What an apply did, or with a dry run would do.

    ``found`` is what was there before. ``sysctls`` are the kernel's settings that were changed,
    and ``stages`` how many seconds each part took.
    """

    found: Choice = field(repr=False)
    plan: Plan
    warnings: tuple[str, ...]
    sysctls: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(factory=dict, eq=False)

    @property
    def variant(self) -> Variant:
        """The variant of iptables that was used."""
        return self.found.commands.variant

    @property
    def changes(self) -> Mapping[str, int]:
        """How many things were changed, by kind: chains of each table, and sysctls."""
        found = {f"iptables {table}": len(c) for table, c in self.plan.chains.items()}
        return {**found, "sysctls": len(self.sysctls)} if self.sysctls else found

    def __str__(self) -> str:
        what = {
            "none": "nothing to change",
            "full": f"all {self.plan.service_ports} service ports written",
            "delta": f"{self.plan.service_ports} service ports written",
        }[self.plan.kind]
        lines = self.plan.text.count("\n")
        count = f", {lines} lines in {len(self.plan.transactions)} transactions" if lines else ""
        return f"{self.found.commands.family}, iptables-{self.variant}: {what}{count}"


@without_gc()
def apply(
    artifact: RestoreText, *, variant: Variant | None = None, dry_run: bool = False
) -> Report:
    """Bring the tables of this network namespace to what `artifact` says.

    Only what differs is written; with `dry_run` nothing is. Rules that are not ours are
    never touched. Raises ApplyError when something is refused, and then puts back what
    was there before; :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with nullcontext() if dry_run else lock(artifact.family):
        return _apply(artifact, variant, dry_run=dry_run)


def _apply(artifact: RestoreText, variant: Variant | None, *, dry_run: bool) -> Report:
    stages = Stages()
    with stages.stage("observe"):
        choice = choose_variant(artifact.family, variant)
    commands = choice.commands
    with stages.stage("plan"):
        planned = plan(artifact, choice.observed, most_chains(commands.variant))
    sysctls: tuple[str, ...] = ()
    warnings = choice.warnings
    if not dry_run:
        with stages.stage("write"):
            _write(artifact, planned, commands, choice.observed)
            sysctls, more = serve_localhost(artifact)
        warnings += more
    return Report(choice, planned, warnings, sysctls, stages.seconds)


def _write(artifact: RestoreText, planned: Plan, commands: Commands, before: Observed) -> None:
    for text in planned.transactions:
        try:
            commands.restore(text)
        except RestoreError as error:
            put_back = _put_back(commands, before)
            raise ApplyError(_explain(artifact, text, error) + put_back) from None


def _explain(artifact: RestoreText, text: str, error: RestoreError) -> str:
    """Say which line was refused, and what in the input it came from."""
    lines = text.split("\n")
    if not 0 < error.line <= len(lines):
        return str(error)
    line = lines[error.line - 1]
    origin = artifact.origin_of_line(line)
    cause = f" (from {origin})" if origin else ""
    return f"{error}\n  refused: {line}{cause}"


def _put_back(commands: Commands, before: Observed) -> str:
    try:
        for text in back(before, commands.observe()):
            commands.restore(text)
    except (RestoreError, ApplyError) as error:
        return f"\n  and what was there before could not be put back: {error}"
    return "\n  what was there before is still there"


def serve_localhost(artifact: RestoreText) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Let packets for node ports on 127.0.0.1 be routed to endpoints, as kube-proxy does.

    Return the settings that were not so, and warnings. It is done last, because it is
    KUBE-FIREWALL that keeps neighbours off the host's loopback then.
    """
    if not artifact.settings.localhost_node_ports:
        return (), ()
    try:
        if ROUTE_LOCALNET.read_text().strip() == "1":
            return (), ()
        ROUTE_LOCALNET.write_text("1")
    except OSError as error:
        problem = f"{ROUTE_LOCALNET}: {error.strerror}"
        return (), (f"node ports do not answer on 127.0.0.1: {problem}",)
    return (ROUTE_LOCALNET.name,), ()
