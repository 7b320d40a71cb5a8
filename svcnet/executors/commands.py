"""Running the system's own tools."""

from __future__ import annotations

from pathlib import Path

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine

CAPABILITIES = (("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13))
"""All that svcnet asks of the kernel (linux/capability.h), which can be taken from root too."""

_STATUS = Path("/proc/thread-self/status")
_USERS = Path("/proc/thread-self/uid_map")
_ALL_USERS = ["0", "0", "4294967295"]
_DENIED = ("ermission denied", "not permitted", "unable to initialize table")


def hint(message: str, *, machine: Machine) -> str:
    """Return what to add to a complaint of a tool's or the kernel's: the capability it takes."""
    if not any(text in message for text in _DENIED):
        return ""
    if missing := lacking(machine):
        return f": it takes {' and '.join(missing)}, which this process lacks"
    if _is_in_user_namespace(machine):
        return (
            f": it takes {CAPABILITIES[0][0]} in the user namespace that this network namespace "
            "is of, and this process has it in another"
        )
    return ""


def _is_in_user_namespace(machine: Machine) -> bool:
    """Return whether this process is in another user namespace than the machine's own."""
    try:
        return machine.read(_USERS).split() != _ALL_USERS
    except OSError:
        return False


def complaint(who: str, message: str, *, machine: Machine) -> ApplyError:
    """Return the error for what a tool or the kernel says; one for lack of a right is known."""
    missing = hint(message, machine=machine)
    return ApplyError(f"{who}: {message}{missing}", checks.NOT_PERMITTED if missing else None)


def not_installed(command: str, package: str = "") -> ApplyError:
    """Return the error for a command that is not there, with Debian's package that has it."""
    where = f"; Debian's package {package} has it" if package else ""
    return ApplyError(f"{command} is not installed{where}", checks.NOT_INSTALLED)


def lacking(machine: Machine) -> tuple[str, ...]:
    """Return which of the capabilities that svcnet needs this process does not have."""
    status = machine.read(_STATUS)
    [held] = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return tuple(name for name, bit in CAPABILITIES if not int(held, 16) >> bit & 1)


def run(package: str, command: str, *options: str, stdin: str = "", machine: Machine) -> str:
    """Run a command and return what it prints; bytes that are no UTF-8 are surrogates, both ways.

    `package` is Debian's package that has it. Raises ApplyError when it is not installed,
    with its own words when it fails, or as :meth:`svcnet.executors.machine.Machine.run` does.
    """
    path = machine.find(command)
    if path is None:
        raise not_installed(command, package)
    done = machine.run(path, *options, stdin=stdin)
    if done.code == 0:
        return done.text
    raise complaint(command, str(done), machine=machine)
