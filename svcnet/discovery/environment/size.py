"""How much of the room for a new program its environment takes, counted as execve(2) does.

Source of the rules: ``bprm_stack_limits`` and ``copy_strings`` in fs/exec.c of Linux.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from svcnet.words import count_noun

SHARE = 4
"""An environment is large when it takes more than one part in this many."""


@frozen
class KernelLimits:
    """What a kernel allows, in bytes.

    ``total`` is for all arguments and variables together (ARG_MAX; Linux: a quarter of the
    stack's limit, and at most 6 MiB), ``string`` for one ``NAME=value`` and its end
    (MAX_ARG_STRLEN, 32 pages). ``pointer`` is the length of a pointer.
    """

    total: int
    string: int = 131072
    pointer: int = 8


@frozen
class EnvironmentSize:
    """The bytes that an environment takes, and those of its longest string."""

    count: int
    total: int
    longest: int
    longest_name: str

    def warnings(self, limits: KernelLimits) -> tuple[str, ...]:
        """Return what to say of an environment that is large, or has a string that is too long."""
        found = []
        if self.total * SHARE > limits.total:
            share = 100 * self.total / limits.total
            found.append(
                f"the environment takes {count_noun(self.total, 'byte')}, {share:.0f} % of ARG_MAX "
                f"({limits.total:,}); what is left is for the arguments"
            )
        if self.longest > limits.string:
            found.append(
                f"{self.longest_name} takes {count_noun(self.longest, 'byte')}; "
                f"no program can be started with more than {limits.string:,} in one variable"
            )
        return tuple(found)


def size_of(variables: Mapping[str, str], limits: KernelLimits) -> EnvironmentSize:
    """Return the size of an environment: each string, the NUL at its end, and a pointer to it."""
    lengths = {
        # A lone surrogate is as long as the replacement character that the kubelet makes of it.
        name: len(f"{name}={value}\0".encode("utf-8", "surrogatepass"))
        for name, value in variables.items()
    }
    longest = max(lengths, key=lengths.__getitem__, default="")
    total = sum(lengths.values()) + limits.pointer * len(lengths)
    return EnvironmentSize(len(lengths), total, lengths.get(longest, 0), longest)
