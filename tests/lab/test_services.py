"""The registry and the S3 server with the clients that people use: helm and curl."""

from __future__ import annotations

import re
import secrets
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.charts.rendering import ROOT
from tests.charts.test_charts import CORE
from tests.lab.errors import LabError
from tests.lab.run import run
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_a_chart_pushed_to_the_registry_installs_from_there(site: Site, namespace: str, tmp_path: Path) -> None:
    name = f"small-{secrets.token_hex(4)}"
    chart = tmp_path / name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": name, "version": "0.1.0"}))
    (chart / "values.yaml").write_text("greeting: hello\n")
    (chart / "templates/settings.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
        "data: {greeting: {{ .Values.greeting | quote }}}\n"
    )
    # helm keeps caches in the home directory unless it is told otherwise.
    env = {f"HELM_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    run([site.helm, "package", chart, "--destination", tmp_path], env=env)
    run([site.helm, "push", tmp_path / f"{name}-0.1.0.tgz", f"oci://{site.registry}/charts", "--plain-http"], env=env)

    for cluster in site.clusters:
        install: list[str | Path] = [site.helm, f"--kubeconfig={cluster.kubeconfig}", f"--namespace={namespace}"]
        install += ["upgrade", "--install", "small", f"oci://{site.registry}/charts/{name}"]
        install += ["--version=0.1.0", "--plain-http"]
        for greeting in ("good morning", "good night"):
            run([*install, f"--set=greeting={greeting}"], env=env)
            assert cluster.get("configmap", "settings", namespace=namespace)["data"] == {"greeting": greeting}


def test_make_chart_push_brings_a_chart_with_what_it_depends_on(site: Site, tmp_path: Path) -> None:
    env = {f"HELM_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    env |= {"HELM": str(site.helm), "HELM_PUSH_OPTIONS": "--plain-http"}
    charts = f"oci://{site.registry}/pushed-{secrets.token_hex(4)}"
    for name in ("network-function", "open5gs"):
        run(["make", "--silent", "chart-push", f"CHART={name}", f"OCI={charts}"], cwd=ROOT, env=env)

    values = tmp_path / "core.yaml"
    values.write_text(yaml.safe_dump(CORE))
    version = yaml.safe_load((ROOT / "charts/open5gs/Chart.yaml").read_text())["version"]
    chart = [f"{charts}/open5gs", f"--version={version}", "--plain-http"]
    rendered = run([site.helm, "template", "core", *chart, "--values", values], env=env)
    kinds = [document["kind"] for document in yaml.safe_load_all(rendered) if document]
    assert kinds.count("Deployment") == 11  # the chart's own templates make none: they are of network-function


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["CHART=no-such", "OCI=oci://127.0.0.1:1/charts"], "there is no charts/no-such; there are: "),
        (["CHART=open5gs"], "say where to: make chart-push CHART=open5gs OCI=oci://"),
    ],
)
def test_make_chart_push_says_what_is_missing(site: Site, words: list[str], told: str) -> None:
    with pytest.raises(LabError, match=re.escape(told)):
        run(["make", "--silent", "chart-push", *words], cwd=ROOT, env={"HELM": str(site.helm)})


def curl(site: Site, *words: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    """Call the S3 server with signed requests; the keys go in by standard input, not by argv."""
    access, secret = site.s3_access_key_file.read_text(), key or site.s3_secret_key_file.read_text()
    return subprocess.run(
        [
            *("/usr/bin/curl", "--silent", "--show-error", "--fail", "--config", "-"),
            *("--aws-sigv4", "aws:amz:us-east-1:s3"),
            *words,
        ],
        input=f'user = "{access}:{secret}"\n',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_object_comes_back_as_it_was_put_and_other_keys_are_refused(
    site: Site, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bucket = f"{site.s3_endpoint}/values-{secrets.token_hex(4)}"
    content = tmp_path / "values.yaml"
    content.write_text(f"tac: 7 # {secrets.token_hex(8)}\n")
    request.addfinalizer(lambda: curl(site, "-X", "DELETE", bucket))
    request.addfinalizer(lambda: curl(site, "-X", "DELETE", f"{bucket}/values.yaml"))
    for words in (["-X", "PUT", bucket], ["-T", str(content), f"{bucket}/values.yaml"]):
        done = curl(site, *words)
        assert done.returncode == 0, done.stderr

    assert curl(site, f"{bucket}/values.yaml").stdout == content.read_text()
    refused = curl(site, f"{bucket}/values.yaml", key="0" * 40)
    assert "403" in refused.stderr
    assert "404" in curl(site, f"{bucket}/other.yaml").stderr


def test_credential_files_are_for_their_owner_only(site: Site) -> None:
    for path in (site.s3_access_key_file, site.s3_secret_key_file, site.a.kubeconfig, site.b.kubeconfig):
        assert path.stat().st_mode & 0o077 == 0, path
