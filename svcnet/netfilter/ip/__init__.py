"""What ``ip`` is told of devices and their addresses as lines, and the kernel as bytes."""

from svcnet.netfilter.ip.text import Address, address, make_dummy, name_alias, read

__all__ = ["Address", "address", "make_dummy", "name_alias", "read"]
