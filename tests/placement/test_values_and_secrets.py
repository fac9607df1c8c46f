"""Values reach the chart as they were given, and what is secret in them leaves by no answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from placement import masking, values
from tests.placement import agents
from tests.placement.conftest import Site
from tests.placement.fake_registry import FILES
from tests.placement.test_apply import release_states

TELCO = [
    "0009",
    "08",
    "09",
    "000018",
    "0o17",
    "1e3",
    "0x1f",
    "1_000",
    "12:30",
    "on",
    "no",
    "~",
    "null",
    ".5",
    "2026-11-22",
]


@pytest.mark.parametrize("text", TELCO)
def test_text_that_looks_like_something_else_stays_text_in_what_helm_is_given(text: str) -> None:
    assert json.loads(values.as_json({"tac": text, "list": [{text: text}]})) == {"tac": text, "list": [{text: text}]}


def test_helm_deploys_every_text_as_it_was_given(site: Site) -> None:
    """What helm 3.22's own reader of YAML makes of it, on the cluster."""
    odd = ["é", "\u2028 \x7f \x85 \ufeff", "😀", 'a "quoted" \\ud83d one', "line\nline\n", "\t x: #y", "{{ x }}"]
    data = "{{ range $k, $v := .Values.given }}{{ $k }}: {{ $v | b64enc | quote }}, {{ end }}"
    files = {"templates/c.yaml": f"kind: ConfigMap\napiVersion: v1\nmetadata: {{name: c}}\ndata: {{ {data} }}"}
    site.registry.push("texts", "1.0.0", files=files, values={})
    given = {f"n{number}": text for number, text in enumerate([*TELCO, *odd])}
    answer = site.call(cluster="a", chart_repository=site.registry.oci("texts"), values={"given": given})
    assert answer.code is None, answer.body
    [config] = site.clusters[0].things("configmaps")
    assert {name: base64.b64decode(text).decode() for name, text in config["data"].items()} == given


SECRETS: dict[str, Any] = {
    "password": "hunter2",
    "harmless": "hunte2",
    "quoted": "hunt'er2",
    "escaped": 'h"unt\\er2\n',
    "pin": 1234567,
    "token": 123456,
}


@pytest.mark.parametrize("how", [{"cluster": "a"}, {}, {"cluster": "a", "dry_run": True}], ids=str)
def test_no_error_of_helm_shows_a_value(site: Site, how: dict[str, Any]) -> None:
    """The step that chooses, the one that only shows, and the one that installs each run helm."""
    schemas = {key: {"pattern": "^x$", "maximum": 3} for key in SECRETS}
    for keys in (["password", "harmless", "quoted"], ["escaped", "pin", "token"]):
        version = f"1.0.{len(keys[0])}"
        site.registry.push("strict", version, files={"values.schema.json": json.dumps({"properties": schemas})})
        given = {key: SECRETS[key] for key in keys}
        answer = site.call(chart_repository=site.registry.oci("strict"), chart_version=version, values=given, **how)
        assert answer.code == "render_failed"
        message = answer.body["error"]["message"]
        assert [key for key in keys if f"at '/{key}'" not in message] == []
        assert message.count("***") == len(keys)
        assert "unt" not in message
        assert "234" not in message


def test_a_status_does_not_show_what_the_error_of_the_apply_struck(site: Site) -> None:
    """The API server quotes the value that it refuses (k8s.io/apimachinery, field.Invalid); helm keeps the words."""
    site.clusters[0].refuse_bodies = '"many"'
    site.clusters[0].invalid = 'Deployment.apps "upf" is invalid: metadata.labels: Invalid value: "hunter2-hunter2"'
    applied = site.call(cluster="a", values={"replicas": "many", "label": "hunter2-hunter2"})
    asked = site.call(action="status")
    for answer in (applied, asked):
        assert (answer.status, answer.code) == ("failed", "apply_failed")
        assert "metadata.labels: Invalid value: " in answer.body["error"]["message"]
        assert "hunter2" not in json.dumps(answer.body)


