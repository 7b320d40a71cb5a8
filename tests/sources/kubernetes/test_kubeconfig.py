"""Kubeconfigs: what leads to a server, what is refused, and what is told."""

from __future__ import annotations

import base64
import textwrap
from pathlib import Path

import pytest
import trustme

from svcnet.errors import Diagnostic, InputError
from svcnet.sources.kubernetes import APIServer, load_kubeconfig

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: home
contexts:
  - {name: home, context: {cluster: home, user: me}}
  - {name: work, context: {cluster: work, user: token}}
  - {name: nobody, context: {cluster: work}}
  - {name: broken, context: {cluster: broken, user: exec}}
  - {name: dangling, context: {cluster: away, user: away}}
clusters:
  - name: home
    cluster: {server: "https://192.0.2.1:6443/", certificate-authority: pki/ca.crt}
  - name: work
    cluster:
      server: https://work.example
      certificate-authority-data: AUTHORITY
      tls-server-name: kubernetes
      proxy-url: http://proxy:3128
  - {name: broken, cluster: {server: "ftp://x", certificate-authority-data: "%%"}}
users:
  - {name: me, user: {client-certificate: me.crt, client-key: FOLDER/me.key}}
  - {name: token, user: {token: secret}}
  - {name: exec, user: {exec: {command: aws}, client-key: x}}
"""


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, ca: trustme.CA) -> Path:
    """Return a folder with an authority's certificate, and a certificate with its key."""
    own = ca.issue_cert("node@example")
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.crt").write_bytes(ca.cert_pem.bytes())
    (tmp_path / "me.crt").write_bytes(own.cert_chain_pems[0].bytes())
    (tmp_path / "me.key").write_bytes(own.private_key_pem.bytes())
    return tmp_path


@pytest.fixture
def config(folder: Path, ca: trustme.CA) -> Path:
    file = folder / "config"
    authority = base64.b64encode(ca.cert_pem.bytes()).decode()
    file.write_text(KUBECONFIG.replace("AUTHORITY", authority).replace("FOLDER", str(folder)))
    return file


def test_a_kubeconfig(config: Path, ca: trustme.CA) -> None:
    """Contexts lead to a cluster and a user; paths are relative to the file."""
    folder = config.parent
    assert load_kubeconfig([config]) == APIServer(
        "https://192.0.2.1:6443",
        folder / "pki/ca.crt",
        certificate=folder / "me.crt",
        key=folder / "me.key",
    )
    work = APIServer(
        "https://work.example",
        ca.cert_pem.bytes().decode(),
        server_name="kubernetes",
        token="secret",
        proxy="http://proxy:3128",
    )
    assert load_kubeconfig([config], "work") == work
    assert load_kubeconfig([config], "nobody").token == ""
    assert "secret" not in repr(work)


def test_several_kubeconfigs(config: Path, tmp_path: Path) -> None:
    """The first file that has a thing counts, as with KUBECONFIG."""
    first = tmp_path / "first"
    first.write_text(
        "current-context: work\nclusters: [{name: work, cluster: {server: 'https://first'}}]"
    )
    server = load_kubeconfig([first, config])
    assert (server.url, server.token) == ("https://first", "secret")


def test_mistakes_in_a_kubeconfig(config: Path, tmp_path: Path) -> None:
    """Each mistake is told with its line and field; nothing is told of what is not used."""
    with pytest.raises(InputError) as raised:
        load_kubeconfig([config], "broken")
    lines = str(raised.value).replace(f"{config}:", "").splitlines()
    assert [line.split(":")[0] for line in lines] == ["19", "19", "23", "23"]
    assert [line.split(": error: kubeconfig: ")[1].split(":")[0] for line in lines] == [
        "clusters[2].cluster.server",
        "clusters[2].cluster['certificate-authority-data']",
        "users[2].user.exec",
        "users[2].user['client-certificate']",
    ]
    with pytest.raises(InputError, match="there is no cluster 'away'") as raised:
        load_kubeconfig([config], "dangling")
    assert "there is no user 'away'" in str(raised.value)
    with pytest.raises(InputError, match="has no context 'nowhere'"):
        load_kubeconfig([config], "nowhere")
    with pytest.raises(InputError, match="No such file"):
        load_kubeconfig([tmp_path / "absent"])
    (tmp_path / "empty").write_text("a: 1")
    with pytest.raises(InputError, match="is required, unless a context is named"):
        load_kubeconfig([tmp_path / "empty"])


