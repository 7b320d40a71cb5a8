"""``svcnet check`` and ``svcnet rule``: exit codes, what is chosen, ignored, and known already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, trafficDistribution: PreferClose, ports: [{port: 80}]}
"""
WRONG = SERVICE.replace("80}", "80800}").replace("web}", "db}").replace("0.10", "0.12")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the verb runs in, with a manifest of two mistakes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.yaml").write_text(SERVICE)
    return tmp_path


def svcnet(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def rules(*arguments: str) -> list[str]:
    """Return the names of the rules that are told."""
    done = svcnet("check", *arguments, "-o", "json")
    assert done.exit_code == bool(json.loads(done.stdout)) or "--fail-on" in arguments
    return [finding["rule"] for finding in json.loads(done.stdout)]


def test_findings_are_exit_code_one(folder: Path) -> None:
    done = svcnet("check", "web.yaml")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == "0 errors and 2 warnings in 1 object"
    assert svcnet("check", "web.yaml", "--fail-on", "error").exit_code == 0
    (folder / "web.yaml").write_text(WRONG)
    assert svcnet("check", "web.yaml", "--fail-on", "error").exit_code == 1


def test_a_file_that_cannot_be_read_is_exit_code_two(folder: Path) -> None:
    """Nothing is printed on standard output, however many findings there are beside it."""
    (folder / "cut.yaml").write_text("kind: Service\nmetadata: {name")
    for paths in (["cut.yaml"], ["none.yaml"], ["."]):
        for form in ("text", "json", "sarif"):
            done = svcnet("check", *paths, "-o", form)
            assert (done.exit_code, done.stdout) == (2, "")
            assert done.stderr


def test_rules_are_chosen_by_name_number_and_hundred(folder: Path) -> None:
    assert rules("web.yaml") == ["no-endpoints", "old-distribution"]
    assert rules("web.yaml", "--select", "old-distribution") == ["old-distribution"]
    assert rules("web.yaml", "--select", "S7") == ["no-endpoints"]
    assert rules("web.yaml", "--ignore", "S341") == ["no-endpoints"]
    assert rules("web.yaml", "--ignore", "S", "--select", "S8") == []
    for option in ("--select", "--ignore"):
        done = svcnet("check", "web.yaml", option, "no-endpoint")
        assert done.exit_code == 2
        assert "did you mean no-endpoints?" in done.stderr


def test_errors_are_told_always(folder: Path) -> None:
    """What is wrong with an object is not to be chosen away: nothing could be said of the rest."""
    (folder / "db.yaml").write_text(WRONG)
    assert rules(".", "--select", "old-distribution") == ["range", "old-distribution"]
    assert svcnet("check", ".", "--ignore", "range").exit_code == 2


def test_all_objects_are_looked_at_beside_a_wrong_one(folder: Path) -> None:
    """Mistakes of all kinds are told at once; only what may follow from an error is not."""
    (folder / "db.yaml").write_text(WRONG)
    (folder / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {}\n---\n"
        + SERVICE.replace("name: web", "name: web, namespace: shop").replace("0.10", "0.13")
    )
    done = svcnet("check", ".")
    assert "db.yaml:4: error: Service default/db: spec.ports[0].port" in done.stdout
    assert "web.yaml:4: warning: Service default/web: spec.trafficDistribution" in done.stdout
    assert "Service shop/web" not in done.stdout
    assert "3 objects are not compared with others" in done.stderr


def test_an_annotation_ignores_a_rule_and_says_when_it_is_for_nothing(folder: Path) -> None:
    note = "metadata: {name: web, annotations: {svcnet.io/ignore: 'no-endpoints, alias-port'}}"
    text = SERVICE.replace("metadata: {name: web}", note)
    (folder / "web.yaml").write_text(text)
    done = svcnet("check", "web.yaml", "--ignore", "old-distribution")
    assert done.stdout.splitlines()[0] == (
        "web.yaml:3: warning: Service default/web: metadata.annotations['svcnet.io/ignore']: "
        "ignores S332 alias-port, which is not found here [S223 unused-ignore]"
    )
    assert rules("web.yaml", "--select", "S7") == []


def test_a_repository_says_how_it_is_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest file above counts, svcnet.toml before pyproject.toml; options count first."""
    inner = folder / "deploy" / "shop"
    inner.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.svcnet]\nignore = ["S341"]\n[tool.svcnet.x]\n')
    monkeypatch.chdir(inner)
    assert rules("../../web.yaml") == ["no-endpoints"]
    (folder / "svcnet.toml").write_text('select = ["old-distribution"]\nfail-on = "error"\n')
    assert svcnet("check", "../../web.yaml").exit_code == 0
    assert rules("../../web.yaml", "--fail-on", "warning") == ["old-distribution"]
    assert rules("../../web.yaml", "--select", "S7", "--fail-on", "error") == ["no-endpoints"]
    # Of other tools alone: whatever is wrong with it is for them to say.
    (inner / "pyproject.toml").write_text("[project\nname = 'x'\n")
    assert rules("../../web.yaml", "--fail-on", "error") == ["old-distribution"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ignroe = []", "svcnet.toml:1: error: ignroe: is no setting; did you mean ignore?"),
        ("\nignore = 1", "svcnet.toml:2: error: ignore: must be a list of texts, not 1"),
        ("select = ['no-pot']", "select: there is no check 'no-pot'; did you mean no-pod?"),
        ("ignore = ['address']", "ignore: S204 address is an error"),
        ("fail-on = 'never'", "fail-on: must be warning or error, not 'never'"),
        ("baseline = []", "baseline: must be a text"),
        ("ignore", "svcnet.toml:1: error: is no TOML"),
        ("[x]\ny = 1", "x: is no setting"),
    ],
)
def test_settings_that_are_wrong_have_a_line(folder: Path, text: str, told: str) -> None:
    (folder / "svcnet.toml").write_text(text)
    done = svcnet("check", "web.yaml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_baseline_holds_what_is_there_and_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands when lines move, in whatever folder svcnet runs; what is gone is told."""
    use = ("--baseline", "known.json")
    done = svcnet("check", "web.yaml", *use, "--write-baseline")
    assert (done.exit_code, done.stdout) == (0, "")
    assert rules("web.yaml", *use) == []
    ports = "[{name: a, port: 1}, {name: b, port: 2}]"
    (folder / "web.yaml").write_text("# moved\n\n" + SERVICE.replace("[{port: 80}]", ports))
    assert rules("web.yaml", *use) == []
    assert rules(str(folder / "web.yaml"), *use) == []
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert rules("../web.yaml", "--baseline", "../known.json") == []
    monkeypatch.chdir(folder)
    other = SERVICE.replace("name: web", "name: api").replace("0.10", "0.11")
    (folder / "api.yaml").write_text(other)
    assert rules(".", *use) == ["no-endpoints", "old-distribution"]
    (folder / "api.yaml").unlink()
    (folder / "web.yaml").write_text(SERVICE.replace("trafficDistribution: PreferClose, ", ""))
    done = svcnet("check", "web.yaml", *use)
    assert done.exit_code == 0
    assert done.stderr == (
        "known.json: is not found any more: web.yaml: Service default/web: "
        "spec.trafficDistribution: old-distribution; --write-baseline takes it away\n"
    )


def test_a_baseline_counts_what_is_there_twice(folder: Path) -> None:
    """A second mistake of a kind in a list is not the one that is known."""
    slices = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: a, port: 1}]
