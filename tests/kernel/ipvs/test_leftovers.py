"""To and from IPVS mode: what the mode before left goes, and nothing that the new one needs."""

from __future__ import annotations

import pytest

from svcnet.family import IP_FAMILIES
from svcnet.models import IPFamily
from tests.kernel.ipvs.conftest import everything
from tests.kernel.netns import Cluster
from tests.kernel.switching import Switch, check_switch

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

PAIRS = (("iptables", "ipvs"), ("ipvs", "iptables"), ("userspace", "ipvs"), ("ipvs", "userspace"))


@pytest.mark.parametrize("family", IP_FAMILIES)
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_switch(cluster: Cluster, family: IPFamily, before: str, after: str) -> None:
    """Each connection is served while modes change, and only the new mode is left."""
    switch = Switch(cluster, family, ("legacy",), everything)
    check_switch(switch, (before, "legacy"), (after, "legacy"))
