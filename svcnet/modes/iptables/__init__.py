"""Mode iptables: rules of iptables, through its restore commands."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from svcnet.modes.mode import Form, Mode, ModeSettings, Part, Written
from svcnet.modes.options import JUMPS, VARIANT, Given

if TYPE_CHECKING:
    from svcnet.executors.iptables import Choice, Report, Variant
    from svcnet.executors.iptables.cleanup import Owned
    from svcnet.graph import GraphDiff, RuleGraph
    from svcnet.models import IPFamily
    from svcnet.modes.iptables.adapter import IptablesAdapter
    from svcnet.renderers.iptables import Delta, RestoreText


def _text(artifact: RestoreText, given: Given) -> Written:
    return Written(artifact.text_with_jumps if given.get(JUMPS.name) else artifact.text)


def _step(delta: Delta, _: Given) -> Written:
    return Written(delta.text)


class IptablesMode(Mode["RestoreText", "Delta"]):
    """Rules of iptables; they stay when svcnet ends."""

    name = "iptables"
    configured_as = "iptables"
    forms: ClassVar[dict[str, Form[Any, Any]]] = {
        "text": Form(_text, _step, frozenset({JUMPS.name}))
    }
    options = (JUMPS, VARIANT)

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> RestoreText:
        """Return the text for ``iptables-restore --noflush``."""
        from svcnet.renderers.iptables import full

        return full(graph)

    def advance(self, artifact: RestoreText, diff: GraphDiff) -> tuple[RestoreText, Delta]:
        """Return the text after a step, most of it the same, and the step."""
        from svcnet.renderers.iptables import delta, full

        return full(diff.new, artifact), delta(diff)

    def delta(self, diff: GraphDiff, settings: ModeSettings | None = None) -> Delta:
        """Return the step, at the cost of what differs."""
        from svcnet.renderers.iptables import delta

        return delta(diff)

    def apply(
        self, artifact: RestoreText, settings: ModeSettings | None = None, *, dry_run: bool = False
    ) -> Report:
        """Write what differs; see :func:`svcnet.executors.iptables.apply`."""
        from svcnet.executors.iptables import apply

        variant = None if settings is None else settings.given[VARIANT.name]
        return apply(artifact, variant=variant, dry_run=dry_run)

    def adapters(
        self, families: Collection[IPFamily], settings: ModeSettings
    ) -> list[IptablesAdapter]:
        """Return what keeps each family; they share what tells who wrote."""
        from svcnet.executors.iptables import Commits
        from svcnet.modes.iptables.adapter import IptablesAdapter

        given, commits = settings.given, Commits()
        return [IptablesAdapter(family, given[VARIANT.name], commits) for family in families]

    def cleanup(self, family: str, variant: Variant | None) -> Iterator[Part]:
        """Yield the removal from each variant of iptables."""
        from svcnet.executors.iptables import cleanup
        from svcnet.executors.iptables.commands import installed

        for commands in installed(family, variant):
            yield partial(cleanup, family, commands.variant)

    def owned(self, family: str) -> Owned:
        """Return how the chains are known that this mode makes."""
        from svcnet.executors.iptables.cleanup import owned

        return owned(family)

    def variant_in_use(self, family: str, variant: Variant | None) -> Choice:
        """Return the variant that holds this mode's rules, or other rules."""
        from svcnet.executors.iptables import choose_variant

        return choose_variant(family, variant)


IPTABLES = IptablesMode()
