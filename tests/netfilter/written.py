"""Rules as svcnet may write them: matches and targets that it uses, in any order."""

from __future__ import annotations

from string import ascii_lowercase, digits, printable

from hypothesis import strategies as st

from svcnet.netfilter.words import quote

COMMENTS = st.one_of(
    st.text(ascii_lowercase + digits + "-_", min_size=1, max_size=12),
    st.text(printable.translate({ord(c): None for c in "\n\r\t\v\f"}), max_size=20),
    st.sampled_from(
        ["shop/web:http cluster IP", "with type 'hash ip:port'", '"', "\\", "-d 1 -j X"]
    ),
)
PORTS = st.integers(1, 65535)
MARKS = st.integers(1, 31).map(lambda bit: f"{1 << bit:#010x}")
NAMES = st.text(ascii_lowercase + digits, min_size=1, max_size=10)
ADDRESSES = {
    "IPv4": ("10.0.0.1", "10.1.2.3/9", "192.0.2.0/24", "0.0.0.0/0", "203.0.113.7/32"),
    "IPv6": ("fd00::1", "FD00:10:244:1::0011", "fd00::5/127", "::/0", "::a00:1", "2001:db8::/64"),
}
PLACES = {
    "IPv4": ("10.0.0.1:80", "10.0.0.1"),
    "IPv6": ("[fd00::1]:80", "[FD00::0:11]:8080", "[::a00:1]:1"),
}
TARGETS = {
    "filter": ("ACCEPT", "DROP", "RETURN", "REJECT"),
    "nat": ("ACCEPT", "RETURN", "MASQUERADE", "MASQUERADE --random-fully"),
}


@st.composite
def matches(draw: st.DrawFn) -> str:
    """Return one match that any protocol can have."""
    name, bits, port = draw(NAMES), draw(MARKS), draw(PORTS)
    return draw(
        st.sampled_from(
            [
                "-m conntrack --ctstate NEW",
                "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT",
                "-m state --state NEW",
                "-m addrtype --dst-type LOCAL",
                "-m addrtype ! --src-type LOCAL",
                "-m physdev ! --physdev-is-in",
                f"-m recent --name {name} --rcheck --seconds {port} --reap",
                f"-m recent --name {name} --set",
                f"-m recent --set --name {name} --rsource",
                f"-m statistic --mode random --probability {1 / (port % 300 + 1):.10f}",
                f"-m mark --mark {bits}/{bits}",
                f"-m mark ! --mark {bits}/{bits}",
                f"-m mark --mark {port}",
                f"-m comment --comment {quote(draw(COMMENTS))}",
                f"-m comment --comment a/b:{name}",
            ]
        )
    )


@st.composite
def heads(draw: st.DrawFn, family: str) -> str:
    """Return a match of an address or interface."""
    negation = draw(st.sampled_from(["", "! "]))
    option = draw(st.sampled_from(["-s", "-d", "-i", "-o"]))
    if option in ("-s", "-d"):
        address = draw(st.sampled_from(ADDRESSES[family]))
        return f"{negation if '/0' not in address else ''}{option} {address}"
    return f"{negation}{option} {draw(st.sampled_from(['eth0', 'veth+']))}"


@st.composite
def written_rules(draw: st.DrawFn, family: str, table: str) -> str:
    """Return a rule without its chain that iptables-restore takes, as somebody writes it."""
    parts = draw(st.lists(matches(), max_size=3, unique_by=lambda match: match.split()[1]))
    parts += draw(st.lists(heads(family), max_size=3, unique_by=lambda head: head.split()[-2]))
    targets = [st.sampled_from(TARGETS[table])]
    protocol = draw(st.sampled_from(["", "tcp", "udp", "sctp"]))
    if protocol:
        match, option = f"-m {protocol}", f"-p {protocol}"
        first, second = draw(st.permutations([match, option]))
        parts.append(f"{first} {second} --dport {draw(PORTS)}")
        if table == "nat":
            targets += [
                st.sampled_from(PLACES[family]).map("DNAT --to-destination {}".format),
                PORTS.map("REDIRECT --to-ports {}".format),
            ]
    if table == "nat":
        targets.append(MARKS.map("MARK --or-mark {}".format))
        targets.append(MARKS.map("MARK --xor-mark {}".format))
    return " ".join([*draw(st.permutations(parts)), f"-j {draw(st.one_of(targets))}"])
