"""Where a verb writes what it made."""

from __future__ import annotations

import sys
from pathlib import Path

from svcnet.errors import OutputError
from svcnet.files import write_whole


def write_output(text: str, output: Path | None) -> None:
    """Write the whole of `text` to a file, see :func:`write_whole`, or to standard output."""
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        write_whole(output, text)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror}", error) from None
