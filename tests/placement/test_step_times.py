"""How long a call lasts where a cluster, S3, a registry or a caller's own server takes its time: about 5 s."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from durable import callbacks, journal
from durable.callbacks import HttpCallbacks, To
from placement import api, choosing, receiving, step_time, steps, values
from placement.api import Api
from placement.errors import Code, PlacementError
from placement.function import build
from placement.helm import Ran, Turn
from placement.inventory import Clusters
from placement.kubeconfig import Credentials
from placement.operation import Phase
from placement.settling import Settling
from placement.step_time import LOOK_WITHIN_S
from placement.values import S3, S3Settings, Values
from reload.kubernetes_cluster import Call
from tests.placement import agents
from tests.placement.conftest import CALLER, MASTER, Event, Site, signed
from tests.placement.fake_cluster import wait_for
from tests.placement.slow_servers import dripping
from tests.placement.test_apply import release_states
from tests.placement.test_interrupted import CALLBACK, LEASES, begun, hurry, operation, turn_to_end
from trust.access import Access

BUSY_S = 2.5
"""What a busy machine adds to a call."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds + BUSY_S


@pytest.mark.parametrize(("slow_s", "code"), [(0.7, "timeout"), (1.2, "cluster_down")])
def test_a_step_on_a_slow_cluster_ends_in_its_time(site: Site, slow_s: float, code: str) -> None:
    """With the default helm_timeout_s: 5 s, and what a busy machine adds; helm does not begin where it has no time.

    In the 3 s before it must there are two answers of 1.2 s, those for the lease, and no third.
    """
    site.function._placer.parts.journal._store.close()
    site.function = build({key: text for key, text in site.environment.items() if key != "helm_timeout_s"})
    site.clusters[0].slow_s = slow_s
    begun(site, "slow")
    longest = 0.0
    while operation(site, "slow").phase in (Phase.PLAN, Phase.HELM) and longest < 8:
        before = time.monotonic()
        site.turn()
        longest = max(longest, time.monotonic() - before)
    assert 2.5 < longest < 5 + BUSY_S
    site.clusters[0].slow_s = 0.0
    answer = turn_to_end(site, "slow")
    assert (answer.status, answer.code) == ("failed", code)
    assert release_states(site) == []
    wait_for(lambda: site.clusters[0].things("leases") == [], "its lease given back")


@pytest.mark.parametrize(("changed", "slow_s", "phase"), [("{}", 1.0, Phase.RELOAD), ("{}Image", 1.8, Phase.WATCH)])
def test_a_step_under_reload_on_a_slow_cluster_ends_in_its_time(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, changed: str, slow_s: float, phase: Phase
) -> None:
    """With a helm_timeout_s of 9: 10.5 s with helm, 4 s without, and what a busy machine adds; less than RUN_MS."""
    names = ("amf", "smf", "upf", "ausf", "udm", "pcf")
    chart = agents.push(site, *names)
    assert site.call(cluster="a", chart_repository=chart).body["revision"] == 1
    for name in names:
        agents.let_say(site, name, digest=agents.digest("one"))
    hurry(site, "9")
    slow_after_helm(site, monkeypatch, slow_s)
    took: list[float] = []

    def turned() -> bool:
        before = time.monotonic()
        is_due = site.turn() > 0
        took.append(time.monotonic() - before)
        return is_due

    begun(site, "slow", chart_repository=chart, values={changed.format(name): "two" for name in names})
    wait_for(lambda: turned() and operation(site, "slow").phase not in (Phase.PLAN, Phase.HELM), "helm's end")
    assert operation(site, "slow").phase is phase
    site.clusters[0].slow_s = 1.0  # a look at six workloads, one request after the other, would take too long
    wait_for(turned, "a step without helm")
    assert took[-1] < LOOK_WITHIN_S + BUSY_S
    assert max(took) < 10.5 + BUSY_S < journal.RUN_MS / 1000
    site.clusters[0].slow_s = 0.0
    for name in names:
        agents.let_say(site, name, digest=agents.digest("one" if "Image" in changed else "two"))
    answer = turn_to_end(site, "slow")
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 2)


@pytest.mark.parametrize(("slow_s", "code"), [(0.25, None), (2.0, "cluster_down")])
def test_a_status_of_many_objects_ends_in_its_time_on_a_slow_cluster(
    site: Site, slow_s: float, code: str | None
) -> None:
    """4.5 s at most, and what a busy machine adds; one object after the other would take over 10 s."""
    names = [f"nf{number}" for number in range(20)]
    chart = agents.push(site, *names)
    assert site.call(cluster="a", chart_repository=chart).body["revision"] == 1
    site.clusters[0].slow_s = slow_s
    before = time.monotonic()
    answer = site.call(action="status")
    took = time.monotonic() - before
    assert (answer.code, took < 9) == (code, True)
    assert took > slow_s


