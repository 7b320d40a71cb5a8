"""The range of proxy ports, as text of the configuration and of an option."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.errors import InputError
from svcnet.models.port_range import PortRange, parse_port_range
from svcnet.sources import load_config

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"


def config_file(folder: Path, text: str) -> Path:
    """Write a configuration whose third line is the range."""
    file = folder / "config.yaml"
    file.write_text(f"{HEAD}portRange: '{text}'\n")
    return file


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("40000-41000", (40000, 41000)),
        ("40000+1000", (40000, 41000)),
        ("40000", (40000, 40000)),
        ("65535-65535", (65535, 65535)),
        ("", None),
        ("0", None),
        ("0-0", None),
    ],
)
def test_port_ranges(text: str, found: PortRange | None, tmp_path: Path) -> None:
    """The forms that kube-proxy takes, where a plus adds to the first port."""
    assert parse_port_range(text) == found
    assert load_config(config_file(tmp_path, text)).port_range == found


@pytest.mark.parametrize(
    "text", ["x", "40000-", "-1", "0-10", "41000-40000", "1-65536", "65000+600", "1-2-3", " 1-2"]
)
def test_nonsense_is_no_port_range(text: str, tmp_path: Path) -> None:
    """Anything else is an error with its place, that shows the text and the forms."""
    with pytest.raises(InputError) as caught:
        load_config(config_file(tmp_path, text))
    (finding,) = caught.value.diagnostics
    assert (finding.line, finding.field) == (3, "portRange")
    assert finding.message == (
        f"a port range is like 40000-41000 or 40000+1000, within 1 and 65535; not {text!r}"
    )
