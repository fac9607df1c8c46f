"""No release is called ready while its pods run with another configuration, whatever else changed or went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from placement import settling, step_time
from placement.errors import Code, PlacementError
from placement.inventory import Clusters
from placement.nudging import Reloads
from placement.operation import Phase
from placement.releases import decode, encode
from tests.placement import agents
from tests.placement.agents import digest, let_say, nudged, once
from tests.placement.conftest import Site
from tests.placement.fake_cluster import wait_for
from tests.placement.test_interrupted import CALLBACK, operation, turn_to_end


@pytest.fixture
def chart(site: Site) -> str:
    """Placed as revision 1, with pods that run with it."""
    chart = agents.push(site, "amf", "smf")
    first = site.call(cluster="a", chart_repository=chart)
    assert (first.status, first.body["revision"]) == ("ready", 1)
    for name in ("amf", "smf"):
        let_say(site, name, digest=digest("one"))
    return chart


def config(site: Site, name: str) -> dict[str, Any]:
    return site.clusters[0].objects[f"/api/v1/namespaces/lab/configmaps/{name}-config"]


def test_pods_of_a_first_revision_are_not_asked(site: Site, chart: str) -> None:
    assert ("GET", "/api/v1/namespaces/lab/configmaps") not in site.clusters[0].calls


@pytest.mark.parametrize("waits", [False, True])
def test_a_refusal_is_told_also_where_another_workload_rolled(site: Site, chart: str, waits: bool) -> None:
    refused = {"digest": digest("one"), "candidate": digest("two"), "verdict": "rejected", "reason": "line 1: retrun"}
    let_say(site, "smf", **refused)
    changes = {"smf": "two", "amfImage": "registry.test/nf:2"}
    answer = site.call(chart_repository=chart, values=changes, wait=waits)
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "config_rejected", 2)
    assert "line 1: retrun" in answer.body["error"]["message"]
    assert nudged(site, "smf", "two")


@pytest.mark.parametrize("waits", [False, True])
def test_pods_are_nudged_and_waited_for_where_another_workload_rolled(site: Site, chart: str, waits: bool) -> None:
    changes = {"smf": "two", "amfImage": "registry.test/nf:2"}
    body = site.request(chart_repository=chart, values=changes, wait=waits, id="both")
    assert once(site, body).status == "progressing"
    assert nudged(site, "smf", "two")
    let_say(site, "smf", digest=digest("two"))
    answer = site.call(body)
    assert (answer.status, answer.code) == ("ready", None)


def test_pods_are_nudged_at_once_where_another_workload_rolls_and_nobody_waits(site: Site, chart: str) -> None:
    site.clusters[0].pods = "pending"
    answer = site.call(chart_repository=chart, values={"smf": "two", "amfImage": "registry.test/nf:2"})
    assert (answer.status, answer.code) == ("deployed", None)
    assert nudged(site, "smf", "two")


def test_pods_that_a_failed_revision_left_behind_are_nudged_by_the_same_values_again(site: Site, chart: str) -> None:
    let_say(site, "smf", digest=digest("two"))
    assert site.call(chart_repository=chart, values={"smf": "two"}).body["revision"] == 2
    for secret in site.clusters[0].things("secrets"):  # as if helm had been stopped after the ConfigMap
        record = decode(secret)
        if record["version"] == 2:
            record["info"]["status"] = "failed"
            secret["data"]["release"] = encode(record)
            secret["metadata"]["labels"]["status"] = "failed"
    let_say(site, "smf", digest=digest("one"))
    body = site.request(chart_repository=chart, values={"smf": "two"}, id="again")
    assert once(site, body).status == "progressing"
    assert nudged(site, "smf", "two")
    let_say(site, "smf", digest=digest("two"))
    answer = site.call(body)
    assert (answer.status, answer.body["revision"]) == ("ready", 3)


def test_pods_are_nudged_where_helm_puts_back_what_another_had_written(site: Site, chart: str) -> None:
    config(site, "smf")["data"]["app.conf"] = "by hand"
    let_say(site, "smf", digest=digest("by hand"))
    body = site.request(chart_repository=chart, wait=True, id="back")
    assert once(site, body).status == "progressing"
    site.turn_until(lambda: nudged(site, "smf", "one"), "the nudge")
    assert config(site, "smf")["data"]["app.conf"] == "one"
    assert not nudged(site, "amf", "one")
    let_say(site, "smf", digest=digest("one"))
    assert site.call(body).status == "ready"


def test_an_atomic_call_that_went_back_waits_for_the_pods_that_had_taken_the_new_configuration(
    site: Site, chart: str
) -> None:
    let_say(site, "amf", digest=digest("two"))
    let_say(site, "smf", digest=digest("one"), candidate=digest("two"), verdict="rejected", reason="no")
    body = site.request(chart_repository=chart, values={"amf": "two", "smf": "two"}, atomic=True, id="atomic")
    once(site, body)
    site.turn_until(lambda: nudged(site, "amf", "one"), "the nudge back")
    assert config(site, "amf")["data"]["app.conf"] == "one"
    assert once(site, body).status == "progressing"
    let_say(site, "amf", digest=digest("one"))
    answer = site.call(body)
    assert (answer.status, answer.code, answer.body["revision"]) == ("rolled-back", "config_rejected", 3)


def test_an_agent_that_does_not_answer_holds_up_no_change_of_something_else(site: Site, chart: str) -> None:
    let_say(site, "smf")
    answer = site.call(chart_repository=chart, values={"amfImage": "registry.test/nf:2"}, wait=True)
    assert (answer.status, answer.code) == ("ready", None)
    site.clusters[0].refuse.add("/proxy/")
    assert site.call(chart_repository=chart, wait=True).status == "ready"


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("code", ["config_not_taken", "cluster_refused"])
def test_pods_that_nobody_can_ask_have_not_confirmed_what_changed_beside_another_workload(
    site: Site, chart: str, waits: bool, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "RELOAD_S", 1.0)
    let_say(site, "smf")
    if code == "cluster_refused":
        site.clusters[0].refuse.add("/proxy/")
    changes = {"smf": "two", "amfImage": "registry.test/nf:2"}
    answer = site.call(chart_repository=chart, values=changes, wait=waits)
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", code, 2)


def test_pods_that_begin_with_a_new_configuration_need_not_confirm_it(site: Site, chart: str) -> None:
    changes = {"amf": "two", "amfImage": "registry.test/nf:2"}
    site.call(site.request(chart_repository=chart, values=changes, wait=True, id="new"), callback=CALLBACK)
    site.turn_until(lambda: operation(site, "new").phase is Phase.WATCH, "helm's end")
    let_say(site, "amf")
    answer = turn_to_end(site, "new")
    assert (answer.status, answer.code) == ("ready", None)


def test_an_api_server_that_is_down_while_pods_reload_is_waited_for(site: Site, chart: str) -> None:
    body = site.request(chart_repository=chart, values={"smf": "two"}, atomic=True, id="down")
    assert once(site, body).status == "progressing"
    site.clusters[0].stop()
    wait_for(site.turn, "a step without the API server")
    site.clusters[0].start()
    let_say(site, "smf", digest=digest("two"))
    answer = site.call(body)
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 2)


@pytest.mark.parametrize("waits", [False, True])
def test_an_api_server_that_stays_down_while_pods_reload_is_told(
    site: Site, chart: str, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "RELOAD_S", 0.5)
    body = site.request(chart_repository=chart, values={"smf": "two"}, wait=waits, timeout_s=3, id="stays")
    site.call(body, callback=CALLBACK)
    site.turn_until(lambda: operation(site, "stays").phase is Phase.RELOAD, "helm's end")
    site.clusters[0].stop()
    answer = turn_to_end(site, "stays")
    site.clusters[0].start()
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "cluster_down", 2)
    assert not waits or answer.body["time_taken_s"] >= 3


def test_the_time_of_who_waits_does_not_begin_anew_when_pods_have_taken_a_configuration(site: Site, chart: str) -> None:
    body = site.request(chart_repository=chart, values={"smf": "two"}, wait=True, timeout_s=900, id="long")
    site.call(body, callback=CALLBACK)
    site.turn_until(lambda: operation(site, "long").phase is Phase.RELOAD, "helm's end")
    for deployment in site.clusters[0].things("deployments"):
        deployment["status"]["readyReplicas"] = 0
    let_say(site, "smf", digest=digest("two"))
    site.turn_until(lambda: operation(site, "long").phase is Phase.WATCH, "the reload's end")
    kept = operation(site, "long")
    assert kept.deadline_ms == kept.begun_ms + 900_000


@pytest.mark.parametrize("status", [409, 429, 503])
def test_an_api_server_that_fails_once_to_nudge_a_pod_is_asked_again(site: Site, chart: str, status: int) -> None:
    site.clusters[0].trouble.append(("PATCH", "/pods/", status))
    body = site.request(chart_repository=chart, values={"smf": "two"}, atomic=True, id="trouble")
    assert once(site, body).status == "progressing"
    site.turn_until(lambda: nudged(site, "smf", "two"), "the nudge")
    assert site.clusters[0].trouble == []
    let_say(site, "smf", digest=digest("two"))
    answer = site.call(body)
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 2)


def test_an_api_server_that_fails_once_to_nudge_a_pod_behind_is_asked_again(site: Site, chart: str) -> None:
    config(site, "smf")["data"]["app.conf"] = "by hand"
    let_say(site, "smf", digest=digest("by hand"))
    site.clusters[0].trouble.append(("PATCH", "/pods/", 503))
    body = site.request(chart_repository=chart, wait=True, id="behind")
    assert once(site, body).status == "progressing"
    site.turn_until(lambda: nudged(site, "smf", "one"), "the nudge")
    assert site.clusters[0].trouble == []
    let_say(site, "smf", digest=digest("one"))
    assert site.call(body).status == "ready"


def test_a_cluster_is_not_asked_when_the_time_of_a_step_is_over(site: Site, chart: str) -> None:
    api = site.function._placer.parts.connect(Clusters(site.store).get("a"))
    reloads, cluster = Reloads(api), site.clusters[0]
    cluster.calls.clear()
    api.until = time.monotonic()
    assert down(lambda: reloads.nudged_behind("lab", "upf"))
    assert down(lambda: reloads.begin("lab", "upf", ["smf-config"]))
    assert cluster.calls == []
    cluster.slow_s = 1.5  # an answer that would come, and too late
    api.until = time.monotonic() + 0.5
    assert down(lambda: reloads.begin("lab", "upf", ["smf-config"]))
    api.close()


def test_a_pod_that_could_not_be_asked_in_time_is_none_that_does_not_answer(site: Site, chart: str) -> None:
    api = site.function._placer.parts.connect(Clusters(site.store).get("a"))
    cluster = site.clusters[0]
    cluster.stall = ("GET", "/proxy/")
    api.until = time.monotonic() + 0.5
    assert down(lambda: Reloads(api).nudged_behind("lab", "upf"))
    cluster.go_on.set()
    api.close()


def test_a_step_that_waits_for_pods_asks_its_cluster_for_its_time_only(
    site: Site, chart: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = site.request(chart_repository=chart, values={"smf": "two"}, id="time")
    assert once(site, body).status == "progressing"
    with monkeypatch.context() as over:
        over.setattr(step_time, "LOOK_WITHIN_S", 0.0)
        site.clusters[0].calls.clear()
        wait_for(lambda: site.turn() > 0, "a step")
        assert site.clusters[0].calls == []
        assert operation(site, "time").phase is Phase.RELOAD
    let_say(site, "smf", digest=digest("two"))
    assert site.call(body).status == "ready"


def down(ask: Callable[[], object]) -> bool:
    """Whether it ends as of a cluster that is down."""
    with pytest.raises(PlacementError) as told:
        ask()
    return told.value.code is Code.CLUSTER_DOWN
