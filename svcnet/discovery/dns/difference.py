"""What a change does to the answers."""

from __future__ import annotations

from attrs import frozen

from svcnet.discovery.dns.zones import Record, Zones


@frozen
class Difference:
    """Records that go and come, in the order of names; a changed one is in both."""

    removed: tuple[Record, ...]
    added: tuple[Record, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)

    def __str__(self) -> str:
        signed = [("-", record) for record in self.removed]
        signed += [("+", record) for record in self.added]
        signed.sort(key=lambda line: (line[1].name, line[1].type, line[0] == "+"))
        return "".join(f"{sign} {record}\n" for sign, record in signed)


def difference(old: Zones, new: Zones) -> Difference:
    """Return the records that only one of two clusters has."""
    before, after = set(old), set(new)
    return Difference(tuple(sorted(before - after)), tuple(sorted(after - before)))
