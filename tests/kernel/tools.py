"""Tools of the system that fail at random: commands in front of the real ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from attrs import frozen

NAMES = (
    *(
        f"{family}tables-{v}-{w}"
        for family in ("ip", "ip6")
        for v in ("nft", "legacy")
        for w in ("restore", "save")
    ),
    "ipset",
    "conntrack",
    "nft",
    "ip",
)
WRAPPER = """\
#!/bin/bash
read -r percent how only 2>/dev/null < {control} || percent=0
if (( RANDOM % 100 >= percent )); then exec {real} "$@"; fi
if [[ -n $only && $only != {name} ]]; then exec {real} "$@"; fi
case $((how < 0 ? RANDOM % 10 : how)) in
0) echo "{name}: chaos: Resource temporarily unavailable" >&2; exit 4;;
1) exit 1;;
2) kill -KILL $$;;
3) exec sleep 600;;
4) head -c 3000 /dev/urandom; exit 0;;
5) {real} "$@" | head -c 400; kill -TERM $$;;
6) {real} "$@"; exit 1;;
7) echo "{name}: chaos: a warning" >&2; exec {real} "$@";;
8) {real} "$@" | head -c 200; exit 0;;
9) cat > /dev/null; exit 0;;
esac
"""


@frozen
class FailingTools:
    """A folder of such commands; they work until they are told to fail."""

    folder: Path

    def make(self) -> str:
        """Make them, and return a PATH that has them first."""
        self.folder.mkdir()
        search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
        for name in NAMES:
            if real := shutil.which(name, path=search):
                made = self.folder / name
                made.write_text(WRAPPER.format(control=self._control, real=real, name=name))
                made.chmod(0o755)
        self.fail(0)
        return f"{self.folder}{os.pathsep}{search}"

    def fail(self, percent: int, how: int = -1, only: str = "") -> None:
        """Have so many of a hundred calls fail from now on: in one way, and of one tool, or any.

        `how` is a case of the script above.
        """
        self._control.write_text(f"{percent} {how} {only}\n")

    @property
    def failing(self) -> bool:
        """Whether any may fail."""
        return not self._control.read_text().startswith("0 ")

    @property
    def _control(self) -> Path:
        return self.folder / "percent"
