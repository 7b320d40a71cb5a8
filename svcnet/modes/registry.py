"""Which modes there are: svcnet's own, and those of other packages, which entry points name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeAlias

from attrs import field, frozen

from svcnet import checks
from svcnet.errors import MAX_PART, UsageError, one_line
from svcnet.modes.mode import Form, Mode
from svcnet.modes.options import Option, enumerate_words

AnyMode: TypeAlias = Mode[Any, Any]
"""A mode of which nobody says here what it makes."""

GROUP = "svcnet.modes"
"""The group of entry points; each is named like the mode that it leads to."""

VARIABLE = "SVCNET_MODES"
"""Of the value ``builtin`` this variable of the environment leaves out modes of other packages."""

BUILT_IN = {
    "iptables": "IPTABLES",
    "ipvs": "IPVS",
    "nftables": "NFTABLES",
    "userspace": "USERSPACE",
}
"""svcnet's own modes: modules of this package, and what the mode is called in each."""

DEFAULT = "iptables"
"""The mode where neither the request nor the configuration names one, as in kube-proxy."""

RESERVED = frozenset(
    {
        *("affinity", "all", "allow-empty", "assume", "build", "check", "cleanup-on-exit"),
        *("config", "filename", "namespace", "recursive"),
        *("context", "node-zones", "nodes", "pod-cidr", "ready", "service-cidr"),
        *(
            "dry-run",
            "exit-zero",
            "family",
            "from",
            "from-pods",
            "healthz-bind-address",
            "help",
            "host",
        ),
        *("ignore", "interface", "ip-families", "kubeconfig", "kubernetes", "live"),
        *("metrics-bind-address", "mode", "node", "output", "rules", "service", "since", "socket"),
        *("strict", "to", "to-layout", "to-mode", "trace", "update", "wait"),
    }
)
"""Names of options that the verbs have for themselves."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@frozen
class UnusableMode:
    """A mode of another package that is left out: its entry point, and why."""

    entry: str
    why: str

    def __str__(self) -> str:
        return (
            f"the mode of entry point {self.entry} is left out: {self.why} [{checks.UNUSABLE_MODE}]"
        )


@frozen
class Catalogue:
    """The modes that there are, by name, svcnet's own first; and others that are of no use."""

    modes: Mapping[str, AnyMode]
    unusable: tuple[UnusableMode, ...] = field(default=())


def builtin() -> dict[str, AnyMode]:
    """Return svcnet's own modes, by name."""
    return {name: _own(name) for name in BUILT_IN}


def find_modes() -> Catalogue:
    """Return all modes, and what keeps modes of other packages from being among them.

    Entry points are looked for each time that this is called.
    """
    modes = builtin()
    if os.environ.get(VARIABLE) == "builtin":
        return Catalogue(modes)
    from importlib.metadata import EntryPoint, entry_points

    def by_name(entry: EntryPoint) -> tuple[str, str]:
        return entry.name, entry.value

    unusable = []
    for entry in sorted(entry_points(group=GROUP), key=by_name):
        try:
            mode = entry.load()
            why = why_not(entry.name, mode, modes)
        except (Exception, SystemExit) as error:
            why = one_line(f"{type(error).__name__}: {error}", MAX_PART)
        if why is not None:
            unusable.append(UnusableMode(one_line(f"{entry.name} = {entry.value}", MAX_PART), why))
        else:
            modes[entry.name] = mode
    return Catalogue(modes, tuple(unusable))


def available() -> Mapping[str, AnyMode]:
    """Return all modes that can be used, by name, svcnet's own first."""
    return find_modes().modes


def others(name: str) -> list[AnyMode]:
    """Return all modes that can be used but the one of a name."""
    return [mode for each, mode in available().items() if each != name]


def get(name: str) -> AnyMode:
    """Return the mode of a name. Raises UsageError where there is none, or it is of no use."""
    if name in BUILT_IN:
        return _own(name)
    all_found = find_modes()
    if name in all_found.modes:
        return all_found.modes[name]
    for each in all_found.unusable:
        if each.entry.partition(" = ")[0] == name:
            raise UsageError(str(each))
    raise UsageError(
        f"there is no mode {name!r}; there are {enumerate_words(list(all_found.modes))}"
    )


def resolve(mode: str | AnyMode) -> AnyMode:
    """Return a mode that is given as it is, or by its name."""
    return get(mode) if isinstance(mode, str) else mode


def why_not(name: str, mode: object, modes: Mapping[str, AnyMode]) -> str | None:
    """Return why something cannot be a mode called `name` beside `modes`, None if it can."""
    return next(_objections(name, mode, modes), None)


def _own(name: str) -> AnyMode:
    mode: AnyMode = getattr(import_module(f"svcnet.modes.{name}"), BUILT_IN[name])
    return mode


def _objections(name: str, mode: object, modes: Mapping[str, AnyMode]) -> Iterator[str]:
    if not isinstance(mode, Mode):
        yield f"it is no svcnet.modes.Mode but of type {type(mode).__name__}"
        return
    own = getattr(mode, "name", None)
    if own != name:
        yield f"the mode calls itself {one_line(repr(own), MAX_PART)}"
    if not _NAME.fullmatch(name):
        yield "a name is a small letter, and up to 30 more, digits and '-'"
    if name in modes:
        yield "there is a mode of this name"
    yield from _bad_forms(getattr(mode, "forms", None))
    yield from _bad_options(mode.options, modes)


def _bad_forms(forms: object) -> Iterator[str]:
    if not isinstance(forms, Mapping) or "text" not in forms:
        yield "it has no form text"
    elif not all(isinstance(form, Form) for form in forms.values()):
        yield "a form of it is no svcnet.modes.Form"


def _bad_options(options: object, modes: Mapping[str, AnyMode]) -> Iterator[str]:
    if not isinstance(options, Sequence) or not all(isinstance(one, Option) for one in options):
        yield "its options are no sequence of svcnet.modes.Option"
        return
    names = [option.name for option in options]
    if len(set(names)) < len(names):
        yield "two options of it have one name"
    for option in options:
        if not _NAME.fullmatch(option.name) or option.name in RESERVED:
            yield f"an option cannot be called {one_line(option.name, MAX_PART)}"
        for name, mode in modes.items():
            if any(each.name == option.name and not each.is_like(option) for each in mode.options):
                yield f"its option --{option.name} is of another type than that of mode {name}"
