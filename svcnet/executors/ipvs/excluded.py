"""The addresses that the configuration keeps svcnet from taking anything away from."""

from __future__ import annotations

from collections.abc import Iterable

from netaddr import IPAddress, IPNetwork


class Excluded:
    """The addresses in excludeCIDRs: what is there of them is never removed."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._networks = [IPNetwork(cidr) for cidr in cidrs]

    def __contains__(self, address: object) -> bool:
        return any(IPAddress(address) in network for network in self._networks)

    def has_entry(self, entry: str) -> bool:
        """Return whether an entry of a set is of such an address; a bare port is of none."""
        address = entry.split(",", 1)[0]
        return not address.isdigit() and address in self
