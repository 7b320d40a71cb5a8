"""Runs a command with the system calls of the unit of examples/systemd; memory is no new code.

What systemd does where it runs is done by hand: capabilities are least.py's part.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import subprocess
import sys

from tests.test_deployment import UNIT

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
LD_W_ABS, JEQ, RET = 0x20, 0x15, 0x06
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
EPERM = 1


def allowed() -> set[str]:
    """Return the system calls of the unit's SystemCallFilter= lines."""
    found: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE):
        for name in line.lstrip("~").split():
            found = found - members(name) if line.startswith("~") else found | members(name)
    return found


def members(name: str) -> set[str]:
    """Return the system calls of a set of systemd."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    inside = (line.strip() for line in listed[1:] if line.strip() and line.strip()[0] != "#")
    return set().union(*map(members, inside))


def numbers() -> dict[str, int]:
    """Return the number of each system call of this machine."""
    told = subprocess.run(
        ["gcc", "-E", "-dM", "-include", "sys/syscall.h", "-xc", "/dev/null"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {name: int(value) for name, value in re.findall(r"#define __NR_(\w+) (\d+)", told)}


def program(denied: set[int]) -> bytes:
    """Return a filter for which these system calls fail with EPERM."""
    steps = [(LD_W_ABS, 0, 0, 0)]
    for number in sorted(denied):
        steps += [(JEQ, 0, 1, number), (RET, 0, 0, SECCOMP_RET_ERRNO | EPERM)]
    steps.append((RET, 0, 0, SECCOMP_RET_ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def main(*command: str) -> None:
    """Become that process."""
    keep = allowed()
    steps = program({number for name, number in numbers().items() if name not in keep})
    kept = ctypes.create_string_buffer(steps)
    whole = struct.pack("@HP", len(steps) // 8, ctypes.addressof(kept))
    library = ctypes.CDLL(None, use_errno=True)
    for option in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(whole), 0, 0),
    ):
        # A kernel before 6.3 has no PR_SET_MDWE.
        if library.prctl(*option) and option[0] != PR_SET_MDWE:
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
