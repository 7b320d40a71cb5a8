"""Files, folders and streams: what is read, what is passed over, and hostile input."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.errors import InputError
from svcnet.sources import load, load_bytes, load_config
from svcnet.sources.parse import FAST_BYTES, MAX_BYTES, ParseError, parse
from tests.sources.test_validation import SERVICE, SLICE

CASES = Path(__file__).parents[1] / "conformance" / "cases"
INPUTS = sorted(CASES.glob("*/*.yaml"))
BOTH = f"{SERVICE}---\n{SLICE}"


def errors(data: bytes, file: str = "in.yaml") -> list[tuple[int, str]]:
    with pytest.raises(InputError) as caught:
        load_bytes(data, file)
    return [(found.line, found.message) for found in caught.value.diagnostics]


def documents_as_list(kind: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": kind, "items": list(yaml.safe_load_all(BOTH))}


@pytest.mark.parametrize("kind", ["List", "ServiceList", "NodeList"])
@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("items: []", False),
        ("items: null", False),
        ("items: {a: b}", True),
        ("items: text", True),
        ("itmes: []", True),
        ("metadata: {}", True),
    ],
)
def test_a_list_whose_items_are_none(kind: str, text: str, refused: bool) -> None:
    """What is no list of objects is an error, wherever else there are objects; null is empty."""
    data = f"{SERVICE}---\nkind: {kind}\napiVersion: v1\n{text}\n".encode()
    if refused:
        [(_, message)] = errors(data)
        assert message.startswith("must be the list of the objects, not ")
    else:
        assert len(load_bytes(data).objects) == 1


def test_files_folders_and_standard_input(tmp_path: Path) -> None:
    """Folders are read with all below them, by name; ``-`` is standard input."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "service.yml").write_text(SERVICE)
    (tmp_path / "a.json").write_text(json.dumps(yaml.safe_load(SLICE)))
    (tmp_path / "notes.txt").write_text("no manifest")
    node = b"{apiVersion: v1, kind: Node, metadata: {name: a}}"
    loaded = load([tmp_path, "-"], stdin=io.BytesIO(node))
    assert [type(item).__name__ for item in loaded.objects] == ["EndpointSlice", "Service", "Node"]


@pytest.mark.parametrize("path", ["missing.yaml", "empty", "secret.yaml", "fifo"])
def test_paths_that_cannot_be_read(tmp_path: Path, path: str) -> None:
    """A path that is missing, a folder without manifests, a file that is a device."""
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    if path == "secret.yaml":
        (tmp_path / path).symlink_to(tmp_path / path)
    with pytest.raises(InputError) as caught:
        load([tmp_path / path, tmp_path / "missing2.yaml"])
    assert [d.file for d in caught.value.diagnostics] == [
        str(tmp_path / name) for name in sorted((path, "missing2.yaml"))
    ]


