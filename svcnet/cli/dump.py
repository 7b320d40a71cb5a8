"""Rules that a machine has: from files that its tools printed, or from the tools themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import evolve

from svcnet import checks
from svcnet.cli.manner import warn
from svcnet.cli.paths import FilePath
from svcnet.errors import ApplyError, UnreadMachine, UsageError, one_line
from svcnet.executors.commands import lacking, not_installed
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.files import KIB, read_text

if TYPE_CHECKING:
    from svcnet.meaning.dump import MachineDump
    from svcnet.meaning.spans import Span
    from svcnet.meaning.userspace import ListenerTable

MOST_BYTES = 1024 * KIB * KIB
"""The largest file of rules that is read."""

PRINTED = (
    "what iptables-save, ip6tables-save, nft list ruleset, ipset save, ipvsadm -Sn, ip -j addr, "
    "ip -j route and svcnet status --proxy-table printed"
)
_MOST_NAMES = 4
_VERSIONS: Mapping[IPFamily, str] = MappingProxyType({"IPv4": "-4", "IPv6": "-6"})

Function = TypeVar("Function", bound=Callable[..., Any])


def rules_options(verb: str) -> Callable[[Function], Function]:
    """Return what adds --live and --rules, for verbs about rules that are there.

    `verb` is what is done with them; the function gets ``live`` and ``files``.
    """

    def decorate(function: Function) -> Function:
        told = f"{verb} the rules of this machine (root)."
        live = click.option("--live", is_flag=True, help=told)
        rules = click.option(
            "--rules",
            "files",
            type=FilePath(),
            multiple=True,
            metavar="FILE",
            help=f"{verb} {PRINTED}; may be given several times.",
        )
        return live(rules(function))

    return decorate


def given_dump(files: Iterable[Path]) -> MachineDump:
    """Return what files have of a machine. Raises UsageError."""
    from svcnet.meaning.dump import read_dump

    return read_dump(_texts(files))


def _texts(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in files:
        try:
            yield str(path), read_text(path, MOST_BYTES)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def live_dump(mode: str, variant: Any, families: Iterable[IPFamily]) -> MachineDump:
    """Return what the tools of this machine print of a mode's rules. Raises UnreadMachine."""
    _refuse_without_rights(mode)
    try:
        return _list_machine(mode, variant, families)
    except ApplyError as error:
        raise UnreadMachine(str(error), error.check) from None
    except UsageError as error:
        # What a reader says of a file: here nobody gave one.
        raise UnreadMachine(str(error)) from None


def _list_machine(mode: str, variant: Any, families: Iterable[IPFamily]) -> MachineDump:
    from svcnet.executors.iptables.observe import is_ours as chains_of_services
    from svcnet.executors.iptables.variants import choose_variant
    from svcnet.executors.userspace.rules import shows_variant
    from svcnet.meaning.dump import (
        MachineDump,
        NFTDump,
        has_proxy,
        has_servers,
        is_listed_by_nft,
        read_addresses,
    )
    from svcnet.meaning.ipsets import read_sets

    if is_listed_by_nft(mode):
        listed = NFTDump.read("nft list ruleset", _run("nft", "list", "ruleset"))
        routes = {} if THIS_MACHINE.find("ip") is None else _routes(families)
        return MachineDump(nftables=listed, routes=routes, is_live=True)
    texts: dict[IPFamily, tuple[str, str]] = {}
    is_ours = shows_variant(()) if has_proxy(mode) else chains_of_services
    for family in families:
        choice = choose_variant(family, variant, is_ours)
        for warning in choice.warnings:
            warn(warning)
        texts[family] = (f"{choice.commands.name}-save", choice.commands.save())
    asks = any("--match-set" in text for _, text in texts.values())
    has_sets = asks and THIS_MACHINE.find("ipset") is not None
    sets = read_sets("ipset save", _run("ipset", "save")) if has_sets else {}
    routes = _routes(texts)
    dump = MachineDump(texts, sets=sets, routes=routes, is_live=True)
    if not has_servers(mode) and not has_proxy(mode):
        return dump
    addresses = read_addresses("ip -j addr", _run("ip", "-json", "address"))
    dump = evolve(dump, may_bridge=addresses.may_bridge, bare=addresses.bare)
    if has_proxy(mode):
        return evolve(dump, proxies=_proxies(texts))
    servers = ("ipvsadm -Sn", _run("ipvsadm", "--save", "--numeric"))
    return evolve(dump, held=addresses.held, servers=servers)


