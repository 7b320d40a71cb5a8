"""Asking a DNS server for records, whatever it answers.

An answer is believed if it is one to the question. One that is cut short is asked for again over
TCP (RFC 7766).
"""

from __future__ import annotations

from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from attrs import frozen

from svcnet.discovery.dns.rdata import to_name
from svcnet.errors import UnreadMachine

TIMEOUT_SECONDS = 2.0
"""How long an answer may take, over UDP and over TCP each."""

TRIES = 3
"""How often a question is asked that nobody answers: datagrams get lost."""


@frozen
class Reply:
    """What a server says of a name and type: the code, and the data of the records as text."""

    rcode: str
    data: frozenset[str] = frozenset()


def ask(where: tuple[str, int], name: str, rdtype: str) -> Reply:
    """Return what a server answers. Raises UnreadMachine for one that does not, or says rubbish."""
    query = dns.message.make_query(to_name(name), rdtype, use_edns=True, payload=1232)
    host, port = where
    last: Exception | None = None
    for _ in range(TRIES):
        try:
            message, _ = dns.query.udp_with_fallback(query, host, TIMEOUT_SECONDS, port=port)
            return Reply(dns.rcode.to_text(message.rcode()), frozenset(_data(message, query)))
        except dns.exception.Timeout as error:
            last = error
        except (OSError, EOFError, ValueError, dns.exception.DNSException) as error:
            last = error
            break
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    reason = "no answer" if isinstance(last, dns.exception.Timeout) else str(last) or "no answer"
    raise UnreadMachine(f"DNS server {place}: {name} {rdtype}: {reason}")


def _data(message: dns.message.Message, query: dns.message.Message) -> Iterator[str]:
    """Yield the data of the records that are asked for."""
    question = query.question[0]
    for rrset in message.answer:
        if rrset.rdtype == question.rdtype and rrset.name == question.name:
            yield from (rdata.to_text().lower() for rdata in rrset)
