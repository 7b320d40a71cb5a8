"""``svcnet render`` in mode nftables, as a user runs it, and what the other verbs say of it."""

from __future__ import annotations

import json

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


@pytest.mark.parametrize("name", ["then-affinity-off", "then-lb-ip-changed"])
def test_the_flat_layout_has_every_form(name: str) -> None:
    """--layout flat: what the forms say is one table, and a step leads from one to the next."""
    old = ("--since", CASES / name / "objects.yaml")
    flat = ("--layout", "flat")
    text = render(name, *flat).stdout
    assert "goto cluster-tcp-" in text
    assert Model.of(render(name, *flat, "--output", "transaction").stdout) == Model.of(text)
    maps = json.loads(render(name, *flat, "--output", "json").stdout)["maps"]
    assert {"ip daddr", "tcp dport", "numgen random mod 65536"} in [
        set(each.get("typeof", ())) for each in maps
    ]
    step = render(name, *flat, *old, objects="objects.second.yaml").stdout
    new = render(name, *flat, objects="objects.second.yaml").stdout
    assert Model.of(text, step) == Model.of(new)


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
            "or see -o text or transaction",
        ),
    ],
)
def test_what_it_has_no_use_for(args: tuple[str, ...], message: str) -> None:
    """Options and forms of other modes are refused in one line, with nothing printed."""
    old = str(CASES / "kitchen-sink" / "objects.yaml")
    result = render("kitchen-sink", *[old if arg == "OLD" else arg for arg in args])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    "name", ["", "a b", "1a", "-a", "ip", "table", "a" * 256, "a;flush ruleset", "é", "a\nb", "@a"]
)
def test_a_table_has_a_name_that_nft_reads(name: str) -> None:
    """Anything else is refused in one line, with nothing printed."""
    result = render("kitchen-sink", "--table", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is no name for nft" in result.stderr


def test_a_table_of_another_name_has_the_same_in_it() -> None:
    """The name is all that differs, in each form."""
    for form in ("text", "transaction", "json"):
        usual, other = (
            render("kitchen-sink", "--output", form, *table).stdout
            for table in ((), ("--table", "svcnet.a-b/c_1"))
        )
        name = ' "name": "{}"' if form == "json" else " {}"
        told = usual.replace(name.format("kube-proxy"), name.format("svcnet.a-b/c_1"))
        assert other == told.replace('"rules for svcnet.a-b/c_1"', '"rules for kube-proxy"')
