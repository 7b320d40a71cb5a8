"""Sets and maps as the kernel is told to make them: those that remember clients, and rules' own.

A rule's own set has no name: it is made with the rule that looks into it, never changes, and goes
with that. What else nft notes of a set, for its own listing, is what nft 1.0.6 notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from struct import Struct
from types import MappingProxyType

from attrs import field, frozen

from svcnet.netfilter.nft.objects import NFTElement, NFTSet
from svcnet.netfilter.nft.wire import uapi
from svcnet.netfilter.nft.wire.data import pack_text
from svcnet.netfilter.nft.wire.elements import ElementForm
from svcnet.netfilter.nft.wire.expressions import number
from svcnet.netfilter.nft.wire.parts import size_of, type_number
from svcnet.netlink import attribute, nest

_NOTE, _U64 = Struct("=I"), Struct(">Q")
_SADDR = MappingProxyType(
    {
        "ip": (uapi.PROTO_DESC_IP, uapi.IPHDR_SADDR),
        "ip6": (uapi.PROTO_DESC_IP6, uapi.IP6HDR_SADDR),
    }
)
"""What nft notes of where the source's address is."""


@frozen
class AnonymousSet:
    """A set or map that a rule brings with it: its ``elements``, packed, and how it is made.

    The kernel makes a name from ``name``. It has room for ``size`` elements. ``notes`` are nft's.
    """

    name: str
    form: ElementForm
    flags: int
    size: int
    elements: tuple[bytes, ...] = field(repr=False)
    notes: bytes = field(repr=False)

    def attributes(self, set_id: int) -> bytes:
        """Return the attributes of the set, by an id that no other of the same batch has."""
        told = _begin(self.name, self.flags, self.form)
        told += number(uapi.NFTA_SET_ID, set_id)
        size = number(uapi.NFTA_SET_DESC_SIZE, self.size)
        return told + nest(uapi.NFTA_SET_DESC, size) + _pack_notes(self.notes)


def anonymous_map(form: ElementForm, text: str) -> AnonymousSet:
    """Return the map of a text such as ``0 : goto a , 1 : goto b``, whose keys are numbers.

    Raises ValueError for an element of another form.
    """
    pairs = [each.partition(" : ") for each in text.split(" , ")]
    elements = [form.pack(NFTElement("", key, value)) for key, _, value in pairs]
    notes = _note(uapi.NFTNL_UDATA_SET_KEYBYTEORDER, uapi.BYTEORDER_HOST_ENDIAN)
    notes += _note(uapi.NFTNL_UDATA_SET_DATABYTEORDER, uapi.BYTEORDER_INVALID)
    if form.value == ("verdict",):
        kind = _note(uapi.NFTNL_UDATA_SET_TYPEOF_EXPR, uapi.EXPR_VERDICT)
        kind += _pack_note(uapi.NFTNL_UDATA_SET_TYPEOF_DATA, b"")
        notes += _pack_note(uapi.NFTNL_UDATA_SET_DATA_TYPEOF, kind)
    notes += _note(uapi.NFTNL_UDATA_SET_DATA_INTERVAL, 0)
    flags = uapi.NFT_SET_ANONYMOUS | uapi.NFT_SET_CONSTANT | uapi.NFT_SET_MAP
    return AnonymousSet("__map%d", form, flags, len(elements), tuple(elements), notes)


def source_set(ip: str, sources: Sequence[str]) -> AnonymousSet:
    """Return the set of sources that addresses and networks are, of which one is a network.

    Raises ValueError for others than those of the family of `ip`.
    """
    if all("/" not in each for each in sources):
        raise ValueError(f"no networks, of which nft makes no intervals: {sources}")
    form = ElementForm(("ipv6_addr" if ip == "ip6" else "ipv4_addr",))
    notes = _note(uapi.NFTNL_UDATA_SET_KEYBYTEORDER, uapi.BYTEORDER_BIG_ENDIAN)
    notes += _note(uapi.NFTNL_UDATA_SET_MERGE_ELEMENTS, 1)
    protocol, what = _SADDR[ip]
    place = _note(uapi.NFTNL_UDATA_SET_KEY_PAYLOAD_DESC, protocol)
    place += _note(uapi.NFTNL_UDATA_SET_KEY_PAYLOAD_TYPE, what)
    kind = _note(uapi.NFTNL_UDATA_SET_TYPEOF_EXPR, uapi.EXPR_PAYLOAD)
    kind += _pack_note(uapi.NFTNL_UDATA_SET_TYPEOF_DATA, place)
    notes += _pack_note(uapi.NFTNL_UDATA_SET_KEY_TYPEOF, kind)
    flags = uapi.NFT_SET_ANONYMOUS | uapi.NFT_SET_CONSTANT | uapi.NFT_SET_INTERVAL
    merged = _merge(ip, sources)
    elements = tuple(_intervals(form, merged))
    # nft counts the end of the one that is open, too.
    size = 2 * len(merged) + bool(merged[0][0])
    return AnonymousSet("__set%d", form, flags, size, elements, notes)


