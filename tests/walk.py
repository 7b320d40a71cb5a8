"""What iptables text does to a packet, worked out from the text alone.

It knows the kernel's rules of iptables and nothing of Services: an independent reading
of what a render says, to be compared with what the rule graph means.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from ipaddress import ip_address, ip_network

from attrs import evolve, frozen

from svcnet.graph import Deliver, NodeSettings, Packet, Pass, Refuse
from svcnet.graph.evaluate import Verdict
from svcnet.renderers.iptables import RestoreText
from svcnet.testing import FakeIPTables

SAYS_NOTHING = {
    *("-m", "--comment", "--mode", "--seconds", "--mask", "--nfacct-name", "--reject-with"),
}
"""Options with a value that change no end of a packet."""


@frozen
class Flow:
    """A packet on its way: where it is headed now, and whether it carries the mark."""

    packet: Packet
    destination: str
    port: int
    marked: bool = False
    translated: bool = False


def outcomes(artifact: RestoreText, packet: Packet) -> dict[Verdict, Fraction]:
    """Return each end of the packet that the text makes possible, with its chance."""
    tables = FakeIPTables()
    tables.restore(artifact.text_with_jumps)
    return ends(tables, artifact.settings, packet)


def ends(tables: FakeIPTables, settings: NodeSettings, packet: Packet) -> dict[Verdict, Fraction]:
    """Return each end of the packet that tables make possible, with its chance."""
    walker = Walker(tables, settings)
    found: dict[Verdict, Fraction] = {}
    for verdict, chance in walker.outcomes(packet):
        found[verdict] = found.get(verdict, Fraction(0)) + chance
    return found


@frozen
class Walker:
    """The filter and nat tables, and the node whose kernel they are in."""

    tables: FakeIPTables
    settings: NodeSettings

    def outcomes(self, packet: Packet) -> Iterator[tuple[Verdict, Fraction]]:
        """Walk the nat hook, then the filter hooks that the packet would meet."""
        from_node = self.settings.is_node_address(packet.source) and not packet.interface
        hook = "OUTPUT" if from_node else "PREROUTING"
        start = Flow(packet, packet.destination, packet.port)
        for flow, chance, _ in self.chain("nat", hook, start, Fraction(1)):
            verdict = self.filtered(flow, from_node)
            if verdict is not None:
                yield verdict, chance
            elif flow.translated:
                yield Deliver(flow.destination, flow.port, flow.marked), chance
            else:
                yield Pass(), chance

    def filtered(self, flow: Flow, from_node: bool) -> Verdict | None:
        """Return what the filter table refuses, None for what it lets through."""
        local = self.settings.is_node_address(flow.destination)
        hooks = ["OUTPUT"] if from_node else []
        hooks += ["INPUT"] if local else ([] if from_node else ["FORWARD"])
        for hook in hooks:
            for _, _, verdict in self.chain("filter", hook, flow, Fraction(1)):
                if verdict in ("REJECT", "DROP"):
                    return Refuse(verdict.lower(), "")
        return None

    def chain(
        self, table: str, chain: str, flow: Flow, chance: Fraction
    ) -> Iterator[tuple[Flow, Fraction, str]]:
        """Yield each way through a chain: the flow, its chance, the verdict ("" for none)."""
        live = [(flow, chance)]
        for rule in self.tables.tables[table].get(chain, ()):
            after: list[tuple[Flow, Fraction]] = []
            for now, share in live:
                likely, target, values, is_last = self.match(rule, now)
                if likely < 1:
                    after.append((now, share * (1 - likely)))
                if not likely:
                    continue
                taken = share * likely
                match target:
                    case "":
                        after.append((now, taken))
                    case "MARK":
                        after.append((evolve(now, marked=True), taken))
                    case "DNAT":
                        address, _, port = values["--to-destination"].rpartition(":")
                        moved = evolve(
                            now,
                            destination=address.strip("[]"),
                            port=int(port),
                            translated=True,
                        )
                        yield moved, taken, "DNAT"
                    case "RETURN":
                        yield now, taken, ""
                    case "ACCEPT" | "DROP" | "REJECT" | "MASQUERADE":
                        yield now, taken, target
                    case _:
                        for end in self.chain(table, target, now, taken):
                            if end[2] or is_last:
                                yield end
                            else:
                                after.append(end[:2])
            live = after
        for now, share in live:
            yield now, share, ""

    def match(self, rule: str, flow: Flow) -> tuple[Fraction, str, dict[str, str], bool]:
        """Return how likely the rule is to match, its target, and the target's options.

        The last is whether a packet that comes back from the target goes on behind this chain.
        """
        words = split(rule)
        likely, target, negate, is_last = Fraction(1), "", False, False
        values: dict[str, str] = {}
        recent, checks = "", False
        position = 0
        while position < len(words):
            word = words[position]
            value = words[position + 1] if position + 1 < len(words) else ""
            position += 1
            if word == "!":
                negate = True
                continue
            if word in ("--rcheck", "--reap", "--set", "--rsource", "--random-fully"):
                checks |= word == "--rcheck"
                continue
            position += 1
            if word in ("-j", "-g"):
                target, is_last = value, word == "-g"
            elif word == "--name":
                recent = value
            elif word == "--probability":
                likely *= Fraction(value).limit_denominator(1000)
            elif word in SAYS_NOTHING:
                pass
            elif word in ("--to-destination", "--xor-mark", "--or-mark", "--set-xmark"):
                values[word] = value
            elif self.holds(word, value, flow) == negate:
                likely = Fraction(0)
            negate = False
        if checks and not self.remembered(recent, flow):
            likely = Fraction(0)
        return likely, target, values, is_last

    def holds(self, option: str, value: str, flow: Flow) -> bool:
        """Return whether one match of a rule is true of the flow."""
        match option:
            case "-s":
                return inside(flow.packet.source, value)
            case "-d":
                return inside(flow.destination, value)
            case "-p":
                return flow.packet.protocol.lower() == value
            case "--dport":
                low, _, high = value.partition(":")
                return int(low) <= flow.port <= int(high or low)
            case "-i":
                name = flow.packet.interface
                return name.startswith(value[:-1]) if value.endswith("+") else name == value
            case "--src-type":
                return self.settings.is_node_address(flow.packet.source)
            case "--dst-type":
                return self.settings.is_node_address(flow.destination)
            case "--mark":
                return flow.marked
            case "--ctstate":
                states = {"DNAT"} if flow.translated else set()
                return bool((states | {"NEW"}) & set(value.split(",")))
            case _:
                raise AssertionError(f"a match that the walk does not know: {option}")

    def remembered(self, name: str, flow: Flow) -> bool:
        """Return whether an affinity list holds the source: named after the endpoint's chain."""
        for rule in self.tables.tables["nat"].get(name, ()):
            if "--to-destination " in rule:
                return rule.split("--to-destination ")[1] in flow.packet.remembered
        return False


def inside(address: str, network: str) -> bool:
    return ip_address(address) in ip_network(network)


def split(rule: str) -> list[str]:
    """Return the words of a rule; a quoted comment is one."""
    words, rest = [], rule
    while rest:
        if rest.startswith('"'):
            word, _, rest = rest[1:].partition('"')
            rest = rest.lstrip()
        else:
            # After --nfacct-name iptables-save prints two blanks.
            word, _, rest = rest.lstrip(" ").partition(" ")
        words.append(word)
    return words
