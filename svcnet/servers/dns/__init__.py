"""The DNS server of a cluster's names."""

from svcnet.errors import MissingExtra

try:
    import dns as dns  # for all that is in here
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None
