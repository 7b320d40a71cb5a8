"""The lock of a verb that changes this machine once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from svcnet.cli.manner import tell
from svcnet.family import IPFamily


@contextmanager
def machine_lock(families: Iterable[IPFamily], *, wait: bool) -> Iterator[None]:
    """Keep every other svcnet off the rules of `families` while inside; say who is waited for.

    Raises Busy when another is at work and there is to be no waiting.
    """
    from svcnet.executors.lock import Busy, locks

    wanted = tuple(families)
    with ExitStack() as stack:
        try:
            stack.enter_context(locks(wanted))
        except Busy as error:
            if not wait:
                raise Busy(f"{error}: nothing was changed; --wait waits for it") from None
            tell(f"waiting: {error}")
            stack.enter_context(locks(wanted, wait=True))
        yield
