"""What goes wrong: each failure has a code of its own and one sentence, and leaves nothing, or says what."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from placement.errors import Code
from tests.lab.authority import Authority
from tests.placement.conftest import CALLER, Event, Site, signed
from tests.placement.fake_cluster import wait_for
from tests.placement.test_apply import release_states

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_lists_every_code_as_the_code_has_it() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert {code: (says, do) for code, says, do in rows} == {code.value: (code.says, code.hint) for code in Code}
    assert len(rows) == len(Code)


@pytest.mark.parametrize(
    ("changes", "http", "code"),
    [
        ({"cluster": "nowhere"}, 200, "unknown_cluster"),
        ({"chart_version": "9.9.9"}, 200, "no_such_chart"),
        ({"chart_repository": "oci://127.0.0.1:1/charts/nf"}, 200, "registry_down"),
        ({"function_name": "Not_A_Label"}, 400, "bad_name"),
        ({"function_name": "x" * 54}, 400, "bad_name"),
        ({"run_namespace": "-lab"}, 400, "bad_name"),
        ({"run_namespace": "kube-system"}, 403, "not_allowed"),
        ({"chart_version": "latest"}, 400, "bad_request"),
        ({"chart_repository": "https://example/x"}, 400, "bad_request"),
        ({"values": ["no", "mapping"]}, 400, "bad_request"),
        ({"values": {"image": {"not": "text"}, "replicas": "many"}}, 200, "apply_failed"),
        ({"no_such_field": 1}, 400, "bad_request"),
        ({"run_namespace": "made-not"}, 200, "namespace_missing"),
    ],
)
def test_each_bad_call_has_its_code_and_leaves_nothing(
    site: Site, changes: dict[str, object], http: int, code: str
) -> None:
    if code == "apply_failed":
        site.clusters[0].refuse_bodies = '"many"'
    answer = site.call(cluster="a", **changes) if "cluster" not in changes else site.call(**changes)
    assert (answer.http, answer.code) == (http, code)
    error = answer.body["error"]
    assert error["message"].endswith(".")
    assert error["hint"] == Code[code.upper()].hint
    assert site.clusters[0].things("leases") == []
    if code != "apply_failed":
        assert release_states(site) == []
        assert site.clusters[0].things("deployments") == []
        assert "Left" not in error["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"action": "explode"}', b"\xff\xfe", b'{"values": ' + b"[" * 5000]
)
def test_what_is_no_request_is_refused(site: Site, body: bytes) -> None:
    answer = site.call(body)
    assert (answer.http, answer.code) == (400, "bad_request")


def test_a_chart_that_fails_to_render_names_the_template(site: Site) -> None:
    site.registry.push("bad", "1.0.0", files={"templates/x.yaml": "a: {{ .Values.x.y }}"})
    for named in ("a", None):
        answer = site.call(cluster=named, chart_repository=site.registry.oci("bad"))
        assert answer.code == "render_failed"
        assert "bad/templates/x.yaml" in answer.body["error"]["message"]
    assert release_states(site) == []


def test_a_registry_that_wants_a_password_gets_it_from_a_file_and_never_as_an_argument(site: Site) -> None:
    site.registry.logins = {("puller", "s3cret-of-the-registry")}
    assert site.call(cluster="a").code == "registry_refused"
    login = {"host": site.registry.host, "plain_http": True, "username": "puller", "password": "s3cret-of-the-registry"}
    site.secret("placement-credentials", json.dumps({"registries": [login]}))
    assert site.call(cluster="a").status == "ready"


def test_a_registrys_certificate_is_judged_by_its_ca(site: Site) -> None:
    """By the step that chooses, the one that installs and the one that only shows; with a login too."""
    ours, others = Authority(site.folder / "ours", "ours"), Authority(site.folder / "others", "others")
    site.registry.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    site.registry.tls.load_cert_chain(*ours.issue("registry", "registry", hosts=["127.0.0.1"]))
    site.registry.logins = {("puller", "s3cret-of-the-registry")}
    site.registry.stop()
    site.registry.start()
    login = {"host": site.registry.host, "username": "puller", "password": "s3cret-of-the-registry"}
    for ca, code in (("", "registry_down"), (others.certificate.read_text(), "registry_down")):
        site.secret("placement-credentials", json.dumps({"registries": [login | {"ca": ca}]}))
        assert (site.call(cluster="a").code, site.registry.pulls) == (code, 0)
    site.secret("placement-credentials", json.dumps({"registries": [login | {"ca": ours.certificate.read_text()}]}))
    assert site.call().status == "ready"
    assert site.call(action="diff").body["diff"] == []


def test_values_never_appear_in_an_error(site: Site) -> None:
    schema = {"properties": {"password": {"type": "string", "maxLength": 3}}}
    site.registry.push("strict", "1.0.0", files={"values.schema.json": json.dumps(schema)})
    answer = site.call(
        cluster="a", chart_repository=site.registry.oci("strict"), values={"password": "correct-horse-battery"}
    )
    assert answer.code == "render_failed"
    assert "correct-horse" not in json.dumps(answer.body)


def test_a_cluster_that_is_down_says_so_and_the_next_call_works(site: Site) -> None:
    site.clusters[0].stop()
    assert site.call(cluster="a").code == "cluster_down"
    assert site.call().code == "no_cluster_fits"
    site.clusters[0].start()
    assert site.call(cluster="a").status == "ready"


def test_a_cluster_that_refuses_the_account_says_so(site: Site) -> None:
    site.clusters[0].refuse.add("/secrets")
    answer = site.call(cluster="a")
    assert (answer.status, answer.code) == ("failed", "cluster_refused")


def test_a_namespace_is_made_only_where_the_policy_grants_it(site: Site) -> None:
    assert site.call(cluster="a", run_namespace="made-1").code == "namespace_missing"
    site.policy(create_namespaces=True)
    assert site.call(cluster="a", run_namespace="made-1").status == "ready"
    posted = [path for method, path in site.clusters[0].calls if (method, path) == ("POST", "/api/v1/namespaces")]
    assert len(posted) == 1


def test_a_namespace_that_is_missing_is_told_where_the_rights_are_missing_with_it(site: Site) -> None:
    """RBAC refuses before anybody looks for the namespace: a namespaced account has its rights from Roles in it."""
    site.clusters[0].refuse.add("/namespaces/made-not/")
    answer = site.call(cluster="a", run_namespace="made-not")
    assert (answer.code, answer.body["error"]["message"]) == (
        "namespace_missing",
        "Cluster a has no namespace made-not.",
    )
    site.clusters[0].refuse.add("/namespaces/made-not")
    assert site.call(cluster="a", run_namespace="made-not").code == "cluster_refused"
    site.clusters[0].refuse.add("/namespaces/lab/leases")
    assert site.call(cluster="a").code == "cluster_refused"


@pytest.mark.parametrize("refuse", ["nothing", "/namespaces/lab/"])
def test_a_release_whose_namespace_somebody_has_deleted_can_be_uninstalled(site: Site, refuse: str) -> None:
    site.call(cluster="a")
    site.clusters[0].objects.clear()
    site.clusters[0].refuse.add("/namespaces/lab")  # neither it nor whether it is there
    assert (site.call(action="uninstall").code, len(site.inventory.placed())) == ("cluster_refused", 1)
    site.clusters[0].refuse = {refuse}
    answer = site.call(action="uninstall")
    assert (answer.status, answer.code) == ("absent", None)
    assert site.inventory.placed() == ()
    assert site.call(action="uninstall").code == "no_such_release"


def test_helm_that_does_not_end_in_time_is_stopped_and_what_it_left_is_told(make_site: Callable[..., Site]) -> None:
    site = make_site(1, helm_timeout_s="3")
    cluster = site.clusters[0]
    cluster.stall = ("POST", "/deployments")
    body = site.request(cluster="a", id="slow")
    site.turn_until(lambda: site.call(body).status == "failed", "the end")
    answer = site.call(body)
    assert answer.code == "timeout"
    assert "Left on the cluster: revision 1 marked failed" in answer.body["error"]["message"]
    assert "Deployment/upf" in answer.body["error"]["message"]
    cluster.stall = None
    cluster.go_on.set()
    assert release_states(site) == [(1, "failed")]
    again = site.call(cluster="a", id="again")
    assert (again.status, again.body["revision"]) == ("ready", 2)


def test_two_callers_at_once_do_not_collide(site: Site) -> None:
    cluster = site.clusters[0]
    cluster.stall = ("POST", "/deployments")
    answers = []
    first = threading.Thread(target=lambda: answers.append(site.call(cluster="a", id="one")))
    first.start()
    wait_for(cluster.stalled.is_set, "helm in its middle")
    second = site.call(cluster="a", id="two", values={"tac": "9"})
    assert (second.status, second.code) == ("failed", "busy")
    cluster.stall = None
    cluster.go_on.set()
    first.join()
    assert answers[0].status in ("ready", "progressing")
    site.turn_until(lambda: site.call(site.request(cluster="a", id="one")).status == "ready", "the first caller's end")
    assert release_states(site) == [(1, "deployed")]


@pytest.mark.parametrize(
    ("grant", "changes"),
    [
        ({"locations": ["munich"]}, {"cluster": "a"}),
        ({"locations": ["munich"]}, {"location": "berlin"}),
        ({"namespaces": ["other"]}, {}),
        ({"repositories": ["oci://elsewhere/*"]}, {}),
        ({"actions": ["status", "list"]}, {}),
    ],
)
def test_the_policy_limits_locations_namespaces_repositories_and_actions(
    site: Site, grant: dict[str, object], changes: dict[str, object]
) -> None:
    site.policy(**grant)
    answer = site.call(**changes)
    assert answer.code == "not_allowed"
    assert site.clusters[0].calls == []
    assert site.registry.pulls == 0


def test_a_caller_without_an_entry_may_nothing_and_a_clusters_name_is_not_told(site: Site) -> None:
    answer = site.call(caller="operator/mallory")
    assert (answer.http, answer.code) == (403, "not_allowed")
    site.policy(locations=["munich"])
    assert site.call().body["why"] == {"this": "", "others": {}}
    assert site.call({"action": "list"}).body["placements"] == []


def test_calls_that_are_not_signed_are_refused(site: Site) -> None:
    body = json.dumps(site.request()).encode()
    unsigned = site.post(Event(body, {}))
    assert (unsigned.http, unsigned.status, unsigned.code) == (401, "refused", "not_authenticated")
    assert set(unsigned.body["error"]) == {"code", "message", "hint"}
    assert site.post(Event(body + b" ", signed(body, CALLER))).http == 401
    assert site.post(Event(body, signed(body, CALLER), method="GET")).http == 405
    assert site.post(Event(body, signed(body, CALLER, "http://evil.example/"))).http == 401
    assert site.clusters[0].calls == []


def test_a_body_that_is_too_large_and_another_method_are_refused_in_the_same_shape(site: Site) -> None:
    body = json.dumps(site.request(values={"big": "x" * 300_000})).encode()
    large = site.post(Event(body, signed(body, CALLER)))
    assert (large.http, large.status, large.code) == (413, "refused", "too_large")
    body = json.dumps(site.request()).encode()
    get = site.post(Event(body, signed(body, CALLER), "GET"))
    assert (get.http, get.status, get.code) == (405, "refused", "bad_request")
    assert "POST" in get.body["error"]["message"]
