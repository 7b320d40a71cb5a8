"""What a line about a set, an address or a rule was written for: found by what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from svcnet.addresses import canonical_address
from svcnet.family import IPFamily
from svcnet.graph import FragmentName
from svcnet.netfilter import ip, ipset
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.ipvs.part import Part
from svcnet.renderers.ipvs.sets import IPVS_IPS

Subject: TypeAlias = tuple[str, str]
"""A set and an entry of it, or a chain and a rule of it."""
Cause: TypeAlias = tuple[FragmentName, str]
"""A service port, and what of it something is written for."""


def causes(part: Part, family: IPFamily) -> Iterator[tuple[Subject, Cause]]:
    """Yield all that a service port has in sets and chains, with what each is for."""
    name = part.fragment.name
    for (definition, text), own in zip(part.entries, part.entry_parts, strict=True):
        cause = name, own
        if definition is IPVS_IPS:
            yield _device_subject(text, family), cause
            continue
        yield (definition.name_in(family), ipset.number_protocol(ipset.save_entry(text))), cause
    for rule in part.out_filter:
        yield (rule.chain, save_rule(rule.text, family)), (name, rule.cause)


def subject(line: str, family: IPFamily) -> Subject:
    """Return what a line for ipset, ``ip -batch`` or iptables-restore is about.

    Entries and rules are as svcnet writes them, or as the tools print them.
    """
    line = line.rstrip("\n")
    if asked := ip.read(line):
        return _device_subject(asked.address, family)
    command, _, rest = line.partition(" ")
    if command in ("-A", "-D", "-I"):
        chain, _, rule = rest.partition(" ")
        return chain, save_rule(rule, family)
    _, name, entry = ipset.read(line)
    if name == IPVS_IPS.name_in(family):
        return _device_subject(entry, family)
    return name, ipset.number_protocol(ipset.save_entry(entry))


def _device_subject(address: str, family: IPFamily) -> Subject:
    """Return the entry for an address that the node holds, in whatever spelling."""
    return IPVS_IPS.name_in(family), canonical_address(address)
