"""The letters that an API server adds to a name by chance; here they follow from a number.

Source: k8s.io/apimachinery/pkg/util/rand of Kubernetes.
"""

from __future__ import annotations

# None that make a word.
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def letters(number: int, count: int = 5) -> str:
    """Return so many letters that follow from a number."""
    text = ""
    for _ in range(count):
        number, digit = divmod(number, len(ALPHABET))
        text += ALPHABET[digit]
    return text
