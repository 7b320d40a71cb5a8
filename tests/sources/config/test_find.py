"""Where a file has its configuration: in a ConfigMap, in a list, among other documents."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.errors import InputError
from svcnet.sources import load_config, open_config
from svcnet.sources.config.find import KIND, find_config
from svcnet.sources.findings import Findings
from tests.fuzz import examples
from tests.sources.config.test_answers import ROWS

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
CONFIG = f"{HEAD}mode: ipvs\nipvs:\n  scheduler: lc\n"
WRONG = f"{HEAD}mode: ipvs\nipvs:\n  scheduler: random\n"
KUBECONFIG = "apiVersion: v1\nkind: Config\nclusters: []\n"
KUBELET = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def block(text: str, by: int) -> str:
    return textwrap.indent(text, " " * by)


def config_map(text: str, header: str = "|-") -> str:
    """Return a ConfigMap as kubectl prints kubeadm's; the text begins in line 4."""
    return (
        f"apiVersion: v1\ndata:\n  config.conf: {header}\n{block(text, 4)}"
        f"  kubeconfig.conf: |-\n{block(KUBECONFIG, 4)}"
        "kind: ConfigMap\nmetadata: {name: kube-proxy, namespace: kube-system}\n"
    )


def listed(text: str) -> str:
    """Return a list with a Service and a ConfigMap; the text begins in line 9."""
    service = "- apiVersion: v1\n  kind: Service\n  metadata: {name: web}\n"
    inner = block(config_map(text), 2)
    return f"apiVersion: v1\nkind: List\nitems:\n{service}-{inner[1:]}"


def as_json(text: str) -> str:
    return json.dumps(yaml.safe_load(text), indent=2)


FORMS: Mapping[str, Callable[[str], str]] = {
    "alone": lambda text: text,
    "after a comment": lambda text: f"# kube-proxy\n---\n{text}",
    "of several documents": lambda text: f"{KUBELET}---\n{text}---\n{KUBECONFIG}...\n",
    "config map": config_map,
    "config map, kept": lambda text: config_map(text, "|+"),
    "list": listed,
    "list among documents": lambda text: f"{KUBELET}---\n{listed(text)}",
    "config map as JSON": lambda text: as_json(config_map(text)),
    "list as JSON": lambda text: as_json(listed(text)),
    "config map, quoted": lambda text: config_map("", json.dumps(text)),
    "config map, folded": lambda text: config_map(text.replace("\n", "\n\n"), ">"),
}


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_a_configuration_is_found(tmp_path: Path, form: str) -> None:
    """It is read wherever it stands."""
    config = load_config(written(tmp_path, FORMS[form](CONFIG)))
    assert (config.mode, config.ipvs.scheduler) == ("ipvs", "lc")


@pytest.mark.parametrize("form", FORMS)
def test_an_error_has_the_line_of_the_file(tmp_path: Path, form: str) -> None:
    """A wrong field has its own line, or that of the text where a text has lines of its own."""
    path = written(tmp_path, FORMS[form](WRONG))
    with pytest.raises(InputError) as caught:
        load_config(path)
    (found,) = caught.value.diagnostics
    lines = path.read_text().split("\n")
    inside = "JSON" in form or "quoted" in form or "folded" in form
    assert ("config.conf" if inside else "scheduler: random") in lines[found.line - 1]
    assert found.field == "ipvs.scheduler"
    within = " in ConfigMap kube-system/kube-proxy"
    plain = "alone" in form or "comment" in form or form == "of several documents"
    assert found.object == "KubeProxyConfiguration" + ("" if plain else within)


@pytest.mark.parametrize("form", ["config map", "list", "list among documents"])
def test_text_that_is_no_yaml_has_the_line_of_the_file(tmp_path: Path, form: str) -> None:
    """A syntax error inside a ConfigMap is where an editor would find it."""
    path = written(tmp_path, FORMS[form](f"{HEAD}mode: [\nipvs: }}\n"))
    with pytest.raises(InputError) as caught:
        load_config(path)
    (found,) = caught.value.diagnostics
    assert path.read_text().split("\n")[found.line - 1].strip() in ("mode: [", "ipvs: }")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("---\n# nothing\n", "it is empty"),
        ("[]", "it holds a list"),
        ("5", "it holds 5"),
        ("mode: ipvs\n", "it holds a mapping without a kind"),
        (KUBECONFIG, "it holds Config"),
        (f"{KUBELET}---\n{KUBELET}---\n{KUBECONFIG}", "it holds 2 of KubeletConfiguration, Config"),
        (config_map(KUBELET), "it holds ConfigMap"),
    ],
)
def test_what_holds_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    """Where no configuration is, the message says what there is."""
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_config(path)
    (found,) = caught.value.diagnostics
    assert found.message == f"the file must hold one KubeProxyConfiguration; {message}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{CONFIG}---\n{CONFIG}", 7),
        (f"{config_map(CONFIG)}---\n{CONFIG}", 16),
        (f"{config_map(CONFIG)}---\n{config_map(CONFIG)}", 19),
    ],
)
def test_two_configurations_are_an_error(tmp_path: Path, text: str, line: int) -> None:
    """Nobody can say which one counts: the second is told with its line."""
    with pytest.raises(InputError) as caught:
        load_config(written(tmp_path, text))
    (found,) = caught.value.diagnostics
    assert (found.line, found.check.name) == (line, "one-document")


