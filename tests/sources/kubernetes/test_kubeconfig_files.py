"""Kubeconfigs, tokens and authorities where no such file should be: one error, and no wait."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from svcnet.errors import InputError
from svcnet.sources.kubernetes import APIServer, Patience, load_kubeconfig
from svcnet.sources.kubernetes.contact import Contact
from svcnet.sources.kubernetes.problems import Problem
from svcnet.sources.single import MAX_SINGLE_BYTES

UNUSABLE = ["zero", "fifo", "huge", "latin", "folder", "absent", "nul"]


def unusable(folder: Path, what: str) -> Path:
    """Return the path of something that is no file of text."""
    path = folder / what
    match what:
        case "zero":
            return Path("/dev/zero")
        case "fifo":
            os.mkfifo(path)
        case "huge":
            path.touch()
            os.truncate(path, MAX_SINGLE_BYTES + 1)
        case "latin":
            path.write_bytes(b"caf\xe9: \xff")
        case "folder":
            path.mkdir()
        case "nul":
            return Path(f"{path}\0")
    return path


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_kubeconfig_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    """There is one error, which names the file."""
    path = unusable(tmp_path, what)
    with pytest.raises(InputError) as raised:
        load_kubeconfig([path])
    assert len(raised.value.diagnostics) == 1
    assert raised.value.diagnostics[0].file == str(path)


@pytest.mark.parametrize("what", UNUSABLE)
@pytest.mark.parametrize("field", ["token", "authority", "certificate"])
def test_credentials_that_cannot_be_read(tmp_path: Path, what: str, field: str) -> None:
    """The server is not asked; it is told which file that is, and tried again later."""
    path = unusable(tmp_path, what)
    given: dict[str, Any] = {field: path, "key": path} if field == "certificate" else {field: path}
    contact = Contact(APIServer("https://192.0.2.1", **given), Patience(), Random())
    use = contact.credentials.headers if field == "token" else contact.credentials.tls
    with pytest.raises(Problem, match="cannot be read"):
        use()
