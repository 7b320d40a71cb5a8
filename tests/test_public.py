"""Every name that users may rely on is listed, typed and described.

Those are the names of docs/reference/api.md: what each module there has in ``__all__``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import svcnet
from svcnet.models import ClusterState

PAGE = Path(__file__).parent.parent / "docs/reference/api.md"
MODULES = re.findall(r"^\.\. automodule:: (\S+)$", PAGE.read_text("utf-8"), re.MULTILINE)
INSIDE = {
    "svcnet.inputs",
    "svcnet.netfilter.nft.wire",
    "svcnet.sources.config",
    "svcnet.sources.parse",
}
"""Rooms that only svcnet itself enters: their ``__all__`` says what other rooms may use."""

PARTICIPLES = {
    "Unsupported": "an exception, which says of something what is wrong with it",
}
"""Classes that are named by a participle, and why."""

IRREGULAR = re.compile(
    "bound|built|chosen|done|drawn|driven|found|given|gone|grown|heard|held|hidden|kept|laid|left|"
    "lost|made|meant|paid|said|seen|sent|shown|spoken|stood|swept|taken|taught|told|understood|"
    "woken|worn|written"
)
"""Participles that do not end in -ed."""

modules = pytest.mark.parametrize("name", MODULES)


def test_what_has_a_list_of_names_is_on_the_page() -> None:
    """A module that lists its names is on the page, or is one of the few for svcnet alone."""
    found = {"svcnet"}
    for module in pkgutil.walk_packages(svcnet.__path__, "svcnet."):
        if not module.name.endswith("__main__") and hasattr(import_of(module.name), "__all__"):
            found.add(module.name)
    assert found - set(MODULES) == INSIDE


def test_every_class_has_a_name_of_its_own() -> None:
    """No two classes of svcnet share a name, wherever they are: a name says which is meant."""
    homes: dict[str, list[str]] = {}
    for module in pkgutil.walk_packages(svcnet.__path__, "svcnet."):
        for node in tree_of(module.name).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module.name)
    assert not {name: found for name, found in homes.items() if len(found) > 1}


def test_nothing_is_named_by_a_participle() -> None:
    """Things are named by nouns, which say what they are, and functions by what they do.

    Adjectives before a noun are fine: ``LoadedConfig``.
    """
    found = set()
    for module in pkgutil.walk_packages(svcnet.__path__, "svcnet."):
        found |= {module.name} if is_participle(module.name.rpartition(".")[2]) else set()
        for node in ast.walk(tree_of(module.name)):
            match node:
                case ast.ClassDef(name=name) if is_participle(last_word(name)):
                    found.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    word = name.strip("_")
                    found |= {name} if "_" not in word and is_participle(word) else set()
                case ast.AnnAssign(target=ast.Name(id=name)) if is_participle(last_word(name)):
                    found |= {name} if "TypeAlias" in ast.dump(node.annotation) else set()
    assert found == set(PARTICIPLES), sorted(found)


@modules
def test_public_names_are_listed(name: str) -> None:
    """``__all__`` has each name that the module itself defines without an underscore."""
    module = import_of(name)
    listed = module.__all__
    assert len(set(listed)) == len(listed)
    assert {each for each in definitions(module) if not each.startswith("_")} <= set(listed)
    assert all(hasattr(module, each) for each in listed)


@modules
def test_public_names_are_described(name: str) -> None:
    """Functions, classes, their methods and constants say what they are for."""
    module = import_of(name)
    assert module.__doc__
    mute = [
        each
        for each in module.__all__
        if not (
            has_words(getattr(module, each))
            if callable(getattr(module, each)) and not is_alias(getattr(module, each))
            else has_words_below(name, each)
        )
    ]
    mute += [each for each, _ in functions(module) if not is_described(module, each)]
    assert not mute


@modules
def test_public_names_are_typed(name: str) -> None:
    """Each parameter and each result has a type."""
    untyped = []
    for each, function in functions(import_of(name)):
        asked = [*inspect.signature(function).parameters.values()]
        if asked and asked[0].name in ("self", "cls"):
            del asked[0]
        types = [function.__annotations__.get("return", inspect.Parameter.empty)]
        types += [parameter.annotation for parameter in asked]
        if inspect.Parameter.empty in types:
            untyped.append(each)
    assert not untyped


@cache
def import_of(name: str) -> ModuleType:
    return importlib.import_module(name)


@cache
def tree_of(name: str) -> ast.Module:
    file = import_of(name).__file__
    assert file is not None
    return ast.parse(Path(file).read_text("utf-8"))


def is_participle(word: str) -> bool:
    return bool(IRREGULAR.fullmatch(word)) or (
        word.endswith("ed") and not word.endswith(("eed", "bed"))
    )


def last_word(name: str) -> str:
    """Return the only word of a name, in small letters; a name of several has none."""
    words = re.findall("[A-Z]+[a-z0-9]*", name)
    return words[0].lower() if len(words) == 1 else ""


def definitions(module: ModuleType) -> Iterator[str]:
    """Yield the names that a module binds to what it makes itself."""
    for node in tree_of(module.__name__).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Assign() | ast.AnnAssign():
                yield from sorted(bound(node))


def has_words_below(name: str, constant: str) -> bool:
    """Return whether a constant of a module is followed by words, there or where it comes from."""
    body = tree_of(name).body
    for node, below in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.Assign() | ast.AnnAssign() if constant in bound(node):
                return isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            case ast.ImportFrom(module=str(origin)) if constant in {
                one.asname or one.name for one in node.names
            }:
                return has_words_below(origin, constant)
    return False


def bound(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {one.id for one in targets if isinstance(one, ast.Name)}


def is_alias(value: Any) -> bool:
    """Return whether a name stands for a type that is written otherwise."""
    return not (inspect.isclass(value) or inspect.isroutine(value))


def has_words(value: Any) -> bool:
    """Return whether somebody wrote a docstring: Python itself makes one of a tuple's fields."""
    words = value.__doc__ or ""
    return bool(words) and not words.startswith(f"{value.__name__}(")


def functions(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public functions and methods, by their names in the module."""
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and not is_alias(value):
            for member, raw in vars(value).items():
                match raw:
                    case property(fget=found) | classmethod(__func__=found):
                        pass
                    case staticmethod(__func__=found):
                        pass
                    case _:
                        found = raw
                if inspect.isfunction(found) and not member.startswith("_"):
                    yield f"{name}.{member}", found


def is_described(module: ModuleType, name: str) -> bool:
    """Return whether a function has words: a method's may be those of a class above."""
    owner, _, member = name.partition(".")
    if not member:
        return has_words(getattr(module, owner))
    return inspect.getdoc(getattr(getattr(module, owner), member)) is not None


def test_a_comparison_says_what_it_takes() -> None:
    """Objects are no graph; whoever gives them is told how to make one."""
    with pytest.raises(TypeError, match=r"svcnet.compile makes of objects.*not ClusterState"):
        svcnet.diff(ClusterState(), ClusterState())  # type: ignore[arg-type]
