"""The pages' commands with faas-cli, and those on functions' pods, on a real OpenFaaS on which stack.yml is deployed.

docs/openfaas.md says what they need.  The rest of docs/operations.md runs in `test_operations.py` and in tests/lab.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enb_app.measure import Verdict
from enb_app.options import Mode
from enb_app.result import Result
from laptop.elsewhere import provisioned
from laptop.site import ROOT
from localfaas.client import Client
from localfaas.remote import from_environment
from tests.e2e.conftest import Core
from tests.lab.documented import OPERATIONS, WALK, Shell, block

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.openfaas_only("faas-cli, and pods, are had by a real gateway only"),
]
GIVEN = ("edge-kubeconfigs", "reload-policy", "placement-policy", "placement-credentials")
"""Secrets that the walk makes with faas-cli; the chart makes the others."""
DEPLOYED_WITH = ("REGISTRY", "TAG", "CALLBACK_ALLOW")
NAMESPACE = "openfaas-fn"
GATEWAYS = "openfaas"
READERS = {
    "edge-kubeconfigs": ("placement", "config-reload"),
    "placement-credentials": ("placement",),
    "placement-policy": ("placement",),
    "reload-policy": ("config-reload",),
}
"""Of each secret that is replaced without a restart."""
UPDATES = (
    block(OPERATIONS, "secret update edge-kubeconfigs"),
    block(OPERATIONS, "secret update placement-credentials"),
    block(OPERATIONS, "secret update placement-policy"),
)
A_PASSWORD = "head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n'"
"""The page's words for a new one."""
READY_S = 300
SUBSCRIBERS = 1500
ATTACH_CALLS = {"mme-initial-ue", "mme-uplink-nas", "mme-ue-context"}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    """With as many subscribers as attach while functions are replaced."""
    remote = from_environment()
    assert remote is not None
    return Core(provisioned(tmp_path_factory.mktemp("site") / "elsewhere", SUBSCRIBERS), remote)


@pytest.fixture
def here(core: Core, tmp_path: Path) -> Shell:
    """Where the commands run: with the installation's keys, and what they name of the repository.

    How functions are deployed is in no variable but those that a command itself sets.
    """
    for name in ("stack.yml", "functions", "template", "k8s"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "keys").mkdir()
    for path in Path(os.environ["OPENFAAS_SECRETS"]).iterdir():
        (tmp_path / "keys" / path.name).write_bytes(path.read_bytes())
    environment = {name: value for name, value in os.environ.items() if name not in DEPLOYED_WITH}
    return Shell(tmp_path, {**environment, "STORE_URL": core.site.store_url})


def kubectl(shell: Shell, words: str, namespace: str = NAMESPACE) -> Any:
    return json.loads(shell.run(f"kubectl -n {namespace} get {words} -o json"))


def secret(shell: Shell, name: str) -> bytes:
    return base64.b64decode(kubectl(shell, f"secret {name}")["data"][name])


def password(shell: Shell) -> bytes:
    """That of the gateway, as its secret has it."""
    return base64.b64decode(kubectl(shell, "secret basic-auth", GATEWAYS)["data"]["basic-auth-password"])


def gateways(shell: Shell) -> set[str]:
    return {one["metadata"]["uid"] for one in kubectl(shell, "pods -l app=gateway", GATEWAYS)["items"]}


def status_with(core: Core, word: bytes) -> int:
    """What a gateway says to this password, whose provider is asked with its own."""
    gateway = core.gateway
    assert gateway.auth is not None
    return Client(gateway.url, (gateway.auth[0], word.decode())).request("GET", "/system/secrets").status


def deployments(shell: Shell) -> dict[str, dict[str, Any]]:
    found = kubectl(shell, "deployments -l faas_function")["items"]
    return {one["metadata"]["name"]: one for one in found if one["metadata"]["name"] in of_the_stack()}


