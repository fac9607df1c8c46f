"""An installation that places on the lab's clusters: localfaas with the functions of stack.yml, the ticker's process,
and accounts of charts/placement-target; never a cluster administrator's kubeconfig."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
import yaml
from minio import Minio

from durable.opening import open_store
from edge import cli as edge
from localfaas.process import Running, running
from placement.helm import NICE
from placement.tables import TABLES
from reload.account import account_of
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster, eventually
from tests.lab.run import run
from tests.lab.site import Site
from trust import signing
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

ROOT = Path(__file__).resolve().parents[2]
CALLER = "operator/lab"
ENDS = ("deployed", "ready", "planned", "rolled-back", "uninstalled", "absent", "listed", "failed", "refused")
FUNCTIONS = ("placement", "config-reload")


@dataclass
class Callbacks:
    """What came to the callback URLs: answers by path, oldest first; `refuse` answers that path's next n with 500."""

    url: str
    came: dict[str, list[tuple[Mapping[str, str], bytes]]] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keep it; the HTTP status to answer."""
        with self.changed:
            self.came.setdefault(path, []).append((headers, body))
            self.changed.notify_all()
            left = self.refuse.get(path, 0)
            self.refuse[path] = max(0, left - 1)
            return 500 if left else 200

    def answers(self, path: str) -> list[dict[str, Any]]:
        """Every answer that came there, also those that were refused."""
        with self.changed:
            return [json.loads(body) for _, body in self.came.get(path, [])]

    def has_ended(self, path: str) -> bool:
        """Whether an operation's last answer has come there."""
        return any(answer["status"] in ENDS for answer in self.answers(path))

    def end(self, path: str, within_s: float) -> dict[str, Any]:
        """Wait for the first answer that is an operation's last.  Raises LabError."""
        deadline = time.monotonic() + within_s
        with self.changed:
            while True:
                for _, body in self.came.get(path, []):
                    answer: dict[str, Any] = json.loads(body)
                    if answer["status"] in ENDS:
                        return answer
                left = deadline - time.monotonic()
                if left <= 0:
                    told = [json.loads(body)["status"] for _, body in self.came.get(path, [])]
                    raise LabError(f"no end of {path} within {within_s:g} s; it told {told}")
                self.changed.wait(left)


