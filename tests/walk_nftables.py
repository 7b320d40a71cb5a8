"""What a table of nftables does to a packet, worked out from its text alone.

It knows how the kernel goes through chains, and nothing of Services: an independent reading of what
a render says, to be compared with what the rule graph means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from ipaddress import ip_address, ip_network
from typing import TypeAlias

from attrs import evolve, field, frozen

from svcnet.graph import Deliver, NodeSettings, Packet, Pass, Refuse
from svcnet.graph.evaluate import Verdict
from tests.renderers.nftables_model import Model

COMMENT = re.compile(r' comment "[^"]*"')
PRIORITIES = {"dstnat": -100, "filter": 0, "srcnat": 100}
LISTED_AS = (
    ("meta mark", "mark"),
    (" != 0x00000000", " != 0"),
    ("dnat ip to numgen", "dnat ip addr . port to numgen"),
    ("dnat ip6 to numgen", "dnat ip6 addr . port to numgen"),
    (" | ", " or "),
    (" & ", " and "),
    (" ^ ", " xor "),
    (", ", " , "),
    ('"', ""),
)
"""What nft prints of rules in other words than it takes, and these."""

Way: TypeAlias = tuple["Flow", Fraction, str]


@frozen
class Flow:
    """A packet on its way: where it is headed now, its mark, and what became of it."""

    packet: Packet
    destination: str
    port: int
    mark: int = 0
    translated: bool = False
    masqueraded: bool = False


@frozen
class Reading:
    """A table as its text says: rules of chains, elements of sets and maps, chains of hooks."""

    rules: dict[str, list[str]] = field(factory=dict)
    elements: dict[str, dict[str, str]] = field(factory=dict)
    hooks: dict[str, list[tuple[int, str]]] = field(factory=dict)

    @classmethod
    def of(cls, text: str) -> Reading:
        """Read lines that add; anything else is a failure."""
        found = cls()
        for line in text.splitlines():
            verb, kind, _, _, name, *rest = line.split(" ", 5)
            assert verb == "add", line
            said = COMMENT.sub("", f" {' '.join(rest)}").strip()
            match kind:
                case "chain":
                    assert name not in found.rules, line
                    found.rules[name] = []
                    hook = re.fullmatch(r"\{ type \w+ hook (\w+) priority (-?\d+) ; \}", said)
                    if hook:
                        found.hooks.setdefault(hook[1], []).append((int(hook[2]), name))
                case "set" | "map":
                    assert name not in found.elements, line
                    found.elements[name] = {}
                case "rule":
                    found.rules[name].append(said)
                case "element":
                    key, _, value = said.removeprefix("{ ").removesuffix(" }").partition(" : ")
                    assert key not in found.elements[name], line
                    found.elements[name][key] = value
                case _:
                    assert kind == "table", line
        return found

    @classmethod
    def of_model(cls, model: Model) -> Reading:
        """Read a table that lines have made which do more than add."""
        found = cls()
        for name, rules in model.chains.items():
            found.rules[name] = [COMMENT.sub("", f" {rule}").strip() for rule in rules]
            hook = re.fullmatch(r"\{ type \w+ hook (\w+) priority (-?\d+) ; \}", model.heads[name])
            if hook:
                found.hooks.setdefault(hook[1], []).append((int(hook[2]), name))
        for name, elements in model.sets.items():
            found.elements[name] = {
                key: COMMENT.sub("", f" {value}").strip().split('"')[0].strip()
                for key, value in elements.items()
            }
        return found

    @classmethod
    def of_listing(cls, text: str, table: str) -> Reading:
        """Read what nft lists of a table, such as ``ip kube-proxy``; there may be others."""
        found = cls()
        listed = COMMENT.sub("", text).split(f"table {table} {{\n", 1)[1].split("\n}\n", 1)[0]
        for kind, name, body in re.findall(
            r"^\t(chain|set|map) (\S+) \{\n(.*?)^\t\}$", f"{listed}\n", re.DOTALL | re.MULTILINE
        ):
            if kind == "chain":
                found._take_chain(name, [line.strip() for line in body.splitlines()])
                continue
            held = re.search(r"elements = \{ (.*) \}", " ".join(body.split()))
            pairs = held[1].split(", ") if held else ()
            found.elements[name] = dict(each.partition(" : ")[::2] for each in pairs)
        return found

    def _take_chain(self, name: str, lines: list[str]) -> None:
        """Take a chain as it is listed."""
        rules = self.rules.setdefault(name, [])
        for line in lines:
            head = re.fullmatch(
                r"type \w+ hook (\w+) priority (\w*)( ?[-+]? ?\d*); policy accept;", line
            )
            if head:
                more = head[3].replace(" ", "")
                priority = PRIORITIES.get(head[2])
                number = int(f"{head[2]}{more}") if priority is None else priority + int(more or 0)
                self.hooks.setdefault(head[1], []).append((number, name))
            elif line and not line.startswith("comment "):
                rules.append(as_written(line))


def as_written(rule: str) -> str:
    """Return a rule as it is written, of what nft prints."""
    for printed, written in LISTED_AS:
        rule = rule.replace(printed, written)
    return rule


def outcomes(
    table: str | Reading, settings: NodeSettings, packet: Packet
) -> dict[Verdict, Fraction]:
    """Return each end of the packet that a table, or its text, makes possible, with its chance."""
    reading = Reading.of(table) if isinstance(table, str) else table
    found: dict[Verdict, Fraction] = {}
    for verdict, chance in Walker(reading, settings).outcomes(packet):
        found[verdict] = found.get(verdict, Fraction(0)) + chance
    return found


@frozen
class Walker:
    """A table, and the node whose kernel it is in."""

    table: Reading
    settings: NodeSettings

    def outcomes(self, packet: Packet) -> Iterator[tuple[Verdict, Fraction]]:
        """Go through the hooks that the packet meets."""
        from_node = self.settings.is_node_address(packet.source) and not packet.interface
        start = Flow(packet, packet.destination, packet.port)
        for flow, chance, verdict in self.hook(
            "output" if from_node else "prerouting", start, Fraction(1)
        ):
            local = self.settings.is_node_address(flow.destination)
            hooks = ["input"] if local else ([] if from_node else ["forward"])
            yield from self.rest(flow, chance, verdict, [*hooks, "postrouting"])

    def rest(
        self, flow: Flow, chance: Fraction, verdict: str, hooks: list[str]
    ) -> Iterator[tuple[Verdict, Fraction]]:
        """Go through the other hooks."""
        if verdict in ("drop", "reject"):
            yield Refuse(verdict, ""), chance
        elif hooks:
            for after, share, next_verdict in self.hook(hooks[0], flow, chance):
                yield from self.rest(after, share, next_verdict, hooks[1:])
        elif flow.translated:
            yield Deliver(flow.destination, flow.port, flow.masqueraded), chance
        else:
            yield Pass(), chance

    def hook(self, hook: str, flow: Flow, chance: Fraction) -> Iterator[Way]:
        """Go through all chains of a hook, in the order of their priorities."""
        live: list[Way] = [(flow, chance, "")]
        for _, chain in sorted(self.table.hooks.get(hook, ())):
            after: list[Way] = []
            for now, share, verdict in live:
                if verdict in ("drop", "reject"):
                    after.append((now, share, verdict))
                else:
                    after += self.chain(chain, now, share)
            live = after
        yield from live

    def chain(self, name: str, flow: Flow, chance: Fraction) -> Iterator[Way]:
        """Yield each way through a chain: the flow, its chance, the verdict ("" for none)."""
        live = [(flow, chance)]
        for rule in self.table.rules[name]:
            after: list[tuple[Flow, Fraction]] = []
            for now, share in live:
                for next_flow, likely, verdict in self.rule(rule, now):
                    kind, _, target = verdict.partition(" ")
                    taken = share * likely
                    if kind in ("goto", "jump"):
                        for way in self.chain(target, next_flow, taken):
                            if way[2] or kind == "goto":
                                yield way
                            else:
                                after.append(way[:2])
                    elif verdict:
                        yield next_flow, taken, verdict
                    else:
                        after.append((next_flow, taken))
            live = after
        for now, share in live:
            yield now, share, ""

    def rule(self, rule: str, flow: Flow) -> Iterator[Way]:
        """Yield what a rule can do to a flow."""
        words, position = rule.split(" "), 0

        def take(count: int) -> str:
            nonlocal position
            position += count
            return " ".join(words[position - count : position])

        def until_brace() -> str:
            nonlocal position
            end = words.index("}", position)
            inside = " ".join(words[position + 1 : end])
            position = end + 1
            return inside

        while position < len(words):
            word = take(1)
            match word:
                case "ip" | "ip6" | "meta" | "th" | "iifname":
                    position -= 1
                    value, position = self.value(words, position, flow)
                    if words[position] == "vmap":
                        verdict = self.table.elements[words[position + 1][1:]].get(value, "")
                        yield flow, Fraction(1), verdict
                        return
                    negate = words[position] == "!="
                    position += negate
                    if words[position] == "{":
                        among = re.split(r" ?, ?", until_brace())
                    else:
                        among = [take(1)]
                    if any(self.is_in(value, each, flow) for each in among) == negate:
                        yield flow, Fraction(1), ""
                        return
                case "fib":
                    side, _, _ = take(3).split()
                    address = flow.packet.source if side == "saddr" else flow.destination
                    if not self.settings.is_node_address(address):
                        yield flow, Fraction(1), ""
                        return
                case "ct":
                    about = take(2)
                    assert about in ("state new", "status dnat"), rule
                    if about == "status dnat" and not flow.translated:
                        yield flow, Fraction(1), ""
                        return
                case "mark":
                    if words[position] == "and":
                        _, bits, _, zero = take(4).split()
                        assert zero == "0", rule
                        if not flow.mark & int(bits, 16):
                            yield flow, Fraction(1), ""
                            return
                    else:
                        _, _, how, bits = take(4).split()
                        mark = flow.mark | int(bits, 16)
                        if how == "xor":
                            mark = flow.mark ^ int(bits, 16)
                        flow = evolve(flow, mark=mark)
                case "numgen":
                    yield from self.choices(flow, words, position, "vmap")
                    return
                case "dnat":
                    if words[position + 1] == "to" and "map" in words:
                        yield from self.endpoints(flow, words, position + 2)
                    elif words[position] == "to":
                        address, _, port = words[position + 1].rpartition(":")
                        yield self.moved(flow, address.strip("[]"), port), Fraction(1), "dnat"
                    else:
                        assert words[position + 1 : position + 6] == [
                            "addr",
                            ".",
                            "port",
                            "to",
                            "numgen",
                        ]
                        yield from self.choices(flow, words, position + 6, "map")
                    return
                case "update":
                    take(1)
                    until_brace()
                case "masquerade":
                    assert take(1) == "fully-random", rule
                    yield evolve(flow, masqueraded=True), Fraction(1), "masquerade"
                    return
                case "goto" | "jump":
                    yield flow, Fraction(1), f"{word} {take(1)}"
                    return
                case "drop" | "reject":
                    yield flow, Fraction(1), word
                    return
                case _:
                    raise AssertionError(f"a word that the walk does not know: {word} in {rule}")
        yield flow, Fraction(1), ""

    def choices(self, flow: Flow, words: list[str], position: int, kind: str) -> Iterator[Way]:
        """Yield the elements that a random number picks, of an unnamed map."""
        random, mod, count, found, brace, *pairs, end = words[position:]
        assert (random, mod, found, brace, end) == ("random", "mod", kind, "{", "}")
        picked = dict(pair.split(" : ") for pair in " ".join(pairs).split(" , "))
        assert list(picked) == [str(number) for number in range(int(count))]
        share = Fraction(1, int(count))
        for value in picked.values():
            if kind == "vmap":
                yield flow, share, value
            else:
                yield self.moved(flow, *value.split(" . ")), share, "dnat"

    def endpoints(self, flow: Flow, words: list[str], position: int) -> Iterator[Way]:
        """Yield the elements of a map that a packet's destination and a number pick."""
        key, position = self.value(words, position, flow, "numgen")
        _, how, mod, count, found, name = words[position:]
        assert (mod, found, name[0]) == ("mod", "map", "@"), words
        assert how == "random" or (how, count) == ("inc", "1"), words
        for number in range(int(count)):
            value = self.table.elements[name[1:]].get(f"{key} . {number}")
            share = Fraction(1, int(count))
            if value is None:
                yield flow, share, ""
            else:
                yield self.moved(flow, *value.split(" . ")), share, "dnat"

    def moved(self, flow: Flow, address: str, port: str) -> Flow:
        """Return the flow with another destination."""
        return evolve(flow, destination=address, port=int(port), translated=True)

    def value(self, words: list[str], position: int, flow: Flow, end: str = "") -> tuple[str, int]:
        """Return what an expression is for the flow, joined as keys are, and where it ends.

        It ends before a word, if there is one.
        """
        parts: list[str] = []
        while True:
            if end and words[position] == end:
                return " . ".join(parts), position
            if words[position] == "iifname":
                parts.append(flow.packet.interface)
                position += 1
            else:
                parts.append(self.field(words[position + 1], flow))
                position += 2
            if position >= len(words) or words[position] != ".":
                return " . ".join(parts), position
            position += 1

    def field(self, name: str, flow: Flow) -> str:
        """Return a field of the packet as it is now."""
        match name:
            case "saddr":
                return flow.packet.source
            case "daddr":
                return flow.destination
            case "l4proto":
                return flow.packet.protocol.lower()
            case "dport":
                return str(flow.port)
        raise AssertionError(name)

    def is_in(self, value: str, what: str, flow: Flow) -> bool:
        """Return whether a value is in a set, in a network, or this."""
        if what.startswith("@affinity-"):
            return self.endpoint_of(what[1:]) in flow.packet.remembered
        if what.startswith("@"):
            return value in self.table.elements[what[1:]]
        if what.endswith("*"):
            return value.startswith(what[:-1])
        if "." in value or ":" in value:
            return ip_address(value) in ip_network(what)
        return value == what

    def endpoint_of(self, affinity_set: str) -> str:
        """Return the endpoint whose clients are in a set: the one that the rules behind lead to."""
        for rules in self.table.rules.values():
            if rules and rules[0].startswith(f"update @{affinity_set} "):
                return rules[1].rpartition(" dnat to ")[2]
        raise AssertionError(affinity_set)


def inside(address: str, network: str) -> bool:
    return ip_address(address) in ip_network(network)