def of_the_stack() -> set[str]:
    return set(re.findall(r"^  ([a-z-]+):$", (ROOT / "stack.yml").read_text().partition("\nfunctions:")[2], re.M))


def deployed(shell: Shell, command: str, replaced: dict[str, str]) -> None:
    """Run a command that deploys, until every function runs as it says, and no pod of before is left."""
    before = pods(shell)
    said = shell.run(command, replaced)
    assert said.count("202 Accepted") == len(of_the_stack()), said
    shell.run(f"kubectl -n {NAMESPACE} rollout status deployment --timeout={READY_S}s")
    until = time.monotonic() + READY_S
    while pods(shell) & before:
        assert time.monotonic() < until, "pods of before are left"
        time.sleep(1)


def told(command: str) -> dict[str, str]:
    """What the page deploys with by what is had here: the images' registry and tag, and who may be called back."""
    found = {name: re.search(rf"{name}=\S+", command) for name in DEPLOYED_WITH}
    return {written[0]: f"{name}={os.environ[name]}" for name, written in found.items() if written}


def test_the_walk_logs_in_to_the_gateway_that_it_forwards(here: Shell) -> None:
    with here.forwarded(block(WALK, "port-forward svc/gateway")) as address:
        nobody = {"OPENFAAS_URL": f"http://{address}", "OPENFAAS_CONFIG": str(here.folder / "logins")}
        there = replace(here, environment={**here.environment, **nobody})
        there.run(block(WALK, "faas-cli login"))
        assert of_the_stack() <= set(there.run("faas-cli list").split())


def test_the_walk_gives_the_functions_their_secrets_and_deploys_them(here: Shell, core: Core) -> None:
    here.run(f"kubectl -n {NAMESPACE} delete secret {' '.join(GIVEN)}")
    _, secrets, deploy = block(WALK, "edge secrets init keys").splitlines()
    here.run(secrets)
    for name in GIVEN:
        assert secret(here, name) == (here.folder / "keys" / name).read_bytes()
    deployed(here, deploy, told(deploy))
    assert_told(here)
    assert core.attach(ues=2).attached == 2


def test_an_upgrade_replaces_every_function_while_ues_attach(here: Shell, core: Core) -> None:
    deploy = block(OPERATIONS, "192.0.2.7 faas-cli deploy")
    attach_through(core, lambda: deployed(here, deploy, told(deploy)))
    assert_told(here)


def test_another_login_of_the_store_is_given_by_a_deployment(here: Shell, core: Core) -> None:
    """By another text of the same store's address: the lab's Cassandra asks nobody for a password."""
    deploy = block(OPERATIONS, "STORE_URL='cassandra://")
    written = re.search(r"STORE_URL='[^']*'", deploy)
    assert written is not None
    other = f"{core.site.store_url}{'&' if '?' in core.site.store_url else '?'}dc=datacenter1"
    attach_through(core, lambda: deployed(here, deploy, {**told(deploy), written[0]: f"STORE_URL='{other}'"}))
    assert_told(here)
    assert {environment(one)["store_url"] for one in deployments(here).values()} == {other}


