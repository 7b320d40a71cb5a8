"""Values of ``metadata``, which is alike in all kinds but for the names."""

from __future__ import annotations

from typing import Any

from tests.sources.validation.values import ABSENT, Values

LONG_LABEL = "a" * 63
LONG_NAME = ".".join(["a" * 63] * 3 + ["a" * 61])
KEY_WITH_DOMAIN = f"{LONG_NAME}/{LONG_LABEL}"

WRONG_TYPES_OF_TEXT = (1, True, 1.5, ["a"], {"a": "b"})

LABELS = ("a", "0", "1a", "a-b", "a--b", LONG_LABEL)
NO_LABELS = (
    "-a",
    "a-",
    "A",
    "aB",
    "a.b",
    "a_b",
    "a b",
    " a",
    "a\n",
    "é",
    "a/b",
    LONG_LABEL + "a",
)
SUBDOMAINS = (*LABELS, "a.b", "1.2", "a.b-c.d", LONG_LABEL + "a", LONG_NAME)
NO_SUBDOMAINS = (
    "-a",
    "a-",
    "A",
    "a..b",
    ".a",
    "a.",
    "a.-b",
    "a_b",
    "a b",
    "a\n",
    "é",
    "a/b",
    LONG_NAME + "a",
)

LABEL_VALUES = ("", "a", "A.b_c-D", "0", "a--b", "a..b", LONG_LABEL, None)
NO_LABEL_VALUES: tuple[Any, ...] = (
    "-a",
    "a-",
    "_a",
    "a.",
    "a b",
    "a/b",
    "é",
    "a\n",
    LONG_LABEL + "a",
    1,
    True,
    [],
    {},
)
LABEL_KEYS = ("a", "A", "0", "a_b.c-D", "example.com/a", "a/b", LONG_LABEL, KEY_WITH_DOMAIN)
NO_LABEL_KEYS = (
    "",
    "-a",
    "a-",
    "a b",
    "a/",
    "/a",
    "a/b/c",
    "A.com/a",
    "a..b/c",
    "é",
    "a\n",
    LONG_LABEL + "a",
    f"{LONG_NAME}a/b",
)


def metadata(
    *, labels: bool = True, annotations: bool = True, namespaced: bool = True, label: bool = False
) -> tuple[Values, ...]:
    """Return the rows of a kind; its names are labels if `label` says so, subdomains otherwise."""
    good, bad = (LABELS, NO_LABELS) if label else (SUBDOMAINS, NO_SUBDOMAINS)
    rows = [
        Values("metadata", refuses=(ABSENT, None, [], "a", {}, {"name": ""})),
        Values("metadata.name", good, (*bad, "", None, ABSENT, *WRONG_TYPES_OF_TEXT)),
        Values(
            "metadata.generateName",
            ("a", "a-", "a--", "A-", LONG_LABEL, "", None, ABSENT),
            ("-a", "A", "AA-", "%-", "a/-", "a%b-", "é-", "a_", "a b", *WRONG_TYPES_OF_TEXT),
        ),
        Values(
            "metadata.generateName",
            ("a", "a-", "a--", LONG_LABEL),
            ("", None, ABSENT, "-", "-a", "A-", "é", 1, []),
            given={"metadata.name": ABSENT},
        ),
        Values("metadata.generateName", ("a", "a-"), ("", "_"), given={"metadata.name": ""}),
        Values("metadata.generateName", ("a", "a-"), ("", "_"), given={"metadata.name": None}),
    ]
    if namespaced:
        rows.append(
            Values(
                "metadata.namespace",
                (*LABELS, "", None, ABSENT),
                (*NO_LABELS, *WRONG_TYPES_OF_TEXT),
            )
        )
    if labels:
        rows += [
            Values(
                "metadata.labels",
                ({}, None, ABSENT, *({key: "v"} for key in LABEL_KEYS)),
                ([], "a", 1, ["a"], *({key: "v"} for key in NO_LABEL_KEYS)),
            ),
            Values("metadata.labels.key", LABEL_VALUES, NO_LABEL_VALUES),
        ]
    if annotations:
        rows += [
            Values(
                "metadata.annotations",
                ({}, None, ABSENT, *({key: "v"} for key in LABEL_KEYS), {"A.com/a": "v"}),
                ([], "a", 1, *({key: "v"} for key in NO_LABEL_KEYS if key != "A.com/a")),
            ),
            Values(
                "metadata.annotations.key",
                ("", "a b\n", "é", "{}", "x" * (256 * 1024 - 3), None),
                (1, True, 1.5, [], {}, "x" * (256 * 1024 - 2)),
            ),
        ]
    return tuple(rows)
