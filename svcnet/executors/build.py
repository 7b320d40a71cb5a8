"""Manifests of a folder that a tool makes them of: kustomize and Helm, without a network."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine

SECONDS = 60.0
"""How long a tool may take; it reads files, and no more."""

NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody is: port 9 throws away what it is sent."""

OFFLINE = (
    *(f"{name}={NOWHERE}" for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")),
    *(f"{name}={NOWHERE}" for name in ("http_proxy", "https_proxy", "all_proxy")),
    "NO_PROXY=",
    "no_proxy=",
    "GIT_ALLOW_PROTOCOL=file",
    "GIT_TERMINAL_PROMPT=0",
)
"""What tells a tool, and git below it, of no way out where it cannot have a network of its own."""

COMMANDS = {
    "kustomize": (("kustomize", "build"), ("kubectl", "kustomize")),
    "helm": (("helm", "template"),),
}
"""The commands that make manifests of a folder, for each tool in the order of preference."""


def build(machine: Machine, folder: Path, tool: str) -> bytes:
    """Return the manifests that a tool makes of a folder.

    It has a network namespace with nothing in it, where the kernel lets us make one. Raises
    OSError, whose ``strerror`` says why there are none.
    """
    command = next(_find_commands(machine, tool), None)
    if command is None:
        names = " or ".join(words[0] for words in COMMANDS[tool])
        raise OSError(errno.ENOENT, f"{names} is not installed, which --build runs", str(folder))
    path, *options = (*_alone(machine), *command, str(folder.absolute()))
    shown = " ".join(COMMANDS[tool][0])
    try:
        done = machine.run(path, *options, seconds=SECONDS)
    except ApplyError as error:
        raise OSError(errno.EIO, f"{shown}: {error}", str(folder)) from None
    if done.code != 0:
        raise OSError(errno.EIO, f"{shown}: {done}", str(folder))
    return done.text.encode("utf-8", "surrogateescape")


def _find_commands(machine: Machine, tool: str) -> Iterator[tuple[str, ...]]:
    """Yield the commands of a tool that are installed, by their paths."""
    for name, *words in COMMANDS[tool]:
        path = machine.find(name)
        if path is not None:
            yield (path, *words)


def _alone(machine: Machine) -> tuple[str, ...]:
    """Return what a command is to be begun with, so that it reaches nobody."""
    environment = machine.find("env")
    offline = (environment, *OFFLINE) if environment else ()
    unshare = machine.find("unshare")
    if unshare is None:
        return offline
    own = (unshare, "--user", "--map-current-user", "--net", "--")
    try:
        can = machine.run(*own, "true", seconds=SECONDS).code == 0
    except ApplyError:
        can = False
    return (*own, *offline) if can else offline
