"""The table of a userspace proxy, read from its JSON document: who gets what at which port."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.errors import ApplyError
from svcnet.family import IP_FAMILIES, IPFamily
from svcnet.meaning.sources import Endpoint, endpoint_of
from svcnet.meaning.spans import Span, network
from svcnet.renderers.userspace import Backend
from svcnet.renderers.userspace.document import VERSION
from svcnet.renderers.userspace.table import ROLES
from svcnet.words import count_noun, list_some

MOST_TOLD = 8
"""So many endpoints of a listener are named in its text."""

_ANSWERS = ("serve", "refuse", "drop")


@frozen(repr=False, eq=False)
class ListenerEntry(Brief):
    """A proxy port: what becomes of connections to it, at whichever address of the node.

    ``endpoints`` take turns; a client stays ``seconds`` with its endpoint, 0 for not at all. Those
    outside ``sources`` are dropped where there are any. ``name`` is the service port's, ``line``
    where its entry begins, 0 for nowhere.
    """

    name: str
    role: str
    protocol: str
    port: int
    answer: str
    endpoints: tuple[Endpoint, ...]
    backends: tuple[str, ...]
    sources: tuple[Span, ...]
    ranges: tuple[str, ...]
    seconds: int
    line: int = 0

    @property
    def text(self) -> str:
        """What there is to say of it."""
        role = "" if self.role == "cluster" else f" ({self.role})"
        head = f"{self.name}{role} at port {self.port}"
        if self.answer != "serve":
            return f"{head}: {'refused' if self.answer == 'refuse' else 'dropped'}"
        ends = list_some(self.backends, MOST_TOLD)
        said = [f"a client stays for {self.seconds} s"] if self.seconds else []
        said += [f"only from {', '.join(self.ranges)}"] if self.ranges else []
        return f"{head}: {ends} ({'; '.join(said)})" if said else f"{head}: {ends}"


@frozen
class ListenerTable:
    """The table of a node's proxy for one IP family; ``file`` is where it was read."""

    family: IPFamily
    listeners: Mapping[tuple[str, int], ListenerEntry] = field(repr=False)
    file: str = ""


def is_document(text: str) -> bool:
    """Return whether a text looks like the JSON document of a proxy's table."""
    return text.lstrip().startswith("{") and '"servicePorts"' in text


def read_tables(file: str, text: str) -> Iterator[ListenerTable]:
    """Yield the tables that a text has, one JSON document after the other.

    Raises :class:`svcnet.errors.ApplyError` for what is no such document.
    """
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            found, end = decoder.raw_decode(text, at)
            yield _table(file, found, _lines(text, at, end))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            line = text.count("\n", 0, at) + 1
            told = f"{error!r}" if isinstance(error, KeyError) else f"{error}"
            raise ApplyError(
                f"{file}:{line}: it is no table of a userspace proxy: {told}"
            ) from None
        at = end


def _lines(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the lines of listeners in a document, in their order."""
    at, line, seen = start, text.count("\n", 0, start) + 1, start
    while (at := text.find('"role"', at, end)) >= 0:
        line += text.count("\n", seen, at)
        seen, at = at, at + 1
        yield line


def _table(file: str, document: Any, lines: Iterator[int]) -> ListenerTable:
    """Return the table that a document has. Raises ValueError and its like."""
    if document["version"] != VERSION:
        raise ValueError(f"its version is {document['version']}, and {VERSION} is read")
    if document["family"] not in IP_FAMILIES:
        raise ValueError(f"its family is {document['family']!r}")
    family = cast(IPFamily, document["family"])
    found: dict[tuple[str, int], ListenerEntry] = {}
    for each in _listeners(document, family, lines):
        place = each.protocol, each.port
        if place in found:
            raise ValueError(f"port {each.port} has two listeners")
        found[place] = each
    return ListenerTable(family, found, file)


def _listeners(document: Any, family: IPFamily, lines: Iterator[int]) -> Iterator[ListenerEntry]:
    for service in document["servicePorts"]:
        protocol = service["protocol"]
        if protocol not in ("TCP", "UDP"):
            raise ValueError(f"a protocol is {protocol!r}")
        port = f":{service['portName']}" if service["portName"] else ""
        name = f"{service['namespace']}/{service['name']}{port}/{protocol}"
        for each in service["listeners"]:
            backends = tuple(_backends(each["backends"], family))
            ranges = tuple(map(str, each["sources"]))
            if each["role"] not in ROLES or each["answer"] not in _ANSWERS:
                raise ValueError(f"{name} has a listener {each['role']!r}, {each['answer']!r}")
            if (each["answer"] == "serve") != bool(backends):
                raise ValueError(
                    f"{name}: {each['answer']} with {count_noun(len(backends), 'backend')}"
                )
            yield ListenerEntry(
                name=name,
                role=each["role"],
                protocol=protocol.lower(),
                port=_number(each["port"], 65535),
                answer=each["answer"],
                endpoints=tuple(map(endpoint_of, backends)),
                backends=backends,
                sources=tuple(map(network, ranges)),
                ranges=ranges,
                seconds=_number(service["affinityTimeout"], 86400),
                line=next(lines, 0),
            )


def _backends(given: Iterable[Any], family: IPFamily) -> Iterator[str]:
    for each in given:
        address, port = each["address"], _number(each["port"], 65535)
        text = str(Backend(address, port))
        endpoint_of(text)
        if (":" in address) != (family == "IPv6"):
            raise ValueError(f"{address} is not of {family}")
        yield text


def _number(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number up to {most}")
    return value
