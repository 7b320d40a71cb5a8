"""What rules are made of: for each kind of expression the attributes that say what it does.

A rule is a list of expressions. They hand one another what they load in registers, which lie one
behind the other: of 16 bytes from ``NFT_REG_1`` on, and the same in parts of 4 from
``NFT_REG32_00`` on. Where one begins is told here in bytes behind the first of them. Attributes
come in the order in which nft 1.0.6 sends them.
"""

from __future__ import annotations

from struct import Struct

from svcnet.netfilter.nft.wire import uapi
from svcnet.netfilter.nft.wire.data import pack_text, pack_verdict
from svcnet.netlink import attribute, nest

_U32 = Struct(">I")


def meta(key: int) -> bytes:
    """Return what loads something about a packet that is not in it, such as its mark."""
    return _expression(
        "meta",
        number(uapi.NFTA_META_KEY, key),
        number(uapi.NFTA_META_DREG, _register(0)),
    )


def set_meta(key: int) -> bytes:
    """Return what gives a packet, for example as its mark, what is in the first register."""
    return _expression(
        "meta",
        number(uapi.NFTA_META_KEY, key),
        number(uapi.NFTA_META_SREG, _register(0)),
    )


def payload(base: int, offset: int, size: int, register: int = 0) -> bytes:
    """Return what loads bytes of a packet, from the beginning of one of its headers on."""
    return _expression(
        "payload",
        number(uapi.NFTA_PAYLOAD_DREG, _register(register)),
        number(uapi.NFTA_PAYLOAD_BASE, base),
        number(uapi.NFTA_PAYLOAD_OFFSET, offset),
        number(uapi.NFTA_PAYLOAD_LEN, size),
    )


def fib(flags: int, result: int) -> bytes:
    """Return what loads what the routes say of an address of the packet."""
    return _expression(
        "fib",
        number(uapi.NFTA_FIB_FLAGS, flags),
        number(uapi.NFTA_FIB_RESULT, result),
        number(uapi.NFTA_FIB_DREG, _register(0)),
    )


def numgen(kind: int, modulus: int, register: int = 0) -> bytes:
    """Return what makes a number below `modulus`, by chance or by counting."""
    return _expression(
        "numgen",
        number(uapi.NFTA_NG_DREG, _register(register)),
        number(uapi.NFTA_NG_MODULUS, modulus),
        number(uapi.NFTA_NG_TYPE, kind),
        number(uapi.NFTA_NG_OFFSET, 0),
    )


def compare(value: bytes, *, is_other: bool = False) -> bytes:
    """Return what ends a rule unless what was loaded is `value`, or with `is_other` is not."""
    operator = uapi.NFT_CMP_NEQ if is_other else uapi.NFT_CMP_EQ
    return _expression(
        "cmp",
        number(uapi.NFTA_CMP_SREG, _register(0)),
        number(uapi.NFTA_CMP_OP, operator),
        nest(uapi.NFTA_CMP_DATA, attribute(uapi.NFTA_DATA_VALUE, value)),
    )


def bitwise(mask: bytes, xor: bytes, operation: bytes = b"") -> bytes:
    """Return what masks what was loaded; nft says which `operation` it is for marks alone."""
    return _expression(
        "bitwise",
        number(uapi.NFTA_BITWISE_SREG, _register(0)),
        number(uapi.NFTA_BITWISE_DREG, _register(0)),
        operation,
        number(uapi.NFTA_BITWISE_LEN, len(mask)),
        nest(uapi.NFTA_BITWISE_MASK, attribute(uapi.NFTA_DATA_VALUE, mask)),
        nest(uapi.NFTA_BITWISE_XOR, attribute(uapi.NFTA_DATA_VALUE, xor)),
    )


def lookup(container: bytes, *, to: int | None = None, is_other: bool = False) -> bytes:
    """Return what ends a rule unless what was loaded is in a set, or with `is_other` is not.

    `container` is that set, as :func:`container_name` tells it. Of a map the value goes `to` a
    register, which is that of verdicts if it says what becomes of the packet.
    """
    return _expression(
        "lookup",
        number(uapi.NFTA_LOOKUP_SREG, _register(0)),
        b"" if to is None else number(uapi.NFTA_LOOKUP_DREG, to),
        container,
        number(uapi.NFTA_LOOKUP_FLAGS, uapi.NFT_LOOKUP_F_INV) if is_other else b"",
    )


def container_name(container: str, set_id: int | None = None) -> bytes:
    """Return the name of a set that something is looked up in; one of the same batch has an id."""
    told = attribute(uapi.NFTA_LOOKUP_SET, pack_text(container))
    return told if set_id is None else told + number(uapi.NFTA_LOOKUP_SET_ID, set_id)


def update(container: str) -> bytes:
    """Return what puts what was loaded into a set, or has its time there begin anew."""
    return _expression(
        "dynset",
        number(uapi.NFTA_DYNSET_SREG_KEY, _register(0)),
        number(uapi.NFTA_DYNSET_OP, uapi.NFT_DYNSET_OP_UPDATE),
        attribute(uapi.NFTA_DYNSET_SET_NAME, pack_text(container)),
    )


def verdict(text: str) -> bytes:
    """Return what says what becomes of the packet. Raises ValueError for what is no verdict."""
    return _expression(
        "immediate",
        number(uapi.NFTA_IMMEDIATE_DREG, uapi.NFT_REG_VERDICT),
        nest(uapi.NFTA_IMMEDIATE_DATA, pack_verdict(text)),
    )


def immediate(value: bytes, register: int = 0) -> bytes:
    """Return what loads a value that is always the same."""
    return _expression(
        "immediate",
        number(uapi.NFTA_IMMEDIATE_DREG, _register(register)),
        nest(uapi.NFTA_IMMEDIATE_DATA, attribute(uapi.NFTA_DATA_VALUE, value)),
    )


def dnat(family: int, port: int, *, is_constant: bool = False) -> bytes:
    """Return what gives the packet the address that was loaded, and the port behind it.

    `port` is where that one begins. Of what `is_constant` nft says that there is a port.
    """
    flags = number(uapi.NFTA_NAT_FLAGS, uapi.NF_NAT_RANGE_PROTO_SPECIFIED)
    return _expression(
        "nat",
        number(uapi.NFTA_NAT_TYPE, uapi.NFT_NAT_DNAT),
        number(uapi.NFTA_NAT_FAMILY, family),
        number(uapi.NFTA_NAT_REG_ADDR_MIN, _register(0)),
        number(uapi.NFTA_NAT_REG_PROTO_MIN, _register(port)),
        flags if is_constant else b"",
    )


def number(kind: int, value: int) -> bytes:
    """Return an attribute that is a number."""
    return attribute(kind, _U32.pack(value))


def _expression(name: str, *attributes: bytes) -> bytes:
    told = attribute(uapi.NFTA_EXPR_NAME, pack_text(name))
    told += nest(uapi.NFTA_EXPR_DATA, b"".join(attributes))
    return nest(uapi.NFTA_LIST_ELEM, told)


def _register(offset: int) -> int:
    """Return the number of the register that begins so many bytes behind the first one.

    Those that begin 16 bytes apart have numbers of old, of when there were no others.
    """
    if offset % 16:
        return uapi.NFT_REG32_00 + offset // 4
    return uapi.NFT_REG_1 + offset // 16
