"""What goes wrong in the middle of a placement: a killed function, a cluster without its API server, two callers at
once, a call delivered twice, callbacks that fail, a lease that is lost.  Nothing half-done is left untold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab import artefacts, images, machine, oci
from tests.lab import placing as placing_on_the_lab
from tests.lab.kubectl import Cluster, eventually
from tests.lab.placing import CALLER, ROOT, Placing, push
from tests.lab.site import Site
from tests.lab.test_placement import states

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
OUTAGE_S = 30


@pytest.fixture(scope="module")
def placing(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placing]:
    """One whose helm has more time than users' has: a fault has to be brought about in the middle of a run."""
    image = oci.push(images.pause(), site.registry)
    folder = tmp_path_factory.mktemp("placing-faults")
    with placing_on_the_lab.placing(site, folder, image, helm_timeout_s="10") as running:
        yield running


def helm_of(release: str) -> tuple[int, int] | None:
    """The process of helm that installs this release, and its parent: the function's replica."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if release.encode() in words and b"upgrade" in words and words[0].endswith(b"helm"):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                return int(folder.name), int(parent)
        except (OSError, IndexError):
            continue
    return None


def killed_when(placing: Placing, release: str, moment: Callable[[], bool]) -> None:
    """SIGKILL the replica that runs helm for this release, once it does and `moment` is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = helm_of(release)
        if found and moment():
            os.kill(found[1], signal.SIGKILL)
            eventually(lambda: helm_of(release) is None, "helm's end with its function", within_s=5)
            return
        time.sleep(0.002)
    pytest.fail(f"helm never ran for {release}: {placing.logs()[-2000:]}")


@contextmanager
def watched_secrets(cluster: Cluster, namespace: str, release: str) -> Iterator[threading.Event]:
    """An event that is set as soon as Helm has written a record of this release."""
    kubectl = artefacts.program(artefacts.KUBERNETES, "kubectl")
    argv: list[str | Path] = [
        kubectl,
        f"--kubeconfig={cluster.kubeconfig}",
        "-n",
        namespace,
        "get",
        "secrets",
        "--watch",
        "-o",
        "name",
    ]
    there = threading.Event()
    with subprocess.Popen([*argv, "-l", f"owner=helm,name={release}"], stdout=subprocess.PIPE, text=True) as watching:

        def read() -> None:
            assert watching.stdout is not None
            for _ in watching.stdout:
                there.set()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        try:
            yield there
        finally:
            watching.terminate()
            thread.join(10)


@pytest.fixture(scope="module")
def hooked(placing: Placing) -> str:
    """A chart that keeps helm waiting, its record pending, for as long as a job runs."""
    push(placing, ROOT / "tests/lab/charts/hooked")
    return placing.chart("hooked")


def test_a_function_killed_as_helm_begins_is_gone_on_from(placing: Placing) -> None:
    path = placing.send(placing.request("killed-first", cluster="edge-a", wait=True))
    killed_when(placing, "killed-first", lambda: True)
    gone_on(placing, "killed-first", path)


def test_a_function_killed_with_a_pending_record_is_gone_on_from(placing: Placing, hooked: str) -> None:
    values = {"image": oci.push(images.debian(), placing.around.registry), "command": ["sleep", "2"]}
    with watched_secrets(placing.around.a, placing.namespace, "killed-later") as there:
        path = placing.send(placing.request("killed-later", cluster="edge-a", chart_repository=hooked, values=values))
        killed_when(placing, "killed-later", there.is_set)
    assert states(placing.around.a, placing.namespace, "killed-later") == [(1, "pending-install")]
    assert gone_on(placing, "killed-later", path)["left"] == ["Job/killed-later-hook"]
    placing.around.a.kubectl("-n", placing.namespace, "delete", "job", "killed-later-hook", "--wait=false")


