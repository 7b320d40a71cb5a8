"""What a question is answered."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from svcnet.discovery.dns.zones import Record

Rcode = Literal["NOERROR", "NXDOMAIN", "REFUSED"]
"""What an answer says of its name: it is there, it is not, or its zone is no matter of ours."""


@frozen
class Answer:
    """The sections of an answer, and why they are what they are.

    ``authority`` has the zone's SOA record for a name or a type that does not exist, so
    that a resolver knows how long to remember it. REFUSED is a name outside all zones.
    """

    rcode: Rcode
    rule: str
    service: str = ""
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
