"""Numbers of things in words."""


def count_noun(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1: ``2 addresses``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
