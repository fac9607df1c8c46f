"""What a chart's hooks have made is no part of its release, and helm leaves it: it is named as long as it is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from durable import journal
from durable.errors import StoreError
from durable.journal import Hand
from placement import hooks
from placement.hooks import Hook
from placement.operation import Operation, Phase
from placement.parts import Next
from placement.step_time import Asked
from placement.steps import Placer
from tests.placement.conftest import Answered, Site
from tests.placement.fake_cluster import FakeCluster, api
from tests.placement.fake_registry import FILES
from tests.placement.test_apply import release_states
from tests.placement.test_interrupted import CALLBACK, begun, operation, turn_to_end

HOOK = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-NAME
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: POLICY}
"""
NAMED = "ConfigMap/upf-hook of its hooks, which helm does not remove"


def hook(name: str, policy: str = "before-hook-creation") -> str:
    return HOOK.replace("NAME", name).replace("POLICY", policy)


def put(cluster: FakeCluster, path: str, **metadata: str) -> None:
    cluster.put(path, {"metadata": {"name": path.rpartition("/")[2], **metadata}})


def config(name: str, namespace: str = "") -> Hook:
    return Hook("v1", "ConfigMap", namespace, name)


def test_only_what_is_there_is_named(cluster: FakeCluster) -> None:
    put(cluster, "/api/v1/namespaces/lab/configmaps/stays")
    put(cluster, "/api/v1/namespaces/other/configmaps/elsewhere")
    put(cluster, "/apis/apps/v1/namespaces/lab/deployments/stays")
    put(cluster, "/api/v1/namespaces/lab/configmaps/going", deletionTimestamp="2026-01-01T00:00:00Z")
    asked = [
        config("stays"),
        config("elsewhere", "other"),
        config("elsewhere"),
        config("gone"),
        config("going"),
        Hook("apps/v1", "Deployment", "", "stays"),
        Hook("apps/v1", "StatefulSet", "", "stays"),
        Hook("gone.test/v1", "Thing", "", "stays"),
        Hook("v1", "Namespace", "", "lab"),
    ]
    wanted = ["ConfigMap/stays", "ConfigMap/elsewhere", "Deployment/stays", "Namespace/lab"]
    assert hooks.there(api(cluster), "lab", asked) == wanted


def test_what_the_cluster_does_not_tell_is_named_as_such(cluster: FakeCluster) -> None:
    put(cluster, "/api/v1/namespaces/lab/configmaps/stays")
    cluster.refuse.add("/configmaps/hidden")
    asked = [config("stays"), config("hidden"), config("migrate-*")]
    wanted = ["ConfigMap/stays", "perhaps ConfigMap/hidden", "perhaps ConfigMap/migrate-*"]
    assert hooks.there(api(cluster), "lab", asked) == wanted
    late = api(cluster)
    late.until = time.monotonic()
    assert hooks.there(late, "lab", [config("stays")]) == ["perhaps ConfigMap/stays"]


def test_without_hooks_nothing_is_asked(cluster: FakeCluster) -> None:
    assert hooks.there(api(cluster), "lab", []) == []
    assert cluster.calls == []


def test_many_are_looked_at_at_once(cluster: FakeCluster) -> None:
    """One by one, 20 would not end in the time that there is."""
    cluster.slow_s = 0.5
    asking = api(cluster)
    asking.until = time.monotonic() + 4
    assert hooks.there(asking, "lab", [config(f"hook-{n}") for n in range(20)]) == []


def test_manifests_of_hooks_are_read() -> None:
    named = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a, namespace: other}"
    generated = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: migrate-}"
    found = hooks.of([named, generated, named, "no: [yaml", "kind: Job"])
    assert found == (
        Hook("batch/v1", "Job", "other", "a"),
        Hook("v1", "Pod", "", "migrate-*"),
        Hook("", "Job", "", "*"),
    )


def test_the_clause_names_ten() -> None:
    assert hooks.told([]) == ""
    assert hooks.told([f"Job/{n}" for n in range(12)]).startswith("Job/0, ")
    assert "Job/9 and 2 more of its hooks" in hooks.told([f"Job/{n}" for n in range(12)])


@pytest.fixture
def hooked(make_site: Callable[..., Site]) -> Site:
    return with_chart(make_site(1))


def with_chart(site: Site) -> Site:
    """With a chart of two hooks, one of which helm removes by itself."""
    files = {"templates/a.yaml": hook("hook"), "templates/b.yaml": hook("passing", "hook-succeeded")}
    site.registry.push("hooked", "1.0.0", files=FILES | files)
    return site


def request(site: Site, **changes: object) -> dict[str, Any]:
    return site.request(**({"cluster": "a", "chart_repository": site.registry.oci("hooked")} | changes))


def crashed(site: Site, **changes: object) -> Answered:
    """An atomic call whose pods crash."""
    site.clusters[0].pods = "crash"
    body = request(site, atomic=True, **changes) | {"id": "crash"}
    site.call(body, callback=CALLBACK)
    site.turn_until(lambda: operation(site, "crash").phase is Phase.UNDO, "the way back")
    site.clusters[0].pods = "ready"
    return turn_to_end(site, "crash")


def test_hooks_of_a_run_that_failed_are_named_and_again_by_the_uninstall(hooked: Site) -> None:
    hooked.clusters[0].refuse_bodies = '"many"'
    answer = hooked.call(request(hooked, values={"replicas": "many"}))
    assert (answer.status, answer.code) == ("failed", "apply_failed")
    message = answer.body["error"]["message"]
    assert "Left on the cluster: revision 1 marked failed, with some or all of " in message
    assert message.endswith(f", and {NAMED}.")
    assert "passing" not in message
    gone = hooked.call(cluster="a", action="uninstall")
    assert (gone.status, gone.code, gone.body["left"]) == ("uninstalled", None, ["ConfigMap/upf-hook"])


