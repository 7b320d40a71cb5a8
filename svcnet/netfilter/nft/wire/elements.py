"""Elements of sets and maps as the kernel has them, one by one and in rows.

A row is what one frontend has in a map of endpoints: keys that differ in their last part, which
counts from 0, and a value each. Of a row no element is made by itself: all of a key but the count,
and each value, are bytes once, and are joined. Half a million take some tenths of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import add

from attrs import frozen

from svcnet.netfilter.nft.objects import NFTElement
from svcnet.netfilter.nft.wire import uapi
from svcnet.netfilter.nft.wire.data import pack_comment, pack_verdict
from svcnet.netfilter.nft.wire.parts import (
    WireEndpoint,
    pack_endpoints,
    pack_index,
    packer,
    size_of,
    types_on_wire,
)
from svcnet.netlink import ATTRIBUTE, NLA_F_NESTED, attribute, nest

_ELEMENT = uapi.NFTA_LIST_ELEM | NLA_F_NESTED


@frozen
class ElementForm:
    """What elements of one set or map are made of: its ``key`` types and its ``value``'s.

    ``value`` is empty for a set, and ``verdict`` alone for a map of verdicts.
    """

    key: tuple[str, ...]
    value: tuple[str, ...] = ()

    @classmethod
    def of(cls, type_: str, value: str = "") -> ElementForm:
        """Return the form of the elements of a set, or of a map of values."""
        return cls(types_on_wire(type_), types_on_wire(value))

    def pack(self, element: NFTElement) -> bytes:
        """Return an element. Raises ValueError for one of another form."""
        _, key, value, comment = element
        begin, end = self._around(value)
        if not comment:
            return begin + self._pack_key(key) + end
        end += attribute(uapi.NFTA_SET_ELEM_USERDATA, pack_comment(comment))
        return self._begin(end) + self._pack_key(key) + end

    def pack_key(self, key: str) -> bytes:
        """Return an element by its key alone, as it is asked for and deleted. Raises ValueError."""
        return nest(uapi.NFTA_LIST_ELEM, self._key_heads + self._pack_key(key))

    def pack_bytes(self, key: bytes, *, before: bytes = b"", behind: bytes = b"") -> bytes:
        """Return an element of a set whose key is bytes already, among other attributes of it."""
        return nest(uapi.NFTA_LIST_ELEM, before + self._key_heads + key + behind)

    def _around(self, value: str) -> tuple[bytes, bytes]:
        """Return what an element with a value has before its key and behind it."""
        found = self._frames.get(value)
        if found is None:
            if bool(value) != bool(self.value):
                raise ValueError(f"an element of a {'map' if value else 'set'} among others")
            end = self._pack_value(value) if value else b""
            found = self._begin(end), end
            if not value or self.value == ("verdict",):
                self._frames[value] = found
        return found

    def _begin(self, end: bytes) -> bytes:
        size = ATTRIBUTE.size + len(self._key_heads) + size_of(self.key) + len(end)
        return ATTRIBUTE.pack(size, _ELEMENT) + self._key_heads

    @cached_property
    def _pack_key(self) -> Callable[[str], bytes]:
        return packer(self.key)

    @cached_property
    def _key_heads(self) -> bytes:
        size = ATTRIBUTE.size + size_of(self.key)
        head = ATTRIBUTE.pack(ATTRIBUTE.size + size, uapi.NFTA_SET_ELEM_KEY | NLA_F_NESTED)
        return head + ATTRIBUTE.pack(size, uapi.NFTA_DATA_VALUE)

    def _pack_value(self, value: str) -> bytes:
        if self.value == ("verdict",):
            packed = pack_verdict(value)
        else:
            packed = attribute(uapi.NFTA_DATA_VALUE, packer(self.value)(value))
        return nest(uapi.NFTA_SET_ELEM_DATA, packed)

    @cached_property
    def _frames(self) -> dict[str, tuple[bytes, bytes]]:
        """What elements have around their keys, by their verdicts, of which a table has few."""
        return {}


class ElementRows:
    """Makes rows of the elements of one map, in which each key ends in a number.

    With `as_told` they have the kernel's bytes, which marks no attribute that has others in it.
    It keeps the bytes of the last endpoints, which the next frontend of a Service has too.
    Raises ValueError, as its methods do, for a map or a text of another form.
    """

    def __init__(self, form: ElementForm, *, as_told: bool = False) -> None:
        self._pack_frontend = packer(form.key[:-1])
        if form.key[-1] != "integer" or form.value in ((), ("verdict",)):
            raise ValueError(f"no map whose keys end in a number: {form}")
        key, value = size_of(form.key), size_of(form.value)
        self.size = _HEADS * ATTRIBUTE.size + key + value
        """How many bytes an element takes."""
        nested = 0 if as_told else NLA_F_NESTED
        heads = ATTRIBUTE.pack(2 * ATTRIBUTE.size + key, uapi.NFTA_SET_ELEM_KEY | nested)
        heads += ATTRIBUTE.pack(ATTRIBUTE.size + key, uapi.NFTA_DATA_VALUE)
        self._begin = ATTRIBUTE.pack(self.size, uapi.NFTA_LIST_ELEM | nested) + heads
        size = 3 * ATTRIBUTE.size + key
        self._key = ATTRIBUTE.size, size
        self._begin_key = ATTRIBUTE.pack(size, uapi.NFTA_LIST_ELEM | nested) + heads
        size = 2 * ATTRIBUTE.size + value
        self._between = ATTRIBUTE.pack(size, uapi.NFTA_SET_ELEM_DATA | nested)
        self._between += ATTRIBUTE.pack(ATTRIBUTE.size + value, uapi.NFTA_DATA_VALUE)
        self._value = form.value
        self._middles: list[bytes] = []
        self._last: tuple[Sequence[WireEndpoint], list[bytes]] = ((), [])

    def row(self, frontend: str, endpoints: Sequence[WireEndpoint], first: int = 0) -> bytes:
        """Return the elements of a frontend, whose keys count from `first`."""
        begin = self._begin + self._pack_frontend(frontend)
        middles, end = self._middles, first + len(endpoints)
        for number in range(len(middles), end):
            middles.append(pack_index(str(number)) + self._between)
        known, packed = self._last
        if known is not endpoints:
            packed = pack_endpoints(endpoints, self._value)
            self._last = endpoints, packed
        return begin.join((b"", *map(add, middles[first:end], packed)))

    def keys_of(self, rows: bytes) -> bytes:
        """Return elements of rows by their keys alone, as they are asked for."""
        begin, end = self._key
        head, size = self._begin_key[: ATTRIBUTE.size], self.size
        return head.join((b"", *[rows[at + begin : at + end] for at in range(0, len(rows), size)]))

    def deletion(self, frontend: str, numbers: Iterable[int]) -> bytes:
        """Return what deletes elements of a frontend, by the numbers of their keys."""
        begin = self._begin_key + self._pack_frontend(frontend)
        return b"".join([begin + pack_index(str(number)) for number in numbers])


_HEADS = 5
"""Attributes that an element of a map is made of: itself, key and data, and the value of each."""