def assert_told(shell: Shell) -> None:
    """Every function has the images and the callbacks that a deployment here has."""
    for name, one in deployments(shell).items():
        image = one["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image == f"{os.environ['REGISTRY']}/{name}:{os.environ['TAG']}"
        assert environment(one)["callback_allow"] == os.environ["CALLBACK_ALLOW"]


def environment(deployment: dict[str, Any]) -> dict[str, str | None]:
    return {e["name"]: e.get("value") for e in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def test_a_changed_secret_is_what_the_file_holds_and_every_pod_has_it(here: Shell) -> None:
    for name in READERS:
        path = here.folder / "keys" / name
        path.write_bytes(path.read_bytes().rstrip() + f"\n# once more, {time.time_ns()}\n".encode())
    for commands in UPDATES:
        here.run(commands)
    for name, functions in READERS.items():
        wanted = (here.folder / "keys" / name).read_bytes().strip()  # as `secret update` does, unlike `create`
        assert secret(here, name) == wanted
        for function in functions:
            those = {"secret=placement-credentials function=placement": f"secret={name} function={function}"}
            here.run(block(OPERATIONS, "secret=placement-credentials"), those)
            for pod in kubectl(here, f"pods -l faas_function={function}")["items"]:
                read = f"exec {pod['metadata']['name']} -- cat /var/openfaas/secrets/{name}"
                assert here.run(f"kubectl -n {NAMESPACE} {read}").encode() == wanted


def test_the_gateways_password_is_replaced_and_no_call_of_a_function_fails(here: Shell, core: Core) -> None:
    """And back again, so that whoever runs this goes on with the password that there was."""
    there = replace(here, environment={**here.environment, "OPENFAAS_CONFIG": str(here.folder / "logins")})
    before = gateways(there)
    said = there.run(block(WALK, "gateway-drain.yaml"))
    if "(no change)" not in said:  # those of before end at once
        until = time.monotonic() + READY_S
        while gateways(there) & before:
            assert time.monotonic() < until, "gateways of before are left"
            time.sleep(1)
    first = password(there)
    (there.folder / "first").write_bytes(first)
    change = block(OPERATIONS, "create secret generic basic-auth")
    try:
        assert_no_call_failed(attach_through(core, lambda: there.run(change), modes=(Mode.ASYNC, Mode.SYNC)))
        new = password(there)
        assert new != first
        assert re.fullmatch(rb"[0-9a-f]{64}", new)
        assert (there.folder / "keys/basic-auth-password").stat().st_mode & 0o077 == 0
        there.run(block(OPERATIONS, "faas-cli login"))
        assert of_the_stack() <= set(there.run("faas-cli list").split())
        assert [status_with(core, word) for word in (first, new)] == [401, 200]
    finally:
        there.run(change, {A_PASSWORD: "cat first"})
    assert password(there) == first
    assert [status_with(core, word) for word in (new, first)] == [401, 200]


def test_one_attach_is_one_grep_over_all_pods(here: Shell, core: Core) -> None:
    [outcome] = core.attach(ues=1).outcomes
    lines = here.run(f"run={outcome.run}\n{block(OPERATIONS, 'logs -l faas_function')}").splitlines()
    entries = [json.loads(line[line.index("{") :]) for line in lines]
    worked = [entry for entry in entries if entry["event"] == "item"]
    assert {entry["trace"] for entry in entries} == {f"{outcome.enb}/{outcome.run}"}
    assert {entry["function"] for entry in worked} == ATTACH_CALLS
    assert len({entry["item"] for entry in worked}) == 6


def attach_through(core: Core, change: Callable[[], object], modes: Sequence[Mode] = (Mode.ASYNC,)) -> list[Result]:
    """UEs attach before, after, and for as long as that takes, in these ways by turns: each of them has to."""
    is_over = threading.Event()
    results: list[Result] = []

    def keep_on() -> None:
        for mode in itertools.cycle(modes):
            if len(results) >= len(modes) and is_over.is_set():
                return
            results.append(core.attach(ues=2, concurrency=2, mode=mode))

    with ThreadPoolExecutor(1) as pool:
        attaching = pool.submit(keep_on)
        try:
            change()
        finally:
            is_over.set()
        attaching.result()
    results.append(core.attach(ues=2))
    outcomes = [outcome for result in results for outcome in result.outcomes]
    assert [one for one in outcomes if one.verdict is not Verdict.ATTACHED] == []
    return results


def assert_no_call_failed(results: list[Result]) -> None:
    """Nor had to be made again for want of an answer."""
    told = [(result.options.mode, result.started_unix_s, result.counters) for result in results]
    assert [one for one in told if one[2].failed_calls or one[2].refused_signatures] == []


def pods(shell: Shell) -> set[str]:
    return {one["metadata"]["uid"] for one in kubectl(shell, "pods -l faas_function")["items"]}
