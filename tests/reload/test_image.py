"""The single file, and an image wrapped in a registry (a small one of ours; the lab has a real one)."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from reload import bundle, image
from reload.registry_login import Login, LoginError
from tests.reload.agent.test_run import Pod

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
USER = "alice:hunter2"
FILES = {"usr/bin/python3.11": b"", "usr/sbin/nginx": b"n"}


def digest(octets: bytes) -> str:
    return "sha256:" + hashlib.sha256(octets).hexdigest()


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


class Registry:
    """Distribution API: blobs and manifests per repository, uploads in one piece, mounts.

    login: "basic" or "bearer": who asks is wanted, by that scheme; "" = nobody cares.  Tokens for pulling are given to
    everybody, for pushing to USER only, and are good for `uses` requests.  told: every Authorization that came.
    """

    def __init__(self, login: str = "", uses: int = 10**6) -> None:
        self.login = login
        self.uses = uses
        self.told: list[str] = []
        self.tokens: dict[str, list[Any]] = {}
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.uploads: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                told = self.headers.get("Authorization", "")
                registry.told.append(told)
                code, headers, answer = registry.admit(self.command, self.path, told) or registry.answer(
                    self.command, self.path, body
                )
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def admit(self, method: str, target: str, told: str) -> tuple[int, dict[str, str], bytes] | None:
        """The answer for who may not do that, and that of the login's own address; None = go on."""
        parts = urlsplit(target)
        if parts.path == "/token":
            query = parse_qs(parts.query)
            assert query["service"] == ["registry.example"]
            if told not in ("", basic(USER)):
                return 401, {}, b""
            _, name, actions = query["scope"][0].split(":")
            actions = actions if told else actions.replace(",push", "")
            token = f"token-{len(self.tokens)}"
            self.tokens[token] = [name, actions.split(","), self.uses]
            return 200, {}, json.dumps({"token": token, "expires_in": 300}).encode()
        if self.login == "basic":
            return None if told == basic(USER) else (401, {"WWW-Authenticate": 'Basic realm="registry"'}, b"")
        if self.login == "bearer":
            name = parts.path.removeprefix("/v2/").rpartition("/blobs/")[0].partition("/blobs/")[0]
            name = name or parts.path.removeprefix("/v2/").rpartition("/manifests/")[0]
            wanted = "pull" if method in ("GET", "HEAD") else "push"
            held = self.tokens.get(told.removeprefix("Bearer "), ["", [], 0])
            if held[0] == name and wanted in held[1] and held[2] > 0:
                held[2] -= 1
                return None
            scope = f"repository:{name}:{'pull' if wanted == 'pull' else 'pull,push'}"
            realm = f"http://{self.host}/token"
            asked = f'Bearer realm="{realm}",service="registry.example",scope="{scope}"'
            return 401, {"WWW-Authenticate": asked}, b'{"errors":[{"code":"UNAUTHORIZED"}]}'
        return None

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        name, _, rest = parts.path.removeprefix("/v2/").partition("/blobs/")
        if rest.startswith("uploads/"):
            if method == "PUT":
                if digest(body) != query["digest"]:
                    return 400, {}, b""
                self.blobs[name, query["digest"]] = body
                self.uploads.append(query["digest"])
                return 201, {}, b""
            source = (query.get("from", ""), query.get("mount", ""))
            if source in self.blobs:
                self.blobs[name, source[1]] = self.blobs[source]
                return 201, {}, b""
            return 202, {"Location": f"/v2/{name}/blobs/uploads/1"}, b""
        if rest:
            found = self.blobs.get((name, rest))
            return (404, {}, b"") if found is None else (200, {}, found)
        name, _, version = parts.path.removeprefix("/v2/").partition("/manifests/")
        if method == "PUT":
            wanted = json.loads(body)
            if any((name, blob["digest"]) not in self.blobs for blob in (wanted["config"], *wanted["layers"])):
                return 400, {}, b"MANIFEST_BLOB_UNKNOWN"
            self.manifests[name, version] = body
            return 201, {}, b""
        found = self.manifests.get((name, version))
        return (404, {}, b"") if found is None else (200, {"Content-Type": MANIFEST}, found)

    def put_image(self, name: str, tag: str, files: dict[str, bytes]) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        layer = out.getvalue()
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Entrypoint": ["/usr/sbin/nginx"], "Cmd": ["-g", "daemon off;"], "User": "101"},
                "rootfs": {"type": "layers", "diff_ids": [digest(b"unpacked")]},
            }
        ).encode()
        for octets in (layer, config):
            self.blobs[name, digest(octets)] = octets
        self.manifests[name, tag] = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": image._CONFIG, "digest": digest(config), "size": len(config)},
                "layers": [{"mediaType": image._LAYER + "+gzip", "digest": digest(layer), "size": len(layer)}],
            }
        ).encode()


