"""Checklist items 21-35 without 33: /system/*, alerts, metrics."""

import json
import re
import urllib.request
import uuid
from collections.abc import Callable, Iterator

import pytest

from localfaas.client import Client, Response
from tests.contract.conftest import Target
from tests.contract.recorder import eventually

pytestmark = [pytest.mark.contract, pytest.mark.e2e]

Deploy = Callable[..., str]


def call(gateway: Client, method: str, path: str, value: object = None) -> Response:
    return gateway.request(method, path, None if value is None else json.dumps(value).encode())


def status(gateway: Client, name: str) -> dict[str, object]:
    found: dict[str, object] = gateway.manage("GET", f"/system/function/{name}")
    return found


def replicas(gateway: Client, name: str) -> object:
    return status(gateway, name).get("replicas", 0)


def undisturbed(change: Callable[[], Response], dropped: int | None = None) -> Response:
    """Make a change of a deployment, anew where Kubernetes' own controller has just changed it: that is a 500.

    dropped: the status which says so, too; for an update faas-netes has 200, and has changed nothing.
    """
    answers: list[Response] = []

    def made() -> bool:
        answers.append(change())
        conflict = b"unable to update function deployment: ", b"error scaling HTTP code 500"
        has_met = answers[-1].status == 500 and any(text in answers[-1].body for text in conflict)
        return not has_met and answers[-1].status != dropped

    eventually(made)
    return answers[-1]


def scale(gateway: Client, name: str, wanted: int, service: str | None = None) -> Response:
    path = f"/system/scale-function/{name}"
    return undisturbed(lambda: call(gateway, "POST", path, {"serviceName": service or name, "replicas": wanted}))


def variable(gateway: Client, name: str, of: str) -> object:
    """What a call sees of that environment variable; a gateway may set others of its own.  Or the call's status."""
    answer = gateway.invoke(name)
    return json.loads(answer.body)["environment"].get(of) if answer.status == 200 else answer.status


def alert(gateway: Client, name: str, state: str = "firing") -> Response:
    told = {"alerts": [{"status": state, "labels": {"function_name": name}}]}
    return undisturbed(lambda: call(gateway, "POST", "/system/alert", told))


@pytest.fixture
def image(gateway: Client) -> str:
    """An image that can be deployed: the one of a function that is."""
    return str(status(gateway, "echo")["image"])


@pytest.fixture
def deploy(gateway: Client, image: str) -> Iterator[Deploy]:
    """Deploy a function with a new name, give its name; the fixture removes it."""
    names: list[str] = []

    def new(**more: object) -> str:
        names.append(f"t-{uuid.uuid4().hex[:10]}")
        answer = call(gateway, "POST", "/system/functions", {"service": names[-1], "image": image, **more})
        assert (answer.status, answer.body) == (202, b"")
        return names[-1]

    yield new
    for name in names:
        call(gateway, "DELETE", "/system/functions", {"functionName": name})


def test_21_deploy_update_delete(gateway: Client, deploy: Deploy, image: str) -> None:
    name = deploy()
    again = call(gateway, "POST", "/system/functions", {"service": name, "image": image})
    assert again.status == 500
    assert again.body.startswith(b"unable create Deployment: ")
    assert f'"{name}" already exists'.encode() in again.body
    wanted = {"service": name, "image": image, "envVars": {"EDGE_X": "1"}}
    updated = undisturbed(lambda: call(gateway, "PUT", "/system/functions", wanted), dropped=200)
    assert (updated.status, updated.body) == (202, b"")
    eventually(lambda: variable(gateway, name, "EDGE_X") == "1", within_s=60)  # another pod starts
    assert "envVars" not in status(gateway, name)
    unknown = call(gateway, "PUT", "/system/functions", {"service": "nobody", "image": image})
    assert unknown.status == 404
    assert b'unable update Deployment: nobody.openfaas-fn, error: deployments.apps "nobody" not found' in unknown.body
    deleted = call(gateway, "DELETE", "/system/functions", {"functionName": name})
    assert (deleted.status, deleted.body) == (202, b"")
    gone = call(gateway, "DELETE", "/system/functions", {"functionName": "nobody"})
    assert (gone.status, gone.body) == (404, b'deployments.apps "nobody" not found')
    assert call(gateway, "DELETE", "/system/functions", {"functionName": ""}).status == 400


