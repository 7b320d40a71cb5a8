"""The verbs of ``svcnet dns`` that ask no server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

EXAMPLE = str(Path(__file__).parent.parent.parent / "examples/my-service")
FULL = "my-service.default.svc.cluster.local."


def svcnet(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["dns", *arguments], input=stdin)


def test_a_short_name_goes_through_the_search_path() -> None:
    """Each question of the search is told with its answer and the reason, then the records."""
    found = svcnet("lookup", "my-service.default", EXAMPLE)
    assert found.exit_code == 0
    assert found.stdout == (
        "; my-service.default has 1 dot, fewer than ndots 5: the search path comes first\n"
        "; 1. my-service.default.default.svc.cluster.local. A: NXDOMAIN: "
        "namespace default has no Service default\n"
        f"; 2. {FULL} A: NOERROR: the cluster IP (Service default/my-service)\n"
        f"{FULL} 5 IN A 10.96.0.100\n"
    )


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ((FULL,), f"{FULL} 5 IN A 10.96.0.100"),
        (("MY-service", "a"), f"{FULL} 5 IN A 10.96.0.100"),
        (("10.96.0.100",), f"100.0.96.10.in-addr.arpa. 5 IN PTR {FULL}"),
        (("_http._tcp.my-service", "SRV"), f"_http._tcp.{FULL} 5 IN SRV 0 100 80 {FULL}"),
        (("dns-version.cluster.local", "TXT"), 'dns-version.cluster.local. 28800 IN TXT "1.1.0"'),
    ],
)
def test_questions(question: tuple[str, ...], line: str) -> None:
    """A name, with or without a type, and an address are all questions."""
    found = svcnet("lookup", *question, EXAMPLE)
    assert found.exit_code == 0
    assert line in found.stdout.splitlines()


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (("my-service.", "A"), "REFUSED: the name is in none of the zones, so another server"),
        ((FULL, "AAAA"), "NOERROR: the cluster IP; it has no AAAA record (Service default/my"),
        ((f"x.{FULL}",), "NXDOMAIN: no ready endpoint is named x (Service default/my-service)"),
        ((f"_x._tcp.{FULL}",), "NXDOMAIN: it has no port x of protocol tcp (Service"),
        (("a.b.svc.cluster.local.",), "NXDOMAIN: nothing is known of a namespace b"),
        (("1-2-3-4.default.pod.cluster.local.",), "NXDOMAIN: pods disabled: no Pod has a name"),
        (("x.cluster.local.",), "NXDOMAIN: below cluster.local. are svc, pod and dns-version"),
        (("10.96.0.99",), "NXDOMAIN: no cluster IP and no ready endpoint has this address"),
    ],
)
def test_why_there_is_nothing(question: tuple[str, ...], reason: str) -> None:
    """What has no record is told with its reason, and the exit code is 1."""
    found = svcnet("lookup", *question, EXAMPLE)
    assert found.exit_code == 1
    assert reason in found.stdout


def test_dots_and_ndots() -> None:
    """A name with as many dots as ndots is asked as it is first."""
    found = svcnet("lookup", "my-service.default.svc.cluster.local", EXAMPLE, "--ndots", "4")
    assert found.stdout.splitlines()[1].startswith(f"; 1. {FULL} A: NOERROR")
    found = svcnet("lookup", "my-service", EXAMPLE, "--namespace", "other")
    assert [line.split()[2] for line in found.stdout.splitlines()[1:]] == [
        *("my-service.other.svc.cluster.local.", "my-service.svc.cluster.local."),
        *("my-service.cluster.local.", "my-service."),
    ]


def test_a_name_with_enough_dots_gets_the_search_path_too() -> None:
    """What is not there as it is, is looked for in the search path, as glibc does."""
    found = svcnet("lookup", "my-service.default.svc", EXAMPLE, "--ndots", "2")
    assert found.exit_code == 0
    assert found.stdout.splitlines() == [
        "; my-service.default.svc has 2 dots, not fewer than ndots 2: it is asked first as it is",
        (
            "; 1. my-service.default.svc. A: REFUSED: the name is in none of the zones, so another "
            "server is asked, and the search goes on if that has no record"
        ),
        (
            "; 2. my-service.default.svc.default.svc.cluster.local. A: NXDOMAIN: "
            "namespace default has no Service svc"
        ),
        (
            "; 3. my-service.default.svc.svc.cluster.local. A: NXDOMAIN: "
            "nothing is known of a namespace svc"
        ),
        f"; 4. {FULL} A: NOERROR: the cluster IP (Service default/my-service)",
        f"{FULL} 5 IN A 10.96.0.100",
    ]


@pytest.mark.parametrize("namespace", ["", "a.b", "a b", "-"])
def test_a_namespace_that_is_none_is_refused(namespace: str) -> None:
    """The search path begins with a namespace, so it must be the name of one."""
    found = svcnet("lookup", "web", EXAMPLE, "--namespace", namespace)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "--namespace" in found.output


def test_lookup_as_a_document() -> None:
    """Programs get the same as a JSON document."""
    document = json.loads(svcnet("lookup", "my-service", EXAMPLE, "--output", "json").stdout)
    assert document["attempts"][0]["service"] == "default/my-service"
    assert document["answers"] == [{"name": FULL, "ttl": 5, "type": "A", "data": "10.96.0.100"}]


def test_options_are_those_of_coredns() -> None:
    """Zones, TTL, and names of Pods follow the options."""
    options = ("--zone", "k.test", "--ttl", "30", "--pods", "insecure")
    found = svcnet("lookup", "1-2-3-4.default.pod.k.test.", EXAMPLE, *options)
    assert "1-2-3-4.default.pod.k.test. 30 IN A 1.2.3.4\n" in found.stdout
    hidden = svcnet("lookup", "my-service", EXAMPLE, "--namespaces", "other")
    assert "nothing is known of a namespace default" in hidden.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("lookup", "a..b", EXAMPLE),
        ("lookup", "x" * 64, EXAMPLE),
        ("lookup", "x", "/no/such/file"),
        ("zone", EXAMPLE, "--zone", "10.0.0.1/8"),
        ("zone", EXAMPLE, "--zone", "10.0.0.0/8"),
        ("zone", EXAMPLE, "--zone", "-bad-"),
        ("zone", EXAMPLE, "--pods", "insecure"),
        ("serve", "/no/such/folder/file.yaml"),
        ("serve", EXAMPLE, "--listen", "localhost"),
        ("serve", EXAMPLE, "--listen", "127.0.0.1:99999"),
        ("serve", EXAMPLE, "--forward", "127.0.0.1:5353"),
        ("push", EXAMPLE, "--server", "127.0.0.1", "--tsig-file", "/no/such/file"),
        ("push", EXAMPLE, "--server", "127.0.0.1", "--pods", "insecure"),
        ("diff", EXAMPLE, "/no/such/file"),
    ],
)
def test_mistakes(arguments: tuple[str, ...]) -> None:
    """What the user got wrong is one message and exit code 2."""
    found = svcnet(*arguments)
    assert found.exit_code == 2
    assert found.stderr
    assert isinstance(found.exception, SystemExit)


def test_an_output_that_cannot_be_made() -> None:
    """That is no mistake in the request but the machine's refusal, as for every verb."""
    found = svcnet("zone", EXAMPLE, "--to", "/proc/nowhere")
    assert (found.exit_code, found.stdout) == (3, "")
    assert "/proc/nowhere: cannot be made" in found.stderr


def test_diff(tmp_path: Path) -> None:
    """Records that go and come are told by sign, and an equal pair has none."""
    text = (Path(EXAMPLE) / "service.yaml").read_text()
    (tmp_path / "old.yaml").write_text(text)
    (tmp_path / "new.yaml").write_text(text.replace("10.96.0.100", "10.96.0.101"))
    old, new = str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")
    found = svcnet("diff", old, new)
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    assert f"- {FULL} 5 IN A 10.96.0.100" in lines
    assert f"+ {FULL} 5 IN A 10.96.0.101" in lines
    assert lines.index(f"- {FULL} 5 IN A 10.96.0.100") + 1 == lines.index(
        f"+ {FULL} 5 IN A 10.96.0.101"
    )
    same = svcnet("diff", old, "-", stdin=text)
    assert (same.exit_code, same.stdout) == (0, "")
