"""Options of modes, as data: what the command offers for them, checks, and has in its help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

from svcnet.errors import UsageError

OptionValues: TypeAlias = Mapping[str, Any]
"""Values of options by their names; of an option that nobody gave there is none."""


@frozen
class Flag:
    """It is there, or it is not."""


@frozen
class Text:
    """Any text."""


@frozen
class File:
    """The path of a file; the value is a :class:`pathlib.Path`."""


@frozen
class Words:
    """One of a few words."""

    words: tuple[str, ...]


@frozen
class Number:
    """A number within bounds; a ``whole`` one is an int, another a float."""

    least: float
    most: float
    whole: bool = False


Kind: TypeAlias = Flag | Text | File | Words | Number
"""What values an option of a mode takes."""


def refuse_unfit(given: OptionValues, options: Iterable[Option]) -> None:
    """Raise UsageError for a value that is not of its option's kind."""
    for option in options:
        if option.name in given and not option.takes(given[option.name]):
            raise UsageError(f"{option.name}: cannot be {given[option.name]!r}: {option.help}")


class _HasOptions(Protocol):
    @property
    def options(self) -> Sequence[Option]: ...


@frozen
class Option:
    """An option that modes declare.

    ``name`` is like ``proxy-port-range``, without dashes in front. ``verbs`` of the command have
    it, ``help`` says what it does, in a sentence, and ``default`` holds where nobody gives it.
    ``lack`` goes on "mode iptables", to say why a mode has no use for it. Of verb render, ``form``
    says why a form that does not take it has no use for it, and ``step`` why there is none with
    ``--since``; an empty one says that there is.
    """

    name: str
    verbs: tuple[str, ...]
    kind: Kind
    help: str
    lack: str
    default: Any = None
    metavar: str = ""
    form: str = ""
    step: str = ""

    def takes(self, value: object) -> bool:
        """Return whether a value is one of the option's kind; None stands for none at all."""
        match self.kind:
            case Flag():
                return isinstance(value, bool)
            case Words(words):
                return value is None or value in words
            case Number(least, most, whole):
                if not isinstance(value, int if whole else int | float) or isinstance(value, bool):
                    return value is None
                return least <= value <= most
            case File():
                return value is None or isinstance(value, Path)
            case Text():
                return value is None or isinstance(value, str)

    def is_like(self, other: Option) -> bool:
        """Whether one option of the command can stand for both."""
        return (self.kind, self.metavar) == (other.kind, other.metavar)


VARIANT = Option(
    "variant",
    ("apply", "run", "cleanup"),
    Words(("nft", "legacy")),
    "The variant of iptables; by default the one in use, and to clean up both.",
    "makes no rule of iptables",
)
LAYOUT_NAME = "layout"
"""The option of every mode that has several layouts."""

LAYOUTS = Words(("auto", "kube-proxy", "flat"))
"""Ways to lay out rules that mean the same."""
JUMPS = Option(
    "jumps",
    ("render",),
    Flag(),
    "Add the jumps from the built-in chains.",
    "makes no rule of iptables",
    form="--jumps are rules of iptables; the output that was asked for has none",
    step="--jumps belongs to a full text; a machine that --since is for has them",
)


def complete(options: Iterable[Option], given: OptionValues) -> dict[str, Any]:
    """Return a value for each option: what is given, or its default where that is None."""
    values = ((each, given.get(each.name)) for each in options)
    return {each.name: each.default if value is None else value for each, value in values}


def own_values(options: Iterable[Option], given: OptionValues) -> dict[str, Any]:
    """Return the given values of `options`, without those that are None."""
    names = {option.name for option in options}
    return {name: value for name, value in given.items() if name in names and value is not None}


def enumerate_words(words: Sequence[str]) -> str:
    """Return words as a sentence has them: with commas, and an "and" before the last."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def refuse_foreign(
    given: OptionValues,
    name: str,
    options: Iterable[Option],
    others: Callable[[], Mapping[str, _HasOptions]],
) -> None:
    """Raise UsageError for an option that mode `name`, which has `options`, does not have.

    `others` returns all modes, by name.
    """
    own = {each.name for each in options}
    for asked in given:
        if asked not in own:
            having = {
                mode: option
                for mode, other in others().items()
                for option in other.options
                if option.name == asked
            }
            if not having:
                raise UsageError(f"there is no option {asked!r} of mode {name}")
            modes = enumerate_words([f"mode {mode}" for mode in having])
            lack = next(iter(having.values())).lack
            raise UsageError(f"--{asked} is for {modes}; mode {name} {lack}")


@frozen
class Offer:
    """An option of the command, and what the modes that have it declare."""

    name: str
    declared: Mapping[str, Option] = field(factory=dict)

    @property
    def first(self) -> Option:
        """What the first mode declares."""
        return next(iter(self.declared.values()))

    def text(self, modes: Sequence[str]) -> str:
        """Return the help: what it does, and in which modes, unless in all of `modes`."""
        texts: dict[str, list[str]] = {}
        for mode, option in self.declared.items():
            texts.setdefault(_with_default(option), []).append(mode)
        if len(texts) == 1 and len(self.declared) == len(modes):
            return next(iter(texts))
        return " ".join(
            f"{_whose(having)}: {text[0].lower()}{text[1:]}" for text, having in texts.items()
        )


def _with_default(option: Option) -> str:
    if option.default is None or isinstance(option.kind, Flag):
        return option.help
    default = f"{option.default:g}" if isinstance(option.kind, Number) else option.default
    return f"{option.help.removesuffix('.')}; {default} by default."


def _whose(modes: Sequence[str]) -> str:
    return f"Mode {modes[0]}" if len(modes) == 1 else f"Modes {enumerate_words(modes)}"


def offers(verb: str, options: Mapping[str, Sequence[Option]]) -> list[Offer]:
    """Return the options that a verb has for modes, given the options of each mode."""
    found: dict[str, dict[str, Option]] = {}
    for mode, declared in options.items():
        for option in declared:
            if verb in option.verbs:
                found.setdefault(option.name, {})[mode] = option
    return [Offer(name, each) for name, each in found.items()]
