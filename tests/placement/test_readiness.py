"""When a release is ready: not while a pod crashes, and not before it has shown that it stays up.

What a container's status looks like, and how long the kubelet waits after a crash (10 s, then twice as long each time):
Kubernetes' documentation, "Pod Lifecycle", "Container states" and "Container restart policy".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from placement.readiness import Pod, Verdict, judge, pod_of
from tests.placement.agents import once
from tests.placement.conftest import Site

NOW_S = 1_800_000_000.0
PROBE = {"readinessProbe": {"httpGet": {"path": "/", "port": 80}}}
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error"}}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def deployment(available: int = 1, **spec: Any) -> dict[str, Any]:
    status = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}
    return {"kind": "Deployment", "metadata": {"name": "upf", "generation": 2}, "spec": spec, "status": status}


def pod(*, ran_s: float | None = None, probe: bool = False, restarts: int = 0, **status: Any) -> dict[str, Any]:
    running = {} if ran_s is None else {"startedAt": at(NOW_S - ran_s)}
    container = {"name": "c", "ready": True, "restartCount": restarts, "state": {"running": running}} | status
    return {
        "metadata": {"name": "upf-1"},
        "spec": {"containers": [{"name": "c", **(PROBE if probe else {})}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [container],
        },
    }


def verdict(*pods: dict[str, Any]) -> tuple[Verdict, str]:
    return judge([deployment()], pods, now_s=NOW_S)


@pytest.mark.parametrize(
    ("thing", "wanted"),
    [
        # nobody probes it: it counts when it has run for a while
        (pod(ran_s=0), Verdict.WAITING),
        (pod(ran_s=3), Verdict.WAITING),
        (pod(ran_s=4), Verdict.READY),
        # a probe has asked it
        (pod(ran_s=0, probe=True), Verdict.READY),
        # up between two crashes
        (pod(restarts=3, lastState=CRASHED), Verdict.WAITING),
        (pod(ran_s=2, restarts=3, lastState=CRASHED), Verdict.WAITING),
        (pod(ran_s=9, probe=True, restarts=1, lastState=CRASHED), Verdict.WAITING),
        (pod(ran_s=9, restarts=1, lastState={"terminated": {"exitCode": 0}}), Verdict.WAITING),
        (pod(ran_s=9, restarts=1), Verdict.WAITING),
        # a crash of long ago
        (pod(ran_s=10, probe=True, restarts=3, lastState=CRASHED), Verdict.READY),
        (pod(ran_s=10, restarts=3, lastState=CRASHED), Verdict.READY),
        # crashing, whatever was before
        (pod(ready=False, restarts=1, state={"waiting": {"reason": "CrashLoopBackOff"}}), Verdict.FAILED),
        (pod(ready=False, state=CRASHED), Verdict.FAILED),
        # another node's clock
        (pod(ran_s=-5), Verdict.WAITING),
    ],
)
def test_a_pod_that_is_up_counts_when_it_has_shown_that_it_stays_up(thing: dict[str, Any], wanted: Verdict) -> None:
    assert verdict(thing)[0] is wanted


def test_the_reason_names_the_pod_the_container_and_the_time() -> None:
    assert verdict(pod(ran_s=40), pod(ran_s=2))[1] == (
        "pod upf-1: container c has run for 2 s without a readiness probe, and counts after 4"
    )
    assert verdict(pod(ran_s=3, probe=True, restarts=2))[1] == (
        "pod upf-1: container c has run for 3 s after 2 restarts, and counts after 10"
    )


def test_every_container_and_sidecar_counts_and_ended_init_containers_do_not() -> None:
    thing = pod(ran_s=60, probe=True)
    beside = {"name": "beside", "ready": True, "restartCount": 0, "state": {"running": {"startedAt": at(NOW_S - 1)}}}
    thing["spec"]["containers"].append({"name": "beside"})
    thing["status"]["containerStatuses"].append(beside)
    assert "container beside has run for 1 s" in verdict(thing)[1]
    thing["status"]["containerStatuses"].pop()
    init = {
        "name": "init",
        "ready": True,
        "restartCount": 2,
        "state": {"terminated": {"exitCode": 0}},
        "lastState": CRASHED,
    }
    thing["status"]["initContainerStatuses"] = [init]
    assert verdict(thing)[0] is Verdict.READY
    # a sidecar is an init container that goes on: its own probe has held up those behind it
    init["state"] = {"running": {"startedAt": at(NOW_S - 1)}}
    assert verdict(thing)[0] is Verdict.WAITING
    init |= {"restartCount": 0, "lastState": {}}
    assert verdict(thing)[0] is Verdict.READY


def test_pods_that_go_or_are_done_need_not_stay_up() -> None:
    going = pod(ran_s=0, restarts=3)
    going["metadata"]["deletionTimestamp"] = at(NOW_S)
    done = pod(ran_s=0)
    done["status"]["phase"] = "Succeeded"
    assert verdict(going, done)[0] is Verdict.READY


def over(name: str, reason: str) -> dict[str, Any]:
    """A pod that has failed, as it stays on the cluster."""
    thing = pod(ready=False, state=CRASHED)
    thing["metadata"] |= {"name": name, "creationTimestamp": at(NOW_S - 7 * 86400)}
    thing["status"] |= {"phase": "Failed", "reason": reason, "conditions": []}
    return thing


PARTED = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}


@pytest.mark.parametrize(
    ("strategy", "updated", "ready", "wanted", "why"),
    [
        ({"type": "OnDelete"}, 0, 3, Verdict.READY, "0 pods"),
        ({"type": "OnDelete"}, 0, 2, Verdict.WAITING, "StatefulSet/db: 2 of 3 ready"),
        (PARTED, 1, 3, Verdict.READY, "0 pods"),
        (PARTED, 1, 2, Verdict.WAITING, "StatefulSet/db: 2 of 3 ready"),
        (PARTED, 0, 3, Verdict.WAITING, "StatefulSet/db: 2 of 3 ready, old pods remain"),
        ({"rollingUpdate": {"partition": 9}}, 0, 3, Verdict.READY, "0 pods"),
        ({"type": "RollingUpdate"}, 1, 3, Verdict.WAITING, "StatefulSet/db: 1 of 3 ready, old pods remain"),
    ],
)
def test_of_a_statefulset_those_pods_roll_that_its_strategy_lets(
    strategy: dict[str, Any], updated: int, ready: int, wanted: Verdict, why: str
) -> None:
    """Kubernetes' documentation, "StatefulSets", "Update strategies"."""
    status = {"observedGeneration": 2, "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated}
    status |= {"currentRevision": "db-1", "updateRevision": "db-2"}
    spec = {"replicas": 3, "updateStrategy": strategy}
    thing = {"kind": "StatefulSet", "metadata": {"name": "db", "generation": 2}, "spec": spec, "status": status}
    assert judge([thing], [], now_s=NOW_S) == (wanted, why)


@pytest.mark.parametrize(
    ("strategy", "ready", "wanted", "why"),
    [
        ("OnDelete", 2, Verdict.READY, "0 pods"),
        ("OnDelete", 1, Verdict.WAITING, "DaemonSet/agent: 1 of 2 ready"),
        ("RollingUpdate", 2, Verdict.WAITING, "DaemonSet/agent: 0 of 2 ready, old pods remain"),
    ],
)
def test_a_daemonset_whose_pods_somebody_has_to_delete_is_not_waited_for(
    strategy: str, ready: int, wanted: Verdict, why: str
) -> None:
    """Kubernetes' documentation, "Perform a Rolling Update on a DaemonSet", "DaemonSet Update Strategy"."""
    status = {"observedGeneration": 2, "desiredNumberScheduled": 2, "numberReady": ready}
    spec = {"updateStrategy": {"type": strategy}}
    thing = {"kind": "DaemonSet", "metadata": {"name": "agent", "generation": 2}, "spec": spec, "status": status}
    assert judge([thing], [], now_s=NOW_S) == (wanted, why)


@pytest.mark.parametrize("reason", ["Evicted", "Terminated", "NodeAffinity", ""])
def test_a_pod_that_another_has_replaced_fails_nothing(reason: str) -> None:
    """An eviction and a node's shutdown leave the pod: "Pod Lifecycle", "Pod garbage collection"; no controller
    counts it as its own any more."""
    assert verdict(over("upf-0", reason), pod(ran_s=60))[0] is Verdict.READY
    missing = judge([deployment(available=0)], [over("upf-0", reason)], now_s=NOW_S)
    assert missing == (Verdict.WAITING, "Deployment/upf: 0 of 1 ready")


def test_a_job_fails_by_its_own_condition_and_not_by_a_pod_that_it_has_replaced() -> None:
    """A failed pod is tried again up to backoffLimit: "Jobs", "Pod backoff failure policy"."""
    job: dict[str, Any] = {"kind": "Job", "metadata": {"name": "init"}, "spec": {}, "status": {"failed": 1}}
    done = pod(ready=False, state={"terminated": {"exitCode": 0}})
    done["status"] |= {"phase": "Succeeded", "conditions": []}
    assert judge([job], [over("init-1", "")], now_s=NOW_S)[0] is Verdict.WAITING
    job["status"] = {"failed": 1, "succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
    assert judge([job], [over("init-1", ""), done], now_s=NOW_S)[0] is Verdict.READY
    job["status"] = {"failed": 7, "conditions": [{"type": "Failed", "status": "True"}]}
    assert judge([job], [over("init-1", "")], now_s=NOW_S) == (Verdict.FAILED, "Job/init failed")


def test_a_pod_of_its_own_fails_when_it_is_over() -> None:
    thing = {"kind": "Pod"} | over("probe", "Error")
    assert judge([thing], [thing], now_s=NOW_S) == (Verdict.FAILED, "Pod/probe failed")


@pytest.mark.parametrize(
    "reason",
    [
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
    ],
)
def test_a_container_that_cannot_start_fails_the_release(reason: str) -> None:
    """What the kubelet gives as a waiting container's reason: kubernetes/kubernetes, pkg/kubelet/images/types.go and
    pkg/kubelet/kuberuntime/kuberuntime_container.go."""
    thing = pod(ready=False, state={"waiting": {"reason": reason}})
    missing = [deployment(available=0)]
    assert judge(missing, [thing], now_s=NOW_S) == (Verdict.FAILED, f"pod upf-1: container c is in {reason}")
    assert pod_of(thing).phase == reason
    thing["metadata"]["deletionTimestamp"] = at(NOW_S)
    assert judge(missing, [thing], now_s=NOW_S) == (Verdict.WAITING, "Deployment/upf: 0 of 1 ready")
    thing = pod()
    thing["status"]["initContainerStatuses"] = [{"name": "init", "state": {"waiting": {"reason": reason}}}]
    assert judge(missing, [thing], now_s=NOW_S)[1] == f"pod upf-1: container init is in {reason}"


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_container_that_is_being_made_is_waited_for(reason: str) -> None:
    thing = pod(ready=False, state={"waiting": {"reason": reason}})
    assert judge([deployment(available=0)], [thing], now_s=NOW_S)[0] is Verdict.WAITING


def test_a_container_that_was_started_again_after_a_crash_and_is_not_ready_yet_has_crashed() -> None:
    thing = pod(ran_s=1, restarts=1, ready=False, lastState=CRASHED)
    found = judge([deployment(available=0)], [thing], now_s=NOW_S)
    assert found == (Verdict.FAILED, "pod upf-1: container c ended with exit code 1")
    thing = pod(ran_s=1, restarts=1, ready=False, lastState={"terminated": {"exitCode": 0}})
    assert judge([deployment(available=0)], [thing], now_s=NOW_S)[0] is Verdict.WAITING


def test_while_a_deployment_rolls_only_its_new_pods_fail_it() -> None:
    rolls = deployment(replicas=1)
    rolls["status"]["replicas"] = 2  # the old one is still there
    thing = pod(ready=False, state=CRASHED)
    thing["metadata"]["creationTimestamp"] = at(NOW_S - 60)
    assert judge([rolls], [thing], NOW_S - 50, now_s=NOW_S) == (
        Verdict.WAITING,
        "Deployment/upf: 1 of 1 ready, old pods remain",
    )
    # a time to the second only: one of the same second is a new one
    for since_s in (NOW_S - 60, NOW_S - 59.1):
        assert judge([rolls], [thing], since_s, now_s=NOW_S)[0] is Verdict.FAILED
    assert judge([deployment()], [thing], NOW_S - 50, now_s=NOW_S)[0] is Verdict.FAILED


def workload(kind: str, status: dict[str, Any], generation: int = 1, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "w", "generation": generation}, "spec": spec, "status": status}


def counts(seen: int = 1, **counted: Any) -> dict[str, Any]:
    return {"observedGeneration": seen, **counted}


READY, WAITING, FAILED = Verdict.READY, Verdict.WAITING, Verdict.FAILED
DEADLINE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
GOES_ON = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}


