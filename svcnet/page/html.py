"""A page as HTML: one file, which needs no other, and lets nothing in it reach out.

What Services say of themselves is hostile input. It comes into the page as JSON only, in which no
tag can stand, and the script writes it as text. A policy in the page forbids all that is not the
page's own: its script and its style are named by their hashes.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from svcnet.page.site import SiteContent

_PIECE = 1 << 18
"""So many bytes of JSON are unpacked at once, for the Service that is looked at and others."""

_UNSAFE = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))


def page(content: SiteContent) -> str:
    """Return the text of a page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    parts = PackageLoader("svcnet.page", "parts")
    environment = Environment(
        loader=parts,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, _, _ = parts.get_source(environment, "page.css")
    script, _, _ = parts.get_source(environment, "page.js")
    pieces = list(_pieces(content.services))
    head = {**content.head, "pieces": [len(piece) for piece in pieces]}
    return environment.get_template("page.html").render(
        head=head,
        style=Markup(style),  # noqa: S704  (svcnet's own)
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script),
        data=Markup(_without_tags(_json(head))),  # noqa: S704
        pieces=[_pack(piece) for piece in pieces],
    )


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy that lets nothing happen but what is the page's own."""
    own = {"script-src": script, "style-src": style}
    rules = [f"{name} 'sha256-{_digest(text)}'" for name, text in own.items()]
    fixed = ("default-src 'none'", *rules, "base-uri 'none'", "form-action 'none'")
    return "; ".join((*fixed, "require-trusted-types-for 'script'", "trusted-types 'none'"))


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """Return JSON of ASCII alone, whatever half characters the names of files have."""
    return json.dumps(value, separators=(",", ":"))


def _without_tags(text: str) -> str:
    """Return JSON that means the same, and in which no tag of HTML can stand."""
    for character, escape in _UNSAFE:
        text = text.replace(character, escape)
    return text


def _pieces(services: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Yield Services, several together: each has little that others have not as well."""
    piece: list[str] = []
    size = 0
    for each in services:
        piece.append(_json(each))
        size += len(piece[-1])
        if size >= _PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _pack(piece: Sequence[str]) -> str:
    data = f"[{','.join(piece)}]".encode()
    return b64encode(gzip.compress(data, 9, mtime=0)).decode()
