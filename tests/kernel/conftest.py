"""What kernel tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.netns import Cluster, small_cluster


@pytest.fixture(scope="session")
def namespaces() -> Iterator[Cluster]:
    """The small cluster of network namespaces, made once a run."""
    with small_cluster() as made:
        yield made


@pytest.fixture
def cluster(namespaces: Cluster) -> Iterator[Cluster]:
    """The small cluster, as it was made; a test that leaves anything on its node fails for it."""
    yield namespaces
    namespaces.forget_connections()
    remains = namespaces.remains()
    if remains:
        namespaces.clear()
    assert not remains


@pytest.fixture
def xtables_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have iptables commands wait for no other test's."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