def test_hooks_of_a_run_that_was_stopped_and_went_back_are_named(make_site: Callable[..., Site]) -> None:
    site = with_chart(make_site(1, helm_timeout_s="8"))
    cluster = site.clusters[0]
    cluster.stall = ("POST", "/deployments")
    site.call(request(site, atomic=True) | {"id": "slow"}, callback=CALLBACK)
    site.turn_until(cluster.stalled.is_set, "helm in its middle")
    cluster.stall = None
    answer = turn_to_end(site, "slow")
    cluster.go_on.set()
    assert (answer.status, answer.code) == ("rolled-back", "timeout")
    message = answer.body["error"]["message"]
    assert message.endswith(f" The release was uninstalled. Left on the cluster: {NAMED}.")
    assert release_states(site) == []


def test_hooks_are_named_beside_the_namespace_that_was_made(hooked: Site) -> None:
    hooked.policy(create_namespaces=True)
    answer = crashed(hooked, run_namespace="made-1")
    assert answer.status == "rolled-back"
    left = f"Left on the cluster: {NAMED}, and the namespace made-1, made for this call."
    assert answer.body["error"]["message"].endswith(left)


def test_hooks_of_an_upgrade_that_went_back_are_named(hooked: Site) -> None:
    assert hooked.call(cluster="a").status == "ready"
    answer = crashed(hooked, values={"replicas": 2})
    assert answer.status == "rolled-back"
    left = f" The release was rolled back to what revision 1 was. Left on the cluster: {NAMED}."
    assert left in answer.body["error"]["message"]


def test_hooks_of_what_was_gone_back_to_are_its_own(hooked: Site) -> None:
    assert hooked.call(request(hooked)).status == "ready"
    answer = crashed(hooked, chart_repository=hooked.registry.oci("nf"), values={"replicas": 2})
    assert answer.status == "rolled-back"
    assert answer.body["error"]["message"].endswith(" The release was rolled back to what revision 1 was.")


def test_a_release_that_left_nothing_has_no_such_field(hooked: Site) -> None:
    assert hooked.call(request(hooked)).status == "ready"
    del hooked.clusters[0].objects["/api/v1/namespaces/lab/configmaps/upf-hook"]
    assert "left" not in hooked.call(cluster="a", action="uninstall").body


def test_a_dry_run_of_an_uninstall_names_what_hooks_made_and_would_make(site: Site) -> None:
    at_the_end = hook("goodbye").replace("pre-install,pre-upgrade", "Post-Delete")
    passing = hook("report", '"before-hook-creation,hook-succeeded"').replace("pre-install,pre-upgrade", "pre-delete")
    files = {"templates/a.yaml": hook("hook"), "templates/b.yaml": at_the_end, "templates/c.yaml": passing}
    site.registry.push("hooked", "1.0.0", files=FILES | files)
    assert site.call(request(site)).status == "ready"
    planned = site.call(cluster="a", action="uninstall", dry_run=True)
    assert (planned.status, planned.code) == ("planned", None)
    assert planned.body["left"] == ["ConfigMap/upf-hook", "ConfigMap/upf-goodbye"]
    assert release_states(site) == [(1, "deployed")]
    done = site.call(cluster="a", action="uninstall")
    assert sorted(done.body["left"]) == sorted(planned.body["left"])
    assert "left" not in site.call(cluster="a", action="uninstall", dry_run=True).body


def test_hooks_that_an_uninstall_runs_are_told_from_others() -> None:
    def text(name: str, runs: str, policy: str = "") -> str:
        told = {"helm.sh/hook": runs} | ({"helm.sh/hook-delete-policy": policy} if policy else {})
        return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": told}})

    found = hooks.left_by_uninstall(
        [
            text("a", "pre-delete"),
            text("b", "post-install, post-delete", "hook-failed"),
            text("c", "pre-delete", "before-hook-creation, hook-succeeded"),
            text("d", "post-install"),
            "no: [yaml",
        ]
    )
    assert [hook.name for hook in found] == ["a", "b"]


def forget(monkeypatch: pytest.MonkeyPatch, phase: Phase) -> list[str]:
    """The end of the first step of that phase is not written down; what is given is empty once that has been so."""
    monkeypatch.setattr(journal, "RUN_MS", 0)
    yet = ["once"]
    real = Placer._step

    def step(placer: Placer, hand: Hand[Operation], asked: Asked) -> Next:
        is_it = hand.call.phase is phase
        done = real(placer, hand, asked)
        if is_it and yet:
            yet.pop()
            raise StoreError("as if it were down for a moment")
        return done

    monkeypatch.setattr(Placer, "_step", step)
    return yet


def test_an_uninstall_gone_on_with_names_hooks_too(hooked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hooked.call(request(hooked)).status == "ready"
    yet = forget(monkeypatch, Phase.HELM)
    begun(hooked, "gone", action="uninstall")
    answer = turn_to_end(hooked, "gone")
    assert not yet
    assert (answer.status, answer.body["left"]) == ("uninstalled", ["ConfigMap/upf-hook"])


def test_a_way_back_gone_on_with_names_hooks_too(hooked: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    yet = forget(monkeypatch, Phase.UNDO)
    answer = crashed(hooked)
    assert not yet
    assert answer.status == "rolled-back"
    assert answer.body["error"]["message"].endswith(f"The release was uninstalled. Left on the cluster: {NAMED}.")
