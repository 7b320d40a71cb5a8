"""How a table is laid out; what it does to packets is the same."""

from __future__ import annotations

from typing import Literal, TypeAlias

Layout: TypeAlias = Literal["kube-proxy", "flat"]
"""``kube-proxy``: chains for each service port, as kube-proxy has them. ``flat``: elements of maps,
and chains that service ports share."""