@contextlib.contextmanager
def callbacks() -> Iterator[Callbacks]:
    """A server on loopback that takes callbacks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status = kept.take(urlsplit(self.path).path, dict(self.headers), body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    kept = Callbacks(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Placing:
    """namespace: where it may place, on both clusters; neighbour: there, too.  other: a namespace that is not granted.

    image: a small one.
    """

    around: Site
    folder: Path
    name: str
    callbacks: Callbacks
    image: str
    serves: bool = field(init=False, default=False)
    gateway: Running = field(init=False)
    ticker: subprocess.Popen[bytes] = field(init=False)

    @property
    def namespace(self) -> str:
        return self.name

    @property
    def other(self) -> str:
        return f"{self.name}-other"

    @property
    def neighbour(self) -> str:
        return f"{self.name}-neighbour"

    @property
    def account_namespace(self) -> str:
        return f"{self.name}-account"

    @property
    def acts_as(self) -> str:
        """Whose rights the functions' calls have, as charts/placement-target's notes tell it."""
        return f"system:serviceaccount:{self.account_namespace}:{self.name}-{{namespace}}"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def temporary(self) -> Path:
        """Where the functions make their temporary files."""
        return self.folder / "tmp"

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.folder / 'edge.db'}"

    @property
    def bucket(self) -> str:
        return self.name

    @property
    def clusters(self) -> tuple[Cluster, Cluster]:
        return self.around.a, self.around.b

    # Calls

    def chart(self, name: str = "small") -> str:
        return f"oci://{self.around.registry}/{self.name}/{name}"

    def request(self, release: str, **changes: Any) -> dict[str, Any]:
        """A placement of the small chart; None leaves a field out."""
        body = {
            "function_name": release,
            "run_namespace": self.namespace,
            "chart_repository": self.chart(),
            "chart_version": "1.0.0",
            "values": {"image": self.image},
            "id": secrets.token_hex(8),
        } | changes
        return {key: value for key, value in body.items() if value is not None}

    def signed(self, function: str, body: bytes, callback: str = "", caller: str = CALLER) -> dict[str, str]:
        """Headers of a call."""
        key = signing.derive_key(read_secret(SIGNING_KEY, self.secrets), caller)
        headers = signing.headers(key, Signed(caller, str(int(time.time())), Way.UP, function, callback, body))
        headers |= {"Content-Type": "application/json"}
        return headers | ({"X-Callback-Url": callback} if callback else {})

    def post(self, function: str, request: Mapping[str, Any], caller: str = CALLER) -> dict[str, Any]:
        """Call synchronously."""
        body = json.dumps(request).encode()
        answered = self.gateway.invoke(function, body, headers=self.signed(function, body, caller=caller))
        try:
            answer: dict[str, Any] = json.loads(answered.body)
        except ValueError:
            raise LabError(f"{function} answered {answered.status}: {answered.body[:300]!r}") from None
        return answer

    def call(self, release: str, *, within_s: float = 90, **changes: Any) -> dict[str, Any]:
        """Place and wait for the end: the same call again, as docs/placement.md says, while it is progressing."""
        request = self.request(release, **changes)
        deadline = time.monotonic() + within_s
        while True:
            answer = self.post("placement", request)
            if answer["status"] in ENDS:
                return answer
            if time.monotonic() > deadline:
                raise LabError(f"{release} has not come to its end within {within_s:g} s: {answer}")
            time.sleep(0.05)  # a caller who polls

    def send(self, request: Mapping[str, Any], path: str = "") -> str:
        """Call asynchronously; the path of its callback."""
        path = path or f"/{secrets.token_hex(8)}"
        url, body = self.callbacks.url + path, json.dumps(request).encode()
        taken = self.gateway.invoke("placement", body, headers=self.signed("placement", body, url), asynchronous=True)
        if taken.status != 202:
            raise LabError(f"the gateway answered {taken.status}: {taken.body[:300]!r}")
        return path

    def remove(self, release: str, cluster: str = "edge-a") -> dict[str, Any]:
        """Uninstall, whatever happened before; the answer."""
        answer = self.call(release, action="uninstall", cluster=cluster, chart_repository=None, chart_version=None)
        assert answer["status"] in ("uninstalled", "absent"), answer
        return answer

    def bare_helm(self, release: str, *, yields: bool = False, cluster: str = "edge-a") -> float:
        """Seconds of `helm upgrade --install` of the small chart, by the same account, with nobody around.

        yields: with as little of the processors as the placement function's helm takes, instead of a usual share.
        """
        options = ["--reset-values", "--history-max", "10", "--plain-http", "--version", "1.0.0", "--output", "json"]
        words = ["upgrade", "--install", release, self.chart(), *options, "--set", f"image={self.image}"]
        return self._bare(words, cluster, yields=yields)

    def bare_uninstall(self, release: str, *, cluster: str = "edge-a") -> float:
        return self._bare(["uninstall", release], cluster)

    def _bare(self, words: Sequence[str], cluster: str, *, yields: bool = False) -> float:
        config = self.secrets / "edge-kubeconfigs"
        account = account_of(self.acts_as, self.namespace)
        argv: list[str | Path] = [self.around.helm, f"--kubeconfig={config}", f"--kube-context={cluster}"]
        argv += [f"--kube-as-user={account}"]
        if yields:
            share = f'echo {NICE} > /proc/self/autogroup; exec nice -n {NICE} "$@"'
            argv = ["setsid", "--wait", "sh", "-c", share, "sh", *argv]
        begun = time.monotonic()
        run([*argv, "-n", self.namespace, *words], env={"HELM_CACHE_HOME": tempfile.mkdtemp(dir=self.folder)})
        return round(time.monotonic() - begun, 3)

    # Things beside

    def put(self, key: str, text: str | bytes) -> str:
        """Write an object into the lab's S3 server; its URL."""
        octets = text.encode() if isinstance(text, str) else text
        _s3(self.around).put_object(self.bucket, key, io.BytesIO(octets), len(octets))
        return f"s3://{self.bucket}/{key}"

    def secret(self, name: str, text: str) -> None:
        """Replace a secret of the functions, also of running ones."""
        new = self.secrets / f".{name}"
        new.write_text(text)
        new.replace(self.secrets / name)
        if self.serves:
            self.gateway.manage("PUT", "/system/secrets", {"name": name, "value": text})

    def edge(self, *arguments: str) -> int:
        """The operator's command line, on this installation's store."""
        return edge.main([*arguments, "--store", self.store_url])

    def logs(self) -> str:
        return (self.folder / "ticker.log").read_text() + "\n".join(
            line["text"] for line in self.gateway.logs("placement")
        )

    def left_over(self) -> list[str]:
        """Temporary files of runs that are over, leases on either cluster, steps that are due."""
        found = [path.name for path in self.temporary.iterdir() if path.name.startswith("placement-")]
        for cluster in self.clusters:
            leases = cluster.get("leases", namespace=self.namespace)["items"]
            found += [f"{cluster.name}: lease {lease['metadata']['name']}" for lease in leases]
        store = open_store(self.store_url, TABLES)
        try:
            found += [f"due {key.splitlines()[-1]}" for key in store.due(int(time.time() * 1000) + 3_600_000)]
        finally:
            store.close()
        return found

    def run_ticker(self) -> None:
        environment = os.environ | {"EDGE_SECRETS_DIR": str(self.secrets), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "placement.ticker", "--gateway", self.gateway.url, "--store", self.store_url]
        with (self.folder / "ticker.log").open("ab") as log:
            self.ticker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _s3(around: Site) -> Minio:
    parts = urlsplit(around.s3_endpoint)
    return Minio(
        parts.netloc,
        access_key=around.s3_access_key_file.read_text(),
        secret_key=around.s3_secret_key_file.read_text(),
        secure=False,
        region="us-east-1",
        http_client=urllib3.PoolManager(timeout=20, retries=urllib3.Retry(5, backoff_factor=0.2)),
    )


