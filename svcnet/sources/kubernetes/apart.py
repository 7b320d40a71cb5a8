"""Long work beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


async def apart(
    work: Callable[Arguments, Result], *given: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Return what `work` returns or raises, in a thread that nothing waits for if it is cancelled.

    The threads of ``asyncio.to_thread`` are waited for when the loop closes, so work that takes
    long would keep a program from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def give(set_it: Callable[[], None]) -> None:
        if not done.cancelled():
            set_it()

    def working() -> None:
        try:
            result = work(*given, **named)
        except BaseException as error:
            failure = error
            end = lambda: done.set_exception(failure)  # noqa: E731
        else:
            end = lambda: done.set_result(result)  # noqa: E731
        try:
            loop.call_soon_threadsafe(give, end)
        except RuntimeError:
            return  # the loop is closed: nobody waits

    threading.Thread(target=working, daemon=True, name="apart").start()
    return await done
