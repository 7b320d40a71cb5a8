"""Asking another server what is in none of our zones."""

from __future__ import annotations

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode

from svcnet.discovery.dns import Answer
from svcnet.executors.dns.messages import EDNS_BYTES, Query, encode, respond, room
from svcnet.executors.dns.responder import Elsewhere

TIMEOUT_SECONDS = 5.0
AT_ONCE = 1000
"""How many questions wait for the other server; one more is answered as if it were away."""

KNOWN = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)

Response = dns.message.Message


class Upstream:
    """Another server, by its address and port."""

    def __init__(self, address: str, port: int = 53) -> None:
        self.address = address
        self.port = port
        self._waiting = 0

    async def ask(self, elsewhere: Elsewhere, *, tcp: bool) -> bytes:
        """Return the answer to a question, SERVFAIL if the server gives none."""
        if elsewhere.otherwise is None:
            return await self._relayed(elsewhere.query, tcp)
        return await self._followed(elsewhere.query, elsewhere.found, elsewhere.otherwise, tcp)

    async def _relayed(self, query: Query, tcp: bool) -> bytes:
        response = await self._exchange(_question(query), tcp)
        if response is None:
            return encode(query, dns.rcode.SERVFAIL, tcp=tcp, recursion=True)
        made = respond(query, dns.rcode.Rcode(response.rcode() & 0xF), recursion=True)
        made.flags |= response.flags & (dns.flags.TC | dns.flags.AD)
        made.sections[1:] = response.sections[1:]
        return made.to_wire(max_size=room(query, tcp), prefer_truncation=True)

    async def _followed(self, query: Query, found: Answer, otherwise: Answer, tcp: bool) -> bytes:
        """Complete an alias, with whatever the other server knows of its target."""
        target = dns.name.from_text(found.answers[-1].data)
        response = await self._exchange(_question(query, target), tcp=True)
        if response is None or response.rcode() not in KNOWN:
            return encode(query, otherwise, tcp=tcp, recursion=True)
        return encode(query, found, tcp=tcp, recursion=True, further=response.answer)

    async def _exchange(self, question: Query, tcp: bool) -> Response | None:
        if self._waiting >= AT_ONCE:
            return None
        self._waiting += 1
        try:
            if tcp:
                return await dns.asyncquery.tcp(
                    question, self.address, timeout=TIMEOUT_SECONDS, port=self.port
                )
            return await dns.asyncquery.udp(
                question,
                self.address,
                timeout=TIMEOUT_SECONDS,
                port=self.port,
                ignore_unexpected=True,
                ignore_errors=True,
            )
        except (dns.exception.DNSException, OSError, EOFError):
            return None
        finally:
            self._waiting -= 1


def _question(query: Query, name: dns.name.Name | None = None) -> Query:
    """Return the same question as our own: another number, and no options of the client's."""
    asked = query.question[0]
    made: Query = dns.message.make_query(
        name or asked.name,
        asked.rdtype,
        asked.rdclass,
        use_edns=0 if query.edns >= 0 else None,
        want_dnssec=bool(query.ednsflags & dns.flags.DO),
        payload=min(query.payload, EDNS_BYTES) if query.edns >= 0 else None,
    )
    made.flags |= query.flags & (dns.flags.CD | dns.flags.AD)
    return made
