"""Commands whose options depend on modes: ``--mode``, and what modes declare as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from svcnet import checks, modes
from svcnet.cli.manner import warn
from svcnet.cli.output import FormOption
from svcnet.cli.paths import FilePath
from svcnet.cli.verb import Verb
from svcnet.modes.options import Kind, Offer, offers

_MODES = "svcnet.modes"
_PARAMETERS = "svcnet.parameters"


class ModeName(click.ParamType[str]):
    """The name of one of the modes that the command at hand knows."""

    name = "choice"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        return self._choice(ctx).get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(self._choice(ctx).convert(value, param, ctx))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return self._choice(ctx).shell_complete(ctx, param, incomplete)

    def _choice(self, ctx: click.Context | None) -> click.Choice[str]:
        return click.Choice(list(_modes_by_name(ctx)))


class ModalCommand(Verb):
    """A command with ``--mode``, and the options that modes declare for it.

    Its function gets those that are given as one mapping, ``given``. Modes of other packages
    are looked for only if what is asked for is not of svcnet's own; :data:`_MODES` of a context's
    ``meta`` has the modes.
    """

    knows_all: ClassVar[bool] = False
    """Whether modes of other packages are looked for in any case."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return all parameters, with those of the modes of a context, and the help last."""
        if _PARAMETERS not in ctx.meta:
            ctx.meta[_PARAMETERS] = _parameters(self.name or "", _modes_by_name(ctx))
        return [*self.params, *ctx.meta[_PARAMETERS], *super().get_params(ctx)[len(self.params) :]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and collect what is given of the modes' options."""
        found = self._catalogue(ctx, args)
        ctx.meta[_MODES] = found.modes
        try:
            rest = super().parse_args(ctx, args)
        finally:
            # An error, or the help, is not told without what is missing there.
            ignored = ctx.params.get("ignore") or ()
            if not {checks.UNUSABLE_MODE.name, checks.UNUSABLE_MODE.number}.intersection(ignored):
                tell_unusable(found)
        given = {}
        for parameter in ctx.meta[_PARAMETERS]:
            name = cast(str, parameter.name)
            if name == "output":
                continue
            value = ctx.params.pop(name)
            if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
                given[name.replace("_", "-")] = value
        ctx.params["given"] = given
        return rest

    def _catalogue(self, ctx: click.Context, args: Sequence[str]) -> modes.Catalogue:
        known = modes.builtin()
        params = [*self.params, *_parameters(self.name or "", known)]
        if self.knows_all or _asks_for_others(params, self.get_help_option_names(ctx), args, known):
            return modes.find_modes()
        return modes.Catalogue(known)


def tell_unusable(found: modes.Catalogue) -> None:
    """Warn of modes of other packages that are left out."""
    for each in found.unusable:
        warn(f"warning: {each}")


def _modes_by_name(ctx: click.Context | None) -> Mapping[str, modes.AnyMode]:
    if ctx is None or _MODES not in ctx.meta:
        return modes.builtin()
    found: Mapping[str, modes.AnyMode] = ctx.meta[_MODES]
    return found


def _asks_for_others(
    params: Iterable[click.Parameter],
    helps: Iterable[str],
    args: Sequence[str],
    known: Mapping[str, modes.AnyMode],
) -> bool:
    """Return whether arguments have anything that svcnet's own modes do not account for."""
    names = {name for each in params for name in (*each.opts, *each.secondary_opts)}
    for argument, following in zip(args, [*args[1:], ""], strict=False):
        name, equals, value = argument.partition("=")
        if argument in helps or (name.startswith("--") and name not in names):
            return True
        if name == "--mode" and (value if equals else following) not in known:
            return True
    return False


def _parameters(verb: str, known: Mapping[str, modes.AnyMode]) -> list[click.Parameter]:
    """Return the options that modes declare for a verb, and of ``render`` its ``-o``."""
    found: list[click.Parameter] = []
    if verb == "render":
        found.append(_output(known))
    found += [
        _option(each, list(known))
        for each in offers(verb, {name: mode.options for name, mode in known.items()})
    ]
    return found


def _output(known: Mapping[str, modes.AnyMode]) -> click.Option:
    having: dict[str, list[str]] = {}
    for name, mode in known.items():
        for form in mode.forms:
            having.setdefault(form, []).append(name)
    forms = ", ".join(
        form if len(names) == len(known) else f"{form} ({' and '.join(names)})"
        for form, names in having.items()
    )
    return FormOption(forms=having, default="text", meaning=f"The form, by mode: {forms}.")


def _option(offer: Offer, known: Sequence[str]) -> click.Option:
    kind = offer.first.kind
    return click.Option(
        [f"--{offer.name}"],
        help=offer.text(known),
        metavar=offer.first.metavar or None,
        **_type_arguments(kind),
    )


def _type_arguments(kind: Kind) -> dict[str, Any]:
    match kind:
        case modes.Flag():
            return {"is_flag": True}
        case modes.Words(words):
            return {"type": click.Choice(words)}
        case modes.Number(least, most, whole=True):
            return {"type": click.IntRange(int(least), int(most))}
        case modes.Number(least, most):
            return {"type": click.FloatRange(least, most)}
        case modes.File():
            return {"type": FilePath()}
        case modes.Text():
            return {"type": str}
