"""Rules of a machine compared with objects, for the verbs that tell of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from svcnet.cli.dump import given_dump, live_dump, mode_of, warn_of_others
from svcnet.cli.manner import stage
from svcnet.errors import ApplyError, UnreadMachine, UsageError
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IP_FAMILIES
from svcnet.inputs import InputRequest, probe_host, read_located
from svcnet.modes.options import enumerate_words

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.inputs import Inputs
    from svcnet.meaning import Verdicts
    from svcnet.meaning.dump import MachineDump
    from svcnet.renderers.conntrack import DeletionPlan
    from svcnet.sources import LoadResult


@frozen
class MachineComparison:
    """What was compared, and what it comes to for each IP family that there are rules of.

    ``stale`` are entries of connection tracking that lead to no endpoint, if they were asked for.
    """

    inputs: Inputs
    loaded: LoadResult
    verdicts: tuple[Verdicts, ...]
    stale: tuple[DeletionPlan, ...] = ()


def compare(
    files: Sequence[Path],
    families: Sequence[IPFamily],
    options: Mapping[str, Any],
    *,
    with_entries: bool = False,
) -> MachineComparison:
    """Compare the rules in files, or without any those of this machine, with objects.

    `options` are those that say what to make rules of. Raises UsageError where there is nothing to
    compare.
    """
    from svcnet.meaning.dump import LANGUAGES

    dump = given_dump(files) if files else None
    default_host = None if files else partial(probe_host, THIS_MACHINE)
    given = dict(options)
    if given["mode"] is None:
        given["mode"] = mode_of(dump, given["config"])
    with stage("reading"):
        inputs, loaded = read_located(InputRequest(**given, default_host=default_host))
    if inputs.mode.name not in LANGUAGES:
        names = enumerate_words(LANGUAGES)
        raise UsageError(f"rules of modes {names} can be compared, not of mode {inputs.mode.name}")
    if dump is None:
        variant = inputs.settings.given.get("variant")
        dump = live_dump(inputs.mode.name, variant, inputs.families(families))
    elif dump.addresses is not None and inputs.host.addresses is None:
        inputs = evolve(inputs, host=evolve(inputs.host, addresses=dump.addresses))
    warn_of_others(dump, inputs.mode.name)
    verdicts = tuple(_compare_families(inputs, loaded, dump, families))
    stale: tuple[DeletionPlan, ...] = ()
    if with_entries:
        stale = tuple(
            _stale(
                inputs,
                dump,
                [each for each in IP_FAMILIES if each in {v.family for v in verdicts}],
                not files,
            )
        )
    return MachineComparison(inputs, loaded, verdicts, stale)


def _stale(
    inputs: Inputs, dump: MachineDump, families: Sequence[IPFamily], is_live: bool
) -> Iterator[DeletionPlan]:
    """Yield which entries of connection tracking lead to no endpoint, family by family."""
    from svcnet.compiler import compile_state
    from svcnet.executors import conntrack
    from svcnet.renderers.conntrack import plan

    if not is_live and dump.entries is None:
        raise UsageError("--also conntrack: no file has entries: give what conntrack -L prints")
    for family in families:
        with stage("compiling"):
            graph = compile_state(inputs.state, inputs.view(family.lower()))
        try:
            flows = list(conntrack.observe(family)) if is_live else dump.flows(family)
        except ApplyError as error:
            raise UnreadMachine(str(error), error.check) from None
        yield plan(flows, graph)


def _compare_families(
    inputs: Inputs, loaded: LoadResult, dump: MachineDump, families: Sequence[IPFamily]
) -> Iterator[Verdicts]:
    """Yield what the comparison comes to for each family that there are rules of."""
    from svcnet.compiler import compile_state
    from svcnet.meaning import Facts, verify

    mode = inputs.mode.name
    there = dump.families(mode)
    wanted = [each for each in inputs.families(families) if each in there]
    if families and len(wanted) < len(families):
        missing = [each for each in families if each not in wanted]
        raise UsageError(f"no file has rules of {enumerate_words(missing)} and mode {mode}")
    if not wanted:
        raise UsageError(
            f"there are no rules of mode {mode} for {enumerate_words(inputs.families(families))}; "
            "--mode and --family say what to compare"
        )
    for family in wanted:
        with stage("compiling"):
            graph = compile_state(inputs.state, inputs.view(family.lower()))
        with stage("verifying"):
            facts = Facts.of(graph.settings)
            verdicts = verify(graph, dump.rules(mode, family, facts), loaded.places)
        yield verdicts
