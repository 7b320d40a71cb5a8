"""Words of nft's language that somebody else chose: interfaces, and comments.

Names of chains and sets cannot be quoted, so nothing is done for them here: what they are made of
must be letters, digits and ``_``, ``/``, ``-`` and ``.``, with a letter first.
"""

from __future__ import annotations

import re

MOST_COMMENT = 128
"""The most bytes of a comment that nft takes (``NFTNL_UDATA_COMMENT_MAXLEN``)."""

_PLAIN = re.compile(r"[A-Za-z_.][A-Za-z0-9_/.-]*\*?")

KEYWORDS = frozenset(
    (
        *("accept", "add", "ah", "all", "and", "arp", "auto-merge", "bridge", "cgroup", "chain"),
        *("comment", "comp", "constant", "continue", "counter", "cpu", "create", "ct", "day"),
        *("dccp", "define", "delete", "describe", "destroy", "device", "devices", "dnat", "drop"),
        *("dst", "dup", "dynamic", "ecn", "element", "elements", "eq", "esp", "ether", "exists"),
        *("expires", "export", "exthdr", "fib", "flags", "flow", "flowtable", "flush", "frag"),
        *("fwd", "gc-interval", "ge", "geneve", "get", "goto", "gre", "gretap", "gt", "handle"),
        *("hbh", "hook", "hour", "ibriport", "ibrname", "icmp", "icmpv6", "igmp", "iif"),
        *("iifgroup", "iifname", "iiftype", "import", "include", "index", "inet", "insert"),
        *("interval", "ip", "ip6", "ipsec", "jhash", "jump", "last", "le", "limit", "list"),
        *("log", "lshift", "lt", "map", "mark", "masquerade", "meta", "meter", "mh", "missing"),
        *("monitor", "ne", "netdev", "nftrace", "not", "notrack", "numgen", "obriport"),
        *("obrname", "offload", "oif", "oifgroup", "oifname", "oiftype", "or", "osf", "pkttype"),
        *("policy", "position", "priority", "queue", "quota", "random", "redefine", "redirect"),
        *("reject", "rename", "replace", "reset", "return", "rshift", "rt", "rt0", "rt2"),
        *("rtclassid", "rule", "ruleset", "sctp", "secmark", "set", "size", "skgid", "skuid"),
        *("snat", "socket", "srh", "symhash", "synproxy", "table", "tcp", "th", "time"),
        *("timeout", "tproxy", "tunnel", "type", "typeof", "udp", "udplite", "undefine"),
        *("update", "vlan", "vmap", "vni", "vxlan", "xor", "xt"),
    )
)
"""Words that mean something wherever a name may stand (``src/scanner.l`` of nftables)."""


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9/\-_.]*")
MOST_NAME = 255
"""The most bytes of a name (``NFT_NAME_MAXLEN``, which counts an end as well)."""


def is_name(text: str) -> bool:
    """Return whether a table, chain or set can be called so."""
    return len(text) <= MOST_NAME and bool(_NAME.fullmatch(text)) and text not in KEYWORDS


def interface(name: str) -> str:
    """Return an interface's name, or the start of one with ``*`` behind it, as a rule has it."""
    return name if _PLAIN.fullmatch(name) and name not in KEYWORDS else f'"{name}"'


def quote_comment(comment: str) -> str:
    """Return a comment as it stands in a line, cut to what nft takes.

    Nothing can stand for a quotation mark or the end of a line, so they become apostrophes and
    blanks.
    """
    text = comment.replace('"', "'").replace("\n", " ")
    return f'"{text.encode()[:MOST_COMMENT].decode(errors="ignore")}"'
