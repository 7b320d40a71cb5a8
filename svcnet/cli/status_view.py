"""A status document as text for people: a table on a terminal, aligned columns elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from svcnet.natural import natural_key
from svcnet.words import list_some

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

HEADINGS = ("Service port", "Frontends", "Endpoints", "Here")
TYPES = {
    "cluster-ip": "",
    "external-ip": "external ",
    "load-balancer": "load balancer ",
    "node-port": "node port ",
}
MOST_LISTED = 4
"""So many frontends or endpoints are named, and of the rest their number."""


def view(document: dict[str, Any]) -> RenderableType:
    """Return the whole document for a terminal."""
    from rich.console import Group
    from rich.text import Text

    return Group(*map(Text, head(document)), table(rows(document)))


def table(shown: Iterable[Sequence[str]]) -> Table:
    """Return rows as a table of a terminal, in which nothing is cut: what has no room folds."""
    from rich.table import Table
    from rich.text import Text

    made = Table()
    for heading in HEADINGS:
        made.add_column(heading, overflow="fold")
    for row in shown:
        made.add_row(*map(Text, row))
    return made


def check_rows(document: dict[str, Any]) -> None:
    """Raise as reading it does, where a document is not one of svcnet run."""
    for _ in (*head(document), *rows(document)):
        pass


def lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the document, its services in aligned columns."""
    yield from head(document)
    shown = [tuple(heading.upper() for heading in HEADINGS), *rows(document)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    yield ""
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def printable(text: str) -> str:
    """Return text with everything but lines and tabs escaped that a terminal may obey."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def head(document: dict[str, Any]) -> Iterator[str]:
    """Yield what there is to know besides the services, problems last."""
    given = document["input"]
    yield printable(f"Running since {_when(document['since'])}")
    read = f", last good {_when(given['read'])}" if given["read"] else ""
    yield printable(f"Input: {given['source']}{read}")
    for kind, state in given["server"].items():
        since, good = (given[key].get(kind) for key in ("unreachableSince", "confirmed"))
        times = [f"since {_when(since)}"] if since else []
        times += [f"last good {_when(good)}"] if good else []
        yield printable("; ".join([f"  {kind}: {state}", *times]))
    for family in document["families"]:
        yield from _family(family)
    if given["problem"]:
        yield printable(f"Problem: the input is refused: {given['problem']}")
    for family in document["families"]:
        yield from _problems(family)
    failed = document["lastFailed"]
    if failed:
        yield printable(f"Last refused: {failed['what']}, {_when(failed['time'])}; --last-failed")


def _family(family: dict[str, Any]) -> Iterator[str]:
    name, last = f"{family['family']}, {family['mode']}", family["lastSync"]
    if last is None:
        yield printable(f"{name}: no sync yet")
        return
    yield printable(
        f"{name}: last sync {_when(last['time'])} ({last['trigger']}), "
        f"{_duration(last['seconds'])}, lag {_duration(last['lagSeconds'])}"
    )
    yield printable(f"  {last['text']}")
    counts = (f"{key} {family[key]}" for key in ("syncs", "failures", "repaired"))
    yield f"  {', '.join(counts)}"


def _problems(family: dict[str, Any]) -> Iterator[str]:
    if family["problem"]:
        yield printable(f"Problem: {family['family']}: {family['problem']}")
    for warning in family["warnings"]:
        yield printable(f"Warning: {family['family']}: {warning}")


def rows(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each service port, of one family after the other."""
    for family in document["families"]:
        for service in sorted(family["services"], key=_sort_key):
            port = f":{service['port']}" if service["port"] else ""
            name = f"{service['namespace']}/{service['name']}{port}/{service['protocol']}"
            ends = service["endpoints"]
            listed = list_some([_place(end) for end in ends], MOST_LISTED)
            if not ends and service["refusals"]:
                refusal = service["refusals"][0]
                listed = f"{refusal['how']}: {refusal['reason']}"
            here = f"{sum(end['local'] for end in ends)} of {service['allEndpoints']}"
            frontends = list_some(
                [TYPES[one["type"]] + _place(one) for one in service["frontends"]],
                MOST_LISTED,
            )
            yield tuple(map(printable, (name, frontends, listed, here)))


def _sort_key(service: dict[str, Any]) -> tuple[object, ...]:
    names = (service["namespace"], service["name"], str(service["port"]), service["protocol"])
    return tuple(map(natural_key, names))


def _place(where: dict[str, Any]) -> str:
    address = where["address"]
    if not address:
        return str(where["port"])
    return f"[{address}]:{where['port']}" if ":" in address else f"{address}:{where['port']}"


def _when(text: str) -> str:
    """Return a time of the document in this machine's time zone."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
