"""Facts of the machine that rules are made for."""

from __future__ import annotations

from attrs import frozen

from svcnet.brief import Brief


@frozen(repr=False)
class Host(Brief):
    """What a node's kernel and interfaces are like, as ``svcnet probe`` prints it.

    ``addresses`` are those of all interfaces but the dummy device of IPVS mode, without
    prefix lengths; None means unknown, and then the Node's own addresses and the two
    loopback addresses stand in. ``iptables_random_fully`` says that MASQUERADE takes
    ``--random-fully``. ``conntrack_tcp_be_liberal`` is the sysctl
    ``nf_conntrack_tcp_be_liberal``. ``nfacct`` says that the kernel has counters with names, and
    rules can count with them.
    """

    addresses: tuple[str, ...] | None = None
    iptables_random_fully: bool = True
    conntrack_tcp_be_liberal: bool = False
    nfacct: bool = False
