"""Configurations and host facts of any text and any values: rules, or a refusal in plain words."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.errors import InputError, UsageError
from svcnet.models import ClusterState, Host, KubeProxyConfiguration
from svcnet.sources import load, load_config, load_host
from tests.fuzz.documents import (
    CONFIGURATION,
    HOST,
    Pairs,
    as_json,
    as_yaml,
    bent,
    damaged,
    pairs_of,
)
from tests.fuzz.outcomes import refused, serve, told, tries

CORPUS = Path(__file__).with_name("corpus") / "configurations"
CASES = Path(__file__).parents[1] / "conformance" / "cases"
Value = TypeVar("Value")


@cache
def cluster() -> ClusterState:
    """A cluster that has every kind of Service."""
    return load([CASES / "kitchen-sink" / "objects.yaml"]).state


def read(load: Callable[[Path], Value], path: Path) -> Value | None:
    """Return what a file comes to, None if it is refused, as it has to be."""
    try:
        return load(path)
    except InputError as error:
        refused(error, str(path))
        return None


def use(config: KubeProxyConfiguration | None = None, host: Host | None = None) -> None:
    """Make rules by it, and see that what is a number is one to wait for."""
    try:
        serve(cluster(), config, host)
    except UsageError as error:
        told([error])
    if config is not None:
        periods = (config.iptables.sync_period, config.iptables.min_sync_period)
        assert all(isfinite(period) and period >= 0 for period in periods)


@st.composite
def texts(draw: st.DrawFn, document: dict[str, Any]) -> bytes:
    """Text of a document with something else in it, as YAML or JSON, and then perhaps bent."""
    write = draw(st.sampled_from((as_yaml, as_json)))
    text = write(draw(damaged(pairs_of(document)))).encode("utf-8", "surrogatepass")
    return draw(bent(text)) if draw(st.booleans()) else text


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "file.yaml"


@tries(150)
@given(text=texts(CONFIGURATION))
def test_configurations(file: Path, text: bytes) -> None:
    """A configuration makes rules of known words, or is refused."""
    file.write_bytes(text)
    config = read(load_config, file)
    if config is not None:
        use(config)


CLUSTER = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"


@tries(60)
@given(document=damaged(pairs_of(CONFIGURATION), 2), write=st.sampled_from((as_yaml, as_json)))
def test_forms(file: Path, document: Any, write: Callable[[Any], str]) -> None:
    """Alone, among other documents and in a ConfigMap a configuration means the same."""
    text = write(document)
    if "\\ud" in text or "[[[" in text or '{"a":{"a"' in text:
        return  # Escapes that are a character in JSON are none in YAML, which nests less deeply.
    data = Pairs([("kubeconfig.conf", "a: b"), ("config.conf", text)])
    whole = Pairs([("apiVersion", "v1"), ("kind", "ConfigMap"), ("data", data)])
    found = []
    for form in (text, f"{CLUSTER}---\n{text}\n---\n{CLUSTER}", as_json(whole), as_yaml(whole)):
        file.write_bytes(form.encode("utf-8", "surrogatepass"))
        found.append(read(load_config, file))
    assert found == found[:1] * 4


@tries(100)
@given(text=texts(HOST))
def test_host_facts(file: Path, text: bytes) -> None:
    """Host facts make rules of known words, or are refused."""
    file.write_bytes(text)
    host = read(load_host, file)
    if host is not None:
        use(host=host)


@pytest.mark.parametrize("document", [CONFIGURATION, HOST], ids=["configuration", "host"])
def test_whole(file: Path, document: dict[str, Any]) -> None:
    """What others are made from is right, and each field alone is right too."""
    load: Callable[[Path], Any] = load_config if document is CONFIGURATION else load_host
    file.write_text(as_yaml(pairs_of(document)))
    assert read(load, file) is not None
    for key in set(document) - {"apiVersion", "kind", "detectLocal"}:
        names = ["apiVersion", "kind", *(["detectLocal"] if key == "detectLocalMode" else [])]
        kept = {name: document[name] for name in names if name in document}
        file.write_text(as_yaml(pairs_of({**kept, key: document[key]})))
        assert read(load, file) is not None, key


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus(path: Path) -> None:
    """Files that once broke something."""
    if path.name.startswith("host"):
        host = read(load_host, path)
        if host is not None:
            use(host=host)
        return
    config = read(load_config, path)
    if config is not None:
        use(config)
