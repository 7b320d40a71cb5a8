"""Mistakes in manifests, as findings: what ``svcnet check`` tells of a repository.

`registry` has all rules, in the order of their numbers; `run` has them look at what is read;
`forms` write what they found for people and for programs.
"""

from svcnet.check.registry import find_rule
from svcnet.check.rule import CheckRule
from svcnet.check.run import CheckReport, check

__all__ = ["CheckReport", "CheckRule", "check", "find_rule"]