@pytest.mark.parametrize(
    ("thing", "wanted"),
    [
        # "Deployments", "Complete Deployment": all updated, all available, no old replicas running
        (workload("Deployment", counts(replicas=2, updatedReplicas=2, availableReplicas=2), replicas=2), READY),
        (workload("Deployment", counts(replicas=2, updatedReplicas=1, availableReplicas=2), replicas=2), WAITING),
        (workload("Deployment", counts(replicas=2, updatedReplicas=2, availableReplicas=1), replicas=2), WAITING),
        (workload("Deployment", counts(replicas=3, updatedReplicas=2, availableReplicas=2), replicas=2), WAITING),
        # minReadySeconds: ready is not yet available
        (workload("Deployment", counts(replicas=1, updatedReplicas=1, readyReplicas=1), replicas=1), WAITING),
        # "Failed Deployment"
        (workload("Deployment", counts(conditions=[DEADLINE]), replicas=1), FAILED),
        (workload("Deployment", counts(conditions=[GOES_ON]), replicas=1), WAITING),
        # the status of the definition before
        (workload("Deployment", counts(replicas=1, updatedReplicas=1, availableReplicas=1), 2, replicas=1), WAITING),
        (workload("Deployment", {}, replicas=0), WAITING),
        (workload("DaemonSet", {}), WAITING),
        # not there yet: what the manifest has of it
        ({"kind": "DaemonSet", "metadata": {"name": "w"}}, WAITING),
        ({"kind": "Deployment", "metadata": {"name": "w"}, "spec": {"replicas": 0}}, WAITING),
        # nothing rolls: the current revision is the updated one
        (workload("StatefulSet", counts(readyReplicas=2, currentRevision="r", updateRevision="r"), replicas=2), READY),
        (
            workload("StatefulSet", counts(readyReplicas=1, currentRevision="r", updateRevision="r"), replicas=2),
            WAITING,
        ),
        (
            workload(
                "StatefulSet",
                counts(readyReplicas=2, updatedReplicas=1, currentRevision="r", updateRevision="s"),
                replicas=2,
            ),
            WAITING,
        ),
        (
            workload("DaemonSet", counts(desiredNumberScheduled=2, updatedNumberScheduled=2, numberReady=2)),
            READY,
        ),
        (
            workload("DaemonSet", counts(desiredNumberScheduled=2, updatedNumberScheduled=1, numberReady=2)),
            WAITING,
        ),
        (
            workload("DaemonSet", counts(desiredNumberScheduled=2, updatedNumberScheduled=2, numberReady=1)),
            WAITING,
        ),
        (workload("ReplicaSet", counts(readyReplicas=1), replicas=1), READY),
        (workload("ReplicaSet", counts(replicas=1), replicas=1), WAITING),
        # "Jobs", "Job termination and cleanup"
        (workload("Job", {"succeeded": 1, "conditions": [{"type": "Failed", "status": "False"}]}), READY),
        (workload("Job", {"succeeded": 1}, completions=2), WAITING),
        (workload("Job", {"succeeded": 2}, completions=2), READY),
        # "Pod Lifecycle", "Pod phase"
        (workload("Pod", {"phase": "Succeeded"}), READY),
        (workload("Pod", {"phase": "Running"}), WAITING),
        (workload("Pod", {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), READY),
        (workload("Pod", {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}), WAITING),
    ],
)
def test_each_kind_of_workload_is_judged_by_what_its_controller_tells(thing: dict[str, Any], wanted: Verdict) -> None:
    assert judge([thing], [], now_s=NOW_S)[0] is wanted


def test_a_pods_line_tells_all_of_its_containers_restarts_and_that_it_goes() -> None:
    thing = pod(restarts=2)
    thing["spec"] |= {"nodeName": "node-1", "containers": [{"name": "c", "image": "nf:1"}, {"name": "s", "image": "x"}]}
    thing["status"]["containerStatuses"].append({"name": "s", "restartCount": 3})
    assert pod_of(thing) == Pod("upf-1", "Running", True, 5, "node-1", "nf:1")
    thing["status"]["containerStatuses"][1]["state"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    assert pod_of(thing).phase == "OOMKilled"
    thing["metadata"]["deletionTimestamp"] = at(NOW_S)
    assert pod_of(thing).phase == "Terminating"


def test_a_daemon_that_has_just_begun_is_deployed_and_not_ready_and_one_that_crashes_is_failed(site: Site) -> None:
    cluster = site.clusters[0]
    assert site.call(cluster="a").status == "ready"
    [thing] = cluster.things("pods")
    [container] = thing["status"]["containerStatuses"]
    now = datetime.now(UTC).timestamp() + 3600  # the test may take long: by the fake's clock it is never that late
    container["state"] = {"running": {"startedAt": at(now)}}
    answer = site.call(cluster="a", values={"tac": "8"})
    assert (answer.status, answer.code) == ("deployed", None)
    assert once(site, site.request(action="status", id="status")).status == "progressing"
    late = site.call(cluster="a", values={"tac": "9"}, wait=True, timeout_s=1)
    assert (late.status, late.code) == ("failed", "not_ready")
    assert "without a readiness probe" in late.body["error"]["message"]
    container["state"] = {"running": {"startedAt": at(now - 7200)}}
    assert site.call(action="status").status == "ready"
    container |= {"restartCount": 3, "lastState": CRASHED, "state": {"running": {"startedAt": at(now)}}}
    assert site.call(cluster="a", values={"tac": "10"}).status == "deployed"
    container |= {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    assert site.call(cluster="a", values={"tac": "11"}).code == "pods_crash"
