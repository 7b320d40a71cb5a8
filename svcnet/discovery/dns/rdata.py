"""Records as dnspython has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

from svcnet.discovery.dns.zones import Record
from svcnet.errors import MissingExtra

try:
    import dns.name
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype
    from dns.rdata import Rdata
    from dns.rdtypes.ANY.CNAME import CNAME
    from dns.rdtypes.ANY.PTR import PTR
    from dns.rdtypes.IN.A import A
    from dns.rdtypes.IN.AAAA import AAAA
    from dns.rdtypes.IN.SRV import SRV
except ModuleNotFoundError as error:
    raise MissingExtra.of(error) from None


__all__ = ["Rdatas", "to_name"]

_CLASSES: Mapping[str, Callable[..., Rdata]] = {
    "A": A,
    "AAAA": AAAA,
    "CNAME": CNAME,
    "PTR": PTR,
    "SRV": SRV,
}


def to_name(text: str) -> dns.name.Name:
    """Return an absolute name, which is parsed only if a question had odd letters in it."""
    if "\\" in text:
        return dns.name.from_text(text)
    return dns.name.Name([label.encode() for label in text.split(".")])


@frozen
class Rdatas:
    """Makes values of dnspython; names that come again, as those of hosts do, are made once."""

    _names: dict[str, dns.name.Name] = field(factory=dict, init=False)

    def name(self, text: str) -> dns.name.Name:
        """Return an absolute name."""
        found = self._names.get(text)
        if found is None:
            found = self._names[text] = to_name(text)
        return found

    def rdata(self, record: Record) -> Rdata:
        """Return a record's data.

        The types that there are many of are made without parsing a line of a zone file.
        """
        data, make = record.data, _CLASSES.get(record.type)
        if make is None:
            return dns.rdata.from_text("IN", record.type, data)
        values: tuple[object, ...]
        match record.type:
            case "A" | "AAAA":
                values = (data,)
            case "SRV":
                priority, weight, port, target = data.split(" ")
                values = int(priority), int(weight), int(port), self.name(target)
            case _:
                values = (self.name(data),)
        return make(dns.rdataclass.IN, dns.rdatatype.from_text(record.type), *values)