def gone_on(placing: Placing, release: str, path: str) -> dict[str, Any]:
    """The operation comes to a good end, nothing is pending, and nothing is left of the killed run.

    What its uninstall is answered.
    """
    end = placing.callbacks.end(path, within_s=120)
    assert (end["status"], end["error"]) == ("ready", None), end
    kept = states(placing.around.a, placing.namespace, release)
    assert kept[-1] == (end["revision"], "deployed")
    assert all(status in ("failed", "superseded") for _, status in kept[:-1]), kept
    removed = placing.remove(release)
    assert placing.left_over() == []  # the replica that took the killed one's place has cleared up after it
    return removed


@pytest.fixture
def outage(placing: Placing) -> Iterator[Callable[[], None]]:
    """Give what takes edge-b's API server away; it is there again at the end of the test at the latest."""
    plan = placing.around.plan
    if plan is None:
        pytest.skip("the clusters are somebody else's, whose daemons no test may stop")
    folder = plan.clusters[1].folder

    def begin() -> None:
        machine.control(folder, "kill", "kube-apiserver")
        machine.wait_for(folder, "kube-apiserver", running=False)

    yield begin
    machine.control(folder, "start", "kube-apiserver")
    eventually(lambda: bool(placing.around.b.kubectl("get", "--raw", "/readyz")), "edge-b's API server", within_s=90)


def test_a_placement_outlives_thirty_seconds_without_the_api_server(
    placing: Placing, outage: Callable[[], None]
) -> None:
    plan = placing.around.plan
    assert plan is not None
    slow = {"image": placing.image, "cpu": "500"}  # no node has that: pending until the outage is over
    path = placing.send(placing.request("outage", cluster="edge-b", wait=True, values=slow, timeout_s=150))
    eventually(
        lambda: states(placing.around.b, placing.namespace, "outage") == [(1, "deployed")], "helm's run", within_s=60
    )
    outage()
    begun = time.monotonic()
    told = placing.call("outage-2", cluster="edge-b")
    assert (told["status"], told["error"]["code"]) in (("failed", "cluster_down"), ("refused", "cluster_down")), told
    elsewhere = placing.call("outage-3")
    assert elsewhere["cluster"] == "edge-a", elsewhere
    assert "does not answer" in elsewhere["why"]["others"]["edge-b"]
    asked = placing.call("outage", action="status", cluster="edge-b", chart_repository=None, chart_version=None)
    assert asked["error"]["code"] == "cluster_down"
    placing.remove("outage-3")
    while time.monotonic() - begun < OUTAGE_S:
        assert "failed" not in [answer["status"] for answer in placing.callbacks.answers(path)]
        time.sleep(0.5)  # the outage's length is what is tested
    machine.control(plan.clusters[1].folder, "start", "kube-apiserver")
    eventually(lambda: bool(placing.around.b.kubectl("get", "--raw", "/readyz")), "edge-b's API server", within_s=90)
    small = ("deployment/outage", "--requests=cpu=10m,memory=8Mi")
    placing.around.b.kubectl("-n", placing.namespace, "set", "resources", *small)
    end = placing.callbacks.end(path, within_s=150)
    assert (end["status"], end["error"]) == ("ready", None), end
    placing.remove("outage", "edge-b")
    assert states(placing.around.b, placing.namespace, "outage-2") == []


def test_of_two_callers_at_once_one_is_told_busy_and_nothing_collides(placing: Placing) -> None:
    policy = (placing.secrets / "placement-policy").read_text()
    placing.secret("placement-policy", policy.replace(CALLER, "operator/*"))
    try:
        for number in range(1, 6):
            release = f"two-{number}"

            def post(caller: str, release: str = release) -> dict[str, Any]:
                return placing.post("placement", placing.request(release, cluster="edge-a"), caller=caller)

            with ThreadPoolExecutor(2) as pool:
                answers = list(pool.map(post, ("operator/one", "operator/two")))
            done = [answer for answer in answers if answer["error"] is None]
            busy = [answer for answer in answers if (answer["error"] or {}).get("code") == "busy"]
            assert len(done) + len(busy) == 2, answers
            kept = states(placing.around.a, placing.namespace, release)
            assert len(kept) == len(done)
            assert kept[-1][1] == "deployed"
            placing.remove(release)
            if busy:
                break
        assert busy, "in five tries the two never met"
    finally:
        placing.secret("placement-policy", policy)
    assert placing.left_over() == []


