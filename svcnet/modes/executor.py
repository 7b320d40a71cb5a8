"""What puts a mode's artifacts on one machine, and takes them away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from svcnet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from svcnet.executors.iptables import Ownership
    from svcnet.executors.machine import Machine
    from svcnet.models import IPFamily
    from svcnet.modes.adapter import Adapter
    from svcnet.modes.proxy import DataPlane
    from svcnet.modes.settings import ModeSettings

Artifact = TypeVar("Artifact")
Part: TypeAlias = Callable[[], Iterable[str]]
"""Something that is done to a machine, which returns a line for each thing that it did."""


class Plan(Protocol):
    """What an apply does."""

    @property
    def text(self) -> str:
        """The plan for people, as ``--dry-run`` prints it."""


class Report(Protocol):
    """What an apply did, or would do; as text it is a line."""

    @property
    def plan(self) -> Plan:
        """What was to be done."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator must see."""


class Owner(Protocol):
    """The mode of an executor, as far as that has to know it."""

    @property
    def name(self) -> str:
        """The mode's name."""

    @property
    def serves(self) -> bool:
        """Whether processes serve."""

    def settings(self) -> ModeSettings:
        """Return what an empty configuration comes to."""
        ...


class Executor(Generic[Artifact]):
    """Puts what a mode makes on a machine, and takes it away.

    `machine` is this one, and `settings` those of an empty configuration, unless others are given.
    As it is here it does nothing: it is that of a mode that can be rendered only. A mode with an
    executor of its own returns it from :meth:`svcnet.modes.Mode.executor`.
    """

    def __init__(
        self,
        mode: Owner,
        machine: Machine | None = None,
        settings: ModeSettings | None = None,
    ) -> None:
        from svcnet.executors.this_machine import THIS_MACHINE

        self.mode = mode
        self.machine = THIS_MACHINE if machine is None else machine
        self.settings = mode.settings() if settings is None else settings

    def has_tools(self, family: IPFamily) -> bool:
        """Return whether the machine has iptables for a family, if the mode makes rules of it."""
        return True

    def probe(self, artifact: Artifact) -> tuple[str, ...] | None:
        """Return what the machine lacks for an artifact, by name.

        None in a mode that takes nothing that a machine may lack. Raises ApplyError.
        """
        return None

    def observe(self, family: IPFamily) -> object:
        """Return what there is where the mode writes, for :meth:`leftovers`. Raises ApplyError.

        Nobody but the mode knows what it is.
        """
        return None

    def plan(self, artifact: Artifact) -> Report:
        """Return what :meth:`apply` would do; nothing is changed. Raises as that does."""
        raise self._no_apply()

    def apply(self, artifact: Artifact) -> Report:
        """Bring the machine to an artifact, once.

        Raises UsageError in a mode that serves, ApplyError where the machine refuses;
        :class:`svcnet.errors.Lacking`, with nothing done, where it lacks what the mode needs, and
        :class:`svcnet.errors.Incomplete` after all is done that it does not refuse.
        """
        raise self._no_apply()

    def adapter(self, family: IPFamily) -> Adapter:
        """Return what the loop puts graphs of a family on the machine with.

        In a mode that serves :meth:`svcnet.modes.DataPlane.begin` does.
        """
        raise UsageError(f"mode {self.mode.name} can be rendered only, and not kept")

    def proxy(self, families: Collection[IPFamily], stack: ExitStack) -> DataPlane:
        """Return what serves in this process, of a mode that does; `stack` is closed at the end."""
        raise UsageError(f"mode {self.mode.name} can be rendered only, and not served")

    def cleanup(self, family: IPFamily) -> Iterator[Part]:
        """Yield what removes all that the mode has put on the machine, part by part.

        Parts do not wait for others to succeed; each returns lines, and raises ApplyError. A mode
        with an option ``variant`` removes what is in that variant of iptables, by default in both.
        """
        return iter(())

    def remains(self, family: IPFamily) -> Iterator[Part]:
        """Yield what says what :meth:`cleanup` would remove, part by part; nothing is changed.

        Each part returns a line for each kind of thing that is there, and raises ApplyError.
        """
        return iter(())

    def leftovers(
        self, family: IPFamily, others: Sequence[Executor[Any]], found: object = None
    ) -> Iterator[str]:
        """Remove what `others` left of a family, once this mode serves; yield a line for each kind.

        Each of `others` says what is its own. A chain of iptables whose name this mode knows as
        well stays, but in the variant that it does not use. `found` is what :meth:`observe`
        returned before the mode wrote (:attr:`svcnet.modes.SyncResult.found`), which saves a
        listing; None if there is none. Raises ApplyError.
        """
        from svcnet.executors.iptables.leftovers import remove_others

        known = (each.ownership(family) for each in others if each.is_there(family))
        owned = [each for each in known if each is not None]
        observed = self.observe(family) if found is None else found
        yield from remove_others(
            family, self.ownership(family), owned, observed, machine=self.machine
        )
        for each in others:
            yield from each.sweep(family)

    def ownership(self, family: IPFamily) -> Ownership | None:
        """Return how the mode's chains of iptables, and jumps to them, are known, if it has any.

        What :meth:`observe` returns in a mode with chains is a
        :class:`svcnet.executors.iptables.Choice`.
        """
        return None

    def is_there(self, family: IPFamily) -> bool:
        """Return whether the mode may have left something on the machine."""
        return True

    def sweep(self, family: IPFamily) -> Iterable[str]:
        """Remove what the mode left beside chains of iptables; return lines. Raises ApplyError."""
        return ()

    def _no_apply(self) -> UsageError:
        name = self.mode.name
        if self.mode.serves:
            return UsageError(
                f"mode {name} is a proxy that has to go on running: svcnet run --mode {name}"
            )
        return UsageError(f"mode {name} can be rendered only, and not applied")
