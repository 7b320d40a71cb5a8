"""A proxy in a process of its own, for tests: its port is printed when it serves.

Arguments: the backend's port, the number of processes, and how many more files it may open
(0 for as many as can be).
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from svcnet.renderers.userspace.table import Backend
from svcnet.servers.userspace import Proxy, raise_file_limit
from tests.servers.userspace.backends import port, service, table


def main(backend: str, workers: str, spare_files: str) -> None:
    raise_file_limit()
    wanted = table(service(Backend("127.0.0.1", int(backend))), first=43_000)
    proxy = Proxy(wanted, address="127.0.0.1", workers=int(workers))
    if int(spare_files):
        open_files = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files + int(spare_files),) * 2)
    print(port(proxy), flush=True)
    proxy.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