def test_22_scale(gateway: Client, deploy: Deploy) -> None:
    name = deploy()
    for wanted, given in ((9, 5), (0, 1)):
        answer = scale(gateway, name, wanted, service="other")
        assert (answer.status, answer.body) == (202, b"")
        eventually(lambda expected=given: replicas(gateway, name) == expected)  # type: ignore[misc]
    unknown = call(gateway, "POST", "/system/scale-function/nobody", {"serviceName": "nobody", "replicas": 1})
    assert (unknown.status, unknown.body) == (500, b"Unable to lookup function deployment nobody")
    bad = gateway.request("POST", f"/system/scale-function/{name}", b"five")
    assert (bad.status, bad.body) == (400, b"Error unmarshalling request body\n")


def test_23_unknown_function_is_404_empty(gateway: Client) -> None:
    answer = gateway.request("GET", "/system/function/nobody")
    assert (answer.status, answer.body) == (404, b"")


def test_24_namespaces(gateway: Client) -> None:
    assert gateway.manage("GET", "/system/namespaces") == ["openfaas-fn"]
    answer = gateway.request("GET", "/system/namespace/openfaas-fn")
    # The provider has the route since 0.18.
    release = gateway.manage("GET", "/system/info")["provider"]["version"]["release"]
    if tuple(int(part) for part in re.findall(r"\d+", release)[:2]) < (0, 18):
        assert (answer.status, answer.body) == (404, b"404 page not found\n")
    else:
        assert (answer.status, answer.body) == (501, b"Feature not implemented in this version of OpenFaaS\n")


SYSTEM_ROUTES = [
    ("GET", "/system/info"),
    ("POST", "/system/alert"),
    ("GET", "/system/functions"),
    ("POST", "/system/functions"),
    ("PUT", "/system/functions"),
    ("DELETE", "/system/functions"),
    ("GET", "/system/function/echo"),
    ("POST", "/system/scale-function/echo"),
    ("GET", "/system/secrets"),
    ("POST", "/system/secrets"),
    ("PUT", "/system/secrets"),
    ("DELETE", "/system/secrets"),
    ("GET", "/system/logs?name=echo"),
    ("GET", "/system/namespaces"),
    ("GET", "/ui/"),
]


def test_25_management_wants_credentials_and_functions_do_not(gateway: Client) -> None:
    for auth in (None, ("admin", "wrong"), ("other", gateway.auth[1] if gateway.auth else "")):
        stranger = Client(gateway.url, auth)
        for method, path in SYSTEM_ROUTES:
            answer = stranger.request(method, path)
            told = (answer.status, answer.body, answer.headers["WWW-Authenticate"])
            assert told == (401, b"invalid credentials", 'Basic realm="Restricted"'), (method, path)
    stranger = Client(gateway.url)
    assert stranger.invoke("behave").status == 200
    assert stranger.invoke("behave", asynchronous=True).status == 202
    assert stranger.request("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    ("state", "current", "most", "least", "factor", "expected"),
    [
        ("firing", 1, 5, 1, 10, 2),
        ("firing", 4, 5, 1, 25, 5),
        ("firing", 5, 5, 1, 10, 5),
        ("firing", 1, 5, 1, 100, 5),
        ("firing", 1, 5, 1, 0, 1),
        ("firing", 1, 5, 1, 30, 3),
        ("firing", 1, 4, 1, 1, 2),
        ("resolved", 4, 5, 1, 10, 1),
    ],
)
def test_26_alert_vectors(
    *, gateway: Client, deploy: Deploy, state: str, current: int, most: int, least: int, factor: int, expected: int
) -> None:
    # Those of section 5 that can be reached through the API, which lets no function past 1..5 replicas; the others are
    # in tests/localfaas/test_alerts.py.
    labels = {"max": most, "min": least, "factor": factor}
    name = deploy(labels={f"com.openfaas.scale.{key}": str(value) for key, value in labels.items()})
    scale(gateway, name, current)
    eventually(lambda: replicas(gateway, name) == current)
    answer = alert(gateway, name, state)
    assert (answer.status, answer.body) == (200, b"")
    eventually(lambda: replicas(gateway, name) == expected)


