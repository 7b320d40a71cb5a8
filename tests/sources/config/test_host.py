"""Facts of a host: what is none is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.errors import InputError
from svcnet.models import Host
from svcnet.sources import load_host


def host_file(folder: Path, text: str) -> Path:
    path = folder / "host.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("{}", Host()),
        ("addresses:\n", Host()),
        ("addresses: []", Host(())),
        (
            "addresses: [192.0.2.10, '::1']\niptablesRandomFully: false\n",
            Host(("192.0.2.10", "::1"), False, False),
        ),
        ("addresses: [010.0.0.1, 'FD00::1', 10.0.0.1]", Host(("10.0.0.1", "fd00::1"))),
        (
            "addresses: ['::ffff:192.0.2.1']\nconntrackTCPBeLiberal: true",
            Host(("192.0.2.1",), True, True),
        ),
    ],
)
def test_facts(tmp_path: Path, text: str, host: Host) -> None:
    """Facts are read, addresses in their canonical form and once each."""
    assert load_host(host_file(tmp_path, text)) == host


@pytest.mark.parametrize(
    ("text", "line", "field", "message"),
    [
        ("adresses: []", 1, "adresses", "is no host fact"),
        ("addresses: 10.0.0.1", 1, "addresses", "must be a list"),
        ("addresses:\n- 10.0.0.1\n-\n", 3, "addresses[1]", "must be an IP address, not ''"),
        ("addresses:\n- ''\n", 2, "addresses[0]", "must be an IP address, not ''"),
        (
            "addresses:\n- fe80::1%eth0\n",
            2,
            "addresses[0]",
            "must be an IP address without a zone: 'fe80::1', not 'fe80::1%eth0'",
        ),
        (
            "addresses:\n- 10.0.0.1/24\n",
            2,
            "addresses[0]",
            "must be an IP address without a prefix length: '10.0.0.1', not '10.0.0.1/24'",
        ),
        ("addresses: [10.0.0.256]", 1, "addresses[0]", "must be an IP address"),
        ("addresses: ['10.0.0.1 ']", 1, "addresses[0]", "must be an IP address"),
        ("addresses: [5]", 1, "addresses[0]", "must be a string"),
        ("iptablesRandomFully: 'true'", 1, "iptablesRandomFully", "must be true or false"),
        ("conntrackTCPBeLiberal: 1", 1, "conntrackTCPBeLiberal", "must be true or false"),
    ],
)
def test_what_is_no_fact(tmp_path: Path, text: str, line: int, field: str, message: str) -> None:
    """Anything else is one error, with file, line and field."""
    with pytest.raises(InputError) as caught:
        load_host(host_file(tmp_path, text))
    (found,) = caught.value.diagnostics
    assert (found.line, found.field) == (line, field)
    assert message in found.message
