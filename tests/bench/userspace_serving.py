"""svcnet's proxy in a process of its own, for the benchmark: one TCP and one UDP service.

Arguments: the port of the backend for both, and a number of processes. When it serves it prints
the two proxy ports.
"""

from __future__ import annotations

import sys

from svcnet.renderers.userspace.table import Backend
from svcnet.servers.userspace import Proxy, raise_file_limit
from tests.servers.userspace.backends import DNS, WEB, port, service, table


def main(backend: str, workers: str) -> None:
    raise_file_limit()
    server = Backend("127.0.0.1", int(backend))
    services = table(service(server), service(server, name=DNS))
    proxy = Proxy(services, address="127.0.0.1", workers=int(workers))
    print(port(proxy, WEB), port(proxy, DNS), flush=True)
    proxy.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