@pytest.mark.parametrize("where", [".", "below", "below/further"])
def test_a_folder_that_cannot_be_looked_into(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds is not known, so nothing is taken for the whole: that would remove the rest."""
    (tmp_path / "below/further").mkdir(parents=True)
    (tmp_path / "service.yaml").write_text(SERVICE)
    secret, scandir = str(tmp_path / where), os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path) == secret:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError) as caught:
        load([tmp_path])
    (found,) = caught.value.diagnostics
    assert (found.file, found.message) == (secret, "cannot be read: Permission denied")


@pytest.mark.parametrize("kind", ["List", "ServiceList"])
@pytest.mark.parametrize("indent", [None, 1])
def test_lists_as_kubectl_prints_them(kind: str, indent: int | None) -> None:
    """Lists are taken apart, in JSON and YAML."""
    document = documents_as_list("List")
    if kind == "ServiceList":
        items = [yaml.safe_load(SERVICE)]
        for item in items:
            del item["kind"], item["apiVersion"]
        document = {"apiVersion": "v1", "kind": kind, "items": items}
    for text in (json.dumps(document, indent=indent), yaml.safe_dump(document)):
        names = [item.name for item in load_bytes(text.encode()).objects]
        assert names == (["web", "web-1"] if kind == "List" else ["web"])


def test_streams_and_empty_documents() -> None:
    """Several documents follow each other in YAML and in JSON; empty ones mean nothing."""
    assert len(load_bytes(f"---\n---\n{BOTH}---\n# end\n".encode()).objects) == 2
    texts = [json.dumps(document) for document in yaml.safe_load_all(BOTH)]
    assert len(load_bytes("\n".join(texts).encode()).objects) == 2
    assert load_bytes(b"").objects == ()
    assert load_bytes(b"\xef\xbb\xbf" + SERVICE.encode()).objects[0].name == "web"


def test_other_kinds_are_counted() -> None:
    """Kinds that mean nothing here, also of a known name in another group, are counted."""
    text = (
        "{apiVersion: apps/v1, kind: Deployment}\n---\n{apiVersion: apps/v1, kind: Deployment}\n"
        "---\n{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: x}}\n"
    )
    assert load_bytes(text.encode()).skipped == {"Deployment": 2, "Service": 1}


def test_an_older_version_of_a_known_kind_is_an_error() -> None:
    """Rules without the endpoints of an old dump would be wrong without a word."""
    text = SLICE.replace("discovery.k8s.io/v1", "discovery.k8s.io/v1beta1")
    assert errors(text.encode()) == [(1, "must be discovery.k8s.io/v1")]


NO_MANIFESTS = (
    (b"just text", 1, "must be a mapping"),
    (b"- a\n- b\n", 1, "must be a mapping"),
    (b"a: 1\n", 1, "has no kind"),
    (SERVICE.encode() + b"  - {na", 12, "is no YAML"),
    (b'{"apiVersion": "v1", "kind": "Ser', 1, "is no"),
    (b"[" * 100_000, 0, "nested too deeply"),
    (b"{" * 100_000, 1, "nested too deeply"),
    (b'{"a":' * 100_000, 0, "nested too deeply"),
    (b"- " * 100_000, 1, "nested too deeply"),
    (b"\n".join(b" " * n + b"-" for n in range(2000)), 201, "nested too deeply"),
    (b"a: !!python/object:os.system x\n", 1, "has no kind"),
    (b"a: &x [*x]\n", 1, "contains itself"),
    (b"a: *nowhere\n", 1, "is no YAML"),
    (b"-  " * 100_000, 1, "nested too deeply"),
    (b"a: !!int ''\n", 1, "is no YAML"),
    (b"a: !!bool x\n", 1, "is no YAML"),
    (b"a: !!timestamp x\n", 1, "is no YAML"),
    (b"a:\n\t- b\n", 2, "is no YAML"),
    (b"a: \x00\n", 1, "is no YAML"),
)


@pytest.mark.parametrize(("data", "line", "message"), NO_MANIFESTS)
def test_no_manifest(data: bytes, line: int, message: str) -> None:
    """What is no manifest is one error with its line, whatever was done to it."""
    found = errors(data)
    assert message in found[0][1]
    if line:
        assert found[0][0] == line


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": 1', b"NaN", b""])
def test_bad_json(data: bytes) -> None:
    """A ``.json`` file that is no JSON is an error; what is in it counts, not what it is called."""
    if data:
        assert len(errors(data, "in.json")) == 1
    else:
        assert load_bytes(data, "in.json").objects == ()


def test_billion_laughs() -> None:
    """Aliases that multiply are refused before anything walks them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    found = errors("\n".join(lines).encode())
    assert found == [(4, "its aliases multiply into too many values")]


def test_a_list_that_holds_itself() -> None:
    """A list inside itself has no end, so it is refused."""
    found = errors(b"&l {kind: List, apiVersion: v1, items: [*l]}\n")
    assert found == [(1, "is no YAML: anchor 'l' contains itself")]


def test_an_honest_alias_in_a_large_document() -> None:
    """What is refused is the growth by aliases, not a large document that has one."""
    labels = "\n".join(f"    a{n}: b" for n in range(60_000))
    text = SERVICE.replace("  name: web\n", f"  name: web\n  labels:\n{labels}\n")
    assert len(load_bytes((text + "status: {x: &x [1, 2], y: *x}\n").encode()).objects) == 1


def test_anchors_and_merge_keys_work() -> None:
    """Honest anchors and merge keys mean what they mean to every YAML reader."""
    text = SERVICE.replace(
        "  - name: http\n    port: 80\n",
        "  - &p {name: http, port: 80}\n  - {<<: *p, name: other, port: 81}\n",
    )
    ports = load_bytes(text.encode()).objects[0].ports  # type: ignore[union-attr]
    assert [(port.name, port.port) for port in ports] == [("http", 80), ("other", 81)]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """A file over the limit is refused after reading no more than the limit."""
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError) as caught:
        load([huge])
    assert "larger than 256 MiB" in str(caught.value)


def test_one_long_line() -> None:
    """A single line of 20 MB is a value like any other."""
    text = SERVICE.replace("  clusterIP", f"  externalName: {'x' * 20_000_000}\n  clusterIP")
    assert len(load_bytes(text.encode()).objects) == 1


def test_many_findings_in_a_large_list_are_found_at_once() -> None:
    """Thousands of findings in one file cost one more reading of it, not one each."""
    services = [yaml.safe_load(SERVICE.replace("web", f"web{n}")) for n in range(5000)]
    for number, item in enumerate(services):
        item["spec"]["clusterIP"] = f"10.96.{number // 250}.{number % 250}"
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": services}, indent=1)
    warnings = load_bytes(text.encode()).warnings
    assert len(warnings) == 5000
    assert len({warning.line for warning in warnings}) == 5000


