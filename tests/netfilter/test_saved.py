"""The form in which iptables-save prints rules, without a kernel."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.family import IPFamily
from svcnet.netfilter.save_form import save_rule
from svcnet.netfilter.words import quote, unquote, words
from tests.fuzz import examples
from tests.netfilter.test_listing import foreign_rules
from tests.netfilter.written import written_rules

FAMILIES: st.SearchStrategy[IPFamily] = st.sampled_from(["IPv4", "IPv6"])
TABLES = st.sampled_from(["filter", "nat"])
ROWS = (
    ("IPv4", "-s 10.0.0.1 -j KUBE-MARK-MASQ", "-s 10.0.0.1/32 -j KUBE-MARK-MASQ"),
    ("IPv6", "-s fd00::1 -j KUBE-MARK-MASQ", "-s fd00::1/128 -j KUBE-MARK-MASQ"),
    (
        "IPv4",
        "-m comment --comment a/b -m udp -p udp -j DNAT --to-destination 10.0.0.1:53",
        '-p udp -m comment --comment "a/b" -m udp -j DNAT --to-destination 10.0.0.1:53',
    ),
    (
        "IPv4",
        '-m comment --comment "a b" -m tcp -p tcp -d 10.0.0.1 --dport 80 ! -s 10.0.0.0/8 -j X',
        '! -s 10.0.0.0/8 -d 10.0.0.1/32 -p tcp -m comment --comment "a b" -m tcp --dport 80 -j X',
    ),
    (
        "IPv4",
        "-m statistic --mode random --probability 0.3333333333 -j X",
        "-m statistic --mode random --probability 0.33333333349 -j X",
    ),
    ("IPv4", "-j MARK --or-mark 0x00004000", "-j MARK --set-xmark 0x4000/0x4000"),
    ("IPv4", "-j MARK --xor-mark 0x00004000", "-j MARK --set-xmark 0x4000/0x0"),
    (
        "IPv4",
        "-m conntrack --ctstate INVALID -m nfacct --nfacct-name a_b -j DROP",
        "-m conntrack --ctstate INVALID -m nfacct --nfacct-name  a_b -j DROP",
    ),
    ("IPv4", "-s 0.0.0.0/0 -j X", "-j X"),
    ("IPv4", "-d 10.0.0.1 ! -s 0.0.0.0/0 -j X", "! -s 0.0.0.0/0 -d 10.0.0.1/32 -j X"),
    ("IPv4", "-s 10.1.2.3/9 -j X", "-s 10.0.0.0/9 -j X"),
    ("IPv6", "-s FD00:10:244:1::0011 -j X", "-s fd00:10:244:1::11/128 -j X"),
    ("IPv6", "-d ::1 ! -s fd00::0:0005/127 -j X", "! -s fd00::4/127 -d ::1/128 -j X"),
    ("IPv6", "-d ::a00:1 -j X", "-d ::10.0.0.1/128 -j X"),
    (
        "IPv6",
        "-m tcp -p tcp -j DNAT --to-destination [FD00::0:11]:8080",
        "-p tcp -m tcp -j DNAT --to-destination [fd00::11]:8080",
    ),
    ("IPv6", "-j REJECT", "-j REJECT --reject-with icmp6-port-unreachable"),
    (
        "IPv4",
        (
            "-m comment --comment a/b:c -p tcp -m tcp --dport 80 -d 10.0.0.1/32 "
            "-j REDIRECT --to-ports 4000"
        ),
        (
            '-d 10.0.0.1/32 -p tcp -m comment --comment "a/b:c" -m tcp --dport 80 '
            "-j REDIRECT --to-ports 4000"
        ),
    ),
    (
        "IPv6",
        (
            '-m comment --comment "a/b:" -p udp -m udp --dport 53 -d fd00::1 '
            "-j DNAT --to-destination [fd00::2]:4000"
        ),
        (
            '-d fd00::1/128 -p udp -m comment --comment "a/b:" -m udp --dport 53 '
            "-j DNAT --to-destination [fd00::2]:4000"
        ),
    ),
    (
        "IPv4",
        (
            "-m comment --comment a/b:c -p tcp -m tcp --dport 80 ! -s 10.0.0.0/8 -i veth+ "
            "-m physdev ! --physdev-is-in -j X"
        ),
        (
            '! -s 10.0.0.0/8 -i veth+ -p tcp -m comment --comment "a/b:c" -m tcp --dport 80 '
            "-m physdev ! --physdev-is-in -j X"
        ),
    ),
    ("IPv6", "-s ::/0 -m addrtype ! --src-type LOCAL -j X", "-m addrtype ! --src-type LOCAL -j X"),
    ("IPv4", "-m comment --comment abc_1-2 -j X", "-m comment --comment abc_1-2 -j X"),
    ("IPv4", '-m comment --comment "abc" -j X', "-m comment --comment abc -j X"),
    ("IPv4", "-m comment --comment \"a 'b'\" -j X", r'-m comment --comment "a \'b\'" -j X'),
    (
        "IPv4",
        "-m recent --name L --rcheck --seconds 10 --reap -j X",
        "-m recent --rcheck --seconds 10 --reap --name L --mask 255.255.255.255 --rsource -j X",
    ),
    (
        "IPv4",
        "-s 10.0.0.1 -m ipvs --vaddr 10.0.0.1 --vproto sctp --vport 80 -j DROP",
        "-s 10.0.0.1/32 -m ipvs --vproto 132 --vaddr 10.0.0.1 --vport 80 -j DROP",
    ),
    ("IPv4", "-m set --match-set -s src -j recent", "-m set --match-set -s src -j recent"),
    ("IPv4", "-j REJECT --reject-with tcp-reset", "-j REJECT --reject-with tcp-reset"),
    ("IPv4", "-m mark --mark 16 -j X", "-m mark --mark 0x10 -j X"),
    ("IPv4", "", ""),
)


@pytest.mark.parametrize(("family", "written", "printed"), ROWS)
def test_rows(family: IPFamily, written: str, printed: str) -> None:
    """A rule as written becomes the rule as iptables-save prints it, and that stays as it is."""
    assert save_rule(written, family) == printed
    assert save_rule(printed, family) == printed


@settings(max_examples=examples(80))
@given(st.data())
def test_what_is_printed_stays_as_it_is(data: st.DataObject) -> None:
    """Whatever svcnet wrote: its form is its own form."""
    family, table = data.draw(FAMILIES), data.draw(TABLES)
    printed = save_rule(data.draw(written_rules(family, table)), family)
    assert save_rule(printed, family) == printed


@settings(max_examples=examples(80))
@given(foreign_rules(), FAMILIES)
def test_what_others_wrote_stays_as_it_is(rule: str, family: IPFamily) -> None:
    """Names and quoted texts of any kind are no options, whatever is in them."""
    assert save_rule(rule, family) == rule


@settings(max_examples=examples(80))
@given(st.text())
def test_a_quoted_text_is_one_word(text: str) -> None:
    """It is read as it was, and ends where it ends."""
    word = quote(text)
    assert unquote(word) == text
    rule = f"-m comment --comment {word} -j X"
    assert [rule[begin:end] for begin, end in words(rule)][3:] == [word, "-j", "X"]