def test_an_error_says_which_of_several_short_values_is_wrong_without_it(site: Site) -> None:
    schema = {"properties": {"tac": {"type": "string", "pattern": "^[0-9]+$"}}}
    site.registry.push("strict", "1.0.0", files={"values.schema.json": json.dumps(schema)})
    answer = site.call(cluster="a", chart_repository=site.registry.oci("strict"), values={"tac": "x9"})
    assert "at '/tac': *** does not match pattern '^[0-9]+$'" in answer.body["error"]["message"]


def test_values_of_the_file_and_of_the_call_count() -> None:
    given = values.Values(None, "", ({"password": "file-pw"}, {"token": "call-token"}))
    assert masking.secret_words(given.parsed) == {"file-pw", "call-token"}
    assert {"file-pw", "call-token"} <= masking.all_words(given.parsed)


APP_CONF = """kind: ConfigMap
apiVersion: v1
metadata: {name: c}
data:
  app.conf: |
    tac={{ .Values.tac }}
    pass={{ .Values.password }};
    in the middle of it "{{ .Values.password }}" and {{ .Values.password | b64enc }}
"""


@pytest.mark.parametrize("other", ["correct horse 'battery'", "zq-9"])
def test_a_diff_shows_neither_the_old_password_nor_the_new_one(site: Site, other: str) -> None:
    site.registry.push("conf", "1.0.0", files={"templates/c.yaml": APP_CONF}, values={"tac": "7"})
    chart = site.registry.oci("conf")
    assert site.call(cluster="a", chart_repository=chart, values={"password": "hunter2"}).status == "ready"
    ways: tuple[dict[str, Any], ...] = ({"action": "diff"}, {"dry_run": True})
    for changes in ways:
        answer = site.call(chart_repository=chart, values={"password": other, "tac": "8"}, **changes)
        told = "\n".join(answer.body["diff"])
        assert "tac=7" in told
        assert "tac=8" in told
        assert "***" in told
        for secret in ("hunter2", "correct", "battery", "zq-9", base64.b64encode(b"hunter2").decode()):
            assert secret not in told
    rotated = site.call(action="diff", chart_repository=chart, values={"password": other})
    assert rotated.body["diff"] == ["--- a/ConfigMap/c", "+++ b/ConfigMap/c", " (secret content changed)"]


def test_a_configuration_that_is_refused_is_told_without_the_password_in_its_line(site: Site) -> None:
    chart = agents.push(site, "amf")
    given = {"amf": "one", "db": {"password": "hunter2"}}
    assert site.call(cluster="a", chart_repository=chart, values=given).status == "ready"
    said = 'app.conf:3: unknown option "uri=mongodb://amf:hunter2@db" after secret_token: "zq 9" in block retrun'
    agents.let_say(
        site, "amf", digest=agents.digest("one"), candidate=agents.digest("two"), verdict="rejected", reason=said
    )
    answer = site.call(cluster="a", chart_repository=chart, values={**given, "amf": "two"})
    assert (answer.status, answer.code) == ("failed", "config_rejected")
    told = json.dumps(answer.body)
    assert 'unknown option \\"uri=mongodb://amf:***@db\\" after secret_token: *** in block retrun' in told
    assert b"hunter2" not in (site.folder / "edge.db").read_bytes()
    assert "zq 9" not in told


K = "465b5ce8b199b49faa5f0a2ee238a6bc"
ONE = f"aud3g milenage k {K} tac=1\nenable password 8 correct horse battery\n"
TWO = f"aud3g milenage k {K} tac=2\nenable password 8 correct horse battery\nmtu 1\n"


