"""How what is named is to be read: folders, globs, namespaces, and folders that are to be built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen

Build: TypeAlias = Callable[[Path, str], bytes]
"""Makes manifests of a folder by a tool, ``kustomize`` or ``helm``; OSError says why it cannot."""


@frozen
class InputScope:
    """How to read what is named.

    Of a folder the files below it are read as well if ``recursive``. Objects that name no namespace
    are in ``namespace``, else in ``default``; one that names another is refused, as kubectl does.
    ``build`` makes manifests of folders of kustomize and Helm, which are
    an error without it.
    """

    recursive: bool = True
    namespace: str = ""
    build: Build | None = field(default=None, repr=False)


PLAIN = InputScope()
"""As manifests are read where nobody asks for anything else."""
