"""Which of the two variants of iptables this machine's rules are, or should be, in.

Rules of both are in force at once, so mixing them is trouble that is hard to see:
https://github.com/kubernetes/kubernetes/issues/71305. The choice follows what
Kubernetes's own images do (kubernetes-sigs/iptables-wrappers): where rules of
Kubernetes are, else what plain ``iptables`` is.
"""

from __future__ import annotations

import subprocess

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.commands import find
from svcnet.executors.iptables.commands import VARIANTS, Commands, Variant
from svcnet.executors.iptables.observe import Observed, parse_save


@frozen
class Choice:
    """The commands to use, what they see now, and what an operator should know."""

    commands: Commands
    observed: Observed
    warnings: tuple[str, ...]


def choose_variant(family: str, wanted: Variant | None = None) -> Choice:
    """Return the commands for `family`, of the `wanted` variant or the one in use.

    Raises ApplyError when no variant, or not the wanted one, is installed.
    """
    installed = [c for c in (Commands(family, v) for v in VARIANTS) if c.exist()]
    if not installed:
        raise ApplyError("iptables is not installed; Debian's package iptables has it")
    if wanted and wanted not in [commands.variant for commands in installed]:
        raise ApplyError(f"{Commands(family, wanted).name}-restore is not installed")
    seen = {commands.variant: parse_save(commands.save()) for commands in installed}
    chosen = wanted or _in_use(seen) or _default(seen)
    warnings = tuple(
        f"{Commands(family, other).name} holds chains of Kubernetes or svcnet too, and both "
        f"are in force: remove them with svcnet cleanup --variant {other}"
        for other, observed in seen.items()
        if other != chosen and observed.has_ours()
    )
    return Choice(Commands(family, chosen), seen[chosen], warnings)


def _in_use(seen: dict[Variant, Observed]) -> Variant | None:
    return next((variant for variant, observed in seen.items() if observed.has_ours()), None)


def _default(seen: dict[Variant, Observed]) -> Variant:
    """Return the variant that plain ``iptables`` is, where that is installed."""
    path = find("iptables")
    if path is not None and "legacy" in seen:
        done = subprocess.run([path, "-V"], capture_output=True, text=True, check=False)
        if "legacy" in done.stdout:
            return "legacy"
    return next(iter(seen))