@contextlib.contextmanager
def placing(around: Site, folder: Path, image: str, **environment: str) -> Iterator[Placing]:
    """Set everything up as docs/placement.md says, and take it away again.  environment: of the functions, beside."""
    name = f"scn-{secrets.token_hex(4)}"
    with callbacks() as kept, contextlib.ExitStack() as stack:
        placing = Placing(around, folder, name, kept, image)
        placing.temporary.mkdir()
        stack.callback(_remove, placing)
        contexts = {cluster.name: _account(placing, cluster) for cluster in placing.clusters}
        _write_secrets(placing, contexts)
        for cluster, place in zip(placing.clusters, ("berlin", "munich"), strict=True):
            assert placing.edge("clusters", "add", cluster.name, "--location", place, "--zone", f"{place}-1") == 0
        _s3(around).make_bucket(placing.bucket)
        push(placing, ROOT / "tests/lab/charts/small")
        placing.gateway = stack.enter_context(_gateway(placing, environment))
        placing.serves = True
        placing.run_ticker()
        try:
            yield placing
        finally:
            placing.ticker.terminate()
            placing.ticker.wait(30)
            (folder / "functions.log").write_text(placing.logs())


def push(placing: Placing, chart: Path) -> None:
    """Package a chart and push it to the lab's registry."""
    made = placing.folder / "packages"
    made.mkdir(exist_ok=True)
    run([placing.around.helm, "package", chart, "--destination", made])
    (package,) = made.glob(f"{chart.name}-*.tgz")
    run([placing.around.helm, "push", package, f"oci://{placing.around.registry}/{placing.name}", "--plain-http"])


