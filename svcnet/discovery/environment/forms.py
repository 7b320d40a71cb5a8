"""Variables as text that other programs read.

Each function takes names and values, whatever these hold, and returns lines that give
back exactly them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from svcnet.discovery.environment.containers import ContainerEnvironment
from svcnet.discovery.environment.variables import is_readable

# What needs no quotes in any dialect of .env files. Of the values that the kubelet sets for
# Services all are like this.
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@%+,\[\]-]*")


def shell(variables: Mapping[str, str]) -> str:
    """Return POSIX shell commands; names that no shell can read are left out."""
    return _lines(
        f"export {name}={shlex.quote(value)}"
        for name, value in variables.items()
        if is_readable(name)
    )


def dotenv(variables: Mapping[str, str]) -> str:
    """Return ``NAME=value`` lines, quoted only where a value needs it.

    The dialects agree on plain values and on nothing else. Other values are in single quotes,
    with ``\\`` before a single quote and before itself, as python-dotenv reads them.
    """
    return _lines(f"{name}={_dotenv_value(value)}" for name, value in variables.items())


def _dotenv_value(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def env_list(variables: Mapping[str, str]) -> str:
    """Return the field ``env`` of a container, as YAML.

    The kubelet expands ``$(NAME)`` in these values, so every ``$`` is written twice.
    """
    import yaml

    listed = [
        {"name": name, "value": value.replace("$", "$$")} for name, value in variables.items()
    ]
    text: str = yaml.safe_dump({"env": listed}, sort_keys=False, width=float("inf"))
    return text


def notes(containers: Iterable[ContainerEnvironment]) -> str:
    """Return comments on what containers set themselves; each form may have them."""
    return _lines(f"# {_printable(note)}" for one in containers for note in _notes(one))


def _notes(container: ContainerEnvironment) -> Iterator[str]:
    for override in container.overrides:
        value = "by valueFrom" if override.value is None else f"to {override.value!r}"
        yield f"container {container.name} sets {override.replaced.name} {value}"
    if container.env_from:
        yield f"container {container.name} has envFrom, which may replace any of these"


def _printable(text: str) -> str:
    """Return `text` on one line, whatever it holds: a comment ends where its line ends."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
