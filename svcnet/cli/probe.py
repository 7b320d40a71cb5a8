"""``svcnet probe``: the facts of this machine."""

from __future__ import annotations

import click

from svcnet.errors import SvcnetError


@click.command("probe")
def command() -> None:
    """Print the facts of this machine that rules depend on, as --host reads them.

    A comment says what the kernel lacks for mode ipvs; to find out takes CAP_SYS_ADMIN.
    """
    from svcnet.executors.probe import probe

    host = probe()
    addresses = [f'\n- "{address}"' for address in host.addresses or ()]
    lines = [f"addresses:{''.join(addresses) or ' []'}"]
    lines.append(f"iptablesRandomFully: {str(host.iptables_random_fully).lower()}")
    lines.append(f"conntrackTCPBeLiberal: {str(host.conntrack_tcp_be_liberal).lower()}")
    lines.append(f"# mode ipvs: {_ipvs()}")
    click.echo("\n".join(lines))


def _ipvs() -> str:
    """Say what the kernel lacks for a node without Services, and with the default scheduler."""
    from svcnet.executors.iptables import choose_variant
    from svcnet.executors.ipvs import missing
    from svcnet.graph import NodeSettings, RuleGraph
    from svcnet.renderers.ipvs import full

    try:
        commands = choose_variant("IPv4").commands
        lacks = missing(full(RuleGraph(NodeSettings("IPv4"))), commands)
    except SvcnetError as error:
        return f"cannot be told: {error}"
    return f"the kernel lacks {', '.join(lacks)}" if lacks else "the kernel has what it takes"