def test_places_in_json() -> None:
    """A field of a JSON list has its own line; an absent one that of its parent."""
    document = documents_as_list("List")
    document["items"][0]["spec"]["ports"][0]["port"] = 0  # type: ignore[index]
    del document["items"][1]["addressType"]  # type: ignore[index]
    text = json.dumps(document, indent=1)
    lines = text.splitlines()
    found = errors(text.encode())
    assert [lines[line - 1].strip() for line, _ in found] == ['"port": 0', "{"]
    assert {line for line, _ in errors(json.dumps(document).encode())} == {1}


def read_or_refuse(data: bytes) -> None:
    """Load bytes; anything but objects or an InputError escapes."""
    with contextlib.suppress(InputError):
        load_bytes(data)


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode())))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Arbitrary bytes end in objects or in an InputError, on both ways."""
    for padding in (b"", b"\n#" + b" " * FAST_BYTES):
        read_or_refuse(data + padding)


@settings(max_examples=300)
@given(st.sampled_from(INPUTS), st.integers(0, 3000), st.binary(min_size=1, max_size=3))
def test_damaged_manifests_are_read_or_refused(path: Path, at: int, damage: bytes) -> None:
    """A manifest with a few bytes changed ends in objects or in an InputError."""
    data = path.read_bytes()
    at %= len(data)
    read_or_refuse(data[:at] + damage + data[at + len(damage) :])


def test_parse_names_the_line() -> None:
    """A parse error knows its line."""
    with pytest.raises(ParseError) as caught:
        parse(b"a: 1\nb: ]\n")
    assert caught.value.line == 2


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
CONFIGS = (
    ("mode: ebpf", 3, "mode"),
    ("clusterCIDR: 10.0.0.0", 3, "clusterCIDR"),
    ("nodePortAddresses: [10.0.0.0/8, primary]", 3, "nodePortAddresses[1]"),
    ("iptables: {masqueradeBit: 32}", 3, "iptables.masqueradeBit"),
    ("iptables: {syncPeriod: 30}", 3, "iptables.syncPeriod"),
    ("iptables: {syncPeriod: fast}", 3, "iptables.syncPeriod"),
    ("detectLocalMode: Magic", 3, "detectLocalMode"),
    ("detectLocalMode: BridgeInterface", 3, "detectLocal.bridgeInterface"),
    (
        "detectLocal: {interfaceNamePrefix: 'a b'}\ndetectLocalMode: InterfaceNamePrefix",
        3,
        "detectLocal.interfaceNamePrefix",
    ),
    (
        "detectLocal: {interfaceNamePrefix: abcdefghijklmno}\ndetectLocalMode: InterfaceNamePrefix",
        3,
        "detectLocal.interfaceNamePrefix",
    ),
    (
        "detectLocal: {bridgeInterface: abcdefghijklmnop}\ndetectLocalMode: BridgeInterface",
        3,
        "detectLocal.bridgeInterface",
    ),
    ("hostnameOverride: 'a b'", 3, "hostnameOverride"),
    ("featureGates: {A: 1}", 3, "featureGates.A"),
    ("iptables: []", 3, "iptables"),
    ("featureGates: {null: 5}\nmode: x", 3, ""),
)


@pytest.mark.parametrize(("text", "line", "field"), CONFIGS)
def test_configuration_errors(tmp_path: Path, text: str, line: int, field: str) -> None:
    """A wrong field of a configuration is an error with its place."""
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, HEAD + text + "\n"))
    found = [(d.line, d.field) for d in caught.value.diagnostics]
    assert (line, field) in found or (line - 2, field) in found


@pytest.mark.parametrize("text", ["", "[]", HEAD + "---\n" + HEAD, "kind: Pod"])
def test_what_is_no_configuration(tmp_path: Path, text: str) -> None:
    """A configuration file holds exactly one configuration."""
    with pytest.raises(InputError):
        load_config(write(tmp_path, text))


def test_configuration(tmp_path: Path) -> None:
    """Fields arrive trimmed, normalised and in seconds."""
    text = HEAD + (
        "hostnameOverride: ' Node-A '\nclusterCIDR: '10.244.9.9/16,fd00::1/48'\n"
        "iptables: {syncPeriod: 1m30s, minSyncPeriod: 0s, localhostNodePorts: false}\n"
        "ipvs: {scheduler: lc, tcpTimeout: 15m, excludeCIDRs: [10.0.0.1/8]}\nunknown: 1\n"
    )
    config = load_config(write(tmp_path, text))
    assert config.hostname_override == "node-a"
    assert config.cluster_cidrs == ("10.244.0.0/16", "fd00::/48")
    assert (config.iptables.sync_period, config.iptables.min_sync_period) == (90.0, 1.0)
    assert not config.iptables.localhost_node_ports
    assert (config.ipvs.scheduler, config.ipvs.tcp_timeout) == ("lc", 900.0)
    assert config.ipvs.exclude_cidrs == ("10.0.0.0/8",)