def written(folder: Path, cluster: str, user: str = "") -> Path:
    """Write a kubeconfig with one cluster, from line 6 on, and one user after it."""
    path = folder / "kubeconfig"
    cluster = textwrap.indent(cluster, "    ")
    user = textwrap.indent(user or "{}", "    ")
    path.write_text(
        "current-context: a\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}]\n"
        f"clusters:\n- name: a\n  cluster:\n{cluster}\n"
        f"users:\n- name: a\n  user:\n{user}\n"
    )
    return path


def mistakes(folder: Path, cluster: str, user: str = "") -> list[Diagnostic]:
    with pytest.raises(InputError) as raised:
        load_kubeconfig([written(folder, cluster, user)])
    return list(raised.value.diagnostics)


HTTPS = "server: https://192.0.2.1:6443"


@pytest.mark.parametrize(
    ("user", "field"),
    [
        ("as: admin", "as"),
        ("as-groups: [admins]", "as-groups"),
        ("as-uid: '5'", "as-uid"),
        ("as-user-extra: {scopes: [a]}", "as-user-extra"),
        ("password: secret", "password"),
        ("username: me", "username"),
        ("exec: {command: aws}", "exec"),
        ("exec: {}", "exec"),
        ("auth-provider: {name: gcp}", "auth-provider"),
        ("auth-provider: {}", "auth-provider"),
        ("client-key: me.key", "client-certificate"),
        ("client-certificate: me.crt", "client-key"),
        ("client-certificate: me.crt\nclient-key: pki/ca.crt", "client-certificate"),
        ("client-certificate: absent\nclient-key: me.key", "client-certificate"),
        ("client-certificate: me.crt\nclient-key-data: eA==", "client-certificate"),
        ("tokenFile: absent", "tokenFile"),
        ("token: two words", "token"),
        ('token: "line\\nbreak"', "token"),
    ],
)
def test_credentials_that_svcnet_cannot_use_are_refused(
    folder: Path, user: str, field: str
) -> None:
    """They are one error, that does not show what is secret."""
    (found,) = mistakes(folder, HTTPS, user)
    assert found.field.removeprefix("users[0].user").strip(".[]'") == field
    assert found.line >= 7
    assert "secret" not in str(found)
    assert "line" not in found.message


def test_a_certificate_that_is_there_twice(folder: Path) -> None:
    """As data and as a file it is an error, as it is for kubectl."""
    data = base64.b64encode((folder / "me.crt").read_bytes()).decode()
    user = f"client-certificate: me.crt\nclient-certificate-data: {data}\nclient-key: me.key"
    (found,) = mistakes(folder, HTTPS, user)
    assert found.field.endswith("['client-certificate-data']")
    assert "beside client-certificate" in found.message


@pytest.mark.parametrize(
    ("cluster", "field", "message"),
    [
        ("server: ''", "server", "is required"),
        ("server: /", "server", "must be a URL"),
        ("server: 192.0.2.1:6443", "server", "must be a URL"),
        ("server: ftp://192.0.2.1", "server", "must be a URL"),
        ("server: https://", "server", "must be a URL"),
        ("server: https://a:0", "server", "must be a URL"),
        ("server: https://me:secret@192.0.2.1:6443", "server", "no user and password"),
        ("server: me:secret@192.0.2.1:6443", "server", "no user and password"),
        ("server: //me:secret@192.0.2.1", "server", "no user and password"),
        ("server: ftp://me:secret@192.0.2.1", "server", "no user and password"),
        ("server: https://192.0.2.1/?a=b", "server", "no query"),
        (f"{HTTPS}\nproxy-url: socks5://127.0.0.1", "proxy-url", "does not speak SOCKS"),
        (f"{HTTPS}\nproxy-url: proxy:3128", "proxy-url", "must be a URL such as http://"),
        (f"{HTTPS}\nproxy-url: ftp://me:secret@a", "proxy-url", "must be a URL such as http://"),
        (f"{HTTPS}\ncertificate-authority: absent", "certificate-authority", "cannot be read"),
        (f"{HTTPS}\ncertificate-authority: me.key", "certificate-authority", "not in PEM"),
        (f"{HTTPS}\ncertificate-authority-data: eA==", "certificate-authority-data", "in PEM"),
        (f"{HTTPS}\ncertificate-authority-data: '%'", "certificate-authority-data", "base64"),
        (
            f"{HTTPS}\ncertificate-authority: pki/ca.crt\ninsecure-skip-tls-verify: true",
            "insecure-skip-tls-verify",
            "exclude each other",
        ),
        (f"{HTTPS}\ninsecure-skip-tls-verify: 'true'", "insecure-skip-tls-verify", "true or false"),
        (f"{HTTPS}\ndisable-compression: 5", "disable-compression", "true or false"),
        (f"{HTTPS}\ntls-server-name: 5", "tls-server-name", "must be a string"),
    ],
)
def test_a_cluster_that_svcnet_cannot_use_is_refused(
    folder: Path, cluster: str, field: str, message: str
) -> None:
    """It is one error at the field, and passwords are not shown."""
    (found,) = mistakes(folder, cluster, "token: t")
    assert found.field.rpartition("cluster")[2].strip(".[]'") == field
    assert found.line == 6 + cluster.count("\n")
    assert message in found.message
    assert "secret" not in str(found)


