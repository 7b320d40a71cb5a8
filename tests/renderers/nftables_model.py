"""A table of nftables as a kernel holds it: lines for nft change it, or are refused."""

from __future__ import annotations

import re

from attrs import field, frozen

SIZE = re.compile(r"\bsize (\d+) ;")


def without_size(heads: dict[str, str]) -> dict[str, str]:
    """Return what chains and sets are, but for the sizes of sets."""
    return {name: SIZE.sub("size ;", said) for name, said in heads.items()}


@frozen
class Model:
    """What is in a table; rules are in the order in which they came.

    A set may have more room than in another table, but none has more in it than it has room.
    """

    chains: dict[str, list[str]] = field(factory=dict)
    heads: dict[str, str] = field(factory=dict, eq=without_size)
    sets: dict[str, dict[str, str]] = field(factory=dict)

    @classmethod
    def of(cls, *texts: str) -> Model:
        """Return the table that texts make, one after the other."""
        model = cls()
        for text in texts:
            model.load(text)
        return model

    def load(self, text: str) -> None:
        """Carry out lines as nft and the kernel would; AssertionError for what they refuse."""
        for line in text.splitlines():
            verb, kind, _, _, *rest = line.split(" ", 5)
            name, said = [*rest, "", ""][:2]
            match verb, kind:
                case "add", "table":
                    pass
                case "add", "chain":
                    self.chains.setdefault(name, [])
                    self.heads[name] = self.heads.get(name) or said
                case "add", ("set" | "map"):
                    self.sets.setdefault(name, {})
                    self.heads[name] = self._head(name, said)
                case "add", "rule":
                    self._check_names(said, line)
                    self.chains[name].append(said)
                case "add", "element":
                    key, value = parts(said)
                    self._check_names(value, line)
                    assert self.sets[name].get(key, value) == value, f"File exists: {line}"
                    self.sets[name][key] = value
                    self._check_room(name, line)
                case "delete", "element":
                    key, value = parts(said)
                    assert not value, line
                    del self.sets[name][key]
                case "delete", "table":
                    for held in (self.chains, self.heads, self.sets):
                        held.clear()
                case "flush", "chain":
                    self.chains[name].clear()
                case "flush", ("set" | "map"):
                    self.sets[name].clear()
                case "delete", "chain":
                    self._check_unused(name, line)
                    del self.chains[name], self.heads[name]
                case "delete", ("set" | "map"):
                    self._check_unused(f"@{name}", line)
                    del self.sets[name], self.heads[name]
                case _:
                    raise AssertionError(line)

    def _head(self, name: str, said: str) -> str:
        """Return what a set is, which another line for it gives no other size."""
        there = SIZE.search(self.heads.get(name, ""))
        return SIZE.sub(there[0], said) if there else said

    def _check_names(self, said: str, line: str) -> None:
        """Refuse what leads to a chain, or speaks of a set, that is not there."""
        bare = re.sub(r' comment "[^"]*"', "", said)
        for name in re.findall(r"(?:goto|jump) (\S+)", bare):
            assert name in self.chains, f"No such file or directory: {line}"
        for name in re.findall(r"@(\S+)", bare):
            assert name in self.sets, f"No such file or directory: {line}"

    def _check_room(self, name: str, line: str) -> None:
        size = SIZE.search(self.heads[name])
        if size:
            assert len(self.sets[name]) <= int(size[1]), f"Too many open files: {line}"

    def _check_unused(self, name: str, line: str) -> None:
        said = [rule for rules in self.chains.values() for rule in rules]
        said += [value for elements in self.sets.values() for value in elements.values()]
        used = any(name in each.split() for each in said)
        assert not used, f"Device or resource busy: {line}"


def parts(said: str) -> tuple[str, str]:
    """Return the key of an element, and its value with its comment, empty if it has neither."""
    key, _, value = said.removeprefix("{ ").removesuffix(" }").partition(" : ")
    key, _, comment = key.partition(" comment ")
    return key, f"{value} {comment}".strip()
