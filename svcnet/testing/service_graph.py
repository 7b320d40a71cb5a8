"""What a team holds its Services to: who reaches what, and that rules stay what they were."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from svcnet import diff
from svcnet.addresses import canonical_address, is_address
from svcnet.discovery.repository import Assumptions
from svcnet.errors import UsageError
from svcnet.graph import Deliver, Refuse, RuleGraph
from svcnet.inputs import FAMILIES, InputRequest, Inputs, Strictness, read_located
from svcnet.inputs.golden import Golden
from svcnet.inputs.questions import question_of
from svcnet.meaning.comparison.change_text import write_lines
from svcnet.meaning.explanation.asking import AskedPacket
from svcnet.meaning.explanation.destinations import target
from svcnet.meaning.explanation.explain import explain
from svcnet.meaning.explanation.explanation import Explanation
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.senders import sender
from svcnet.meaning.explanation.text import text

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.modes import AnyMode
    from svcnet.sources import LoadResult
    from svcnet.sources.scope import InputScope

ASSUMED = Assumptions()
"""What the command assumes where it is not told."""

MOST_SHOWN = 20
"""Frontends that are told one by one where rules mean something else."""


@define
class ServiceGraph:
    """The Services of manifests as one node sees them, and what may be asserted of them.

    What fails raises AssertionError with what ``svcnet explain`` says of the packet. ``folder`` is
    what golden files are seen from. With ``update`` they are written, and ``written`` has which.
    """

    inputs: Inputs
    loaded: LoadResult = field(repr=False)
    folder: Path = field(factory=Path)
    update: bool = False
    written: list[Path] = field(factory=list)
    _questions: dict[str, Question] = field(init=False, factory=dict, repr=False, eq=False)

    def assert_reaches(
        self,
        source: str,
        service: str,
        *,
        endpoint: str | None = None,
        probability: Fraction | str | float | None = None,
        family: IPFamily | None = None,
    ) -> None:
        """Assert that an endpoint gets each packet from `source` to `service`.

        These are what ``svcnet explain --from`` and ``--to`` take. `probability`, such as
        ``"1/3"``, is the chance that each endpoint has. With `endpoint`, an address or
        ``pod/NAMESPACE/NAME``, only that one is asked about: it has the chance, or any. `family` is
        that of the Node's first address, where neither side is an address.

        Raises UsageError for what can be no packet.
        """
        __tracebackhide__ = True
        found = self.explain(source, service, family)
        chances = _chances(found)
        wanted = None if probability is None else _exact(probability)
        share = "" if wanted is None else f" with a chance of {wanted}"
        if endpoint is not None:
            address = self._address(endpoint, found.packet.family)
            chance = sum((chances[each] for each in chances if each[0] == address), Fraction(0))
            holds = chance > 0 if wanted is None else chance == wanted
            aim = f"{endpoint}, of {service},"
        else:
            holds = sum(chances.values()) == 1 and wanted in (None, *chances.values())
            holds = holds and (wanted is None or set(chances.values()) == {wanted})
            aim = f"each endpoint of {service}" if wanted is not None else service
        if not holds:
            raise AssertionError(f"{source} does not reach {aim}{share}:\n\n{text(found)}")

    def assert_refused(self, source: str, service: str, *, family: IPFamily | None = None) -> None:
        """Assert that every packet from `source` to `service` is rejected or dropped.

        To be left alone, as what is no Service's is, is not to be refused. The arguments are those
        of :meth:`assert_reaches`.
        """
        __tracebackhide__ = True
        found = self.explain(source, service, family)
        if not all(isinstance(end.verdict, Refuse) for end in found.outcomes):
            raise AssertionError(f"{source} is not refused at {service}:\n\n{text(found)}")

    def assert_same_rules(
        self, expected: str | Path | ServiceGraph, *, family: IPFamily | None = None
    ) -> None:
        """Assert that rules are the text of a golden file, or mean what those of others do.

        A golden file is one that ``svcnet render --update`` writes, and so does this with
        ``update``. Another ServiceGraph may have other text, as long as every packet ends alike.
        """
        __tracebackhide__ = True
        question = self.question(family)
        if isinstance(expected, ServiceGraph):
            found = diff(expected.question(family).graph, question.graph, self.inputs.mode)
            if found or found.unknown:
                lines = "".join(write_lines(found, MOST_SHOWN))
                raise AssertionError(f"rules do not mean the same:\n\n{lines}")
            return
        golden = self._golden(self.folder / expected, question)
        before = golden.expected_if_there()
        if before == golden.text:
            return
        if self.update:
            golden.write()
            self.written.append(golden.file)
            return
        lack = f"{golden.file} is missing" if before is None else golden.summary(before)
        raise AssertionError(f"{lack}\npytest --svcnet-update writes it")

    def explain(self, source: str, service: str, family: IPFamily | None = None) -> Explanation:
        """Return what becomes of a packet, and why, as :func:`svcnet.explain` does."""
        asked = AskedPacket(source, target(service))
        question = self.question(asked.family(family))
        return explain(question, asked.packet(question)[0])

    def question(self, family: IPFamily | None = None) -> Question:
        """Return the objects as the node sees them in an IP family, by default the Node's first."""
        word = "" if family is None else family.lower()
        if word and word not in FAMILIES:
            raise UsageError(f"an IP family is IPv4 or IPv6; not {family!r}")
        if word not in self._questions:
            self._questions[word] = question_of(self.inputs, self.loaded, word or None)
        return self._questions[word]

    @property
    def graph(self) -> RuleGraph:
        """The decisions of the node, in the IP family of its first address."""
        return self.question().graph

    def _golden(self, file: Path, question: Question) -> Golden:
        mode, settings = self.inputs.mode, self.inputs.settings
        artifact = mode.full(question.graph, settings)
        written = mode.forms["text"].full(artifact, settings.given).text
        return Golden(file, written, mode.name, question.view.settings)

    def _address(self, endpoint: str, family: IPFamily) -> str:
        if not endpoint.startswith("pod/"):
            if not is_address(endpoint):
                raise UsageError(
                    f"an endpoint is an address or pod/NAMESPACE/NAME; not {endpoint!r}"
                )
            return canonical_address(endpoint)
        question = self.question(family)
        return sender(endpoint, question.state, question.view).address


