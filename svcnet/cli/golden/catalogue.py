"""``golden.toml``: which golden files a folder is to have, and what is rendered for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import click
from attrs import evolve, field, frozen

from svcnet import checks, modes
from svcnet.checks import Check
from svcnet.cli.common import input_options
from svcnet.cli.modal import ModalCommand
from svcnet.cli.paths import FilePath
from svcnet.cli.render import golden_of
from svcnet.errors import InputError, UsageError
from svcnet.family import IPFamily
from svcnet.inputs import FAMILIES, InputRequest, Inputs, read_nodes
from svcnet.inputs.golden import Golden
from svcnet.inputs.toml import Settings, read_settings_file
from svcnet.modes.options import own_values
from svcnet.sources.fields import NAMES, is_name

NAME = "golden.toml"
LISTS = ("manifests", "modes", "families", "nodes")
"""The keys of lists; any other key is an option of svcnet render."""

NOT_HERE = {"mode": "modes", "node": "nodes", "family": "families", "filename": "manifests"}
"""Options that are lists here."""

_OPTION = re.compile(r"--([a-z-]+)|-(o)")
_GOLDEN = re.compile(r"(?:.+\.)?[^.]+\.ipv[46]\.txt")
"""The names that golden files have: NODE.MODE.FAMILY.txt, without a NODE where there is none."""


@frozen
class GoldenList:
    """The golden files of a folder as they are to be, and the ``stale`` ones that none is."""

    goldens: tuple[Golden, ...]
    stale: tuple[Path, ...]


@click.command("render", cls=ModalCommand)
@input_options
def _request(output: str, **options: Any) -> tuple[str, InputRequest]:
    """Return what options of svcnet render ask for."""
    return output, InputRequest(**options)


def read_catalogue(folder: Path) -> GoldenList:
    """Render all that the golden.toml of `folder` lists. Raises InputError and UsageError."""
    reading = _Reading(folder, read_settings_file(folder / NAME))
    try:
        goldens = tuple(reading.goldens())
    except UsageError as error:
        reading.refuse_request(error)
    wanted = {golden.file for golden in goldens}
    there = sorted(each for each in folder.iterdir() if _GOLDEN.fullmatch(each.name))
    return GoldenList(goldens, tuple(each for each in there if each not in wanted))


@frozen
class _Reading:
    """The way from a golden.toml to golden files."""

    folder: Path
    settings: Settings
    options: dict[str, click.Option] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        params = _request.get_params(click.Context(_request))
        for each in params:
            if isinstance(each, click.Option) and each.expose_value:
                self.options[max(each.opts, key=len).removeprefix("--")] = each

    def goldens(self) -> Iterator[Golden]:
        """Yield the golden files in the order of their list."""
        if "manifests" not in self.settings.values:
            self.refuse(checks.REQUIRED, "manifests", "is missing: the manifests' paths, from here")
        names = self.nodes()
        known = [self.mode(name) for name in self.words("modes") or [modes.DEFAULT]]
        families = [self.family(word) for word in self.words("families")]
        output, asked = self.request()
        strict = evolve(asked.strict, tell=_tell_once(asked.strict.tell))
        given, asked = asked.given, evolve(asked, given={}, mode=known[0], strict=strict)
        self.refuse_foreign(given, known)
        for inputs in read_nodes(asked, names):
            if inputs.state.nodes and inputs.node not in inputs.state.nodes:
                self.refuse(checks.NOT_IN_INPUT, "nodes", f"there is no Node {inputs.node!r}")
            for mode in known:
                own = evolve(inputs, given=own_values(mode.options, given)).in_mode(mode)
                for family in own.families(families):
                    yield self.golden(own, family, output, asked)

    def golden(self, inputs: Inputs, family: IPFamily, output: str, asked: InputRequest) -> Golden:
        """Return one golden file."""
        word = family.lower()
        parts = [inputs.node, inputs.mode.name, word, "txt"]
        file = self.folder / ".".join(filter(None, parts))
        return golden_of(file, inputs, word, output, asked.strict)

    def request(self) -> tuple[str, InputRequest]:
        """Return the form, and what to read: the keys' options, as svcnet render takes them."""
        manifests = [str(self.folder / path) for path in self.words("manifests")]
        if not manifests:
            self.refuse(checks.REQUIRED, "manifests", "is empty: nothing is to be rendered")
        words = chain.from_iterable(
            self.option(key, value)
            for key, value in self.settings.values.items()
            if key not in LISTS or (key == "nodes" and _is_number(value))
        )
        try:
            found = _request.main([*words, "--", *manifests], standalone_mode=False)
        except click.ClickException as error:
            param = getattr(error, "param", None)
            key = max(param.opts, key=len).removeprefix("--") if param is not None else ""
            self.refuse(checks.USAGE, key, error.message)
        assert isinstance(found, tuple)
        return found

    def option(self, key: str, value: object) -> Iterator[str]:
        """Yield the words that say a key's value to svcnet render."""
        option = self.options.get(key)
        if key in NOT_HERE:
            self.refuse(checks.UNKNOWN_FIELD, key, f"is a list here: {NOT_HERE[key]}")
        if option is None:
            known = [*LISTS, *self.options.keys() - NOT_HERE.keys()]
            near = get_close_matches(key, known, 1)
            meant = f"; {near[0]} is one" if near else ""
            message = f"is no key of {NAME}, and no option of svcnet render{meant}"
            self.refuse(checks.UNKNOWN_FIELD, key, message)
        if option.is_flag:
            if not isinstance(value, bool):
                self.refuse(checks.TYPE, key, "must be true or false")
            off = [name for name in option.secondary_opts if name.startswith("--")]
            yield from [f"--{key}"] if value else off
            return
        values = value if isinstance(value, list) and option.multiple else [value]
        for each in values:
            if isinstance(each, bool) or not isinstance(each, (str, int, float)):
                kind = "a text or a list of texts" if option.multiple else "one text or number"
                self.refuse(checks.TYPE, key, f"must be {kind}")
            is_file = isinstance(option.type, FilePath) and each
            yield f"--{key}={self.folder / str(each) if is_file else each}"

    def words(self, key: str) -> list[str]:
        """Return a list of texts, none where the key is absent."""
        value = self.settings.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            self.refuse(checks.TYPE, key, "must be a list of texts")
        for number, each in enumerate(value):
            if each in value[:number]:
                self.refuse(checks.REPEATED_MEMBER, key, f"{each!r} is listed twice")
        return value

    def nodes(self) -> list[str]:
        """Return the names of the Nodes that are listed."""
        names = [] if _is_number(self.settings.values.get("nodes")) else self.words("nodes")
        for name in names:
            if not is_name(name, "subdomain"):
                self.refuse(checks.NAME, "nodes", f"{NAMES['subdomain']}; not {name!r}")
        return names

    def mode(self, name: str) -> modes.AnyMode:
        """Return the mode of a name."""
        try:
            return modes.get(name)
        except UsageError as error:
            self.refuse(checks.CHOICE, "modes", str(error))

    def family(self, word: str) -> IPFamily:
        """Return the IP family that a word stands for."""
        if word.lower() not in FAMILIES:
            self.refuse(
                checks.CHOICE, "families", f"must be of {', '.join(FAMILIES)}; not {word!r}"
            )
        return FAMILIES[word.lower()]

    def refuse_foreign(self, given: Sequence[str] | Any, known: Sequence[modes.AnyMode]) -> None:
        """Refuse an option that none of the modes has."""
        for name in given:
            if not any(each.name == name for mode in known for each in mode.options):
                self.refuse(checks.NO_EFFECT, name, "is an option of none of these modes")

    def refuse_request(self, error: UsageError) -> NoReturn:
        """Raise InputError for what cannot be asked for, at the key of the option that it names."""
        found = _OPTION.match(str(error))
        name = "" if found is None else found[1] or "output"
        key = name if name in self.settings.values else ""
        message = str(error).removeprefix(f"--{key}: ")
        self.refuse(error.check or checks.USAGE, key, message)

    def refuse(self, check: Check, key: str, message: str) -> NoReturn:
        """Raise InputError for a key's value."""
        raise InputError([self.settings.mistake(check, (key,), message)])


def _is_number(value: object) -> bool:
    """Return whether ``nodes`` is how many to make up, and not a list of names."""
    return isinstance(value, int) and not isinstance(value, bool)


def _tell_once(tell: Callable[[str], object]) -> Callable[[str], None]:
    """Return what tells each line once: what is found for one file is found for others."""
    lines: set[str] = set()

    def tell_new(line: str) -> None:
        if line not in lines:
            lines.add(line)
            tell(line)

    return tell_new
