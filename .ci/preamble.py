"""What svcnet.pyz does first: say where it cannot run, in one line."""

import platform
import sys

try:
    import immutables  # noqa: F401
    import orjson  # noqa: F401
    import ryml  # noqa: F401
    import yaml  # noqa: F401
except ImportError:
    python = f"Python {platform.python_version()} on {platform.machine()}"
    sys.stderr.write(
        f"svcnet.pyz has nothing for {python} with this C library: pip install svcnet\n"
    )
    sys.exit(2)
