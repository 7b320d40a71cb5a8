"""The jumps from netfilter's built-in chains into ours.

They are no part of a sync's text: kube-proxy ensures each on its own, at the head of its
chain, and so does :mod:`svcnet.executors`. The order is kube-proxy's
(``iptablesJumpChains`` and ``iptablesKubeletJumpChains``): a later one ends up further in front.
"""

from __future__ import annotations

from attrs import frozen

from svcnet.graph import NodeSettings
from svcnet.renderers.iptables import names

_NEW = "-m conntrack --ctstate NEW "


@frozen
class Jump:
    """One rule of a built-in chain; ``match`` is its text between the chain and the target."""

    table: str
    chain: str
    match: str
    target: str

    @property
    def rule(self) -> str:
        """The rule without its command and chain: ``-m … -j TARGET``."""
        return f"{self.match}-j {self.target}"


def _comment(text: str) -> str:
    return f'-m comment --comment "{text}" '


JUMPS: tuple[Jump, ...] = (
    *(
        Jump(
            "filter",
            chain,
            _NEW + _comment("kubernetes externally-visible service portals"),
            names.EXTERNAL_SERVICES,
        )
        for chain in ("INPUT", "FORWARD")
    ),
    Jump("filter", "INPUT", _comment("kubernetes health check service ports"), names.NODEPORTS),
    *(
        Jump("filter", chain, _NEW + _comment("kubernetes service portals"), names.SERVICES)
        for chain in ("FORWARD", "OUTPUT")
    ),
    Jump("filter", "FORWARD", _comment("kubernetes forwarding rules"), names.FORWARD),
    *(
        Jump(
            "filter",
            chain,
            _NEW + _comment("kubernetes load balancer firewall"),
            names.PROXY_FIREWALL,
        )
        for chain in ("INPUT", "OUTPUT", "FORWARD")
    ),
    *(
        Jump("nat", chain, _comment("kubernetes service portals"), names.SERVICES)
        for chain in ("OUTPUT", "PREROUTING")
    ),
    Jump("nat", "POSTROUTING", _comment("kubernetes postrouting rules"), names.POSTROUTING),
    *(Jump("filter", chain, "", names.FIREWALL) for chain in ("INPUT", "OUTPUT")),
)
"""Every jump, in the order in which kube-proxy ensures them."""


def jumps(settings: NodeSettings) -> tuple[Jump, ...]:
    """Return the jumps that a node with `settings` needs."""
    return tuple(
        jump for jump in JUMPS if jump.target != names.FIREWALL or settings.localhost_node_ports
    )
