"""What a mode leaves goes when another one serves, and nothing that this one needs."""

from __future__ import annotations

import pytest

from svcnet.executors.iptables import Variant, cleanup
from svcnet.executors.iptables.commands import VARIANTS
from svcnet.family import IP_FAMILIES
from svcnet.models import IPFamily
from tests.kernel.applying import tool
from tests.kernel.netns import Cluster
from tests.kernel.switching import Switch, check_switch
from tests.kernel.ways import Tables

pytestmark = pytest.mark.kernel

PAIRS: tuple[tuple[tuple[str, Variant], tuple[str, Variant]], ...] = (
    (("iptables", "nft"), ("userspace", "nft")),
    (("iptables", "legacy"), ("userspace", "legacy")),
    (("iptables", "legacy"), ("userspace", "nft")),
    (("iptables", "nft"), ("userspace", "legacy")),
    (("userspace", "nft"), ("iptables", "nft")),
    (("userspace", "legacy"), ("iptables", "legacy")),
    (("userspace", "legacy"), ("iptables", "nft")),
    (("userspace", "nft"), ("iptables", "legacy")),
    (("iptables", "legacy"), ("iptables", "nft")),
    (("iptables", "nft"), ("iptables", "legacy")),
    (("iptables", "nft"), ("nftables", "nft")),
    (("iptables", "legacy"), ("nftables", "nft")),
    (("userspace", "nft"), ("nftables", "nft")),
    (("iptables", "nft"), ("nftables flat", "nft")),
    (("nftables flat", "nft"), ("iptables", "nft")),
    (("nftables", "nft"), ("iptables", "nft")),
    (("nftables", "nft"), ("iptables", "legacy")),
    (("nftables", "nft"), ("userspace", "nft")),
)


@pytest.mark.parametrize("family", IP_FAMILIES)
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_switch(
    cluster: Cluster, family: IPFamily, before: tuple[str, Variant], after: tuple[str, Variant]
) -> None:
    """Each connection is served while modes or variants change, and only the new one is left."""
    check_switch(Switch(cluster, family), before, after)


FOREIGN = """*filter
:MINE - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -j MINE
COMMIT
*nat
:KUBE-MINE - [0:0]
-A PREROUTING -p tcp -m tcp --dport 9 -j KUBE-MINE
-A POSTROUTING -o mine -j MASQUERADE
COMMIT
"""


def firewalls(switch: Switch) -> list[bool]:
    """Return whether KUBE-FIREWALL and the jumps to it are in each variant, nft first."""
    found = []
    for variant in VARIANTS:
        saved = switch.cluster.run("node", f"{tool(variant, switch.family)}-save", "-t", "filter")
        assert saved.count("-j KUBE-FIREWALL") == 2 * saved.count(":KUBE-FIREWALL ")
        found.append(":KUBE-FIREWALL " in saved)
    return found


@pytest.mark.parametrize("family", IP_FAMILIES)
def test_the_firewall_of_loopback_stays(cluster: Cluster, family: IPFamily) -> None:
    """KUBE-FIREWALL is left by iptables mode for others, and only goes where there are two."""
    switch = Switch(cluster, family)
    try:
        with switch.served("iptables", "legacy"), switch.served("userspace", "nft"):
            had = firewalls(switch)
            assert had == [False, family == "IPv4"]
            switch.remove_leftovers("userspace", "nft")
            assert firewalls(switch) == had
        with switch.served("iptables", "nft"):
            switch.remove_leftovers("iptables", "nft")
            assert firewalls(switch) == [family == "IPv4", False]
    finally:
        switch.clear()


@pytest.mark.parametrize("family", IP_FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_others_made_is_left_alone(
    cluster: Cluster, family: IPFamily, variant: Variant
) -> None:
    """Foreign rules and chains stay as they are, also one whose name looks like ours."""
    switch = Switch(cluster, family)
    try:
        for each in VARIANTS:
            Tables(cluster, family, each).restore(FOREIGN, "--noflush")
        foreign = switch.state()
        with switch.served("iptables", variant):
            with switch.served("userspace", variant):
                assert switch.remove_leftovers("userspace", variant)
            with switch.served("iptables", variant):
                assert switch.remove_leftovers("iptables", variant)
        cluster.inside("node", lambda: cleanup(family))
        assert switch.state() == foreign
    finally:
        switch.clear()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variant_in_use_is_found(cluster: Cluster, variant: Variant) -> None:
    """Without a variant, that of the running mode is known by its chains."""
    switch = Switch(cluster, "IPv4")
    try:
        with switch.served("iptables", variant):
            before = switch.state()
            assert switch.remove_leftovers("iptables", None) == ()
            assert switch.state() == before
    finally:
        switch.clear()
