"""Putting a cluster's names on servers of others."""

from svcnet.errors import MissingExtra

try:
    import dns as dns  # for all that is in here
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None
