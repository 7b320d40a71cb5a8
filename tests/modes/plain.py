"""A mode as another package may have it: a line for each service port."""

from __future__ import annotations

from attrs import astuple, frozen

from svcnet.graph import GraphDiff, RuleGraph
from svcnet.modes import ArtifactText, Flag, Form, Mode, ModeSettings, Option, OptionValues, Words

LOUD = Option("loud", ("render",), Flag(), "Write it in capitals.", "has one voice")


@frozen
class Lines:
    """The lines of a graph."""

    mode = "plain"
    lines: tuple[str, ...]


@frozen
class Step:
    """Lines that come and lines that go."""

    come: tuple[str, ...]
    gone: tuple[str, ...]


def write(lines: Lines, given: OptionValues) -> ArtifactText:
    """Write all lines."""
    text = "".join(f"{line}\n" for line in lines.lines)
    return ArtifactText(text.upper() if given["loud"] else text)


class PlainMode(Mode[Lines, Step]):
    """A line for each service port."""

    name = "plain"
    forms = {"text": Form(write, takes=frozenset({"loud"}))}  # noqa: RUF012
    options = (LOUD,)

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Lines:
        """Return the lines of a graph."""
        return Lines(tuple(str(astuple(fragment)) for fragment in graph))

    def advance(self, artifact: Lines, diff: GraphDiff) -> tuple[Lines, Step]:
        """Return the lines after a step, and what differs."""
        after = self.full(diff.new)
        come = tuple(line for line in after.lines if line not in artifact.lines)
        return after, Step(come, tuple(line for line in artifact.lines if line not in after.lines))


class Shy(PlainMode):
    """A mode that calls itself otherwise than its entry point does."""

    name = "other"


class Formless(PlainMode):
    """A mode that prints nothing."""

    name = "formless"
    forms = {}  # noqa: RUF012


class Greedy(PlainMode):
    """A mode with an option that every verb has."""

    name = "greedy"
    options = (Option("node", ("render",), Flag(), "Be a node.", "has none"),)


class Unlike(PlainMode):
    """A mode with an option that is another one in svcnet's own modes."""

    name = "unlike"
    options = (Option("section", ("render",), Words(("a", "b")), "A or b.", "has none"),)


class Twin(PlainMode):
    """A mode with the name of one of svcnet's own."""

    name = "ipvs"


class Spiteful(PlainMode):
    """A mode that fails when it is looked at."""

    name = "spiteful"

    @property
    def options(self) -> tuple[Option, ...]:  # type: ignore[override]
        """Fail."""
        raise RuntimeError("look\naway")


PLAIN = PlainMode()
SHY = Shy()
FORMLESS = Formless()
GREEDY = Greedy()
UNLIKE = Unlike()
TWIN = Twin()
SPITEFUL = Spiteful()
