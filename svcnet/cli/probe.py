"""``svcnet probe``: the facts of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import click

from svcnet.cli.verb import Verb
from svcnet.errors import SvcnetError


@click.command(
    "probe",
    cls=Verb,
    examples=[
        ("For the option --host of other verbs", "svcnet probe > host.yaml"),
    ],
)
def command() -> None:
    """Print the facts of this machine that rules depend on, as --host reads them.

    Comments say why rules cannot count, and what the machine lacks for modes ipvs and nftables: to
    find out takes CAP_NET_ADMIN, and CAP_SYS_ADMIN.
    """
    from svcnet.executors.iptables import counting
    from svcnet.executors.probe import probe
    from svcnet.executors.this_machine import THIS_MACHINE

    host = probe(THIS_MACHINE)
    addresses = [f'\n- "{address}"' for address in host.addresses or ()]
    lines = [f"addresses:{''.join(addresses) or ' []'}"]
    lines.append(f"iptablesRandomFully: {str(host.iptables_random_fully).lower()}")
    lines.append(f"conntrackTCPBeLiberal: {str(host.conntrack_tcp_be_liberal).lower()}")
    lines.append(f"nfacct: {str(host.nfacct).lower()}")
    if not host.nfacct:
        lines.append(f"# nfacct: {counting.lack(machine=THIS_MACHINE)}")
    lines += _lacks()
    click.echo("\n".join(lines))


def _lacks() -> Iterator[str]:
    """Say what the kernel lacks for a node without Services, of modes that may lack something."""
    from svcnet import modes
    from svcnet.graph import NodeSettings, RuleGraph

    graph = RuleGraph(NodeSettings("IPv4"))
    for name, mode in modes.available().items():
        try:
            lacks = mode.executor().probe(mode.full(graph))
        except SvcnetError as error:
            yield f"# mode {name}: cannot be told: {error}"
            continue
        if lacks is not None:
            what = f"the kernel lacks {', '.join(lacks)}"
            yield f"# mode {name}: {what if lacks else 'the kernel has what it takes'}"