endpoints: [{addresses: [10.244.1.5]}]
"""
    ports = "[{name: x, port: 1}]"
    (folder / "slice.yaml").write_text(slices)
    (folder / "web.yaml").write_text(SERVICE.replace("[{port: 80}]", ports))
    use = (".", "--baseline", "known.json")
    assert svcnet("check", *use, "--write-baseline").exit_code == 0
    assert rules(*use) == []
    ports = "[{name: x, port: 1}, {name: z, port: 2}]"
    (folder / "web.yaml").write_text(SERVICE.replace("[{port: 80}]", ports))
    assert rules(*use) == ["unserved-port"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "findings": []}', '{"version": 1, "findings": [{}]}']
)
def test_what_is_no_baseline_is_refused(folder: Path, text: str) -> None:
    (folder / "known.json").write_text(text)
    done = svcnet("check", "web.yaml", "--baseline", "known.json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("known.json: error: ")
    assert svcnet("check", "web.yaml", "--baseline", "none.json").exit_code == 2
    assert svcnet("check", "web.yaml", "--write-baseline").exit_code == 2


def test_it_reads_what_other_verbs_read(folder: Path) -> None:
    """-f names a path, -n a namespace; what is no manifest in a folder is passed over and told."""
    (folder / "values.yaml").write_text("replicas: 2\n")
    done = svcnet("check", "-f", ".", "-n", "shop", "--select", "S3")
    assert done.exit_code == 1
    assert "web.yaml:4: warning: Service shop/web: spec.trafficDistribution" in done.stdout
    assert "passed over: 1 file without an object (values.yaml)" in done.stderr


def test_a_configuration_is_checked_too(folder: Path) -> None:
    (folder / "config.yaml").write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n"
    )
    found = rules("web.yaml", "--config", "config.yaml", "--select", "S6")
    assert found == ["old-mode"]


def test_a_rule_is_explained(folder: Path) -> None:
    """By name and by number, with what mends its example; without a name all are listed."""
    for name in ("no-pod", "S801"):
        done = svcnet("rule", name)
        assert done.exit_code == 0
        assert done.stdout.startswith("S801 no-pod (warning)\n")
        assert "    - spec: {clusterIP: 10.96.0.10, selector: {app: wbe}" in done.stdout
    assert "S801 no-pod " in svcnet("rule").stdout
    done = svcnet("rule", "no-pot")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "did you mean no-pod?" in done.stderr
