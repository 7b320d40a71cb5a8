"""A plan as values: what is done, by which tool, in which order."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from svcnet.renderers.ipvs.messages import Message, SetDest

Tool = Literal["sysctl", "link", "ipset", "iptables", "ipvs", "address"]


@frozen
class Step:
    """Work for one tool: lines that it reads, or for IPVS messages."""

    tool: Tool
    lines: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()

    @property
    def text(self) -> str:
        """The lines, or one for each message."""
        return "".join(self.lines) or "".join(f"{message}\n" for message in self.messages)

    @property
    def operations(self) -> int:
        """How many things are done; lines that only frame iptables rules do not count."""
        counted = [line for line in self.text.splitlines() if line[0] not in "*:C"]
        return len(counted)


@frozen
class Plan:
    """Steps in their order; ``warnings`` say what was left alone that is wanted.

    ``drained`` are those of the messages that tell an endpoint which is to go that it gets
    no more connections.
    """

    steps: tuple[Step, ...]
    drained: tuple[SetDest, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def operations(self) -> int:
        """How many things are done in all steps."""
        return sum(step.operations for step in self.steps)

    @property
    def text(self) -> str:
        """Every step under a heading that names its tool."""
        return "".join(f"# {step.tool}\n{step.text}" for step in self.steps)
