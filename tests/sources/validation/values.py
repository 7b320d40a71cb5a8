"""What Kubernetes v1.36 takes and refuses, field by field, and what svcnet does with the same.

One module a kind has an object that is right, and for each field that svcnet reads values on both
sides of what the API server takes. The server's answers are those of v1.36.2 with its default
feature gates: strict decoding, defaults and validation of a new object on a cluster of both IP
families; of ``status``, the validation of an update of it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import pairwise
from typing import Any, Final

from attrs import field, frozen


class Absent(Enum):
    """Stands for a field that is not there."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

OLD_FORM = "old form"
OLD_STATUS = "old status"
NO_EFFECT = "no effect"
ALLOCATION = "allocation"

CLASSES: Mapping[str, str] = {
    OLD_FORM: "an address or CIDR in a form that servers before v1.36 stored",
    OLD_STATUS: "a status that servers before v1.30 left behind",
    NO_EFFECT: "a field that kube-proxy passes over",
    ALLOCATION: "what the API server's validation takes and its allocation of ports refuses",
}
"""Why svcnet differs, where it does; docs/reference/inputs.md has a line on each."""

Document = dict[str, Any]


@frozen
class Values:
    """Values of one field of an object that has ``given`` as well.

    ``warned`` are taken by both, and svcnet has a word on them. ``kept`` are refused by the API
    server and taken by svcnet, each with the value that it means the same as. ``lost`` are taken
    by the API server's validation and refused by svcnet. Both have the class of the difference.
    """

    path: str
    takes: tuple[Any, ...] = ()
    refuses: tuple[Any, ...] = ()
    given: Mapping[str, Any] = field(factory=dict)
    warned: tuple[Any, ...] = ()
    kept: Mapping[str, tuple[tuple[Any, Any], ...]] = field(factory=dict)
    lost: Mapping[str, tuple[Any, ...]] = field(factory=dict)

    def document(self, base: Document, value: Any) -> Document:
        """Return the object with the value in its place."""
        made = copy.deepcopy(base)
        for path, other in self.given.items():
            put(made, path, copy.deepcopy(other))
        put(made, self.path, copy.deepcopy(value))
        return made


def keys_of(path: str) -> list[str | int]:
    """Return the keys of a path such as ``spec.ports[0].port`` or ``metadata.labels['a/b']``."""
    found = re.findall(r"\['([^']*)'\]|\[(\d+)\]|([^.\[\]]+)", path)
    return [int(index) if index else quoted or word for quoted, index, word in found]


def put(document: Document, path: str, value: Any) -> None:
    """Set what a path leads to; what is on the way is made."""
    keys = keys_of(path)
    here: Any = document
    for key, following in pairwise(keys):
        empty: Any = [] if isinstance(following, int) else {}
        here = _member(here, key, empty)
    last = keys[-1]
    if value is ABSENT:
        if isinstance(here, dict):
            here.pop(last, None)
        else:
            del here[last]
    elif isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value


def _member(here: Any, key: str | int, empty: Any) -> Any:
    if isinstance(here, dict):
        return here.setdefault(key, empty)
    if key == len(here):
        here.append(empty)
    return here[key]


def leaves(rows: tuple[Values, ...]) -> Iterator[str]:
    """Yield the paths of a table, each once, without the numbers of list members."""
    yield from dict.fromkeys(re.sub(r"\[\d+\]", "[]", row.path) for row in rows)
