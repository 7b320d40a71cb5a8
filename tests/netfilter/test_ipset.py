"""What ipset reads and prints: what is written is read as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.netfilter import ipset
from svcnet.netfilter.ipset import Line, ObservedSet, parse_save
from tests.fuzz import examples

PORTALS = st.builds(
    "{},{}:{}".format,
    st.ip_addresses(v=4),
    st.sampled_from(["tcp", "udp", "sctp"]),
    st.integers(1, 65535),
)
ENTRIES = {
    "hash:ip": st.ip_addresses(v=4).map(str),
    "hash:ip,port": PORTALS,
    "hash:ip,port,ip": st.builds("{},{}".format, PORTALS, st.ip_addresses(v=4)),
    "bitmap:port": st.integers(0, 65535).map(str),
}


def sets_of(kind: str) -> st.SearchStrategy[tuple[str, frozenset[str]]]:
    return st.tuples(st.just(kind), st.frozensets(ENTRIES[kind], max_size=4))


SETS = st.dictionaries(
    st.from_regex("KUBE-[A-Z-]{1,20}", fullmatch=True),
    st.sampled_from(list(ENTRIES)).flatmap(sets_of),
    max_size=4,
)
FORMS = (lambda entry: entry, ipset.number_protocol)


@settings(max_examples=examples(60))
@given(SETS, st.sampled_from(FORMS))
def test_what_is_written_is_read(
    sets: dict[str, tuple[str, frozenset[str]]], form: Callable[[str], str]
) -> None:
    """Sets come back with all their entries, whether protocols are written as names or numbers."""
    text = "".join(
        ipset.create(name, kind, "family inet maxelem 10").replace(" -exist", "")
        + "".join(ipset.add(name, form(entry)).replace(" -exist", "") for entry in entries)
        for name, (kind, entries) in sets.items()
    )
    assert parse_save(text) == {
        name: ObservedSet(kind, {"family": "inet"}, 10, entries)
        for name, (kind, entries) in sets.items()
    }


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (ipset.create("A", "hash:ip", "family inet"), Line("create", "A", "")),
        (ipset.add("A", "10.0.0.1,6:80"), Line("add", "A", "10.0.0.1,6:80")),
        (ipset.add("A", "10.0.0.1,6:80", 900), Line("add", "A", "10.0.0.1,6:80")),
        (ipset.delete("A", "80"), Line("del", "A", "80")),
        (ipset.swap("A", "B"), Line("swap", "A", "")),
        (ipset.destroy("A"), Line("destroy", "A", "")),
        (ipset.flush("A"), Line("flush", "A", "")),
        (ipset.save("A"), Line("save", "A", "")),
        ("*nat", Line("*nat", "", "")),
    ],
)
def test_lines(line: str, read: Line) -> None:
    """Each line says what it does, to which set, and with which entry."""
    assert ipset.read(line) == read


def test_a_time_is_written() -> None:
    """An entry that goes by itself says after how many seconds."""
    assert ipset.add("A", "80", 900) == "add A 80 timeout 900 -exist\n"


def test_which_line_is_refused() -> None:
    """By its number and why, or neither."""
    assert ipset.refusal("ipset v7.17: Error in line 3: Set cannot be created: it exists") == (
        3,
        "Set cannot be created: it exists",
    )
    assert ipset.refusal("ipset v7.17: Kernel error received: Operation not permitted") is None


def test_entries_are_known_whatever_the_machine_calls_protocols() -> None:
    """Without /etc/protocols ipset prints numbers, and those are not a port's."""
    text = (
        "create A hash:ip,port,ip family inet hashsize 1024 maxelem 65536\n"
        "add A 10.244.1.5,{}:6,10.244.1.5\n"
        "create B bitmap:port range 0-65535\n"
        "add B 6\n"
    )
    assert parse_save(text.format("6")) == parse_save(text.format("tcp"))
    assert parse_save(text.format("132"))["A"].entries == {"10.244.1.5,sctp:6,10.244.1.5"}
    assert parse_save(text)["B"].entries == {"6"}


def test_a_network_of_one_address_is_saved_as_that_address() -> None:
    assert ipset.save_entry("10.0.0.1,tcp:80,10.0.0.2/32") == "10.0.0.1,tcp:80,10.0.0.2"
    assert ipset.save_entry("fd00::1,tcp:80,fd00::2/128") == "fd00::1,tcp:80,fd00::2"
    for entry in ("10.0.0.1,tcp:80,10.0.0.0/8", "fd00::1,tcp:80,fd00::/32", "10.0.0.1", "80"):
        assert ipset.save_entry(entry) == entry


WRITERS = (
    ipset.flush,
    ipset.destroy,
    ipset.save,
    lambda name: ipset.create(name, "hash:ip", "family inet"),
    lambda name: ipset.swap(name, "OTHER"),
)


@settings(max_examples=examples(60))
@given(
    st.from_regex("[A-Z6-]{1,31}", fullmatch=True),
    st.one_of(*ENTRIES.values()),
    st.sampled_from(FORMS),
    st.integers(0, 900),
)
def test_every_line_says_what_it_is_about(
    name: str, entry: str, form: Callable[[str], str], timeout: int
) -> None:
    """Each writer's line is read: its verb, its set, and its entry or none."""
    text = form(entry)
    assert ipset.read(ipset.add(name, text, timeout)) == Line("add", name, text)
    assert ipset.read(ipset.delete(name, text)) == Line("del", name, text)
    for write in WRITERS:
        assert ipset.read(write(name))[1:] == (name, "")


@settings(max_examples=examples(100))
@given(st.text(max_size=60))
def test_any_message_of_a_refusal(message: str) -> None:
    """It has the number of a line and why, or neither; the number may be of no line."""
    found = ipset.refusal(message)
    assert found is None or (found[0] >= 0 and found[1] in message)
    known = ipset.refusal(f"{message}\nipset v7.17: Error in line 3: no")
    assert known is not None
