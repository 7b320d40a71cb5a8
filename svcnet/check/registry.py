"""All rules in one order: that of their numbers."""

from __future__ import annotations

from svcnet.check.catalogue import (
    between,
    configuration,
    controllers,
    fields,
    files,
    nodes,
    requests,
    services,
    slices,
)
from svcnet.check.rule import CheckRule

GROUPS: tuple[tuple[str, tuple[CheckRule, ...]], ...] = (
    ("Files and syntax", files.RULES),
    ("Fields of any object", fields.RULES),
    ("Services", services.RULES),
    ("EndpointSlices and Endpoints", slices.RULES),
    ("Nodes, Pods and ServiceCIDRs", nodes.RULES),
    ("Configuration, host facts and kubeconfig", configuration.RULES),
    ("Between objects", between.RULES),
    ("What controllers make of objects", controllers.RULES),
    ("The request and the machine", requests.RULES),
)
"""The rules of each hundred, under the heading that it has on the page of all."""

RULES: tuple[CheckRule, ...] = tuple(rule for _, rules in GROUPS for rule in rules)


def find_rule(name: str) -> CheckRule | None:
    """Return the rule of a name or number, None if there is none."""
    return next((rule for rule in RULES if name in (rule.check.name, rule.check.number)), None)
