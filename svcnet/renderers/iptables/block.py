"""What the iptables renderer makes of one service port, and where each of its rules is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.graph import Fragment, NodeSettings, Origin
from svcnet.netfilter.restore import declare, rules_by_chain
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.iptables.forest import ChainRule, shared_rules
from svcnet.renderers.iptables.layout import KUBE_PROXY, Layout
from svcnet.renderers.iptables.service import Lines, Writing, write_service_port


@frozen
class RuleCount:
    """Numbers of rules, by table."""

    filter: int = 0
    nat: int = 0

    def __add__(self, other: RuleCount) -> RuleCount:
        return RuleCount(self.filter + other.filter, self.nat + other.nat)

    def __sub__(self, other: RuleCount) -> RuleCount:
        return RuleCount(self.filter - other.filter, self.nat - other.nat)


@frozen(repr=False)
class Block(Brief):
    """The text of one service port. Every line ends in a newline.

    ``chains`` are its own chains in the nat table and ``own`` their rules. ``shared``
    are its rules in KUBE-SERVICES and KUBE-NODEPORTS of that table, ``filter`` those
    in the filter table's chains. In a layout with trees ``in_trees`` are the rules of both, each
    with the tree that it is in.
    """

    fragment: Fragment = field(repr=False)
    chains: tuple[str, ...]
    shared: str
    own: str
    filter: str
    in_trees: tuple[ChainRule, ...] = field(eq=False, repr=False)
    _settings: NodeSettings = field(eq=False, repr=False)
    _is_large: bool = field(eq=False, repr=False)
    _layout: Layout = field(eq=False, repr=False)

    @classmethod
    def of(
        cls, fragment: Fragment, settings: NodeSettings, is_large: bool, layout: Layout = KUBE_PROXY
    ) -> Block:
        """Return the text of a fragment; `is_large` leaves out per-endpoint comments."""
        written = write_service_port(fragment, settings, is_large, layout)
        chains, head, balancing, endpoints, shared, filtered = written
        own = "".join([*[line for _, line in head], *balancing, *endpoints])
        in_trees: tuple[ChainRule, ...] = ()
        if layout.most:
            in_trees = (
                *shared_rules(fragment, "nat", shared),
                *shared_rules(fragment, "filter", filtered),
            )
        texts = (_text(shared), own, _text(filtered))
        return cls(fragment, chains, *texts, in_trees, settings, is_large, layout)

    @property
    def declarations(self) -> str:
        """The lines that make, or empty, the service port's own chains."""
        return declare(self.chains)

    @property
    def own_rules(self) -> dict[str, list[str]]:
        """The rules of each of its own chains, without ``-A CHAIN``."""
        found: dict[str, list[str]] = {chain: [] for chain in self.chains}
        return found | rules_by_chain(self.own)

    @property
    def rules(self) -> RuleCount:
        """How many rules the service port has; those in trees are counted with the trees."""
        if self._layout.most:
            return RuleCount(nat=self.own.count("\n"))
        return RuleCount(self.filter.count("\n"), self.own.count("\n") + self.shared.count("\n"))

    @cached_property
    def writing(self) -> Writing:
        """The same line by line, each with what it is for.

        It is written once more for who asks. To keep it would cost each render a tenth of its time.
        """
        return write_service_port(self.fragment, self._settings, self._is_large, self._layout)

    @property
    def own_lines(self) -> Lines:
        """The rules of its own chains but for those of endpoints, each with what it is for.

        One that balances is for the endpoint that it leads to; for the port, if these are several.
        """
        balancing = self.writing.balancing
        parts = (self._part_of_chain.get(line[line.rindex(" ") + 1 : -1], "") for line in balancing)
        return [*self.writing.head, *zip(parts, balancing, strict=True)]

    def origin_of(self, chain: str, rule: str) -> Origin:
        """Return what caused a rule of a chain, as it is written here or as the kernel prints it.

        An empty rule is the chain itself. What nobody wrote is told of its chain.
        """
        part = self._part_of_rule.get((chain, save_rule(rule, self._settings.family)))
        return self.fragment.origin_of(self._part_of_chain.get(chain, "") if part is None else part)

    def shared_rules(self) -> Iterator[tuple[str, str]]:
        """Yield its rules in shared chains of both tables: the chain, and the rule as printed."""
        for text in (self.shared, self.filter):
            for line in text.splitlines():
                yield self._split_line(line)

    @cached_property
    def _part_of_rule(self) -> Mapping[tuple[str, str], str]:
        lines = (*self.own_lines, *self.writing.shared, *self.writing.filter)
        return {self._split_line(line.rstrip("\n")): part for part, line in lines}

    def _split_line(self, line: str) -> tuple[str, str]:
        chain, rule = chain_and_rule(line)
        return chain, save_rule(rule, self._settings.family)

    @cached_property
    def chain_of_endpoint(self) -> Mapping[str, str]:
        """The own chain of each endpoint."""
        endpoints = [translate.id for translate in self.fragment.translates]
        own = self.chains[len(self.chains) - len(endpoints) :]
        return dict(zip(endpoints, own, strict=True))

    @cached_property
    def _part_of_chain(self) -> Mapping[str, str]:
        """What each own chain is for; those of the port itself have its name in theirs."""
        firewall = {chain: "firewall" for chain in self.chains if chain.startswith("KUBE-FW-")}
        return firewall | {chain: endpoint for endpoint, chain in self.chain_of_endpoint.items()}


def chain_and_rule(line: str) -> tuple[str, str]:
    """Return the chain that a line makes, deletes or has a rule of, and the rule, if any."""
    if line.startswith(":"):
        return line[1:].split(" ", 1)[0], ""
    _, _, rest = line.partition(" ")
    chain, _, rule = rest.partition(" ")
    return chain, rule


def _text(lines: Lines) -> str:
    return "".join([line for _, line in lines])
