"""What nft has in a table, as values: chains, sets, maps, rules and elements, and their lines.

A line names its table; the values do not. Each method takes the table, as ``str`` of it
has it, because a text has hundreds of thousands of lines.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from svcnet.netfilter.nft.words import quote_comment


class NFTTable(NamedTuple):
    """A table; as text it is what lines about what is in it have, such as ``ip kube-proxy``."""

    family: Literal["ip", "ip6"]
    name: str

    def __str__(self) -> str:
        return f"{self.family} {self.name}"

    def add(self, comment: str) -> str:
        """Return the line that makes the table, or leaves it as it is."""
        return f"add table {self} {{ comment {quote_comment(comment)} ; }}\n"

    def create(self, comment: str) -> str:
        """Return the line that makes the table, and is refused where there is one."""
        return f"create table {self} {{ comment {quote_comment(comment)} ; }}\n"


class NFTHook(NamedTuple):
    """Where the kernel calls a chain."""

    type: Literal["filter", "nat"]
    hook: Literal["prerouting", "input", "forward", "output", "postrouting"]
    priority: int


class NFTChain(NamedTuple):
    """A chain; one without a hook is called by rules only."""

    name: str
    hook: NFTHook | None = None
    comment: str = ""

    def add(self, table: str) -> str:
        """Return the line that makes the chain, or leaves it as it is."""
        if self.hook is not None:
            kind, hook, priority = self.hook
            what = f" {{ type {kind} hook {hook} priority {priority} ; }}"
        elif self.comment:
            what = f" {{ comment {quote_comment(self.comment)} ; }}"
        else:
            what = ""
        return f"add chain {table} {self.name}{what}\n"

    def flush(self, table: str) -> str:
        """Return the line that empties the chain."""
        return f"flush chain {table} {self.name}\n"

    def delete(self, table: str) -> str:
        """Return the line that deletes the chain, to which no rule or element may lead."""
        return f"delete chain {table} {self.name}\n"


class NFTSet(NamedTuple):
    """A set, or with a type of values, such as ``verdict``, a map.

    ``type`` is that of an element or key, or ``typeof`` and the expressions that look into it; of
    such a map ``value`` is an expression too. One with ``seconds`` gets its elements by rules, and
    they are forgotten so long after the last one said them. ``size`` is the most elements that the
    kernel takes, 0 for any number.
    """

    name: str
    type: str
    value: str = ""
    comment: str = ""
    seconds: int = 0
    size: int = 0

    @property
    def kind(self) -> str:
        """The word for it in lines: ``set`` or ``map``."""
        return "map" if self.value else "set"

    def add(self, table: str) -> str:
        """Return the line that makes the set, or gives it this timeout."""
        value = f" : {self.value}" if self.value else ""
        what = f"flags dynamic,timeout ; timeout {self.seconds}s ; " if self.seconds else ""
        if self.size:
            what += f"size {self.size} ; "
        if self.comment:
            what += f"comment {quote_comment(self.comment)} ; "
        type_ = self.type if self.type.startswith("typeof ") else f"type {self.type}"
        return f"add {self.kind} {table} {self.name} {{ {type_}{value} ; {what}}}\n"

    def flush(self, table: str) -> str:
        """Return the line that empties the set."""
        return f"flush {self.kind} {table} {self.name}\n"

    def delete(self, table: str) -> str:
        """Return the line that deletes the set, of which no rule may speak."""
        return f"delete {self.kind} {table} {self.name}\n"


class NFTRule(NamedTuple):
    """A rule at the end of a chain."""

    chain: str
    text: str
    comment: str = ""

    def add(self, table: str) -> str:
        """Return the line that puts the rule at the end of its chain."""
        chain, text, comment = self
        if comment:
            return f"add rule {table} {chain} {text} comment {quote_comment(comment)}\n"
        return f"add rule {table} {chain} {text}\n"


class NFTElement(NamedTuple):
    """An element of a set or map; between parts of a ``key`` there is a dot with blanks around it.

    ``value`` is empty in a set.
    """

    container: str
    key: str
    value: str = ""
    comment: str = ""

    def add(self, table: str) -> str:
        """Return the line that adds the element; nft refuses one whose key has another value."""
        container, key, value, comment = self
        if comment:
            key = f"{key} comment {quote_comment(comment)}"
        if value:
            return f"add element {table} {container} {{ {key} : {value} }}\n"
        return f"add element {table} {container} {{ {key} }}\n"

    def delete(self, table: str) -> str:
        """Return the line that deletes the element, whatever its value."""
        return f"delete element {table} {self.container} {{ {self.key} }}\n"


NFTObject: TypeAlias = NFTChain | NFTSet | NFTRule | NFTElement
"""Anything that a table has."""