def _merge(ip: str, sources: Iterable[str]) -> list[tuple[int, int]]:
    """Return where intervals begin, and where they are over, those that touch as one, in order."""
    found: list[tuple[int, int]] = []
    nets = [ip_network(each) for each in sources]
    if any(net.version != (6 if ip == "ip6" else 4) for net in nets):
        raise ValueError(f"not all are of family {ip}: {nets}")
    for begin, end in sorted(
        (int(net.network_address), int(net.broadcast_address) + 1) for net in nets
    ):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found


def _intervals(form: ElementForm, merged: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the elements of intervals: where each begins, and where it is over.

    What is before the first one is told to be none, and what goes to the last address is open.
    """
    size = size_of(form.key)
    is_end = number(uapi.NFTA_SET_ELEM_FLAGS, uapi.NFT_SET_ELEM_INTERVAL_END)
    is_open = _note(uapi.NFTNL_UDATA_SET_ELEM_FLAGS, uapi.SET_ELEM_F_INTERVAL_OPEN)
    for place, (begin, end) in enumerate(merged):
        if begin and not place:
            yield form.pack_bytes(bytes(size), before=is_end)
        is_last = end == 1 << 8 * size
        noted = attribute(uapi.NFTA_SET_ELEM_USERDATA, is_open) if is_last else b""
        yield form.pack_bytes(begin.to_bytes(size, "big"), behind=noted)
        if not is_last:
            yield form.pack_bytes(end.to_bytes(size, "big"), before=is_end)


def client_set_attributes(made: NFTSet, set_id: int) -> bytes:
    """Return the attributes of a set of addresses that are forgotten some time after each.

    Raises ValueError for another kind of set: what its elements are of nft notes at length.
    """
    name, type_, value, comment, seconds, size = made
    if value or comment or size or not seconds or type_ not in ("ipv4_addr", "ipv6_addr"):
        raise ValueError(f"a set for nft alone: {made}")
    told = _begin(name, uapi.NFT_SET_TIMEOUT | uapi.NFT_SET_EVAL, ElementForm.of(type_))
    told += number(uapi.NFTA_SET_ID, set_id)
    told += attribute(uapi.NFTA_SET_TIMEOUT, _U64.pack(1000 * seconds))
    return told + _pack_notes(_note(uapi.NFTNL_UDATA_SET_KEYBYTEORDER, uapi.BYTEORDER_BIG_ENDIAN))


def _begin(name: str, flags: int, form: ElementForm) -> bytes:
    """Return the attributes that all sets begin with."""
    told = attribute(uapi.NFTA_SET_NAME, pack_text(name))
    told += number(uapi.NFTA_SET_FLAGS, flags)
    told += number(uapi.NFTA_SET_KEY_TYPE, type_number(form.key))
    told += number(uapi.NFTA_SET_KEY_LEN, size_of(form.key))
    if not form.value:
        return told
    is_verdict = form.value == ("verdict",)
    kind = uapi.NFT_DATA_VERDICT if is_verdict else type_number(form.value)
    told += number(uapi.NFTA_SET_DATA_TYPE, kind)
    return told + number(uapi.NFTA_SET_DATA_LEN, 0 if is_verdict else size_of(form.value))


def _pack_notes(notes: bytes) -> bytes:
    return attribute(uapi.NFTA_SET_USERDATA, notes)


def _note(kind: int, value: int) -> bytes:
    return _pack_note(kind, _NOTE.pack(value))


def _pack_note(kind: int, value: bytes) -> bytes:
    """Return one of nft's notes: what it is of, how long it is, and what it says."""
    return bytes((kind, len(value))) + value