def read_services(
    *paths: str | Path,
    folder: Path,
    mode: str | AnyMode | None = None,
    node: str = "",
    config: str | Path | None = None,
    host: str | Path | None = None,
    from_pods: bool = False,
    assume: Assumptions = ASSUMED,
    scope: InputScope | None = None,
    strict: bool = False,
    **settings: Any,
) -> ServiceGraph:
    """Read manifests as verbs do, and return what may be asserted of them.

    The arguments are those of the command; `paths`, `config` and `host` are seen from `folder`.
    What a cluster would add is made up as `assume` says, and the paths are read as `scope` does.
    Raises InputError and UsageError.
    """
    file = partial(_file, folder)
    request = InputRequest(
        paths=tuple(str(folder / path) for path in paths),
        mode=mode,
        config=file(config),
        node=node,
        host=file(host),
        strict=Strictness(strict),
        from_pods=from_pods,
        assume=assume,
        scope=scope,
    )
    if not paths:
        raise UsageError("no manifests are named")
    return ServiceGraph(*read_located(request), folder, **settings)


def _file(folder: Path, name: str | Path | None) -> Path | None:
    return None if name is None else folder / name


def _chances(found: Explanation) -> dict[tuple[str, int], Fraction]:
    """Return the chance of each endpoint, by address and port."""
    chances: dict[tuple[str, int], Fraction] = {}
    for end in found.outcomes:
        if isinstance(end.verdict, Deliver):
            where = end.verdict.address, end.verdict.port
            chances[where] = chances.get(where, Fraction(0)) + end.probability
    return chances


def _exact(probability: Fraction | str | float) -> Fraction:
    """Return a chance; of a number such as 0.333333333 the fraction that is meant."""
    try:
        found = Fraction(probability).limit_denominator(10**6)
    except (ValueError, OverflowError, ZeroDivisionError, TypeError):
        raise UsageError(f"a probability is like 1/3; not {probability!r}") from None
    if not 0 <= found <= 1:
        raise UsageError(f"a probability is from 0 to 1; not {probability!r}")
    return found