def _account(placing: Placing, cluster: Cluster) -> dict[str, Any]:
    """Install charts/placement-target; the cluster and user of the account's kubeconfig."""
    for namespace in (placing.namespace, placing.neighbour, placing.other):
        cluster.kubectl("create", "namespace", namespace)
        # Pods are refused until the controller manager has made the namespace's account.
        cluster.wait("-n", namespace, "--for=create", "serviceaccount/default", within_s=60)
    install_target(placing, cluster)
    token: list[str] = []

    def told() -> bool:
        data = cluster.get("secret", f"{placing.name}-token", namespace=placing.account_namespace).get("data") or {}
        token[:] = [data["token"]] if "token" in data else []
        return bool(token)

    eventually(told, f"the account's token on {cluster.name}", within_s=60)
    admin = yaml.safe_load(cluster.kubeconfig.read_text())
    user = {"token": base64.b64decode(token[0]).decode(), "as": placing.acts_as}
    return {"cluster": admin["clusters"][0]["cluster"], "user": user}


def install_target(placing: Placing, cluster: Cluster, *more: str) -> None:
    """Install or upgrade charts/placement-target.  more: further values, as --set takes them."""
    argv: list[str | Path] = [placing.around.helm, f"--kubeconfig={cluster.kubeconfig}", "-n", placing.other]
    argv += ["upgrade", "--install", "placement-target", ROOT / "charts/placement-target"]
    granted = f"existingNamespaces={{{placing.namespace},{placing.neighbour}}}"
    account = f"serviceAccount.name={placing.name},serviceAccount.namespace={placing.account_namespace}"
    run([*argv, "--set", ",".join((granted, account, *more))])


def _write_secrets(placing: Placing, contexts: Mapping[str, Mapping[str, Any]]) -> None:
    assert edge.main(["secrets", "init", str(placing.secrets)]) == 0
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts],
        "clusters": [{"name": name, "cluster": part["cluster"]} for name, part in contexts.items()],
        "users": [{"name": name, "user": part["user"]} for name, part in contexts.items()],
    }
    placing.secret("edge-kubeconfigs", yaml.safe_dump(config))
    grant = {
        "locations": ["berlin", "munich"],
        "namespaces": [placing.namespace, placing.neighbour, placing.other],
        "repositories": [f"oci://{placing.around.registry}/*"],
    }
    placing.secret("placement-policy", yaml.safe_dump({"callers": {CALLER: grant}}))
    credentials = {
        "registries": [{"host": placing.around.registry, "plain_http": True}],
        "s3": {
            "endpoint": placing.around.s3_endpoint,
            "access_key": placing.around.s3_access_key_file.read_text(),
            "secret_key": placing.around.s3_secret_key_file.read_text(),
        },
    }
    placing.secret("placement-credentials", yaml.safe_dump(credentials))
    reload = {"clusters": ["edge-*"], "namespaces": [placing.namespace, placing.other]}
    placing.secret("reload-policy", yaml.safe_dump({"callers": {CALLER: reload}}))


def stack_file(folder: Path, functions: Sequence[str]) -> Path:
    """stack.yml with only these functions, read from a place of its own as from the repository."""
    whole = yaml.safe_load((ROOT / "stack.yml").read_text())
    whole["functions"] = {name: whole["functions"][name] for name in functions}
    folder.mkdir()
    for part in ("template", "functions", *whole["configuration"]["copy"]):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "stack.yml"
    path.write_text(yaml.safe_dump(whole))
    return path


def _gateway(placing: Placing, beside: Mapping[str, str]) -> Running:
    environment = {
        "store_url": placing.store_url,
        "helm_binary": str(placing.around.helm),
        "TMPDIR": str(placing.temporary),
        **beside,
    }
    return running(
        stack_file(placing.folder / "stack", FUNCTIONS), env=environment, workers=1, secrets_dir=placing.secrets
    )


def _remove(placing: Placing) -> None:
    for cluster in placing.clusters:
        with contextlib.suppress(LabError):
            cluster.kubectl("delete", "clusterrole,clusterrolebinding", f"placement-target-{placing.name}")
        for namespace in (placing.namespace, placing.neighbour, placing.other, placing.account_namespace):
            with contextlib.suppress(LabError):
                cluster.kubectl("delete", "namespace", namespace, "--wait=false")
