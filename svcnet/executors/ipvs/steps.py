"""A plan as values: what is done, by which tool, in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from attrs import frozen

from svcnet.netfilter import ip, ipset
from svcnet.netfilter.ipvs.messages import (
    DelDest,
    DelService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    SetDest,
    SetService,
)
from svcnet.netfilter.restore import chains_by_table
from svcnet.renderers.ipvs import ServerKey

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
    no more connections, and ``ended`` those that take one away which got none. ``beside`` are
    others' virtual servers on addresses of Services, which the rules let in; ``others`` are the
    addresses of all that others made.
    """

    steps: tuple[Step, ...]
    drained: tuple[SetDest, ...] = ()
    ended: tuple[DelDest, ...] = ()
    beside: tuple[ServerKey, ...] = ()
    others: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    @property
    def operations(self) -> int:
        """How many things are done in all steps."""
        return sum(step.operations for step in self.steps)

    @property
    def changes(self) -> Mapping[str, int]:
        """How many things are changed, by kind; endpoints that have drained are none.

        Of iptables they are chains, by table; of sets those that are made or change.
        """
        found: Counter[str] = Counter()
        for step in self.steps:
            found.update(_changes(step, self.ended))
        sets = {name for step in self.steps if step.tool == "ipset" for name in _sets(step)}
        if sets:
            found["ip sets"] = len(sets)
        return dict(found)

    @property
    def text(self) -> str:
        """Every step under a heading that names its tool."""
        return "".join(f"# {step.tool}\n{step.text}" for step in self.steps)


_KINDS: Mapping[type[Message], str] = MappingProxyType(
    {
        NewService: "virtual servers",
        SetService: "virtual servers",
        DelService: "virtual servers",
        NewDest: "real servers",
        SetDest: "real servers",
        DelDest: "real servers",
        SetConfig: "timeouts",
    }
)


def _changes(step: Step, ended: Iterable[Message]) -> Mapping[str, int]:
    match step.tool:
        case "iptables":
            return {f"iptables {table}": len(c) for table, c in chains_by_table(step.lines).items()}
        case "ipvs":
            no_changes = set(ended)
            return Counter(_KINDS[type(m)] for m in step.messages if m not in no_changes)
        case "ipset":
            return {}
        case "link":
            return {"devices": 1}
        case "sysctl":
            return {"sysctls": len(step.lines)}
        case "address":
            return {"addresses": len({line.address for line in map(ip.read, step.lines) if line})}


def _sets(step: Step) -> Iterator[str]:
    """Yield the sets that lines are about; endpoints that begin to drain are no change of one."""
    for line in step.lines:
        verb, name, _ = ipset.read(line)
        if verb == "create" or " timeout " not in line:
            yield name
