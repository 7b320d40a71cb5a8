"""Names, comments and verdicts as the kernel has them."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType

from svcnet.netfilter.nft.wire import uapi
from svcnet.netfilter.nft.words import quote_comment
from svcnet.netlink import attribute, attributes, nest

_CODE = Struct(">i")
VERDICTS: Mapping[str, int] = MappingProxyType(
    {
        "drop": uapi.NF_DROP,
        "accept": uapi.NF_ACCEPT,
        "continue": uapi.NFT_CONTINUE,
        "return": uapi.NFT_RETURN,
    }
)
LEADING: Mapping[str, int] = MappingProxyType({"jump": uapi.NFT_JUMP, "goto": uapi.NFT_GOTO})
"""Verdicts that lead to a chain."""
_WORDS = MappingProxyType({code: word for word, code in {**VERDICTS, **LEADING}.items()})


def pack_text(name: str) -> bytes:
    """Return a name with the zero that ends it."""
    return name.encode() + b"\0"


def read_text(value: bytes) -> str:
    """Return a name without the zeros at its end."""
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def pack_comment(comment: str) -> bytes:
    """Return what nft notes of a comment, cut to what it takes: a kind, a length and the text."""
    text = pack_text(quote_comment(comment)[1:-1])
    return bytes((uapi.NFTNL_UDATA_COMMENT, len(text))) + text


def read_comment(data: bytes) -> str:
    """Return the comment among what nft has noted: kinds, lengths and values."""
    offset = 0
    while offset + 2 <= len(data):
        kind, size = data[offset], data[offset + 1]
        if kind == uapi.NFTNL_UDATA_COMMENT:
            return read_text(data[offset + 2 : offset + 2 + size])
        offset += 2 + size
    return ""


def pack_verdict(verdict: str) -> bytes:
    """Return the attribute with a verdict such as ``drop`` or ``goto CHAIN``.

    Raises ValueError for a word that is none.
    """
    word, _, chain = verdict.partition(" ")
    code = (LEADING if chain else VERDICTS).get(word)
    if code is None:
        raise ValueError(f"no verdict: {verdict!r}")
    told = attribute(uapi.NFTA_VERDICT_CODE, _CODE.pack(code))
    if chain:
        told += attribute(uapi.NFTA_VERDICT_CHAIN, pack_text(chain))
    return nest(uapi.NFTA_DATA_VERDICT, told)


def read_verdict(value: bytes) -> str:
    """Return the verdict that is in such an attribute. Raises LookupError and struct.error."""
    told = attributes(value)
    word = _WORDS[_CODE.unpack(told[uapi.NFTA_VERDICT_CODE])[0]]
    return f"{word} {read_text(told[uapi.NFTA_VERDICT_CHAIN])}" if word in LEADING else word