@pytest.mark.parametrize("timeout_s", [3, 120])
def test_a_caller_is_kept_for_about_5_s_also_where_a_look_would_take_longer(site: Site, timeout_s: int) -> None:
    """5 s, and what a busy machine adds; the look, of seven rounds of eight answers, would take over 9 s.

    Where the caller's time ends meanwhile, it is no look to end the operation by: it was cut short.
    """
    site.clusters[0].pods = "pending"
    body = begun(
        site, "kept", wait=True, timeout_s=timeout_s, chart_repository=agents.push(site, *(f"nf{n}" for n in range(20)))
    )
    site.turn_until(lambda: operation(site, "kept").phase is Phase.WATCH, "helm's end")
    site.clusters[0].slow_s = 1.4
    before = time.monotonic()
    answer = site.post(Event(json.dumps(body).encode(), signed(json.dumps(body).encode(), CALLER)))
    took = time.monotonic() - before
    site.clusters[0].slow_s = 0.0
    assert (answer.status, operation(site, "kept").phase) == ("progressing", Phase.WATCH)
    assert 3.5 < took < 5 + BUSY_S


def test_who_waits_has_all_of_the_time_for_the_pods_where_helm_was_late(site: Site) -> None:
    """Else a release whose turn came late would be taken back after one look at pods that have just begun."""
    site.clusters[0].pods = "pending"
    begun(site, "late", wait=True, timeout_s=30)
    site.turn_until(lambda: operation(site, "late").phase is Phase.WATCH, "helm's end")
    kept = operation(site, "late")
    assert kept.deadline_ms > kept.begun_ms + 30_000


def slow_after_helm(site: Site, monkeypatch: pytest.MonkeyPatch, slow_s: float) -> None:
    """From when helm is done for the first time."""
    real = Turn.run

    def run(turn: Turn, *args: Any, **named: Any) -> Ran:
        ran = real(turn, *args, **named)
        site.clusters[0].slow_s = slow_s
        return ran

    monkeypatch.setattr(Turn, "run", run)


@pytest.mark.parametrize("undone", [False, True])
def test_on_a_slow_cluster_pods_that_are_ready_confirm_in_a_step_of_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch, undone: bool
) -> None:
    """A look at them and what they run with are six answers one after the other."""
    monkeypatch.setattr(step_time, "LOOK_WITHIN_S", 2.0)  # and a third of a second an answer, in place of a second
    chart = agents.push(site, "smf")
    site.call(cluster="a", chart_repository=chart)
    agents.let_say(site, "smf", digest=agents.digest("one"))
    if undone:
        site.clusters[0].refuse_bodies = "registry.test/nf:2"
    begun(site, "slow", wait=True, atomic=undone, chart_repository=chart, values={"smfImage": "registry.test/nf:2"})
    phase = Phase.WATCH_UNDO if undone else Phase.WATCH
    site.turn_until(lambda: operation(site, "slow").phase is phase, "helm's end")
    site.clusters[0].slow_s = 0.4
    site.turn_until(lambda: operation(site, "slow").is_seen, "the look")
    assert operation(site, "slow").phase is phase
    assert [pod.ready for pod in operation(site, "slow").answer.pods] == [True]
    site.clusters[0].calls.clear()
    agents.let_say(site, "smf", digest=agents.digest("one"))
    answer = turn_to_end(site, "slow")
    assert not [path for _, path in site.clusters[0].calls if "/deployments/" in path]
    assert [path for _, path in site.clusters[0].calls if path.endswith("/proxy/status")]
    assert (answer.status, answer.body["revision"]) == (("rolled-back", 3) if undone else ("ready", 2))
    assert [pod["ready"] for pod in answer.body["pods"]] == [True]


def test_pods_that_do_not_confirm_are_waited_for_also_in_that_step(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_time, "LOOK_WITHIN_S", 2.0)
    chart = agents.push(site, "smf")
    site.call(cluster="a", chart_repository=chart)
    agents.let_say(site, "smf", digest=agents.digest("one"))
    begun(site, "slow", wait=True, chart_repository=chart, values={"smfImage": "registry.test/nf:2"})
    site.turn_until(lambda: operation(site, "slow").phase is Phase.WATCH, "helm's end")
    agents.let_say(site, "smf", digest=agents.digest("other"))
    site.clusters[0].slow_s = 0.4
    site.turn_until(lambda: operation(site, "slow").is_seen, "the look")
    site.clusters[0].slow_s = 0.0
    site.turn_until(lambda: operation(site, "slow").phase is Phase.RELOAD, "what they run with")
    assert agents.nudged(site, "smf", "one")
    agents.let_say(site, "smf", digest=agents.digest("one"))
    assert turn_to_end(site, "slow").status == "ready"


