"""How like two texts are, and which Pod has nearly the labels that a selector wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from svcnet.models import Pod

LONGEST = 63
"""Longer texts than labels are not compared."""


@frozen(order=True)
class Miss:
    """How far labels are from what a selector wants.

    ``is_other`` says that a label is not like the wanted one at all; ``pairs`` are labels that
    differ, and ``letters`` by how many letters those do that are alike.
    """

    is_other: bool
    pairs: int
    letters: int
    wanted: tuple[tuple[str, str], ...]
    has: tuple[tuple[str, str], ...]


def distance(one: str, other: str, most: int) -> int:
    """Return how many letters to add, drop, replace or swap with their neighbours.

    That is Damerau's and Levenshtein's distance, of neighbours once; above `most`, any number that
    is above it.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: Sequence[int] = ()
    row: Sequence[int] = range(len(other) + 1)
    for i, a in enumerate(one, 1):
        new = [i]
        for j, b in enumerate(other, 1):
            cost = min(row[j] + 1, new[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            new.append(cost)
        if min(new) > most:
            return most + 1
        before, row = row, new
    return row[-1]


def letters_between(one: str, other: str) -> int:
    """Return by how many letters two texts differ that are alike and not the same, else 0."""
    longest = max(len(one), len(other))
    if longest > LONGEST or min(len(one), len(other)) < 2:
        return 0
    most = max(1, longest // 4)
    found = distance(one, other, most)
    return found if found <= most else 0


def nearest(text: str, known: Iterable[str]) -> str:
    """Return which of the known texts is most like `text`, empty where none is."""
    near = [(letters, each) for each in known if (letters := letters_between(text, each))]
    return min(near)[1] if near else ""


def nearest_labels(selector: Mapping[str, str], pods: Iterable[Pod]) -> tuple[Pod, Miss] | None:
    """Return the Pod whose labels almost match a selector that none of the Pods matches.

    That is one of whose labels a single one is missed, or whose missed ones all differ by a slip.
    """
    best: tuple[Miss, str, Pod] | None = None
    for pod in pods:
        miss = _miss(selector, pod.labels)
        if miss is not None and (best is None or (miss, pod.name) < best[:2]):
            best = miss, pod.name, pod
    return None if best is None else (best[2], best[0])


def _miss(selector: Mapping[str, str], labels: Mapping[str, str]) -> Miss | None:
    wanted, has, letters, alike = [], [], 0, True
    for key, value in selector.items():
        if labels.get(key) == value:
            continue
        wanted.append((key, value))
        slip = _slip(key, value, selector, labels)
        if slip is None:
            alike = False
            has += [(key, labels[key])] if key in labels else []
        else:
            letters += slip[0]
            has.append(slip[1])
    if not alike and (len(wanted) > 1 or len(selector) == 1):
        return None
    return Miss(not alike, len(wanted), letters, tuple(wanted), tuple(has))


def _slip(
    key: str, value: str, selector: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[int, tuple[str, str]] | None:
    """Return the label that is like a wanted one, and by how many letters it differs."""
    if key in labels:
        letters = letters_between(value, labels[key])
        return (letters, (key, labels[key])) if letters else None
    others = [each for each in labels if labels[each] == value and each not in selector]
    near = nearest(key, others)
    return (letters_between(key, near), (near, value)) if near else None