@contextmanager
def registry_with(login: str = "", uses: int = 10**6) -> Iterator[Registry]:
    made = Registry(login, uses)
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with registry_with() as made:
        yield made


def wrap(registry: Registry, base: str, to: str = "") -> int:
    arguments = ["--base", f"{registry.host}/{base}", "--plain-http"]
    return image.main([*arguments, *(["--to", f"{registry.host}/{to}"] if to else [])])


@pytest.mark.parametrize("to", ["", "other/nginx:2"])
def test_an_image_gets_one_layer_and_keeps_its_command(registry: Registry, to: str) -> None:
    registry.put_image("lab/nginx", "1.22", {"usr/bin/python3.11": b"", "usr/sbin/nginx": b"n"})
    assert wrap(registry, "lab/nginx:1.22", to) == 0
    name, _, tag = (to or "lab/nginx:1.22-reload").rpartition(":")
    manifest: dict[str, Any] = json.loads(registry.manifests[name, tag])
    base = json.loads(registry.manifests["lab/nginx", "1.22"])
    assert manifest["layers"][:-1] == base["layers"]
    assert base["layers"][0]["digest"] not in registry.uploads
    config = json.loads(registry.blobs[name, manifest["config"]["digest"]])
    assert config["config"]["Entrypoint"] == ["/usr/local/bin/auto-reload", "--", "/usr/sbin/nginx"]
    assert (config["config"]["Cmd"], config["config"]["User"]) == (["-g", "daemon off;"], "101")
    layer = registry.blobs[name, manifest["layers"][-1]["digest"]]
    assert config["rootfs"]["diff_ids"][-1] == digest(layer)
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        (entry,) = archive.getmembers()
    assert (entry.name, entry.mode, entry.uid) == ("usr/local/bin/auto-reload", 0o755, 0)


