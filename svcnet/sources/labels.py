"""The syntax of labels, selectors and the keys of annotations.

Source of the rules: ``IsLabelKey`` and ``IsLabelValue`` in
k8s.io/apimachinery/pkg/api/validate/content, Kubernetes v1.36.
"""

from __future__ import annotations

import re
from functools import lru_cache

from svcnet.sources.fields import MAX_NAME, is_name

MAX_LABEL = 63

_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")

LABEL_VALUE = "must be at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends"
LABEL_KEY = f"{LABEL_VALUE}, with or without a domain and '/' before"


def is_label_key(text: str) -> bool:
    """Return whether `text` can be the key of a label; ``appProtocol`` is of the same form."""
    # What is too long for any is not remembered.
    return len(text) <= MAX_NAME + 1 + MAX_LABEL and _is_label_key(text)


@lru_cache(4096)
def _is_label_key(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    if slash and not is_name(prefix, "subdomain"):
        return False
    return len(name) <= MAX_LABEL and _LABEL.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Return whether `text` can be the value of a label; it can be empty."""
    return not text or (len(text) <= MAX_LABEL and _LABEL.fullmatch(text) is not None)
