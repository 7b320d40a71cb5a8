"""``svcnet probe``: the facts of this machine."""

from __future__ import annotations

import click


@click.command("probe")
def command() -> None:
    """Print the facts of this machine that rules depend on, as --host reads them."""
    from svcnet.executors.probe import probe

    host = probe()
    addresses = [f'\n- "{address}"' for address in host.addresses or ()]
    lines = [f"addresses:{''.join(addresses) or ' []'}"]
    lines.append(f"iptablesRandomFully: {str(host.iptables_random_fully).lower()}")
    lines.append(f"conntrackTCPBeLiberal: {str(host.conntrack_tcp_be_liberal).lower()}")
    click.echo("\n".join(lines))