def test_27_alert_for_nobody_is_200_and_nonsense_is_400(gateway: Client) -> None:
    assert [alert(gateway, name).status for name in ("nobody", "", "nobody.elsewhere")] == [200] * 3
    assert call(gateway, "POST", "/system/alert", {"alerts": []}).status == 200
    for body in (b"", b"{", b"[]"):
        answer = gateway.request("POST", "/system/alert", body)
        assert (answer.status, answer.body) == (400, b"Unable to parse alert, bad format."), body


def test_28_resolved_falls_to_the_minimum(gateway: Client, deploy: Deploy) -> None:
    name = deploy(labels={"com.openfaas.scale.min": "2"})
    assert replicas(gateway, name) == 2
    scale(gateway, name, 5)
    eventually(lambda: replicas(gateway, name) == 5)
    assert alert(gateway, f"{name}.openfaas-fn", "resolved").status == 200
    eventually(lambda: replicas(gateway, name) == 2)


def test_29_five_replicas_is_the_end(gateway: Client, deploy: Deploy, image: str) -> None:
    labels = {"com.openfaas.scale.max": "50"}
    refused = call(gateway, "POST", "/system/functions", {"service": "greedy", "image": image, "labels": labels})
    assert refused.status == 400
    assert b"com.openfaas.scale.max is set too high for Community Edition" in refused.body
    name = deploy(labels={"com.openfaas.scale.factor": "80"})
    for expected in (5, 5):
        assert alert(gateway, name).status == 200
        eventually(lambda wanted=expected: replicas(gateway, name) == wanted)  # type: ignore[misc]


def samples(target: Target) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Read the gateway's metrics: name -> labels -> value."""
    if not target.metrics_url:
        pytest.skip("set OPENFAAS_METRICS_URL")
    with urllib.request.urlopen(target.metrics_url, timeout=5) as response:  # noqa: S310 - the gateway under test
        assert response.headers["Content-Type"].startswith("text/plain")
        text = response.read().decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        found.setdefault(name, {})[tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels)))] = float(value)
    return found


def test_30_invocation_metrics(target: Target) -> None:
    ok = (("code", "200"), ("function_name", "single.openfaas-fn"))
    begun = (("function_name", "single.openfaas-fn"),)

    def counts() -> tuple[float, float]:
        now = samples(target)
        return (
            now.get("gateway_function_invocation_total", {}).get(ok, 0),
            now.get("gateway_function_invocation_started", {}).get(begun, 0),
        )

    total, started = counts()
    target.client.invoke("single")
    assert counts() == (total + 1, started + 1)
    target.client.invoke("single.openfaas-fn")
    assert counts() == (total + 2, started + 2)
    target.client.invoke("single", asynchronous=True)  # the worker's call counts, the enqueueing does not
    eventually(lambda: counts() == (total + 3, started + 3))
    target.client.invoke("nobody")
    now = samples(target)
    assert now["gateway_functions_seconds_count"][ok] == total + 3
    assert "gateway_functions_seconds_sum" in now
    buckets = {dict(labels)["le"] for labels in now["gateway_functions_seconds_bucket"]}
    assert buckets == {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}
    assert not [
        labels for metric in now.values() for labels in metric if "nobody" in dict(labels).get("function_name", "")
    ]


