"""Fields that have no effect in svcnet: it takes what kube-proxy takes.

Source of the rules for logs: component-base/logs/api/v1 (options.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from svcnet import checks
from svcnet.sources.config.values import nanoseconds, seconds
from svcnet.sources.fields import MAX_INT32, Fields, quote_value
from svcnet.sources.quantities import is_quantity

MAX_FLOAT32 = 3.4028235677973366e38
STRINGS = {
    "": ("showHiddenMetricsForVersion",),
    "clientConnection": ("kubeconfig", "acceptContentTypes", "contentType"),
    "winkernel": ("networkName", "sourceVip", "rootHnsEndpointName"),
}
BOOLEANS = {
    "": ("bindAddressHardFail", "enableProfiling", "windowsRunAsService"),
    "winkernel": ("enableDSR", "forwardHealthCheckVip"),
}
_VERSION = re.compile(r"(?:[0-9]+\.[0-9]+)?")


def check_rest(document: Fields, gates: Mapping[str, bool]) -> None:
    """Report what kube-proxy would refuse in fields that have no effect in svcnet."""
    for key, names in STRINGS.items():
        section = document.mapping(key) if key else document
        for name in names:
            section.string(name)
    for key, names in BOOLEANS.items():
        section = document.mapping(key) if key else document
        for name in names:
            section.boolean(name, False)
    version = document.data.get("showHiddenMetricsForVersion")
    if type(version) is str and not _VERSION.fullmatch(version):
        message = f"must be a version such as 1.35, not {quote_value(version)}"
        document.error(checks.CHOICE, "showHiddenMetricsForVersion", message)
    document.integer("oomScoreAdj", -1000, 1000)
    seconds(document, "configSyncPeriod")
    connection = document.mapping("clientConnection")
    connection.integer("burst", 0, MAX_INT32)
    _check_number(connection, "qps")
    _check_logging(document.mapping("logging"), gates)


def _check_number(section: Fields, key: str) -> None:
    value = section.data.get(key)
    if value is None:
        return
    if type(value) not in (int, float) or not abs(value) < MAX_FLOAT32:
        section.error(checks.TYPE, key, f"must be a number, not {quote_value(value)}")


def _check_logging(section: Fields, gates: Mapping[str, bool]) -> None:
    form = section.choice("format", ("text", "json"), "text")
    section.integer("verbosity", 0, MAX_INT32)
    _check_flush_frequency(section)
    for item in section.mappings("vmodule"):
        _check_module(item)
    if section.items("vmodule") and form != "text":
        section.error(checks.CHOICE, "vmodule", "is for format text only")
    options = section.mapping("options")
    for name in ("text", "json"):
        _check_stream(options.mapping(name), alpha=gates.get("LoggingAlphaOptions", False))


def _check_flush_frequency(section: Fields) -> None:
    """Check a time that is a duration, or nanoseconds as a number; 0 is the default."""
    key = "flushFrequency"
    value = section.data.get(key)
    if type(value) is int:
        section.integer(key, 0, 2**63 - 1)
    elif value is not None and nanoseconds(section, key) < 0:
        section.error(
            checks.RANGE, key, f"must be a duration of 0 or more, not {quote_value(value)}"
        )


def _check_module(item: Fields) -> None:
    pattern = item.string("filePattern")
    if not pattern:
        item.error(checks.REQUIRED, "filePattern", "is required")
    elif "=" in pattern or "," in pattern:
        message = f"must have no '=' and no ',', and is {quote_value(pattern)}"
        item.error(checks.NAME, "filePattern", message)
    item.integer("verbosity", 0, MAX_INT32)


def _check_stream(section: Fields, *, alpha: bool) -> None:
    size = section.data.get("infoBufferSize")
    if size is not None and not (
        type(size) in (int, float) or (type(size) is str and is_quantity(size))
    ):
        message = f"must be a quantity such as 64Ki, not {quote_value(size)}"
        section.error(checks.TYPE, "infoBufferSize", message)
    wanted = {"splitStream": section.boolean("splitStream", False)}
    wanted["infoBufferSize"] = size not in (None, 0, "0")
    for key, asked in wanted.items():
        if asked and not alpha:
            message = "takes the feature gate LoggingAlphaOptions"
            section.error(checks.CHOICE, key, message)
