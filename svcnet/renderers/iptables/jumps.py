"""The jumps from netfilter's built-in chains into ours.

They are no part of a sync's text: kube-proxy ensures each on its own, at the head of its
chain, and so does :mod:`svcnet.executors`. The order is kube-proxy's
(``iptablesJumpChains`` and ``iptablesKubeletJumpChains``): a later one ends up further in front.
"""

from __future__ import annotations

from svcnet.graph import NodeSettings
from svcnet.netfilter.jumps import Jump, comment
from svcnet.renderers.iptables import names

_NEW = "-m conntrack --ctstate NEW "


JUMPS: tuple[Jump, ...] = (
    *(
        Jump(
            "filter",
            chain,
            _NEW + comment("kubernetes externally-visible service portals"),
            names.EXTERNAL_SERVICES,
        )
        for chain in ("INPUT", "FORWARD")
    ),
    Jump("filter", "INPUT", comment("kubernetes health check service ports"), names.NODEPORTS),
    *(
        Jump("filter", chain, _NEW + comment("kubernetes service portals"), names.SERVICES)
        for chain in ("FORWARD", "OUTPUT")
    ),
    Jump("filter", "FORWARD", comment("kubernetes forwarding rules"), names.FORWARD),
    *(
        Jump(
            "filter",
            chain,
            _NEW + comment("kubernetes load balancer firewall"),
            names.PROXY_FIREWALL,
        )
        for chain in ("INPUT", "OUTPUT", "FORWARD")
    ),
    *(
        Jump("nat", chain, comment("kubernetes service portals"), names.SERVICES)
        for chain in ("OUTPUT", "PREROUTING")
    ),
    Jump("nat", "POSTROUTING", comment("kubernetes postrouting rules"), names.POSTROUTING),
    *(Jump("filter", chain, "", names.FIREWALL) for chain in ("INPUT", "OUTPUT")),
)
"""Every jump, in the order in which kube-proxy ensures them."""


def jumps(settings: NodeSettings) -> tuple[Jump, ...]:
    """Return the jumps that a node with `settings` needs."""
    return tuple(
        jump for jump in JUMPS if jump.target != names.FIREWALL or settings.localhost_node_ports
    )
