"""How rules are laid out in chains. What they mean does not depend on it."""

from __future__ import annotations

from attrs import frozen


@frozen
class Layout:
    """A layout: a chain of more rules than ``most``, of which one is for a packet, becomes a tree.

    With ``most`` 0 none does.
    """

    name: str
    most: int = 0


KUBE_PROXY = Layout("kube-proxy")
"""Each frontend has a rule in a chain of all, each endpoint one in its Service's chain."""

FLAT = Layout("flat", 16)
"""How long a packet takes does not depend on the number of Services, nor of endpoints."""
