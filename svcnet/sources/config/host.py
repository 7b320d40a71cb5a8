"""Facts of a host, as ``svcnet probe`` prints them."""

from __future__ import annotations

from svcnet import checks
from svcnet.models import Host
from svcnet.sources.addresses import canonical_address
from svcnet.sources.fields import Fields, quote_value

FACTS = ("addresses", "iptablesRandomFully", "conntrackTCPBeLiberal", "nfacct")


def read_host(document: Fields) -> Host:
    """Return the host facts that `document` describes; a field it does not know is an error."""
    for key in document.data:
        if key not in FACTS:
            message = f"is no host fact; known are {', '.join(FACTS)}"
            document.error(checks.HOST_FACT, str(key), message)
    addresses = tuple(dict.fromkeys(_addresses(document)))
    return Host(
        addresses=addresses if document.data.get("addresses") is not None else None,
        iptables_random_fully=document.boolean("iptablesRandomFully", True),
        conntrack_tcp_be_liberal=document.boolean("conntrackTCPBeLiberal", False),
        nfacct=document.boolean("nfacct", False),
    )


def _addresses(document: Fields) -> list[str]:
    """Return the addresses of all interfaces, each in canonical form."""
    found = []
    for index, text in document.strings("addresses"):
        address = canonical_address(text)
        if address is None:
            document.error_at(checks.ADDRESS, ("addresses", index), _why(text))
        else:
            found.append(address)
    return found


def _why(text: str) -> str:
    """Return what is wrong with a text that is no address, but may be one with something behind."""
    for mark, what in (("%", "a zone"), ("/", "a prefix length")):
        address = text.partition(mark)[0]
        if mark in text and canonical_address(address) is not None:
            wish = f"must be an IP address without {what}: {quote_value(address)}"
            return f"{wish}, not {quote_value(text)}"
    return f"must be an IP address, not {quote_value(text)}"
