"""``svcnet golden``: a folder of golden files; and ``render --update``, which writes one."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.cli.golden.catalogue import read_catalogue
from svcnet.errors import InputError
from tests.fuzz import examples

EXAMPLE = Path(__file__).parents[2] / "examples" / "my-service"


def svcnet(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose golden.toml lists two modes of one node, of manifests beside it."""
    shutil.copytree(EXAMPLE, tmp_path / "manifests")
    (tmp_path / "golden").mkdir()
    return written(
        tmp_path / "golden", 'manifests = ["../manifests"]\nmodes = ["ipvs", "nftables"]'
    )


def written(folder: Path, text: str) -> Path:
    (folder / "golden.toml").write_text(text)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def changed(folder: Path) -> None:
    service = folder.parent / "manifests" / "service.yaml"
    service.write_text(service.read_text().replace("port: 443", "port: 8443"))


def test_update_makes_what_check_takes(folder: Path) -> None:
    """What is missing is told, made as render makes it, and then as it is to be."""
    missing = svcnet("golden", "check", folder)
    assert missing.exit_code == 1
    assert f"{folder}/node-a.ipvs.ipv4.txt: missing\n" in missing.stdout
    made = svcnet("golden", "update", folder)
    assert made.exit_code == 0
    assert f"{folder}/node-a.nftables.ipv4.txt: made\n" in made.stdout
    assert names(folder)[1:] == ["node-a.ipvs.ipv4.txt", "node-a.nftables.ipv4.txt"]
    rendered = svcnet("render", EXAMPLE, "--mode", "ipvs", "--node", "node-a").stdout
    assert (folder / "node-a.ipvs.ipv4.txt").read_text() == rendered
    again = svcnet("golden", "check", folder)
    assert (again.exit_code, again.output) == (0, "")
    nothing = svcnet("golden", "update", folder)
    assert (nothing.exit_code, nothing.stdout) == (0, "")


def test_a_change(folder: Path) -> None:
    """A difference is shown in short, with its meaning; update says what it accepts."""
    svcnet("golden", "update", folder)
    changed(folder)
    found = svcnet("golden", "check", folder)
    assert found.exit_code == 1
    assert f"--- {folder}/node-a.ipvs.ipv4.txt\n+++ rendered\n" in found.stdout
    assert found.stdout.count("meaning: changed: ") == 2
    assert found.stderr.startswith("2 golden files are not as rendered")
    accepted = svcnet("golden", "update", folder)
    assert (accepted.exit_code, accepted.stdout.count("meaning: changed: ")) == (0, 2)
    assert svcnet("golden", "check", folder).exit_code == 0


def test_a_large_difference_is_cut(folder: Path) -> None:
    """Of a large difference the beginning is shown, and how much more there is."""
    svcnet("golden", "update", folder)
    (folder / "node-a.ipvs.ipv4.txt").write_text("nothing\n")
    found = svcnet("golden", "check", folder)
    assert len(found.stdout.splitlines()) == 22
    assert " more lines\nmeaning: " in found.stdout


def test_stale_files_are_told_and_kept(folder: Path) -> None:
    """What golden.toml lists no more is a difference, and for people to remove."""
    svcnet("golden", "update", folder)
    (folder / "notes.txt").write_text("")
    written(folder, 'manifests = ["../manifests"]\nmodes = ["ipvs"]')
    stale = f"{folder}/node-a.nftables.ipv4.txt: stale, golden.toml does not list it"
    found = svcnet("golden", "check", folder)
    assert (found.exit_code, found.stdout) == (1, f"{stale}\n")
    told = svcnet("golden", "update", folder)
    assert (told.exit_code, told.stderr.splitlines()[0]) == (0, f"{stale}; remove it")
    assert "node-a.nftables.ipv4.txt" in names(folder)


