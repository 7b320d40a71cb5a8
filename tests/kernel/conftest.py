"""What kernel tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.netns import Cluster, small_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The small cluster of network namespaces, made once a run."""
    with small_cluster() as made:
        yield made
