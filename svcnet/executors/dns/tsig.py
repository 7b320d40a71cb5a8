"""Keys that sign messages to a server (TSIG, RFC 8945)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from pathlib import Path

import dns.exception
import dns.name
import dns.tsig
from attrs import field, frozen

from svcnet.errors import UsageError
from svcnet.files import KIB, read_text

__all__ = ["MOST_BYTES", "Key", "read_key"]

MOST_BYTES = 16 * KIB
"""The largest file that a key is looked for in."""

_CLAUSE = re.compile(
    r'\bkey\s+"?(?P<name>[^"\s{]+)"?\s*\{(?P<body>[^{}]*)\}\s*;',
)
_FIELD = re.compile(r'(?P<field>algorithm|secret)\s+"?(?P<value>[^";\s]+)"?\s*;')
_LINE = re.compile(
    r"^#?[ \t]*(?P<algorithm>hmac-[a-z0-9-]+):(?P<name>[^:\s]+):(?P<secret>\S+)$", re.M
)


@frozen
class Key:
    """A key's name, its algorithm such as ``hmac-sha256.``, and its secret."""

    name: dns.name.Name
    algorithm: dns.name.Name
    secret: bytes = field(repr=False)

    @property
    def signer(self) -> dns.tsig.Key:
        """The key as dnspython wants it."""
        return dns.tsig.Key(self.name, self.secret, self.algorithm)


def read_key(path: Path) -> Key:
    """Return the key in a file.

    That is a ``key`` clause, as BIND's ``tsig-keygen`` prints, or a line
    ``algorithm:name:secret``, as Knot's ``keymgr --tsig`` prints in a comment. Raises
    UsageError, which never tells the secret.
    """
    try:
        text = read_text(path, MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    parts = _clause(text) or _line(text)
    if parts is None:
        raise UsageError(
            f"{path}: holds no key; it must have a key clause, as tsig-keygen prints, "
            "or a line algorithm:name:secret"
        )
    try:
        name, algorithm = dns.name.from_text(parts["name"]), dns.name.from_text(parts["algorithm"])
        secret = b64decode(parts["secret"], validate=True)
    except (dns.exception.DNSException, binascii.Error, ValueError):
        raise UsageError(f"{path}: holds a key whose name or secret is not well-formed") from None
    if algorithm not in dns.tsig.HMACTSig._hashes:
        raise UsageError(f"{path}: there is no algorithm {parts['algorithm']} for keys")
    return Key(name, algorithm, secret)


def _clause(text: str) -> dict[str, str] | None:
    match = _CLAUSE.search(text)
    if match is None:
        return None
    fields = {found["field"]: found["value"] for found in _FIELD.finditer(match["body"])}
    if fields.keys() != {"algorithm", "secret"}:
        return None
    return {"name": match["name"], **fields}


def _line(text: str) -> dict[str, str] | None:
    match = _LINE.search(text)
    return match.groupdict() if match else None
