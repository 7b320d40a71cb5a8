"""Who can send packets is told apart as far as rules ask, and no question is answered by guess."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.meaning.comparison.cells import of_range
from svcnet.meaning.own_senders import OwnSenders
from svcnet.meaning.sources import Distinctions, Sender, Senders
from svcnet.meaning.spans import Span, everything
from tests.fuzz import examples

NUMBERS = st.sampled_from([0, 1, 0x0A000000, 0x0A600001, 0xC0A80101, 0xFFFFFFFE, 0xFFFFFFFF])
SPANS = st.tuples(NUMBERS, NUMBERS).map(lambda ends: (min(ends), max(ends)))
WHOLE = everything("IPv4")


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(SPANS, max_size=4), SPANS)
def test_a_question_about_a_range_is_answered_for_each_address_alike(
    known: list[Span], asked: Span
) -> None:
    """Whoever stands for a range of addresses is in the range that is asked about as all of it is.

    A question that nobody foresaw is one, and is answered once it is known.
    """
    distinctions = Distinctions(networks=frozenset(known))
    senders = Senders(distinctions, lambda span: span[0], WHOLE)
    found = senders.network(asked)
    if senders.missing:
        assert found == 0
        distinctions = distinctions.join(senders.missing.distinctions())
        senders = Senders(distinctions, lambda span: span[0], WHOLE)
        found = senders.network(asked)
        assert not senders.missing
    for number in bits(senders.everybody):
        (first, last), _ = senders.range_of(number)
        is_in = bool(found >> number & 1)
        assert is_in == (asked[0] <= first and last <= asked[1])
        assert is_in or last < asked[0] or first > asked[1]


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(SPANS, max_size=4), st.lists(NUMBERS, min_size=1, unique=True), SPANS)
def test_a_question_about_the_nodes_own_addresses_is_answered_for_each_alike(
    known: list[Span], own: list[int], asked: Span
) -> None:
    """Each address of the node is of a kind whose addresses are all in a range, or none is."""
    distinctions = Distinctions(networks=frozenset(known))
    senders = OwnSenders(distinctions, sorted(own))
    found = senders.network(asked)
    if senders.missing:
        assert found == 0
        distinctions = distinctions.join(senders.missing.distinctions())
        senders = OwnSenders(distinctions, sorted(own))
        found = senders.network(asked)
        assert not senders.missing
    told = {sender.address: found >> bit & 1 for bit, sender in each_sender(senders)}
    for address in own:
        alike = [one for one in told if is_alike(one, address, distinctions)]
        assert alike
        assert all(told[one] == (asked[0] <= address <= asked[1]) for one in alike)


def bits(mask: int) -> Iterator[int]:
    return (at for at in range(mask.bit_length()) if mask >> at & 1)


def each_sender(senders: OwnSenders) -> Iterator[tuple[int, Sender]]:
    return ((bit, senders.sender(bit)) for bit in bits(senders.everybody))


def is_alike(one: int, other: int, distinctions: Distinctions) -> bool:
    """Whether no end of a range that was asked about lies between two addresses."""
    return all(
        (one < end) == (other < end)
        for low, high in distinctions.networks
        for end in (low, high + 1)
    )


def test_a_sender_is_found_without_a_look_at_all_that_is_taken() -> None:
    """However many addresses are a machine's own, to find one beside them takes no room for all."""
    taken = range(1 << 29, (1 << 29) + 1_000_000)
    tracemalloc.start()
    try:
        assert of_range((1 << 24, 0x7EFFFFFF), "IPv4", taken) == (1 << 24) + 2
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
