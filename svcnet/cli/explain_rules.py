"""``svcnet explain --rules`` and ``--live``: which rule a packet hits of those that are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from svcnet.cli.dump import given_dump, live_dump, live_mode, mode_of, warn_of_others
from svcnet.cli.manner import stage
from svcnet.errors import UsageError
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.inputs import FAMILIES, InputRequest, Inputs, probe_host, read_located
from svcnet.modes.options import enumerate_words

if TYPE_CHECKING:
    from svcnet.meaning.dump import MachineDump
    from svcnet.meaning.explanation.destinations import Destination, PacketTarget
    from svcnet.meaning.explanation.machine import MachineQuestion
    from svcnet.meaning.explanation.question import Question
    from svcnet.meaning.facts import Facts
    from svcnet.meaning.outcomes import MachineRules
    from svcnet.models import Host
    from svcnet.sources import LoadResult

ABOUT_OBJECTS = ("config", "node", "from_pods", "ip_families")
"""Options that say nothing without objects."""


@frozen
class RulesRequest:
    """What is asked of rules: those of ``files``, or without any those of this machine.

    ``options`` are those of the verb that say what objects there are; ``family`` is that of the
    packet, None where nobody named one.
    """

    files: tuple[Path, ...]
    family: str | None
    options: dict[str, Any]

    @property
    def has_objects(self) -> bool:
        """Whether objects are named, beside the rules."""
        return bool(self.options["paths"])


def refuse_two_sources(files: tuple[Path, ...], live: bool, trace: str | None) -> None:
    """Raise UsageError for options that do not go together."""
    if files and live:
        raise UsageError("--live is about the rules of this machine, --rules about those of files")
    if trace is not None and (files or live):
        raise UsageError("--trace is of a packet that the kernel saw: not with --rules or --live")


def machine_question(
    asked: RulesRequest, question_of: Callable[[Inputs, LoadResult, str | None], Question]
) -> MachineQuestion:
    """Return the rules that a packet is asked of; `question_of` makes the question of objects."""
    dump = given_dump(asked.files) if asked.files else None
    if asked.has_objects:
        return _beside_objects(asked, dump, question_of)
    return _alone(asked, dump)


def _beside_objects(
    asked: RulesRequest,
    dump: MachineDump | None,
    question_of: Callable[[Inputs, LoadResult, str | None], Question],
) -> MachineQuestion:
    from svcnet.meaning.facts import Facts

    options = asked.options
    if options["mode"] is None:
        options["mode"] = mode_of(dump, options["config"])
    host = partial(probe_host, THIS_MACHINE) if dump is None else None
    with stage("reading"):
        inputs, loaded = read_located(InputRequest(**options, default_host=host))
    if dump is not None and dump.addresses is not None and inputs.host.addresses is None:
        inputs = evolve(inputs, host=evolve(inputs.host, addresses=dump.addresses))
    question = question_of(inputs, loaded, asked.family)
    family = question.view.family
    found = dump or live_dump(inputs.mode.name, inputs.settings.given.get("variant"), (family,))
    facts = Facts.of(question.graph.settings)
    return _question(found, inputs.mode.name, family, facts, question)


def _alone(asked: RulesRequest, dump: MachineDump | None) -> MachineQuestion:
    """Return rules beside which there are no objects."""
    from svcnet.meaning.facts import Facts
    from svcnet.meaning.spans import number

    options = asked.options
    for name in ABOUT_OBJECTS:
        if options[name]:
            raise UsageError(f"--{name.replace('_', '-')} is about objects: name their PATH")
    family = FAMILIES[asked.family or "ipv4"]
    if dump is None:
        mode = options["mode"] or live_mode()
        dump = live_dump(mode, options["given"].get("variant"), (family,))
    else:
        mode = options["mode"] or dump.mode
    addresses = _addresses(dump, options["host"], is_live=not asked.files)
    own = [each for each in addresses or () if (":" in each) == (family == "IPv6")]
    facts = Facts(family, frozenset(map(number, own)))
    return _question(dump, mode, family, facts, None)


def _addresses(dump: MachineDump, host: Path | None, *, is_live: bool) -> Sequence[str] | None:
    """Return the addresses of the machine, None if nothing says them."""
    from svcnet.sources import load_host

    if host is not None:
        found: Host = load_host(host)
        return found.addresses
    if dump.addresses is not None:
        return dump.addresses
    return probe_host(THIS_MACHINE).addresses if is_live else None


def _question(
    dump: MachineDump, mode: str, family: IPFamily, facts: Facts, objects: Question | None
) -> MachineQuestion:
    from svcnet.meaning.dump import LANGUAGES
    from svcnet.meaning.explanation.machine import MachineQuestion

    if mode not in LANGUAGES:
        raise UsageError(
            f"rules of modes {enumerate_words(LANGUAGES)} are understood, not of mode {mode}"
        )
    if family not in dump.families(mode):
        raise UsageError(f"no file has rules of {family} and mode {mode}")
    warn_of_others(dump, mode)
    facts = evolve(facts, sets=dump.sets)

    def owning(addresses: frozenset[int]) -> MachineRules:
        return dump.rules(mode, family, evolve(facts, addresses=addresses))

    return MachineQuestion(
        dump.rules(mode, family, facts),
        dump.names(mode, family),
        objects,
        None if facts.addresses else owning,
    )


def machine_destination(asked: PacketTarget) -> Destination:
    """Return where a packet goes to, where there are no objects. Raises UsageError for a name."""
    from svcnet.meaning.explanation.destinations import destination_of_address

    if asked.kind != "address":
        raise UsageError(
            f"--to {asked.name}: without objects it is ADDRESS:PORT; name the objects' PATH beside "
            "--rules"
        )
    return destination_of_address(asked)


def machine_sender(who: str, asked: MachineQuestion) -> str:
    """Return the address of a sender, where there are no objects.

    Raises UsageError for one that only objects know.
    """
    from svcnet.addresses import is_address
    from svcnet.meaning.explanation.senders import stranger
    from svcnet.meaning.spans import text_of

    facts = asked.rules.facts
    own = [text_of(each, facts.family) for each in sorted(facts.addresses)]
    if who == "outside":
        return stranger(facts.family, own)
    if who == "node":
        found = [each for each in own if not each.startswith("127.") and each != "::1"]
        if not found:
            raise UsageError(
                "--from node: nothing says which addresses are the machine's own: say --from "
                "ADDRESS, or give what ip -j addr prints with one more --rules"
            )
        return found[0]
    if not is_address(who):
        raise UsageError(
            f"--from {who}: without objects it is an address, node or outside; name the objects' "
            "PATH beside --rules"
        )
    return who
