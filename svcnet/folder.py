"""The folder where svcnet processes of one user find each other: a lock, a socket."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from svcnet import checks
from svcnet.errors import ApplyError

FOLDER = Path("/run/svcnet")


def usual_folder() -> Path:
    """Return ``/run/svcnet`` for who may write there or make it, else a folder of the user's own.

    That is below ``XDG_RUNTIME_DIR``, for root too, which may be that of a user namespace alone.
    Where there is neither, :func:`own_folder` says so.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
    place = FOLDER if FOLDER.exists() else FOLDER.parent
    return FOLDER if os.access(place, os.W_OK) or not runtime.is_dir() else runtime / "svcnet"


def own_folder() -> Path:
    """Return that folder, which is there then, and where nobody else may write.

    Raises ApplyError where there can be none, or where it is not this user's.
    """
    folder = usual_folder()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _take(folder)
    except OSError as error:
        reason = error.strerror or "no folder"
        raise ApplyError(
            f"{folder}: {reason}: svcnet locks there what it changes; that takes root, or a folder "
            f"{FOLDER} that is this user's, and in a container the node's one, mounted",
            checks.NOT_PERMITTED,
        ) from None
    return folder


def _take(folder: Path) -> None:
    """Have nobody else write to a folder. Raises ApplyError where it is another's, and OSError."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        if found.st_uid != os.geteuid():
            raise ApplyError(
                f"{folder}: belongs to another user, uid {found.st_uid}, and svcnet locks there "
                "what it changes"
            )
        if stat.S_IMODE(found.st_mode) & 0o022:
            # Such as a volume of Kubernetes, where anybody may write until somebody takes it.
            os.fchmod(opened, 0o700)
    finally:
        os.close(opened)