def test_the_same_call_delivered_twice_is_done_once(placing: Placing) -> None:
    request = placing.request("twice", cluster="edge-a", wait=True)
    path = placing.send(request)
    assert placing.send(request, path) == path
    end = placing.callbacks.end(path, within_s=90)
    assert (end["status"], end["revision"]) == ("ready", 1), end
    again = placing.post("placement", request)
    assert again == end
    assert states(placing.around.a, placing.namespace, "twice") == [(1, "deployed")]
    history = placing.call("twice", action="list")["placements"]
    [row] = [row for row in history if row["release"] == "twice"]
    assert len(row["history"]) == 1
    placing.remove("twice")


def test_a_callback_that_fails_is_repeated_until_it_is_taken(placing: Placing) -> None:
    path = "/fails"
    placing.callbacks.refuse[path] = 1_000
    placing.send(placing.request("unheard", cluster="edge-a", wait=True), path)
    eventually(
        lambda: [a["status"] for a in placing.callbacks.answers(path)].count("ready") >= 2, "a repeat", within_s=90
    )
    with placing.callbacks.changed:
        placing.callbacks.refuse[path] = 0
        heard = len(placing.callbacks.came[path])
    eventually(lambda: len(placing.callbacks.came[path]) > heard, "the callback that is taken", within_s=90)
    eventually(lambda: placing.left_over() == [], "the operation's end", within_s=30)
    placing.remove("unheard")


def test_helm_that_does_not_end_is_stopped_and_what_it_left_is_told(placing: Placing, hooked: str) -> None:
    answer = placing.call("endless", cluster="edge-a", chart_repository=hooked)
    assert (answer["status"], answer["error"]["code"]) == ("failed", "timeout"), answer
    assert "Left on the cluster: revision 1 marked failed" in answer["error"]["message"]
    assert ", and Job/endless-hook of its hooks" in answer["error"]["message"]
    assert states(placing.around.a, placing.namespace, "endless") == [(1, "failed")]
    assert placing.left_over() == []
    assert placing.remove("endless")["left"] == ["Job/endless-hook"]
    answer = placing.call("endless", cluster="edge-a", chart_repository=hooked, atomic=True)
    assert (answer["status"], answer["error"]["code"]) == ("rolled-back", "timeout"), answer
    told = "The release was uninstalled. Left on the cluster: Job/endless-hook of its hooks"
    assert told in answer["error"]["message"]
    placing.around.a.kubectl("-n", placing.namespace, "delete", "job", "endless-hook")
    assert placing.remove("endless")["status"] == "absent"


def test_helm_is_stopped_when_its_lease_is_lost(placing: Placing, hooked: str) -> None:
    path = placing.send(placing.request("leased", cluster="edge-a", chart_repository=hooked))
    name = ("-n", placing.namespace, "lease/placement.leased")
    placing.around.a.wait(*name, "--for=create", within_s=60)
    thief = {"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3}}
    placing.around.a.kubectl("patch", *name, "--type=merge", "-p", json.dumps(thief))
    end = placing.callbacks.end(path, within_s=90)
    assert (end["status"], end["error"]["code"]) == ("failed", "lease_lost"), end
    assert helm_of("leased") is None
    # The other holder's lease is not ours to remove; once it has run out the release can be placed again.
    assert placing.remove("leased")["left"] == ["Job/leased-hook"]
    placing.around.a.kubectl("-n", placing.namespace, "delete", "job", "leased-hook", "--wait=false")
    assert placing.left_over() == []