def test_31_service_count_is_what_is_wanted(target: Target, deploy: Deploy) -> None:
    name = deploy()
    label = (("function_name", f"{name}.openfaas-fn"),)
    scale(target.client, name, 3)
    eventually(lambda: samples(target)["gateway_service_count"].get(label) == 3, within_s=6)


def test_32_secrets_are_202(gateway: Client) -> None:
    name = f"t-{uuid.uuid4().hex[:10]}"
    path = "/system/secrets"
    assert call(gateway, "POST", path, {"name": name, "value": "v1"}).status == 202
    assert {"name": name, "namespace": "openfaas-fn"} in gateway.manage("GET", path)
    assert call(gateway, "POST", path, {"name": name, "value": "v1"}).status == 409
    assert call(gateway, "PUT", path, {"name": name, "value": "v2"}).status == 202
    assert call(gateway, "DELETE", path, {"name": name}).status == 202
    assert call(gateway, "DELETE", path, {"name": name}).status == 404
    assert call(gateway, "PUT", path, {"name": name, "value": "v"}).status == 404


def test_secret_reaches_only_functions_that_name_it(gateway: Client, deploy: Deploy) -> None:
    mine, other = (f"t-{uuid.uuid4().hex[:10]}" for _ in range(2))
    for secret in (mine, other):
        call(gateway, "POST", "/system/secrets", {"name": secret, "value": "v1"})
    name = deploy(secrets=[mine])
    eventually(lambda: "availableReplicas" in status(gateway, name))
    assert json.loads(gateway.invoke(name).body)["secrets"] == [mine]
    assert json.loads(gateway.invoke("echo").body)["secrets"] == []
    for secret in (mine, other):
        call(gateway, "DELETE", "/system/secrets", {"name": secret})


def test_34_status_leaves_out_zeros(gateway: Client, deploy: Deploy) -> None:
    name = deploy()
    fresh = status(gateway, name)
    assert "invocationCount" not in fresh
    assert "availableReplicas" not in fresh  # its process has not even been started
    assert (fresh["name"], fresh["namespace"], fresh["replicas"]) == (name, "openfaas-fn", 1)
    assert fresh["labels"] == {"faas_function": name}
    eventually(lambda: status(gateway, name).get("availableReplicas") == 1)
    assert gateway.invoke(name).status == 200
    assert name in [each["name"] for each in gateway.manage("GET", "/system/functions")]


@pytest.mark.localfaas_only("fills the gateway up to its 15 functions")
def test_35_limits_of_the_community_edition(gateway: Client, deploy: Deploy, image: str) -> None:
    body = {"service": "zero", "image": image, "labels": {"com.openfaas.scale.zero": "true"}}
    refused = call(gateway, "POST", "/system/functions", body)
    assert refused.status == 400
    assert refused.body == b"validation failed: com.openfaas.scale.zero not available for Community Edition\n"
    while len(gateway.manage("GET", "/system/functions")) < 15:
        deploy()
    refused = call(gateway, "POST", "/system/functions", {"service": "sixteenth", "image": image})
    assert refused.status == 400
    assert refused.body == (
        b"unable to create function, maximum: 15, visit https://openfaas.com/pricing to upgrade to OpenFaaS Standard\n"
    )


def test_info_and_logs(gateway: Client) -> None:
    info = gateway.manage("GET", "/system/info")
    assert set(info) == {"provider", "version", "arch"}
    assert info["provider"]["orchestration"] == "kubernetes"
    gateway.invoke("behave", path="/find-me?raise")
    eventually(lambda: any("/find-me" in line["text"] for line in gateway.logs("behave", tail=50)))
    line = next(iter(gateway.logs("behave", tail=1)))
    assert set(line) == {"name", "namespace", "instance", "timestamp", "text"}
