"""``svcnet render`` in mode nftables, as a user runs it, and what the other verbs say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from tests.conformance import compare
from tests.renderers.nftables_model import Model
from tests.test_conformance import CASES


def svcnet(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def render(name: str, *args: object, objects: str = "objects.yaml") -> Result:
    case = CASES / name
    config = ("--config", case / "config.yaml", "--mode", "nftables")
    return svcnet("render", case / objects, *config, *args)


def expected(name: str, file: str = "nftables.ipv4.txt") -> str:
    return (CASES / name / file).read_text()


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_text(family: str) -> None:
    """The default form is the table, a line an object."""
    result = render("dual-lb-everything", "--family", family)
    assert result.stdout == expected("dual-lb-everything", f"nftables.{family}.txt")


def test_transaction() -> None:
    """--output transaction is what nft is given for a full sync."""
    result = render("kitchen-sink", "--output", "transaction")
    assert result.stdout == expected("kitchen-sink", "tx.nftables.ipv4.first.txt")


def test_json() -> None:
    """--output json is one document."""
    value = json.loads(render("kitchen-sink", "--output", "json").stdout)
    assert value["table"] == {
        "family": "ip",
        "name": "kube-proxy",
        "comment": "rules for kube-proxy",
    }
    assert [each["name"] for each in value["sets"]][-1] == "nodeport-ips"


@pytest.mark.parametrize(
    "name", ["then-affinity-off", "then-service-deleted", "then-lb-ip-changed"]
)
@pytest.mark.parametrize("output", ["text", "transaction"])
def test_since(name: str, output: str) -> None:
    """--since prints a step that leads from the old table to the new one, and no farther."""
    old = ("--since", CASES / name / "objects.yaml")
    step = render(name, *old, "--output", output, objects="objects.second.yaml").stdout
    third = expected(name, "third.nftables.ipv4.txt")
    new = render(name, objects="objects.second.yaml").stdout
    assert compare.nftables(new.split("\n")) == compare.nftables(third.split("\n"))
    assert Model.of(expected(name), step) == Model.of(new)
    assert len(step) < len(new) / 2


def test_since_the_same() -> None:
    """Nothing changed means nothing to load."""
    old = ("--since", CASES / "kitchen-sink" / "objects.yaml")
    assert render("kitchen-sink", *old).stdout == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--output", "messages"), "mode nftables has text, transaction and json"),
        (("--jumps",), "mode nftables makes no rule of iptables"),
        (
            ("--output", "json", "--since", "OLD"),
            "or see --output text or transaction",
        ),
    ],
)
def test_what_it_has_no_use_for(args: tuple[str, ...], message: str) -> None:
    """Options and forms of other modes are refused in one line, with nothing printed."""
    old = str(CASES / "kitchen-sink" / "objects.yaml")
    result = render("kitchen-sink", *[old if arg == "OLD" else arg for arg in args])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("verb", ["apply", "run"])
def test_it_can_be_rendered_only(verb: str) -> None:
    """What would need a machine is refused in one line, and the machine stays as it is."""
    case = Path(CASES / "clusterip-basic")
    objects = (case / "objects.yaml", "--config", case / "config.yaml")
    result = svcnet(verb, *objects, "--mode", "nftables")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "mode nftables can be rendered only" in result.stderr.splitlines()[-1]