def test_nodes_times_families(tmp_path: Path) -> None:
    """Without a list of nodes there is a file for each Node, and each of its IP families."""
    nodes = "\n---\n".join(
        f"apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nstatus: {{addresses: "
        f"[{{type: InternalIP, address: 192.0.2.{n}}}, "
        f"{{type: InternalIP, address: 'fd00::{n}'}}]}}"
        for n, name in enumerate(("b.example", "a"), 1)
    )
    (tmp_path / "nodes.yaml").write_text(nodes)
    written(tmp_path, 'manifests = ["nodes.yaml"]')
    made = svcnet("golden", "update", tmp_path)
    assert made.exit_code == 0, made.output
    assert [each for each in names(tmp_path) if each.endswith(".txt")] == [
        "a.iptables.ipv4.txt",
        "a.iptables.ipv6.txt",
        "b.example.iptables.ipv4.txt",
        "b.example.iptables.ipv6.txt",
    ]


def test_options_of_render(folder: Path) -> None:
    """Any other key is an option of render: what is strict there is strict here."""
    written(folder, 'manifests = ["../manifests"]\nmodes = ["ipvs"]\noutput = "json"')
    svcnet("golden", "update", folder)
    assert (folder / "node-a.ipvs.ipv4.txt").read_text().startswith("{")
    (folder.parent / "manifests" / "odd.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: odd}\nspec: {ports: [{prot: 1, port: 1}]}"
    )
    assert svcnet("golden", "check", folder).exit_code == 0
    written(folder, 'manifests = ["../manifests"]\nstrict = true\nignore = ["no-slice"]')
    refused = svcnet("golden", "check", folder)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "prot" in refused.stderr


DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


def test_manifests_as_they_are_kept(tmp_path: Path) -> None:
    """What a cluster would add is made up here too: `nodes` may be their number."""
    (tmp_path / "below").mkdir()
    (tmp_path / "web.yaml").write_text(DEPLOYMENT)
    (tmp_path / "below" / "bad.yaml").write_text("kind: Service\n")
    keys = 'manifests = ["."]\nfamilies = ["ipv4"]\nnodes = 2\nrecursive = false'
    written(tmp_path, f'{keys}\npod-cidr = "10.9.0.0/16"')
    made = svcnet("golden", "update", tmp_path)
    assert made.exit_code == 0, made.output
    goldens = sorted(tmp_path.glob("*.txt"))
    assert len(goldens) == 2
    assert all(each.read_text().count("--to-destination 10.9.") == 2 for each in goldens)
    assert svcnet("golden", "check", tmp_path).exit_code == 0
    written(tmp_path, 'manifests = ["."]\nrecursive = true')
    assert svcnet("golden", "check", tmp_path).exit_code == 2


def test_a_warning_is_told_once(folder: Path) -> None:
    """What is found for each of the files is told for all of them."""
    keys = 'manifests = ["../manifests"]\nmodes = ["userspace", "iptables"]\nnodes = 2'
    (folder.parent / "manifests" / "sctp.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
        "spec: {clusterIP: 10.96.7.7, ports: [{port: 1, protocol: SCTP}]}"
    )
    (folder.parent / "manifests" / "node.yaml").unlink()
    written(folder, f'{keys}\nassume = "always"')
    told = svcnet("golden", "update", folder).stderr.splitlines()
    assert sum("SCTP" in line for line in told) == 1
    assert len(set(told)) == len(told)


MISTAKES = {
    "no list": ('manifests = "x"', 1, "manifests: must be a list of texts"),
    "no path": ("manifests = []", 1, "manifests: is empty"),
    "nothing": ("", 0, "manifests: is missing"),
    "no TOML": ("manifests = [\n", 2, "is no TOML"),
    "a typo": ('manifests = ["m"]\n\nnodse = ["a"]', 3, "nodse: is no key of golden.toml"),
    "no mode": ('manifests = ["m"]\nmodes = ["iptable"]', 2, "modes: there is no mode 'iptable'"),
    "twice": ('manifests = ["m"]\nmodes = ["ipvs", "ipvs"]', 2, "modes: 'ipvs' is listed twice"),
    "no family": ('families = ["ipv5"]\nmanifests = ["m"]', 1, "families: must be of ipv4, ipv6"),
    "an option that is a list": ('manifests = ["m"]\nnode = "a"', 2, "node: is a list here: nodes"),
    "no Node": ('manifests = ["m"]\nnodes = ["b"]', 2, "nodes: there is no Node 'b'"),
    "a path": ('manifests = ["m"]\nnodes = ["../b"]', 2, "nodes: must be an RFC 1123 subdomain"),
    "no flag": ('manifests = ["m"]\nstrict = 1', 2, "strict: must be true or false"),
    "a flag": ('manifests = ["m"]\nhost = true', 2, "host: must be one text or number"),
    "a table": ('manifests = ["m"]\n[render]\nx = 1', 2, "render: is no key of golden.toml"),
    "no form": ('manifests = ["m"]\noutput = "rules"', 2, "output: rules is no form"),
    "no check": ('manifests = ["m"]\nignore = ["x"]', 2, "ignore: there is no check 'x'"),
    "no form of a mode": (
        'manifests = ["m"]\noutput = "haproxy"',
        2,
        "output: -o haproxy is",
    ),
    "of another mode": ('manifests = ["m"]\nsection = "ipset"', 2, "section: is an option of none"),
}


