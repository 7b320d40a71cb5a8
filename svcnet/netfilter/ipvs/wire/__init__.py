"""IPVS's generic netlink protocol: messages to bytes, and the kernel's bytes to values.

Nothing here opens a socket. A request is one netlink message::

    nlmsghdr | genlmsghdr | IPVS_CMD_ATTR_SERVICE {...} | IPVS_CMD_ATTR_DEST {...}

Numbers are the host's byte order, ports and IPv4 addresses the network's. Names of
constants are those of Linux ``include/uapi/linux/ip_vs.h`` and ``genetlink.h``.
"""

from svcnet.addresses import (
    address_text,
    canonical_address,
)
from svcnet.netfilter.ipvs.wire.decoding import (
    answers,
    configurations,
    decode,
    parse_acknowledgements,
    parse_family,
    settings,
)
from svcnet.netfilter.ipvs.wire.encoding import (
    encode,
    encode_all,
    encode_family_request,
    encode_listing,
)

__all__ = [
    "address_text",
    "answers",
    "canonical_address",
    "configurations",
    "decode",
    "encode",
    "encode_all",
    "encode_family_request",
    "encode_listing",
    "parse_acknowledgements",
    "parse_family",
    "settings",
]
