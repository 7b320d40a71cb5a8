"""A table of nftables as a kernel holds it: lines for nft change it, or are refused."""

from __future__ import annotations

import re

from attrs import field, frozen


@frozen
class Model:
    """What is in a table; rules are in the order in which they came."""

    chains: dict[str, list[str]] = field(factory=dict)
    heads: dict[str, str] = field(factory=dict)
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
            verb, kind, _, _, name, *rest = line.split(" ", 5)
            said = rest[0] if rest else ""
            match verb, kind:
                case "add", "table":
                    pass
                case "add", "chain":
                    self.chains.setdefault(name, [])
                    self.heads[name] = self.heads.get(name) or said
                case "add", ("set" | "map"):
                    self.sets.setdefault(name, {})
                    self.heads[name] = said
                case "add", "rule":
                    self._check_names(said, line)
                    self.chains[name].append(said)
                case "add", "element":
                    key, value = parts(said)
                    self._check_names(value, line)
                    assert self.sets[name].get(key, value) == value, f"File exists: {line}"
                    self.sets[name][key] = value
                case "delete", "element":
                    key, value = parts(said)
                    assert not value, line
                    del self.sets[name][key]
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

    def _check_names(self, said: str, line: str) -> None:
        """Refuse what leads to a chain, or speaks of a set, that is not there."""
        bare = re.sub(r' comment "[^"]*"', "", said)
        for name in re.findall(r"(?:goto|jump) (\S+)", bare):
            assert name in self.chains, f"No such file or directory: {line}"
        for name in re.findall(r"@(\S+)", bare):
            assert name in self.sets, f"No such file or directory: {line}"

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
