"""``svcnet check``: mistakes in manifests, as findings for people and for programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from svcnet import __version__
from svcnet.cli.assume import assume_options
from svcnet.cli.common import ip_families_option
from svcnet.cli.manner import stage, tell, warn
from svcnet.cli.output import file_option, form_option, write_output
from svcnet.cli.paths import FilePath
from svcnet.cli.scope import named_path_options, namespace_option
from svcnet.cli.verb import Verb
from svcnet.errors import UsageError
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.check import CheckReport
    from svcnet.check.baseline import BaselineMatch
    from svcnet.checks import Check
    from svcnet.discovery.repository import Assumptions
    from svcnet.inputs.check_settings import CheckSettings
    from svcnet.models import IPFamily
    from svcnet.sources import InputScope, LoadedConfig

FORMS = ("text", "json", "github", "sarif", "junit")


@click.command(
    "check",
    cls=Verb,
    examples=[
        ("A folder of manifests", "svcnet check examples/my-service"),
        ("The same as a code host reads it", "svcnet check examples/my-service -o sarif"),
    ],
)
@named_path_options
@namespace_option
@click.option(
    "--select",
    multiple=True,
    metavar="RULE",
    help="Look for warnings of this name or number alone, or of all numbers that begin with it, "
    "such as S8. Repeatable.",
)
@click.option(
    "--ignore", multiple=True, metavar="RULE", help="Do not look for these warnings. Repeatable."
)
@click.option(
    "--fail-on",
    type=click.Choice(["warning", "error"]),
    help="What makes the exit code 1; by default warnings do.",
)
@click.option(
    "--baseline",
    type=FilePath(),
    help="A file of findings that are there already, which are not told.",
)
@click.option(
    "--write-baseline", is_flag=True, help="Write what is found now to the file of --baseline."
)
@click.option("--config", type=FilePath(), help="A KubeProxyConfiguration file, checked too.")
@ip_families_option
@assume_options
@form_option(
    *FORMS,
    meaning="Lines, a list of JSON, workflow commands of GitHub, SARIF 2.1.0, or XML of JUnit.",
    default="text",
)
@file_option
def command(
    paths: tuple[str, ...],
    scope: InputScope,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str | None,
    baseline: Path | None,
    write_baseline: bool,
    config: Path | None,
    ip_families: tuple[IPFamily, ...],
    assume: Assumptions,
    output: str,
    to: Path | None,
) -> int:
    """Look for mistakes in the manifests in PATH.

    PATH is a file, a folder, or - for standard input, which is also the default. Nothing is asked
    of a cluster. What a repository always says of it can stand in svcnet.toml, or in the table
    [tool.svcnet] of pyproject.toml. svcnet rule RULE explains one.

    Exit code 1 says that there are findings, 2 that a file cannot be read.
    """
    from svcnet.check.forms import FORMS
    from svcnet.check.result import CheckResult

    settings = _settings(select, ignore, fail_on, baseline)
    if write_baseline and settings.baseline is None:
        raise UsageError("--write-baseline needs a file: --baseline FILE")
    how = {"scope": scope, "ip_families": ip_families, "assumed": assume}
    report = _report(paths, settings, config, how)
    _tell(report)
    if write_baseline:
        return _write_baseline(report, settings)
    compared = _compare(report, settings)
    result = CheckResult(
        findings=compared.new,
        fail_on=settings.fail_on,
        objects=report.objects,
        known=compared.known,
        version=__version__,
    )
    write_output(FORMS[output](result), to)
    return 1 if result.has_failed else 0


def _settings(
    select: Sequence[str], ignore: Sequence[str], fail_on: str | None, baseline: Path | None
) -> CheckSettings:
    """Return what the repository says, with what options say in its place, or beside it."""
    from svcnet.check.selection import ignore_checks, select_checks
    from svcnet.inputs.check_settings import find_check_settings

    settings = find_check_settings(Path.cwd())
    if select:
        settings = evolve(settings, select=_names("--select", select, select_checks))
    if ignore:
        both = settings.ignore | _names("--ignore", ignore, ignore_checks)
        settings = evolve(settings, ignore=both)
    if fail_on is not None:
        settings = evolve(settings, fail_on="error" if fail_on == "error" else "warning")
    return evolve(settings, baseline=baseline) if baseline is not None else settings


def _names(
    option: str, names: Sequence[str], read: Callable[[Sequence[str]], frozenset[Check]]
) -> frozenset[Check]:
    try:
        return read(names)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _report(
    paths: tuple[str, ...],
    settings: CheckSettings,
    config: Path | None,
    how: Mapping[str, Any],
) -> CheckReport:
    """Return what is found; `how` are the options that say how to read."""
    from svcnet.check import check
    from svcnet.inputs import paths_or_input
    from svcnet.inputs.standard_input import standard_input

    given = paths_or_input(paths)
    with stage("checking"):
        return check(
            given,
            stdin=standard_input(),
            config=_config(config),
            select=settings.select,
            ignore=settings.ignore,
            baseline=settings.baseline,
            **how,
        )


def _config(file: Path | None) -> LoadedConfig | None:
    from svcnet.sources import open_config

    return None if file is None else open_config(file)


def _tell(report: CheckReport) -> None:
    """Say what was not looked at, and why."""
    from svcnet import checks
    from svcnet.inputs import describe_omissions

    omissions = describe_omissions(report.skipped, report.left_out, report.copies)
    if omissions:
        tell(checks.PASSED_OVER.line(omissions))
    if report.doubtful:
        objects = count_noun(report.doubtful, "object is", "objects are")
        message = f"{objects} not compared with others until the errors near them are mended"
        warn(message)


def _write_baseline(report: CheckReport, settings: CheckSettings) -> int:
    from svcnet.check.baseline import text_of

    assert settings.baseline is not None
    write_output(text_of(report.findings, settings.baseline), settings.baseline)
    count = len(report.findings)
    known = count_noun(count, "finding is", "findings are")
    tell(f"{os.fspath(settings.baseline)}: {known} known now")
    return 0


def _compare(report: CheckReport, settings: CheckSettings) -> BaselineMatch:
    """Return the findings that no baseline has, and say which of its entries are for nothing."""
    from svcnet.check.baseline import BaselineMatch, compare

    if settings.baseline is None:
        return BaselineMatch(report.findings, 0, ())
    compared = compare(report.findings, settings.baseline)
    for entry in compared.stale:
        message = f"{os.fspath(settings.baseline)}: is not found any more: {entry}"
        warn(f"{message}; --write-baseline takes it away")
    return compared