def _proxies(families: Collection[IPFamily]) -> Mapping[IPFamily, ListenerTable]:
    """Return the tables of the proxy that runs here; without one that is warned of.

    Raises ApplyError for an answer that is no table.
    """
    from svcnet.meaning.userspace import read_tables
    from svcnet.servers.questions import proxy_tables, usual_path

    try:
        text = proxy_tables(usual_path())
    except ApplyError as error:
        warn(f"warning: {error}; nobody says what a proxy serves")
        return {}
    found = {each.family: each for each in read_tables("svcnet status --proxy-table", text)}
    return {family: table for family, table in found.items() if family in families}


def _routes(families: Iterable[IPFamily]) -> Mapping[IPFamily, Mapping[Span, str]]:
    """Return by which interface this machine reaches networks. Raises ApplyError, UsageError."""
    from svcnet.meaning.dump import read_routes

    routes: dict[IPFamily, Mapping[Span, str]] = {}
    for family in families:
        printed = _run("ip", _VERSIONS[family], "-json", "route")
        routes.update(read_routes("ip -j route", printed) if printed.strip() else {})
    return routes


def warn_of_others(dump: MachineDump, mode: str) -> None:
    """Warn of rules that are there too and that nobody looks at in a mode."""
    others = list(dump.unread(mode))
    if not dump.nftables and dump.is_live:
        from svcnet.meaning.dump import is_of_iptables

        tables = _run("nft", "list", "tables").splitlines() if THIS_MACHINE.find("nft") else []
        others += [each for each in tables if not is_of_iptables(each.partition(" ")[2])]
    if others:
        shown = ", ".join(map(one_line, others[:_MOST_NAMES]))
        warn(f"warning: {shown}: not looked at in mode {mode}, and may decide first")


def mode_of(dump: MachineDump | None, config: object) -> str | None:
    """Return the mode of rules where nobody named one, None if that is a configuration's affair.

    Without a dump they are those of this machine. Raises UnreadMachine.
    """
    if dump is not None:
        return dump.mode
    return live_mode() if config is None else None


def live_mode() -> str:
    """Return the mode whose rules this machine has. Raises UnreadMachine."""
    from svcnet.meaning.dump import mode_of_machine

    _refuse_without_rights(None)
    try:
        tables = "" if THIS_MACHINE.find("nft") is None else _run("nft", "list", "tables")
        addresses = _run("ip", "-json", "address")
        return mode_of_machine(tables, addresses, is_served=_is_served)
    except ApplyError as error:
        raise UnreadMachine(str(error), error.check) from None


def _is_served() -> bool:
    """Return whether a proxy runs here."""
    from svcnet.servers.questions import proxy_tables, usual_path

    try:
        return bool(proxy_tables(usual_path()))
    except ApplyError:
        return False


def _refuse_without_rights(mode: str | None) -> None:
    """Raise UnreadMachine if this process may not see all that there is of a mode, None for any.

    The tools are not tried: some print half of it to whoever may not see all.
    """
    from svcnet.meaning.dump import commands_of

    missing = lacking(THIS_MACHINE)
    if not missing:
        return
    commands = commands_of(mode)
    saving = "".join(f"\n  sudo {each} > {each.split()[0]}.txt" for each in commands)
    raise UnreadMachine(
        f"--live: {commands[0]} takes {' and '.join(missing)}, which this process lacks: run "
        f"svcnet with sudo, or save what root sees and name each file with --rules:{saving}",
        checks.NOT_PERMITTED,
    )


def _run(program: str, *options: str) -> str:
    """Return what a tool of this machine prints. Raises ApplyError."""
    path = THIS_MACHINE.find(program)
    if path is None:
        raise not_installed(program)
    done = THIS_MACHINE.run(path, *options)
    if done.code:
        raise ApplyError(f"{program} {' '.join(options)}: {done}")
    return done.text