@settings(max_examples=examples(150), deadline=None)
@given(
    st.sampled_from([f"{HEAD}{row[1]}\n" for row in ROWS]),
    st.sampled_from([form for form in FORMS if form != "alone"]),
)
def test_a_configuration_means_the_same_everywhere(text: str, form: str) -> None:
    """In whatever file it stands it is the same configuration, or refused for the same fields."""
    with TemporaryDirectory() as folder:
        assert outcome(Path(folder), FORMS[form](text)) == outcome(Path(folder), text)


def outcome(folder: Path, text: str) -> object:
    """Return a configuration with what is warned of, or what is wrong with it and in which text."""
    path = written(folder, text)
    try:
        found = open_config(path)
    except InputError as error:
        return sorted((one.field, one.message) for one in error.diagnostics)
    return found.config, sorted((one.field, one.message) for one in found.warnings)


@pytest.mark.parametrize("form", ["alone", "in a ConfigMap"])
def test_a_key_that_is_written_twice_is_a_warning(tmp_path: Path, form: str) -> None:
    """It has the line of the file, also where the configuration is a text of a ConfigMap."""
    twice = f"{HEAD}mode: ipvs\nmode: iptables\n"
    text = twice if form == "alone" else config_map(twice)
    file, findings = tmp_path / "config.yaml", Findings()
    file.write_text(text)
    assert find_config(file, findings) is not None
    (found,) = findings.diagnostics()
    assert (found.check.name, found.field) == ("repeated-key", "mode")
    assert text.splitlines()[found.line - 1].strip() == "mode: iptables"


ONE = json.dumps({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": KIND})


@pytest.mark.parametrize("form", ["alone", "in a ConfigMap"])
@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (ONE, True),
        (f" \n{ONE}\n", True),
        (f"# YAML\n{ONE[:-1]},}}", True),
        (f"{ONE[:-1]},}}", False),
        (f"{ONE} # YAML", False),
        (f'{ONE[:-1]}, "hostnameOverride": a}}', False),
        (f'{ONE[:-1]}, "oomScoreAdj": 0x1}}', False),
        (f"{ONE}\n{{}}", False),
        (f"{ONE}\n---\na: b\n", False),
        (ONE.replace('"', ""), False),
    ],
)
def test_text_that_begins_with_a_brace_is_json(
    tmp_path: Path, text: str, taken: bool, form: str
) -> None:
    """What begins so and is no JSON, kubectl reads as YAML, and kube-proxy refuses."""
    file = tmp_path / "config.yaml"
    file.write_text(text if form == "alone" else config_map(f"{text.rstrip()}\n"))
    try:
        open_config(file)
    except InputError as error:
        told = error.diagnostics
        assert [one.check.name for one in told] == ["syntax"]
        assert all("begins with a brace" in one.message for one in told)
        assert not taken
    else:
        assert taken


@pytest.mark.parametrize("form", ["alone", "in a ConfigMap"])
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"oomScoreAdj": 0.0}, "oomScoreAdj"),
        ({"conntrack": {"maxPerCore": 1e3}}, "conntrack.maxPerCore"),
        (
            {"logging": {"vmodule": [{"filePattern": "a", "verbosity": 1.0}]}},
            "logging.vmodule[0].verbosity",
        ),
        ({"oomScoreAdj": 0, "clientConnection": {"qps": 5.0}}, ""),
    ],
)
def test_integers_of_json_have_no_fraction(
    tmp_path: Path, fields: dict[str, object], wrong: str, form: str
) -> None:
    """In JSON kube-proxy takes no 0.0 for 0, unlike in YAML, where the reader makes it one."""
    head = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": KIND}
    for text in (json.dumps({**head, **fields}), yaml.safe_dump({**head, **fields})):
        file = tmp_path / "config.yaml"
        file.write_text(text if form == "alone" else config_map(f"{text.rstrip()}\n"))
        is_wrong = bool(wrong) and text.startswith("{")
        found = []
        try:
            open_config(file)
        except InputError as error:
            found = [(one.check.name, one.field) for one in error.diagnostics]
        assert found == ([("type", wrong)] if is_wrong else [])


VAIN = f"{HEAD}mode: iptables\nmod: ipvs\nenableProfiling: true\nhostnameOverride: node-b\n"


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ("no-effect", ["unknown-field"]),
        ("S221", ["no-effect"]),
        ("no-effect, unknown-field", []),
        ("no-endpoints", ["no-effect", "unknown-annotation", "unknown-field"]),
        ("nothing", ["no-effect", "unknown-annotation", "unknown-field"]),
    ],
)
def test_a_config_map_ignores_warnings_of_its_configuration(
    tmp_path: Path, names: str, left: list[str]
) -> None:
    """Its annotation is one of the object that the configuration is in; what it cannot is told."""
    file = tmp_path / "config.yaml"
    annotated = f"metadata: {{annotations: {{svcnet.io/ignore: '{names}'}}, name: kube-proxy, "
    file.write_text(config_map(VAIN).replace("metadata: {name: kube-proxy, ", annotated))
    assert sorted(one.check.name for one in open_config(file).warnings) == left


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    """kube-proxy refuses it, even in a comment."""
    file, findings = tmp_path / "config.yaml", Findings()
    file.write_bytes(CONFIG.encode() + b"# \xff\n")
    assert find_config(file, findings) is None
    (found,) = findings.diagnostics()
    assert (found.check.name, found.line) == ("syntax", 6)
