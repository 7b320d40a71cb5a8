"""``svcnet rule``: what one of the things that svcnet tells of is, and what to do."""

from __future__ import annotations

import click

from svcnet.cli.output import write_output
from svcnet.cli.verb import Verb
from svcnet.errors import AbsentError


@click.command(
    "rule",
    cls=Verb,
    examples=[
        ("One rule", "svcnet rule no-pod"),
        ("All rules, a line each", "svcnet rule"),
    ],
)
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """Explain one rule, by its name or number, with an example; without NAME, list all.

    Rules are what svcnet check looks for, and what other verbs warn of or refuse.
    """
    from svcnet.check.explanation import explain, rule_list
    from svcnet.check.registry import RULES, find_rule
    from svcnet.sources.unknown import nearest_of

    if name is None:
        write_output(rule_list(RULES), None)
        return
    rule = find_rule(name)
    if rule is None:
        guess = nearest_of(name, [each.name for each in RULES])
        hint = f"; did you mean {guess}?" if guess else ""
        raise AbsentError(f"there is no rule {name!r}{hint}")
    write_output(explain(rule), None)
