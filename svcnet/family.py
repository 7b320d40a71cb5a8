"""The two IP families, and telling them apart in text."""

from __future__ import annotations

from typing import Literal

IPFamily = Literal["IPv4", "IPv6"]
"""An IP family under the name that ``spec.ipFamilies`` uses."""

IP_FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")


def family_of(address: str) -> IPFamily:
    """Return the family of a valid address or CIDR in text form.

    An IPv4-mapped IPv6 address counts as IPv4, as it does for Go's net package and
    so for every Kubernetes component.
    """
    if ":" not in address:
        return "IPv4"
    return "IPv4" if address.lower().startswith("::ffff:") and "." in address else "IPv6"
