"""Values as kube-proxy decodes, completes and checks them."""

from __future__ import annotations

from svcnet import checks
from svcnet.family import family_of
from svcnet.sources.addresses import address_and_port, canonical_address, canonical_cidr
from svcnet.sources.durations import parse_duration
from svcnet.sources.fields import MAX_INT32, MIN_INT32, Fields, quote_value
from svcnet.sources.findings import Path

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  (nothing listens there)


def nanoseconds(section: Fields, key: str, *, nullable: bool = False) -> int:
    """Return a duration, 0 where it is absent; null stands for absent only where it may."""
    value = section.data.get(key)
    if key not in section.data or (value is None and nullable):
        return 0
    try:
        return parse_duration(value if type(value) is str else "")
    except ValueError as error:
        section.error(checks.DURATION, key, f"{error}, not {quote_value(value)}")
        return 0


def seconds(section: Fields, key: str, *, counts: bool = True, nullable: bool = False) -> float:
    """Return a duration in seconds, 0.0 where it is absent.

    One that is negative is an error if the section `counts`, and else as absent.
    """
    found = nanoseconds(section, key, nullable=nullable)
    if found < 0:
        if counts:
            value = quote_value(section.data[key])
            section.error(checks.RANGE, key, f"must be a duration of 0 or more, not {value}")
        return 0.0
    return found / 1e9


def periods(section: Fields, least: float, *, counts: bool) -> tuple[float, float]:
    """Return syncPeriod and minSyncPeriod; of 0, or absent, they are 30 seconds and `least`."""
    sync = seconds(section, "syncPeriod", counts=counts) or 30.0
    pause = seconds(section, "minSyncPeriod", counts=counts) or least
    if counts and pause > sync:
        key = "minSyncPeriod" if section.data.get("minSyncPeriod") else "syncPeriod"
        message = f"minSyncPeriod, {pause:g}s, must not be more than syncPeriod, {sync:g}s"
        section.error(checks.RANGE, key, message)
    return sync, pause


def int32(section: Fields, key: str, default: int, low: int, high: int, *, counts: bool) -> int:
    """Return an integer; it is from `low` to `high` if the section `counts`."""
    bounds = (low, high) if counts else (MIN_INT32, MAX_INT32)
    found = section.integer(key, *bounds, default)
    return found if low <= found <= high else default


def cidr(section: Fields, path: Path, text: str, *, counts: bool = True) -> str:
    """Return a CIDR without host bits, empty where it is none; blanks around it make it none."""
    found = canonical_cidr(text) if text == text.strip() else None
    if found is None and counts:
        message = f"must be a CIDR such as 10.0.0.0/8, not {quote_value(text)}"
        section.error_at(checks.CIDR, path, message)
    return found or ""


def cidrs(section: Fields, key: str, *, counts: bool = True) -> tuple[str, ...]:
    """Return the CIDRs of a list; others are errors if the section `counts`."""
    members = section.strings(key)
    found = (cidr(section, (key, index), text, counts=counts) for index, text in members)
    return tuple(filter(None, found))


def pair_of_cidrs(section: Fields, key: str, *, counts: bool) -> tuple[str, ...]:
    """Return one CIDR, or one of each family with a comma between, as it must be if it `counts`."""
    text = section.string(key)
    if not text:
        return ()
    found = [cidr(section, (key,), part, counts=counts) for part in text.split(",")]
    if counts and all(found) and len({family_of(one) for one in found}) < len(found):
        message = f"must be one CIDR, or one of each IP family, not {quote_value(text)}"
        section.error(checks.IP_FAMILY, key, message)
    return tuple(filter(None, found))


def node_address(section: Fields, key: str) -> str:
    """Return an address in canonical form, empty for a wildcard."""
    text = section.string(key)
    found = canonical_address(text) if text else ""
    if found is None:
        section.error(checks.ADDRESS, key, f"must be an IP address, not {quote_value(text)}")
    return "" if found is None or found in WILDCARDS else found


def bind_address(section: Fields, key: str, port: int) -> tuple[str, int] | None:
    """Return an address and port, None where it is absent; without a port it is `port`."""
    text = section.string(key)
    if not text:
        return None
    try:
        found = address_and_port(text, port)
    except ValueError as error:
        section.error(checks.BIND_ADDRESS, key, f"{error}, not {quote_value(text)}")
        return None
    # An address alone has no brackets, and port 0 would be another port at each start.
    if text.endswith("]") or not found[1]:
        message = f"must be like [::1]:{port}, with a port from 1, not {quote_value(text)}"
        section.error(checks.BIND_ADDRESS, key, message)
    return found