def test_an_image_without_python_is_refused(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    registry.put_image("lab/static", "1", {"usr/bin/daemon": b""})
    assert wrap(registry, "lab/static:1") == 1
    assert "no python3" in capsys.readouterr().err
    assert ("lab/static", "1-reload") not in registry.manifests


def blobs_of(registry: Registry, name: str, tag: str) -> dict[str, str]:
    """Digests of an image's configuration and of its one layer."""
    manifest = json.loads(registry.manifests[name, tag])
    return {"configuration": manifest["config"]["digest"], "layer": manifest["layers"][0]["digest"]}


@pytest.mark.parametrize("which", ["configuration", "layer"])
def test_a_blob_that_is_not_the_one_of_its_digest_is_refused(
    registry: Registry, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    """OCI distribution 1.1, "Pulling blobs": its digest should match the content."""
    registry.put_image("lab/nginx", "1", FILES)
    wanted = blobs_of(registry, "lab/nginx", "1")[which]
    real = registry.answer

    def altered(method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        code, headers, answer = real(method, target, body)
        if method == "GET" and wanted in target:
            answer = answer.replace(b"nginx", b"evil!") + (b"\n" if which == "configuration" else b"\0")
        return code, headers, answer

    registry.answer = altered  # type: ignore[method-assign]
    assert wrap(registry, "lab/nginx:1", "other/nginx:2") == 1
    assert "gave another blob" in capsys.readouterr().err
    assert ("other/nginx", "2") not in registry.manifests


@pytest.mark.parametrize(("architecture", "is_there"), [("arm64", True), ("amd64", True), ("s390x", False)])
def test_of_an_index_the_image_for_the_architecture_counts(
    registry: Registry, capsys: pytest.CaptureFixture[str], architecture: str, is_there: bool
) -> None:
    """OCI image-spec, "Image Index": platform."""
    entries = []
    for one in ("arm64", "amd64"):
        registry.put_image("lab/nginx", f"of-{one}", {**FILES, f"etc/{one}": b""})
        octets = registry.manifests["lab/nginx", f"of-{one}"]
        registry.manifests["lab/nginx", digest(octets)] = octets
        platform = {"os": "linux", "architecture": one}
        entries.append({"digest": digest(octets), "platform": platform})
    entries.insert(0, {**entries[0], "platform": {"os": "windows", "architecture": "amd64"}})
    index = {"schemaVersion": 2, "mediaType": image._INDEXES[0], "manifests": entries}
    registry.manifests["lab/nginx", "1"] = json.dumps(index).encode()
    arguments = ["--base", f"{registry.host}/lab/nginx:1", "--to", f"{registry.host}/other/nginx:2", "--plain-http"]
    assert image.main([*arguments, "--architecture", architecture]) == (0 if is_there else 1)
    if is_there:
        made = json.loads(registry.manifests["other/nginx", "2"])
        layer = blobs_of(registry, "lab/nginx", f"of-{architecture}")["layer"]
        assert made["layers"][0]["digest"] == layer
    else:
        assert "no image for linux/s390x" in capsys.readouterr().err


def test_nothing_of_the_environment_is_told_to_a_registry(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .netrc would be a login that nobody gave for this; a proxy, somebody who may listen."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login alice password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    registry.put_image("lab/nginx", "1", FILES)
    assert wrap(registry, "lab/nginx:1") == 0
    assert set(registry.told) == {""}


def test_a_base_by_its_digest_needs_a_name_for_the_result(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.put_image("lab/nginx", "1", FILES)
    octets = registry.manifests["lab/nginx", "1"]
    registry.manifests["lab/nginx", digest(octets)] = octets
    base = f"{registry.host}/lab/nginx@{digest(octets)}"
    assert image.main(["--base", base, "--plain-http"]) == 1
    assert "needs TO=" in capsys.readouterr().err
    assert image.main(["--base", base, "--plain-http", "--to", f"{registry.host}/lab/nginx:2"]) == 0


@pytest.mark.parametrize("base", ["lab/nothing:1", "/:x"])
def test_a_missing_image_and_a_name_that_is_none(
    registry: Registry, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrap(registry, base) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_registry_that_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert image.main(["--base", "127.0.0.1:1/a:1", "--plain-http"]) == 1
    assert "did not answer" in capsys.readouterr().err


def secret(folder: Path, text: str = USER) -> list[str]:
    (folder / "password").write_text(text + "\n")
    return ["--credentials", str(folder / "password")]


@pytest.mark.parametrize("uses", [1, 10**6])
@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_a_registry_that_wants_a_login_gets_it_as_it_asks(tmp_path: Path, login: str, uses: int) -> None:
    """Also where a token is good for one request only: it is asked for anew, and the body is sent again whole."""
    with registry_with(login, uses) as own:
        own.put_image("lab/nginx", "1", FILES)
        to = ["--to", f"{own.host}/other/nginx:2"]
        assert image.main(["--base", f"{own.host}/lab/nginx:1", "--plain-http", *to, *secret(tmp_path)]) == 0
        assert ("other/nginx", "2") in own.manifests
        assert own.told[0] == ""  # nothing is told before it is asked for


def test_a_public_image_is_pulled_by_a_token_for_nobody_and_the_password_goes_to_the_target_only(
    tmp_path: Path,
) -> None:
    with registry_with("bearer") as public, registry_with("basic") as own:
        public.put_image("library/nginx", "1", FILES)
        base = ["--base", f"{public.host}/library/nginx:1", "--plain-http"]
        assert image.main([*base, "--to", f"{own.host}/nginx:1", *secret(tmp_path)]) == 0
        assert ("nginx", "1") in own.manifests
        assert basic(USER) in own.told
        assert not any(told.startswith("Basic") for told in public.told)
        assert any(told.startswith("Bearer") for told in public.told)


def test_a_base_that_is_not_public_has_a_password_of_its_own(tmp_path: Path) -> None:
    with registry_with("basic") as closed, registry_with() as own:
        closed.put_image("nginx", "1", FILES)
        arguments = ["--base", f"{closed.host}/nginx:1", "--plain-http", "--to", f"{own.host}/nginx:1"]
        assert image.main([*arguments, *secret(tmp_path)]) == 1
        assert set(closed.told) == {""}
        assert image.main([*arguments, "--base-credentials", str(tmp_path / "password")]) == 0
        assert set(own.told) == {""}


@pytest.mark.parametrize("login", ["basic", "bearer"])
@pytest.mark.parametrize("password", ["", "alice:hunter3"])
def test_a_login_that_is_refused_is_told_in_one_line_without_the_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], login: str, password: str
) -> None:
    with registry_with(login) as own:
        own.put_image("nginx", "1", FILES)
        given = secret(tmp_path, password) if password else []
        assert image.main(["--base", f"{own.host}/nginx:1", "--plain-http", *given]) == 1
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1
        assert "401" in told
        assert "hunter3" not in told
        assert len(own.told) < 20


def test_no_password_goes_where_there_is_no_tls() -> None:
    with registry_with() as other:
        login = Login(requests.Session(), "registry.example", plain_http=False, credentials=USER)
        with pytest.raises(LoginError, match="no TLS"):
            login.take(f'Bearer realm="http://{other.host}/token",service="s",scope="repository:a:pull"')
        assert other.told == []


def test_where_a_registry_sends_on_to_is_told_nothing(tmp_path: Path) -> None:
    """A storage that the registry's blobs are in, and which asks who this is."""
    with registry_with("basic") as own, registry_with("bearer") as storage:
        own.put_image("nginx", "1", FILES)
        real = own.answer

        def sent_on(method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
            if method == "GET" and "/blobs/" in target:
                return 307, {"Location": f"http://localhost:{storage.host.partition(':')[2]}{target}"}, b""
            return real(method, target, body)

        own.answer = sent_on  # type: ignore[method-assign]
        assert image.main(["--base", f"{own.host}/nginx:1", "--plain-http", *secret(tmp_path)]) == 1
        assert set(storage.told) == {""}


def test_a_place_for_uploads_elsewhere_is_told_nothing(tmp_path: Path) -> None:
    """OCI distribution 1.1, "Pushing blobs": the Location of an upload may be absolute."""
    with registry_with("basic") as own, registry_with() as storage:
        own.put_image("lab/nginx", "1", FILES)
        real = own.answer

        def sent_on(method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
            code, headers, answer = real(method, target, body)
            if "Location" in headers:
                headers = {"Location": f"http://{storage.host}{headers['Location']}"}
            return code, headers, answer

        own.answer = sent_on  # type: ignore[method-assign]
        to = ["--to", f"{own.host}/other/nginx:2"]
        image.main(["--base", f"{own.host}/lab/nginx:1", "--plain-http", *to, *secret(tmp_path)])
        assert basic(USER) in own.told
        assert set(storage.told) == {""}


def test_an_upload_that_a_refused_mount_has_begun_is_given_up(registry: Registry) -> None:
    """OCI distribution 1.1, "Mounting a blob from another repository": 202 begins an upload instead."""
    registry.put_image("lab/nginx", "1", FILES)
    real, refused, given_up = registry.answer, list[str](), list[str]()

    def no_mounts(method: str, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "DELETE":
            given_up.append(target)
            return 204, {}, b""
        if "mount=" in target:
            refused.append(target)
            return 202, {"Location": f"/v2/other/nginx/blobs/uploads/mount-{len(refused)}"}, b""
        return real(method, target, body)

    registry.answer = no_mounts  # type: ignore[method-assign]
    assert wrap(registry, "lab/nginx:1", "other/nginx:2") == 0
    assert len(refused) == 1
    assert given_up == ["/v2/other/nginx/blobs/uploads/mount-1"]


@pytest.mark.parametrize(
    ("status", "answer", "token"),
    [
        (200, {"token": "one"}, "one"),
        # distribution's "Token Authentication Specification": for compatibility with OAuth 2.0
        (200, {"access_token": "two"}, "two"),
        (200, {"token": "one", "access_token": "two"}, "one"),
        (200, {}, None),
        (200, {"token": 7}, None),
        (200, ["token"], None),
        (403, {"token": "one"}, None),
    ],
)
def test_a_token_is_what_the_realm_says(status: int, answer: object, token: str | None) -> None:
    with registry_with() as realm:
        asked: list[str] = []

        def answers(_method: str, target: str, _body: bytes) -> tuple[int, dict[str, str], bytes]:
            asked.append(target)
            return status, {}, json.dumps(answer).encode()

        realm.answer = answers  # type: ignore[method-assign]
        login = Login(requests.Session(), "registry.example", plain_http=True, credentials=USER)
        challenge = f'Bearer realm="http://{realm.host}/get",service="s.example",scope="repository:a:pull,push"'
        if token is None:
            with pytest.raises(LoginError, match=f"answered {status} and no token") as refused:
                login.take(challenge)
            assert "hunter2" not in str(refused.value)
        else:
            assert login.take(challenge)
            assert login.authorization == f"Bearer {token}"
        query = parse_qs(urlsplit(asked[0]).query)
        assert query == {"service": ["s.example"], "scope": ["repository:a:pull,push"]}
        assert realm.told == [basic(USER)]


def test_a_realm_that_is_not_there_is_said() -> None:
    login = Login(requests.Session(), "registry.example", plain_http=True)
    with pytest.raises(LoginError, match="did not answer"):
        login.take('Bearer realm="http://127.0.0.1:1/token",service="s",scope="repository:a:pull"')


def test_a_password_that_was_refused_is_not_given_again() -> None:
    login = Login(requests.Session(), "registry.example", plain_http=True, credentials=USER)
    assert [login.take('Basic realm="registry"') for _ in range(2)] == [True, False]
    assert not Login(requests.Session(), "registry.example", plain_http=True).take('Basic realm="registry"')


def test_the_single_file_needs_nothing_installed(tmp_path: Path) -> None:
    """`-I -S`: no site-packages, no PYTHONPATH; the schema's libraries come out of the file."""
    program = tmp_path / "auto-reload"
    bundle.write(program)
    assert bundle.bundle() == program.read_bytes()
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"mnc": {"type": "string"}}}')
    pod = Pod(tmp_path / "pod")
    pod.mounted.swap({"app.conf": "greeting=one\n", "a.yaml": "mnc: 001\n"})
    isolated = (sys.executable, "-I", "-S", str(program))
    try:
        pod.start("--schema", f"a.yaml={schema}", program=isolated, environment={"PYTHONPATH": ""}, check=None)
        pod.until_verdicts(1)
        assert "mnc must be string" in pod.status()["reason"]
        pod.mounted.swap({"app.conf": "greeting=one\n", "a.yaml": 'mnc: "001"\n'})
        pod.until_started(1)
    finally:
        pod.close()
    shown = subprocess.run([str(program), "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "auto-reload" in shown.stdout
