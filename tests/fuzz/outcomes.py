"""What may come of any input: findings in plain words, or rules of known words.

Whatever an input is called, or says, it must not become a word of a rule by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from hypothesis import HealthCheck, settings

from svcnet.compiler import compile_state, node_view
from svcnet.errors import InputError
from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
from svcnet.netfilter.words import words
from svcnet.renderers import ipvs, userspace
from svcnet.renderers.iptables import full
from tests.fuzz import examples

FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")
MOST_LETTERS = 2000
"""More than any one finding takes, whatever is in the input."""

_PYTHON = re.compile(r"Traceback|Error\b|Exception|object at 0x|<class|NoneType")

_ADDRESS = r"(?:[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*)"
_CHAIN = r"(?:KUBE-[A-Z0-9-]+|INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)"
_COMMENT = r"[A-Za-z0-9 ./:>;+,=\[\]()-]*(?:with type 'hash ip:port')?"
_VALUES = {
    "-m": "comment|tcp|udp|sctp|addrtype|mark|conntrack|statistic|recent|set|state|physdev|ipvs",
    "-p": "tcp|udp|sctp",
    "-s": rf"{_ADDRESS}(?:/[0-9]+)?",
    "-d": rf"{_ADDRESS}(?:/[0-9]+)?",
    "-i": r"[A-Za-z0-9_.@-]{1,15}\+?",
    "-j": rf"{_CHAIN}|ACCEPT|DROP|REJECT|RETURN|MARK|MASQUERADE|DNAT|REDIRECT",
    "--comment": rf'"(?:{_COMMENT})"|[a-z0-9./:-]+',
    "--ctstate": "[A-Z,]+",
    "--state": "[A-Z,]+",
    "--dport": "[0-9]{1,5}",
    "--dst-type": "LOCAL",
    "--src-type": "LOCAL",
    "--mark": "0x[0-9a-f]{8}/0x[0-9a-f]{8}",
    "--or-mark": "0x[0-9a-f]{8}",
    "--xor-mark": "0x[0-9a-f]{8}",
    "--match-set": "KUBE-[A-Z0-9-]+ (?:(?:src|dst),?){1,3}",
    "--mode": "random",
    "--name": "KUBE-SEP-[A-Z2-7]{16}",
    "--probability": r"0\.[0-9]{10}",
    "--seconds": "[0-9]+",
    "--to-destination": rf"{_ADDRESS}:[0-9]+|\[{_ADDRESS}\]:[0-9]+",
    "--to-ports": "[0-9]+",
    "--vaddr": _ADDRESS,
    "--vport": "[0-9]{1,5}",
    "--vproto": "tcp|udp|sctp",
}
_FLAGS = frozenset(("--random-fully", "--rcheck", "--reap", "--set", "--physdev-is-in", "!"))
_FRAME = re.compile(rf"\*(?:nat|filter)|COMMIT|-F {_CHAIN}|:{_CHAIN} (?:-|ACCEPT) \[0:0\]")


def assert_rules_are_known(text: str) -> None:
    """Every line is a rule of known words, or belongs to the form of the text."""
    assert text.isascii()
    for line in text.split("\n"):
        if line and not _FRAME.fullmatch(line):
            _check_rule(line)


def _check_rule(line: str) -> None:
    command, chain, *rest = (line[begin:end] for begin, end in words(line))
    assert command in ("-A", "-I", "-X"), line
    assert re.fullmatch(_CHAIN, chain), line
    left = iter(rest)
    for option in left:
        if option in _FLAGS:
            continue
        assert option in _VALUES, line
        value = next(left, "")
        if option == "--match-set":
            value = f"{value} {next(left, '')}"
        assert re.fullmatch(_VALUES[option], value), line


_SECTION_LINE = re.compile(
    r"#.*|"
    r"(?:[a-z0-9_]+\.)+[a-z0-9_]+ ?= ?[0-9]+|"
    r"(?:create|add|flush|swap|destroy) KUBE-[A-Za-z0-9-]+(?: [A-Za-z0-9.:/,+-]+)*|"
    r"-[AaEeDd] (?:-[tu]|--sctp-service) [0-9a-f.:\[\]]+:[0-9]+"
    r"(?: -{1,2}[a-z-]+(?: [a-z0-9.:\[\]]+)?)*|"
    r"--set [0-9 ]+|"
    r"(?:-6 )?(?:link|address|addr) [a-z]+ [A-Za-z0-9 .:/-]+|"
)


def assert_sections_are_known(text: str) -> None:
    """Each line of mode ipvs's text is one of its tools', and has nothing but known forms."""
    assert text.isascii()
    inside = False
    for line in text.split("\n"):
        inside = line.startswith("*") or (inside and line != "COMMIT")
        if inside or line == "COMMIT":
            assert_rules_are_known(line)
        else:
            assert _SECTION_LINE.fullmatch(line), line


_HAPROXY_LINE = re.compile(r"(?:#|    #) .*|(?:    )?[a-z][A-Za-z0-9 ._:/@\[\]-]*|")


def assert_haproxy_is_known(text: str) -> None:
    """Each line of HAProxy's configuration has nothing that its parser takes for a quote."""
    assert text.isascii()
    for line in text.split("\n"):
        assert _HAPROXY_LINE.fullmatch(line), line


def tries(count: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=examples(count), deadline=None, suppress_health_check=checks)


def told(lines: Iterable[object]) -> None:
    """Check that each finding is one line for people, whatever it is about."""
    for line in map(str, lines):
        assert line.isprintable()
        assert len(line) < MOST_LETTERS
        assert not _PYTHON.search(line), line


def refused(error: InputError, file: str) -> None:
    """Check that a refusal says what is wrong, and in which file."""
    assert error.diagnostics
    assert all(found.file == file for found in error.diagnostics)
    told(error.diagnostics)


def serve(
    state: ClusterState, config: KubeProxyConfiguration | None = None, host: Host | None = None
) -> None:
    """Make the rules of a node in every mode and family, and see that they are only rules."""
    config = config or KubeProxyConfiguration()
    node = "" if config.hostname_override else next(iter(sorted(state.nodes)), "")
    for family in FAMILIES:
        graph = compile_state(state, node_view(state, config, host, node=node, family=family))
        assert_rules_are_known(full(graph).text_with_jumps)
        tables = ipvs.full(graph)
        assert_sections_are_known(ipvs.text(tables, jumps=True))
        json.loads(ipvs.document(tables))
        proxied = userspace.full(graph)
        assert_sections_are_known(userspace.text(proxied, jumps=True))
        assert_haproxy_is_known(userspace.haproxy_config(proxied)[0])
        json.loads(userspace.document(proxied))
