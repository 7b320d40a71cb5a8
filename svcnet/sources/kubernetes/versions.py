"""Versions of the API's objects and lists, and what else their metadata says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def metadata_of(item: Any) -> Mapping[str, Any]:
    """Return the metadata of an object or a list, empty if it has none."""
    metadata = item.get("metadata") if type(item) is dict else None
    return metadata if type(metadata) is dict else {}


def version_of(item: Any) -> str:
    """Return the resourceVersion of an object or a list, empty if it has none."""
    version = metadata_of(item).get("resourceVersion")
    return version if type(version) is str else ""


def is_older(one: str, other: str) -> bool:
    """Return whether a resourceVersion is older than another, as far as can be known.

    Those of Kubernetes's own kinds are whole numbers (KEP-5504); of others nothing is known.
    """
    if not (one.isascii() and one.isdigit() and other.isascii() and other.isdigit()):
        return False
    return (len(one.lstrip("0")), one.lstrip("0")) < (len(other.lstrip("0")), other.lstrip("0"))