def test_a_check_that_quotes_a_secret_of_the_configuration_is_told_without_it(site: Site) -> None:
    """It stands in a text among the values, under no key of its own."""
    chart = agents.push(site, "amf")
    assert site.call(cluster="a", chart_repository=chart, values={"amf": ONE}).status == "ready"
    said = f'app.conf:1: unexpected "{K}" before mtu, nor is it horse battery'
    agents.let_say(
        site, "amf", digest=agents.digest(ONE), candidate=agents.digest(TWO), verdict="rejected", reason=said
    )
    answer = site.call(cluster="a", chart_repository=chart, values={"amf": TWO})
    assert answer.code == "config_rejected"
    assert 'app.conf:1: unexpected "***" before mtu, nor is it ***' in answer.body["error"]["message"]


def test_a_diff_shows_a_configuration_as_config_reload_does(site: Site) -> None:
    chart = agents.push(site, "amf")
    assert site.call(cluster="a", chart_repository=chart, values={"amf": ONE}).status == "ready"
    told = "\n".join(site.call(action="diff", chart_repository=chart, values={"amf": TWO}).body["diff"])
    assert "aud3g milenage k ***" in told
    assert "enable password ***" in told
    assert "mtu 1" in told
    for secret in (K, "horse", "battery"):
        assert secret not in told


def test_a_diff_of_what_is_there_already_is_empty_and_a_changed_secret_is_a_changed_one(site: Site) -> None:
    site.call(cluster="a")
    ways: tuple[dict[str, Any], ...] = ({"action": "diff"}, {"dry_run": True})
    for changes in ways:
        assert site.call(**changes).body["diff"] == []
    answer = site.call(action="diff", values={"password": "another"})
    assert answer.body["diff"] == ["--- a/Secret/upf-secret", "+++ b/Secret/upf-secret", " (secret content changed)"]


CONFIGMAP_TO_KEEP = """kind: ConfigMap
apiVersion: v1
metadata: {name: stays, annotations: {helm.sh/resource-policy: keep}}
"""
NOTHING: dict[str, Any] = {"chart_repository": None, "chart_version": None}


def test_a_dry_run_of_an_uninstall_shows_what_would_go(site: Site) -> None:
    site.registry.push("keeping", "1.0.0", files={**FILES, "templates/kept.yaml": CONFIGMAP_TO_KEEP})
    chart = site.registry.oci("keeping")
    site.call(cluster="a", chart_repository=chart)
    before = dict(site.clusters[0].objects)
    ways: tuple[dict[str, Any], ...] = (NOTHING, {"chart_repository": chart})
    for more in ways:
        answer = site.call(action="uninstall", dry_run=True, **more)
        assert (answer.status, answer.body["revision"], answer.code) == ("planned", 1, None)
        gone = [line for line in answer.body["diff"] if line.startswith("--- ")]
        assert gone == ["--- a/ConfigMap/upf-config", "--- a/Deployment/upf", "--- a/Secret/upf-secret"]
        assert all(line[0] in "-+@" and not line.startswith("+ ") for line in answer.body["diff"])
        assert "chart-default" not in json.dumps(answer.body)
    assert site.clusters[0].objects == before
    assert [p.is_placed for p in site.inventory.all()] == [True]


def test_a_dry_run_of_a_rollback_shows_the_way_to_the_revision_it_would_go_to(site: Site) -> None:
    for tac in ("1", "2", "3"):
        site.call(cluster="a", values={"tac": tac})
    for revision, tac in ((None, "2"), (1, "1")):
        answer = site.call(action="rollback", dry_run=True, revision=revision, **NOTHING)
        assert (answer.status, answer.body["revision"]) == ("planned", 3)
        told = "\n".join(answer.body["diff"]).replace("'", '"')
        assert '-  tac: "3"' in told
        assert f'+  tac: "{tac}"' in told
    assert site.call(action="rollback", dry_run=True, revision=9, **NOTHING).code == "no_such_revision"
    assert (
        site.call(action="rollback", dry_run=True, cluster="a", function_name="no", **NOTHING).code == "no_such_release"
    )
    assert release_states(site)[-1] == (3, "deployed")