def test_two_entries_of_one_name(folder: Path) -> None:
    """Nobody can say which one counts: client-go refuses them, and so does svcnet."""
    path = written(folder, HTTPS)
    path.write_text(path.read_text() + "- name: a\n  user: {token: t}\n")
    with pytest.raises(InputError) as raised:
        load_kubeconfig([path])
    (found,) = raised.value.diagnostics
    assert (found.line, found.field) == (11, "users[1].name")


def told(path: Path) -> tuple[APIServer, list[str]]:
    found: list[Diagnostic] = []
    server = load_kubeconfig([path], tell=found.extend)
    return server, [f"{each.line} {each.check.name} {each.message}" for each in found]


def test_credentials_are_not_sent_in_the_clear(folder: Path) -> None:
    """As with kubectl, a server without TLS is told nothing of us; here that is said."""
    user = "token: t\nclient-certificate: me.crt\nclient-key: me.key"
    cluster = "server: http://192.0.2.1:8080\ncertificate-authority: pki/ca.crt"
    server, lines = told(written(folder, cluster, user))
    assert server == APIServer("http://192.0.2.1:8080")
    (line,) = lines
    assert line.startswith("6 cleartext is http: ")
    assert told(written(folder, "server: http://127.0.0.1:8001")) == (
        APIServer("http://127.0.0.1:8001"),
        [],
    )


def test_a_server_that_is_not_verified_is_told(folder: Path) -> None:
    """It is used as the file says, and its line is shown."""
    cluster = f"{HTTPS}\ninsecure-skip-tls-verify: true\ndisable-compression: true"
    server, lines = told(written(folder, cluster, "token: t"))
    assert not server.verify
    (line,) = lines
    assert line.startswith("7 unverified-server anybody may pose as this server")


def test_a_token_beside_a_token_file_is_told(folder: Path) -> None:
    """The file counts, and what does not is named."""
    (folder / "token").write_text("fresh\n")
    server, lines = told(written(folder, HTTPS, "token: old\ntokenFile: token"))
    assert server.token == folder / "token"
    assert lines == ["10 no-effect has no effect beside tokenFile, which counts"]


def test_paths_are_words_of_the_text(folder: Path, tmp_path: Path) -> None:
    """``..`` leads out of the folder that the text names, also where that is a link."""
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    server, _ = told(written(folder, f"{HTTPS}\ncertificate-authority: link/../pki/./ca.crt"))
    assert server.authority == folder / "pki" / "ca.crt"


@pytest.mark.parametrize(
    ("cluster", "user", "line"),
    [
        ("insecure-skip-tls: true", "token: t", "7 insecure-skip-tls-verify"),
        ("certificate-authority-date: eA==", "token: t", "7 certificate-authority-data"),
        ("extensions: []", "tokenfile: a", "11 tokenFile"),
    ],
)
def test_a_field_that_is_not_known_is_told(
    folder: Path, cluster: str, user: str, line: str
) -> None:
    """In what is used a field that client-go does not know has no effect, and is told."""
    _, lines = told(written(folder, f"{HTTPS}\n{cluster}", user))
    number, meant = line.split()
    (found,) = lines
    assert found.startswith(f"{number} unknown-field ")
    assert found.endswith(f"did you mean {meant}?")