@pytest.mark.parametrize(("text", "line", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_have_their_place(text: str, line: int, message: str, tmp_path: Path) -> None:
    """A mistake in golden.toml is told with file, line and key, and nothing is written."""
    (tmp_path / "m").symlink_to(EXAMPLE)
    written(tmp_path, text)
    for verb in ("check", "update"):
        result = svcnet("golden", verb, tmp_path)
        assert (result.exit_code, result.stdout) == (2, "")
        place = f"{tmp_path}/golden.toml:{line}" if line else f"{tmp_path}/golden.toml"
        assert result.stderr.startswith(f"{place}: error: {message}"), result.stderr
    assert names(tmp_path) == ["golden.toml", "m"]


KEYS = st.sampled_from(
    [
        "manifests",
        "modes",
        "nodes",
        "families",
        "strict",
        "ignore",
        "config",
        "output",
        "x",
        "'a b'",
    ]
)
VALUES = st.one_of(
    st.sampled_from(['["m"]', "[]", "[1]", '"m"', "true", "1", "-1.5e300", '["ipvs"]', "{x=1}"]),
    st.sampled_from(['"\\u0000"', '["\\u0000"]', '["\\n"]', "1979-05-27", "inf", '[["m"]]', '"="']),
    st.text(max_size=5),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder where each example writes its golden.toml."""
    found = tmp_path_factory.mktemp("golden")
    (found / "m").symlink_to(EXAMPLE)
    return found


@given(lines=st.lists(st.tuples(KEYS, VALUES), max_size=4))
@example([("manifests", '["m"]'), ("nodes", '["\\u0000"]')])
@example([("manifests", '["\\u0000"]')])
@example([("manifests", "[" * 30_000)])
@settings(max_examples=examples(60), deadline=None)
def test_any_list_is_read_or_refused(place: Path, lines: list[tuple[str, str]]) -> None:
    """Whatever golden.toml has, it is rendered or refused, with its name."""
    text = "\n".join(f"{key} = {value}" for key, value in lines)
    (place / "golden.toml").write_text(text, "utf-8", "surrogatepass")
    with suppress(InputError):  # and nothing else
        read_catalogue(place)


def test_update_of_one_file(tmp_path: Path) -> None:
    """``render --update`` makes a file, leaves one that is right, and says what it changes."""
    golden = tmp_path / "golden.txt"
    made = svcnet("render", EXAMPLE, "--update", golden)
    assert (made.exit_code, made.stdout) == (0, f"{golden}: made\n")
    before = golden.stat().st_mtime_ns
    kept = svcnet("render", EXAMPLE, "--update", golden)
    assert (kept.exit_code, kept.stdout, golden.stat().st_mtime_ns) == (0, "", before)
    golden.write_text(golden.read_text().replace("--dport 443", "--dport 8443"))
    told = svcnet("render", EXAMPLE, "--update", golden)
    assert told.stdout.startswith(f"{golden}: meaning: changed: 1 frontend came, 1 went")
    assert svcnet("render", EXAMPLE, "--check", golden).exit_code == 0
    both = svcnet("render", EXAMPLE, "--check", golden, "--update", golden)
    assert (both.exit_code, both.stdout) == (2, "")