def test_a_look_after_helm_is_known_to_have_ended_needs_no_lease(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow cluster taking it, and giving it back, would leave no time for the look, in this step and in each."""
    chart = agents.push(site, "smf")
    site.call(cluster="a", chart_repository=chart)
    agents.let_say(site, "smf", digest=agents.digest("two"))
    hurry(site, "6")
    slow_after_helm(site, monkeypatch, 2.0)  # three answers in the 7.5 s of a step, and no fourth
    begun(site, "slow", wait=True, chart_repository=chart, values={"smf": "two"})
    site.turn_until(lambda: operation(site, "slow").phase is Phase.MEND, "helm's end")
    assert operation(site, "slow").revision == 2
    site.clusters[0].slow_s = 0.8
    site.clusters[0].calls.clear()
    site.turn_until(lambda: operation(site, "slow").phase is not Phase.MEND, "the look")
    assert operation(site, "slow").phase in (Phase.RELOAD, Phase.WATCH)
    assert not [path for _, path in site.clusters[0].calls if path.startswith(LEASES)]
    site.clusters[0].slow_s = 0.0
    answer = turn_to_end(site, "slow")
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 2)


def test_a_cluster_that_is_asked_for_its_room_has_its_time_and_then_counts_as_down(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(2)
    monkeypatch.setattr(choosing, "TEMPLATE_S", 2.5)
    site.clusters[0].slow_s = 2.2  # two answers are needed
    body = site.request(id="slow", choose={"needs": {"replicas": 1, "cpu": "100m", "memory": "64Mi"}})
    site.call(body, callback=CALLBACK)
    with within(3.0):
        site.turn_until(lambda: operation(site, "slow").phase is Phase.HELM, "the choice")
    assert operation(site, "slow").cluster == "b"
    assert "does not answer" in operation(site, "slow").why.others["a"]


def test_a_dry_run_leaves_helm_what_is_left_of_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(site, "2")
    site.clusters[0].stall = ("GET", "/version")
    given: list[float] = []
    real = Turn.run

    def run(turn: Turn, *args: Any, timeout_s: float, **named: Any) -> Ran:
        given.append(timeout_s)
        return real(turn, *args, timeout_s=timeout_s, **named)

    monkeypatch.setattr(Turn, "run", run)
    site.clusters[0].slow_s = 1.2
    begun(site, "dry", dry_run=True)
    answer = turn_to_end(site, "dry")
    site.clusters[0].go_on.set()
    assert answer.code == "timeout"
    assert len(given) == 1
    assert 1.0 <= given[0] < 1.4  # of 2.5 s the cluster has had 1.2


def test_a_file_that_comes_from_s3_in_drops_is_not_waited_for() -> None:
    begin = b"HTTP/1.1 200 OK\r\nContent-Type: binary/octet-stream\r\nContent-Length: 100000\r\n\r\n"
    with dripping(begin) as endpoint, within(2.0):
        store = S3(S3Settings(endpoint, "key", "secret"))
        with pytest.raises(PlacementError) as told:
            store.read("values", "nf.yaml")
    assert told.value.code is Code.VALUES_STORE_DOWN


@pytest.mark.parametrize(
    ("begin", "is_taken"),
    [(b"", False), (b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n", True)],
    ids=["silent", "in drops"],
)
def test_a_callers_server_that_takes_its_time_keeps_no_step_from_ending(begin: bytes, is_taken: bool) -> None:
    with dripping(begin) as url, within(callbacks.PROGRESS_S):
        to = To(url, CALLER, "c-1")
        sender = HttpCallbacks("placement", Access(MASTER, "http://127.0.0.1", 180))
        assert sender.send(to, b"{}", timeout_s=callbacks.PROGRESS_S) is is_taken


def test_what_is_told_on_the_way_has_less_time_than_the_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, float]] = []

    def send(_: HttpCallbacks, __: To, body: bytes, *, timeout_s: float = callbacks.TIMEOUT_S) -> bool:
        told.append((json.loads(body)["status"], timeout_s))
        return True

    monkeypatch.setattr(HttpCallbacks, "send", send)
    begun(site, "told", wait=True)
    site.turn_until(lambda: operation(site, "told").is_over, "the end")
    assert told[-1] == ("ready", 1.0)
    assert {timeout_s for status, timeout_s in told if status == "progressing"} == {0.3}


def test_a_look_that_is_cut_short_for_its_caller_ends_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells of the cluster, and not of the release."""
    site.clusters[0].pods = "pending"
    body = begun(site, "kept", wait=True, timeout_s=1)
    site.turn_until(lambda: operation(site, "kept").phase is Phase.WATCH, "helm's end")
    parts = site.function._placer.parts
    wait_for(lambda: parts.now_ms() >= operation(site, "kept").deadline_ms, "the end of its time")
    octets = json.dumps(body).encode()
    with monkeypatch.context() as late:
        late.setattr(steps, "INLINE_LOOK_S", 0.3)
        site.clusters[0].slow_s = 0.6
        answer = site.post(Event(octets, signed(octets, CALLER)))
        assert (answer.status, operation(site, "kept").phase) == ("progressing", Phase.WATCH)
    site.clusters[0].slow_s = 0.0
    answer = site.post(Event(octets, signed(octets, CALLER)))
    assert (answer.status, answer.code) == ("failed", "not_ready")


def test_pods_that_crash_while_the_cluster_cannot_be_asked_what_they_run_with_are_seen(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_time, "LOOK_WITHIN_S", 2.0)
    chart = agents.push(site, "smf")
    site.call(cluster="a", chart_repository=chart)
    agents.let_say(site, "smf", digest=agents.digest("one"))
    begun(site, "slow", wait=True, chart_repository=chart, values={"smfImage": "registry.test/nf:2"})
    site.turn_until(lambda: operation(site, "slow").phase is Phase.WATCH, "helm's end")
    agents.let_say(site, "smf", digest=agents.digest("one"))
    site.clusters[0].slow_s = 0.4
    site.turn_until(lambda: operation(site, "slow").is_seen, "the look")
    site.clusters[0].slow_s = 0.0
    site.clusters[0].trouble.append(("GET", "/configmaps", 503))
    site.turn_until(lambda: not operation(site, "slow").is_seen, "a step in vain")
    site.clusters[0].let_crash()
    answer = turn_to_end(site, "slow")
    assert (answer.status, answer.code) == ("failed", "pods_crash")


def test_an_answer_of_a_cluster_that_comes_in_drops_has_an_end() -> None:
    begin = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    with dripping(begin) as url, within(1.0):
        api = Api("a", Credentials(url, None, None, "token", None, None))
        api.until = time.monotonic() + 1.0
        with pytest.raises(PlacementError) as told:
            api.get("/version")
        api.close()
    assert told.value.code is Code.CLUSTER_DOWN
    with dripping(begin) as url, within(1.0):
        api = Api("a", Credentials(url, None, None, "token", None, None))
        with pytest.raises(TimeoutError):
            api.send(Call("GET", "/status", (), {}, None, 1.0))
        api.close()


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_registry_that_takes_connections_and_never_answers_is_told_as_down(site: Site, dry_run: bool) -> None:
    """Helm does not say whom it waited for until it was stopped."""
    hurry(site, "2")
    with dripping() as url:
        host = url.removeprefix("http://")
        site.secret("placement-credentials", json.dumps({"registries": [{"host": host, "plain_http": True}]}))
        begun(site, "silent", chart_repository=f"oci://{host}/charts/nf", dry_run=dry_run)
        answer = turn_to_end(site, "silent")
    assert answer.code == "registry_down"
    assert answer.body["error"]["message"].startswith(f"The registry {host} does not answer")
    assert "Left" not in answer.body["error"]["message"]
    assert release_states(site) == []


def test_a_cluster_that_helm_waits_for_is_not_told_as_the_registry(site: Site) -> None:
    hurry(site, "2")
    site.clusters[0].stall = ("GET", "/version")
    begun(site, "stopped")
    site.turn_until(lambda: operation(site, "stopped").phase not in (Phase.PLAN, Phase.HELM), "helm's being stopped")
    site.clusters[0].stall = None
    assert turn_to_end(site, "stopped").code == "timeout"
    site.clusters[0].go_on.set()


def test_what_s3_took_is_not_the_clusters_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a call with a slow S3 would fail as of a cluster that is down."""
    hurry(site, "2")

    def gather(*_: Any) -> Values:
        time.sleep(1.6)  # of the 2.5 s; S3's answer has no condition to be waited for
        return Values(None, "{}", ({}, {}))

    monkeypatch.setattr(values, "gather", gather)
    site.clusters[0].slow_s = 0.2
    real = Turn.run
    given: list[float] = []

    def run(turn: Turn, *args: Any, timeout_s: float, **named: Any) -> Ran:
        given.append(timeout_s)
        site.clusters[0].slow_s = 0.0
        return real(turn, *args, timeout_s=20.0, **named)

    monkeypatch.setattr(Turn, "run", run)
    begun(site, "s3")
    site.turn_until(lambda: operation(site, "s3").phase not in (Phase.PLAN, Phase.HELM), "helm's end")
    assert len(given) == 1
    assert turn_to_end(site, "s3").status == "ready"


def test_a_chart_that_renders_slowly_is_not_told_as_a_registry_that_is_down(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Turn, "run", lambda *_, **__: Ran(-15, "", "", 2.5, Code.TIMEOUT))
    assert site.call().code == "timeout"
    site.registry.stop()
    assert site.call().code == "registry_down"


@pytest.mark.parametrize("undone", [False, True])
def test_the_last_look_that_finds_the_pods_ready_has_a_step_more_to_ask_them(
    site: Site, monkeypatch: pytest.MonkeyPatch, undone: bool
) -> None:
    """Else a good release would be taken back because its cluster is slow."""
    monkeypatch.setattr(step_time, "LOOK_WITHIN_S", 2.0)
    chart = agents.push(site, "smf")
    site.call(cluster="a", chart_repository=chart)
    agents.let_say(site, "smf", digest=agents.digest("one"))
    if undone:
        site.clusters[0].refuse_bodies = "registry.test/nf:2"
    begun(site, "slow", wait=True, atomic=True, chart_repository=chart, values={"smfImage": "registry.test/nf:2"})
    phase = Phase.WATCH_UNDO if undone else Phase.WATCH
    site.turn_until(lambda: operation(site, "slow").phase is phase, "helm's end")
    site.clusters[0].slow_s = 0.4
    monkeypatch.setattr(Settling, "_is_late", lambda *_: True)
    site.turn_until(lambda: operation(site, "slow").is_seen, "the look")
    site.clusters[0].slow_s = 0.0
    agents.let_say(site, "smf", digest=agents.digest("one"))
    answer = turn_to_end(site, "slow")
    assert (answer.status, answer.body["revision"]) == (("rolled-back", 3) if undone else ("ready", 2))


def test_pods_that_were_seen_before_a_release_went_back_are_looked_at_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_time, "LOOK_WITHIN_S", 2.0)
    chart = agents.push(site, "smf")
    site.call(cluster="a", chart_repository=chart)
    agents.let_say(site, "smf", digest=agents.digest("one"))
    begun(site, "slow", wait=True, atomic=True, chart_repository=chart, values={"smfImage": "registry.test/nf:2"})
    site.turn_until(lambda: operation(site, "slow").phase is Phase.WATCH, "helm's end")
    site.clusters[0].slow_s = 0.4
    site.turn_until(lambda: operation(site, "slow").is_seen, "the look")
    site.clusters[0].slow_s = 0.0
    site.clusters[0].trouble += [("GET", "/configmaps", 503)]
    with monkeypatch.context() as late:
        late.setattr(Settling, "_is_late", lambda *_: True)
        site.turn_until(lambda: operation(site, "slow").phase is Phase.UNDO, "the way back")
    site.clusters[0].pods = "crash"
    answer = turn_to_end(site, "slow")
    assert answer.status == "rolled-back"
    assert "do not run either" in answer.body["error"]["message"]


def test_an_answer_that_is_cut_off_is_no_empty_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving.received, "__defaults__", (100,))
    monkeypatch.setattr(api, "MOST_OCTETS", 100)
    asked = site.function._placer.parts.connect(Clusters(site.store).get("a"))
    with pytest.raises(PlacementError) as told:
        asked.get("/api/v1/nodes")
    asked.close()
    assert told.value.code is Code.CLUSTER_DOWN


@pytest.mark.parametrize("body", [b"<html><p>\xff", b"<Error><Code>Slow", b"\xff\xfe"])
def test_what_a_proxy_says_before_s3_is_no_fault_of_the_request(body: bytes) -> None:
    begin = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
    with dripping(begin + body) as endpoint, pytest.raises(PlacementError) as told:
        S3(S3Settings(endpoint, "key", "secret")).read("values", "nf.yaml")
    assert told.value.code is Code.VALUES_STORE_DOWN
