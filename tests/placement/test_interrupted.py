"""Helm stopped, killed or cut off in the middle: what is there stays, and what is told of it is true."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from durable import journal
from durable.errors import StoreError
from durable.journal import Hand
from placement import changing, ending, installing, settling, steps
from placement.errors import Code, PlacementError
from placement.function import build
from placement.helm import Helm, Keepalive, Ran, Turn
from placement.operation import Operation, Phase, encode_answer
from placement.parts import Next
from placement.releases import decode, encode
from placement.steps import Placer
from tests.placement import agents
from tests.placement.conftest import CALLER, Answered, Event, Site, signed
from tests.placement.test_apply import release_states

LEASES = "/apis/coordination.k8s.io/v1/namespaces/lab/leases"
CALLBACK = "http://127.0.0.1:9/"


def hurry(site: Site, helm_timeout_s: str) -> None:
    """The same site, as if its function had been started again with another helm_timeout_s."""
    site.function._placer.parts.journal._store.close()
    site.function = build(site.environment | {"helm_timeout_s": helm_timeout_s})


def begun(site: Site, call_id: str, **changes: Any) -> dict[str, Any]:
    """A call that only the ticker's turns work off."""
    body = site.request(cluster="a", **changes) | {"id": call_id}
    site.call(body, callback=CALLBACK)
    return body


def operation(site: Site, call_id: str) -> Operation:
    held = site.function._placer.parts.journal.load(f"{CALLER}\n{call_id}")
    assert held is not None
    return held.call


def turn_to_end(site: Site, call_id: str) -> Answered:
    """Turns until the operation is over; its answer."""
    site.turn_until(lambda: operation(site, call_id).is_done, "the end")
    return Answered(200, json.loads(encode_answer(operation(site, call_id).answer)))


def stopped_before_it_wrote(site: Site, call_id: str, **changes: Any) -> Answered:
    """A call whose helm hangs at its first word with the cluster, until it is stopped."""
    cluster = site.clusters[0]
    hurry(site, "2")
    cluster.stall = ("GET", "/version")
    begun(site, call_id, values={"tac": "9"}, **changes)
    site.turn_until(lambda: operation(site, call_id).phase not in (Phase.PLAN, Phase.HELM), "helm's being stopped")
    cluster.stall = None
    hurry(site, "20")
    answer = turn_to_end(site, call_id)
    cluster.go_on.set()
    return answer


def test_an_atomic_call_stopped_before_helm_wrote_anything_leaves_the_release_as_it_was(site: Site) -> None:
    site.call(cluster="a", values={"tac": "1"})
    site.call(cluster="a", values={"tac": "2"})
    before = release_states(site)
    answer = stopped_before_it_wrote(site, "stopped", atomic=True)
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "timeout", None)
    assert release_states(site) == before == [(1, "superseded"), (2, "deployed")]
    assert site.clusters[0].things("configmaps")[0]["data"] == {"tac": "2"}


def test_what_helm_had_not_begun_is_not_told_as_left_and_its_values_not_as_placed(site: Site) -> None:
    site.call(cluster="a")
    [known] = site.inventory.all()
    answer = stopped_before_it_wrote(site, "stopped")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "timeout", None)
    assert "Left" not in answer.body["error"]["message"]
    [now] = site.inventory.all()
    assert (now.revision, now.values_digest, now.is_placed) == (1, known.values_digest, True)
    assert now.history[-1].outcome == "timeout"


def test_an_atomic_first_call_stopped_before_helm_wrote_anything_has_nothing_to_undo(site: Site) -> None:
    answer = stopped_before_it_wrote(site, "stopped", atomic=True)
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "timeout", None)
    assert "uninstalled" not in answer.body["error"]["message"]
    assert release_states(site) == []
    assert not site.inventory.placed()


def test_going_back_leaves_alone_what_another_call_has_placed_since(site: Site) -> None:
    site.call(cluster="a", values={"tac": "1"})
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True, values={"tac": "2", "image": "registry.test/nf:bad"})
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    site.clusters[0].pods = "ready"
    assert site.call(cluster="a", values={"tac": "3"}, id="good").body["revision"] == 3
    answer = turn_to_end(site, "bad")
    assert (answer.status, answer.code) == ("failed", "pods_crash")
    assert "another call has changed it meanwhile" in answer.body["error"]["message"]
    assert release_states(site) == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    [placed] = site.inventory.all()
    assert (placed.revision, placed.is_placed) == (3, True)


def test_what_another_call_places_while_pods_of_the_way_back_are_looked_at_stays_in_the_inventory(site: Site) -> None:
    site.registry.push("nf", "2.0.0")
    site.call(cluster="a", values={"tac": "1"})
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True, values={"tac": "2", "image": "registry.test/nf:bad"})
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    site.clusters[0].pods = "pending"
    site.turn_until(lambda: operation(site, "bad").phase is Phase.WATCH_UNDO, "what there was before")
    site.clusters[0].pods = "ready"
    assert site.call(cluster="a", chart_version="2.0.0", values={"cpu": "7m"}, id="good").body["revision"] == 4
    [known] = site.inventory.all()
    answer = turn_to_end(site, "bad")
    assert (answer.status, answer.code) == ("rolled-back", "pods_crash")
    assert (answer.body["revision"], answer.body["chart"]) == (3, "nf-1.0.0")
    [placed] = site.inventory.all()
    assert (placed.revision, placed.chart, placed.values_digest) == (4, "nf-2.0.0", known.values_digest)


@pytest.mark.parametrize("grant", [{"namespaces": ["core"]}, {"repositories": []}, {"locations": ["munich"]}])
def test_what_is_granted_no_more_when_the_step_comes_is_not_done(site: Site, grant: dict[str, Any]) -> None:
    begun(site, "late")
    assert operation(site, "late").phase is Phase.PLAN
    site.policy(**grant)
    answer = turn_to_end(site, "late")
    assert (answer.status, answer.code) == ("refused", "not_allowed")
    assert release_states(site) == []


@pytest.mark.parametrize("waits", [False, True])
def test_a_release_whose_pods_crash_is_told_as_left(site: Site, waits: bool) -> None:
    site.clusters[0].pods = "crash"
    answer = site.call(cluster="a", wait=waits)
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "pods_crash", 1)
    assert answer.body["error"]["message"].endswith(". Left on the cluster: revision 1 marked deployed.")
    assert release_states(site) == [(1, "deployed")]


def test_what_is_left_is_what_another_call_has_placed_since(site: Site) -> None:
    site.clusters[0].pods = "pending"
    begun(site, "slow", wait=True, timeout_s=2)
    site.turn_until(lambda: operation(site, "slow").phase is Phase.WATCH, "helm's end")
    assert site.call(cluster="a", values={"tac": "2"}, id="other").body["revision"] == 2
    answer = turn_to_end(site, "slow")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "not_ready", 1)
    assert answer.body["error"]["message"].endswith(" Left on the cluster: revision 2 marked deployed.")


def test_where_going_back_fails_the_call_has_failed_and_what_is_left_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "UNDO_S", 0.0)
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True)
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    site.clusters[0].stop()
    answer = turn_to_end(site, "bad")
    site.clusters[0].start()
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "pods_crash", 1)
    message = answer.body["error"]["message"]
    assert " Going back failed too: The API server of a does not answer" in message
    assert message.endswith(" Left on the cluster: revision 1 marked deployed.")
    assert release_states(site) == [(1, "deployed")]
    [placed] = site.inventory.all()
    assert (placed.is_placed, placed.revision, placed.history[-1].outcome) == (True, 1, "pods_crash")


@pytest.mark.parametrize(
    ("is_told", "left"),
    [(True, "revision 3 marked failed"), (False, "not known, helm had begun to go back; ask again by action status")],
)
def test_a_way_back_that_fails_in_the_middle_tells_what_it_left_itself(
    site: Site, monkeypatch: pytest.MonkeyPatch, is_told: bool, left: str
) -> None:
    monkeypatch.setattr(ending, "UNDO_S", 0.0)
    site.call(cluster="a", values={"image": "registry.test/nf:of-before"})
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True, values={"tac": "2", "image": "registry.test/nf:bad"})
    site.turn_until(lambda: operation(site, "bad").phase is Phase.UNDO, "the way back")
    site.clusters[0].refuse_bodies = "nf:of-before"
    if not is_told:
        refuse_after_helm(site, monkeypatch)
    answer = turn_to_end(site, "bad")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "pods_crash", 2)
    message = answer.body["error"]["message"]
    assert " Going back failed too: " in message
    assert message.endswith(f" Left on the cluster: {left}.")
    assert message.count("Left on the cluster") == 1


def refuse_after_helm(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster refuses to show its Secrets from the end of helm's run on."""
    real = Turn.run

    def run(turn: Turn, *args: Any, **named: Any) -> Ran:
        ran = real(turn, *args, **named)
        site.clusters[0].refuse.add("/secrets")
        return ran

    monkeypatch.setattr(Turn, "run", run)


def test_pods_that_cannot_be_looked_at_do_not_hide_that_the_release_is_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "SETTLE_S", 1.0)
    site.clusters[0].refuse.add("/pods")
    answer = site.call(cluster="a")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "cluster_refused", 1)
    assert "Left on the cluster: revision 1 marked deployed." in answer.body["error"]["message"]
    assert release_states(site) == [(1, "deployed")]
    [placed] = site.inventory.all()
    assert (placed.is_placed, placed.revision, placed.chart) == (True, 1, "nf-1.0.0")
    site.clusters[0].refuse.clear()
    assert site.call(action="uninstall").status == "uninstalled"


def test_pods_that_cannot_be_looked_at_for_a_moment_make_no_failure(site: Site) -> None:
    site.clusters[0].refuse.add("/pods")
    begun(site, "moment")
    site.turn_until(lambda: operation(site, "moment").phase is Phase.MEND, "helm's end")
    site.clusters[0].refuse.clear()
    answer = turn_to_end(site, "moment")
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 1)
    assert release_states(site) == [(1, "deployed")]


def test_a_caller_who_waits_in_vain_for_a_look_at_the_pods_is_told_what_stands(site: Site) -> None:
    site.clusters[0].refuse.add("/pods")
    answer = site.call(cluster="a", wait=True, timeout_s=1)
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "cluster_refused", 1)
    assert "Left on the cluster: revision 1 marked deployed." in answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("action", "status", "revision"), [("rollback", "ready", 3), ("uninstall", "uninstalled", None)]
)
def test_what_helm_did_is_found_when_the_cluster_answers_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, action: str, status: str, revision: int | None
) -> None:
    site.call(cluster="a", values={"tac": "1"})
    site.call(cluster="a", values={"tac": "2"})
    refuse_after_helm(site, monkeypatch)
    begun(site, "cut-off", action=action)
    site.turn_until(lambda: operation(site, "cut-off").phase not in (Phase.PLAN, Phase.HELM), "helm's end")
    site.clusters[0].refuse.clear()
    answer = turn_to_end(site, "cut-off")
    assert (answer.status, answer.code, answer.body["revision"]) == (status, None, revision)
    assert [p.revision for p in site.inventory.all() if p.is_placed] == ([revision] if revision else [])


def test_helms_own_error_is_told_with_what_it_left_when_the_cluster_answers_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.clusters[0].refuse_bodies = '"many"'
    refuse_after_helm(site, monkeypatch)
    begun(site, "refused", values={"replicas": "many"})
    site.turn_until(lambda: operation(site, "refused").phase not in (Phase.PLAN, Phase.HELM), "helm's end")
    site.clusters[0].refuse.clear()
    answer = turn_to_end(site, "refused")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "apply_failed", 1)
    assert "Left on the cluster: revision 1 marked failed" in answer.body["error"]["message"]
    assert [p.revision for p in site.inventory.all() if p.is_placed] == [1]


def test_where_nobody_knows_what_helm_left_the_release_counts_as_being_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "MEND_S", 1.0)
    refuse_after_helm(site, monkeypatch)
    site.clusters[0].refuse_bodies = '"many"'
    begun(site, "unknown", values={"replicas": "many"})
    answer = turn_to_end(site, "unknown")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "apply_failed", None)
    assert "Left on the cluster: not known" in answer.body["error"]["message"]
    assert [p.cluster for p in site.inventory.placed()] == ["a"]


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Call ids whose first run's end is not written down: the store fails between helm's end and the row's write."""
    monkeypatch.setattr(journal, "RUN_MS", 0)
    forgotten: list[str] = []
    real = Placer._step

    def step(placer: Placer, hand: Hand[Operation], until: float) -> Next:
        is_helms = hand.call.phase is Phase.HELM
        done = real(placer, hand, until)
        if is_helms and hand.call.call_id in forgotten:
            forgotten.remove(hand.call.call_id)
            raise StoreError("as if it were down for a moment")
        return done

    monkeypatch.setattr(Placer, "_step", step)
    return forgotten


def forgotten_once(site: Site, forgetful: list[str], call_id: str, **changes: Any) -> None:
    """A call of which helm's part is done, and its row does not know."""
    forgetful.append(call_id)
    begun(site, call_id, **changes)
    site.turn_until(lambda: not forgetful, "helm's end")
    assert operation(site, call_id).phase is Phase.HELM


@pytest.mark.parametrize("action", ["apply", "rollback"])
def test_a_call_gone_on_with_leaves_alone_what_another_one_has_placed_since(
    site: Site, forgetful: list[str], action: str
) -> None:
    site.call(cluster="a", values={"tac": "1"})
    site.call(cluster="a", values={"tac": "2"})
    forgotten_once(site, forgetful, "one", action=action, values={"tac": "3"} if action == "apply" else None)
    assert site.call(cluster="a", values={"tac": "4"}, id="other").body["revision"] == 4
    answer = turn_to_end(site, "one")
    assert (answer.status, answer.code, answer.body["revision"]) == ("deployed", None, 3)
    assert release_states(site)[2:] == [(3, "superseded"), (4, "deployed")]
    assert site.clusters[0].things("configmaps")[0]["data"] == {"tac": "4"}
    [placed] = site.inventory.all()
    assert (placed.revision, placed.is_placed) == (4, True)
    assert {event.call_id for event in placed.history} >= {"one", "other"}


def test_an_uninstall_gone_on_with_leaves_alone_what_was_installed_since(site: Site, forgetful: list[str]) -> None:
    site.call(cluster="a", values={"tac": "1"})
    forgotten_once(site, forgetful, "one", action="uninstall")
    assert release_states(site) == []
    assert site.call(cluster="a", values={"tac": "4"}, id="other").body["revision"] == 1
    answer = turn_to_end(site, "one")
    assert (answer.status, answer.code) == ("uninstalled", None)
    assert release_states(site) == [(1, "deployed")]
    assert [p.revision for p in site.inventory.all() if p.is_placed] == [1]


@pytest.mark.parametrize(
    ("action", "status"), [("apply", "ready"), ("rollback", "ready"), ("uninstall", "uninstalled")]
)
def test_a_call_gone_on_with_does_nothing_twice(site: Site, forgetful: list[str], action: str, status: str) -> None:
    site.call(cluster="a", values={"tac": "1"})
    site.call(cluster="a", values={"tac": "2"})
    forgotten_once(site, forgetful, "one", action=action)
    runs = release_states(site)
    answer = turn_to_end(site, "one")
    assert (answer.status, answer.code) == (status, None)
    assert release_states(site) == runs


def test_a_call_gone_on_with_that_cannot_begin_again_finds_what_it_had_done(site: Site, forgetful: list[str]) -> None:
    forgotten_once(site, forgetful, "one")
    path = f"{LEASES}/placement.upf"
    spec = {"holderIdentity": "another", "leaseDurationSeconds": 3600, "renewTime": "2999-01-01T00:00:00.000000Z"}
    site.clusters[0].put(path, {"kind": "Lease", "metadata": {"name": "placement.upf"}, "spec": spec})
    site.turn_until(lambda: operation(site, "one").phase is not Phase.HELM, "the next try")
    del site.clusters[0].objects[path]
    answer = turn_to_end(site, "one")
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 1)
    assert release_states(site) == [(1, "deployed")]


def test_a_call_gone_on_with_whose_helm_still_writes_is_looked_at_again(site: Site, forgetful: list[str]) -> None:
    forgotten_once(site, forgetful, "one")
    marked(site, "pending-install")
    site.clusters[0].trouble.append(("PUT", "/secrets/", 409))
    site.turn_until(lambda: operation(site, "one").phase is not Phase.HELM, "the next try")
    marked(site, "deployed")
    answer = turn_to_end(site, "one")
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 1)
    assert release_states(site) == [(1, "deployed")]


def marked(site: Site, status: str) -> None:
    """The newest revision's record, as if helm had written this status."""
    secret = [thing for thing in site.clusters[0].things("secrets") if thing.get("type") == "helm.sh/release.v1"][-1]
    record = decode(secret)
    record["info"]["status"] = status
    secret["data"]["release"] = encode(record)
    secret["metadata"]["labels"]["status"] = status


def test_a_namespace_made_for_a_call_that_failed_is_told_also_if_helm_had_to_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.policy(create_namespaces=True)
    answer = site.call(cluster="a", run_namespace="made-1", chart_version="9.9.9", atomic=True)
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "no_such_chart", None)
    left = "Left on the cluster: the namespace {}, made for this call."
    assert left.format("made-1") in answer.body["error"]["message"]
    again = site.call(cluster="a", run_namespace="made-1", chart_version="9.9.9")
    assert (again.code, "Left" in again.body["error"]["message"]) == ("no_such_chart", False)
    with site.function._placer.parts.helm.turn():
        begun(site, "waits", run_namespace="made-2", chart_version="9.9.9")
        monkeypatch.setattr(Helm, "free_in_s", lambda _: 0.0)  # as if another replica ran it
        site.turn_until(lambda: operation(site, "waits").namespace_made, "the namespace")
    later = turn_to_end(site, "waits")
    assert left.format("made-2") in later.body["error"]["message"]
    assert site.inventory.placed() == ()


def test_a_lease_counts_from_when_it_was_written() -> None:
    def fails() -> None:
        raise PlacementError(Code.CLUSTER_DOWN)

    written = time.monotonic() - 5
    with Keepalive(fails, since=written, every_s=60, patience_s=4) as old:
        assert old.is_lost()
    with Keepalive(fails, since=written, every_s=60, patience_s=600) as young:
        assert not young.is_lost()


def test_helm_does_not_begin_on_a_lease_that_is_too_old(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "PATIENCE_S", 0.0)
    begun(site, "late")
    site.turn_until(lambda: ("POST", LEASES) in site.clusters[0].calls, "a lease")
    assert (operation(site, "late").attempt, site.registry.pulls) == (0, 0)
    monkeypatch.undo()
    assert turn_to_end(site, "late").status == "ready"


def test_a_dry_run_begins_helm_no_later_than_an_apply(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    planning = site.function._placer.planning
    real = planning.plan

    def late(operation: Operation) -> Next:
        monkeypatch.setattr(steps, "INLINE_HELM_S", 0.0)  # so long it took
        return real(operation)

    monkeypatch.setattr(planning, "plan", late)
    body = json.dumps(site.request(cluster="a", dry_run=True, id="dry")).encode()
    answer = site.post(Event(body, signed(body, CALLER)))
    assert (answer.status, site.registry.pulls) == ("progressing", 0)
    assert turn_to_end(site, "dry").status == "planned"


def test_what_pods_said_is_told_also_where_their_cluster_then_does_not_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLE_S", 1.0)
    monkeypatch.setattr(settling, "RELOAD_S", 1.0)
    chart = agents.push(site, "smf")
    site.call(cluster="a", chart_repository=chart)
    said = {"digest": agents.digest("one"), "candidate": agents.digest("two"), "verdict": "rejected"}
    agents.let_say(site, "smf", **said, reason="line 1")
    begun(site, "refused", chart_repository=chart, values={"smf": "two"})
    site.turn_until(lambda: operation(site, "refused").phase is Phase.RELOAD, "helm's end")
    site.clusters[0].refuse.add("/deployments/smf")
    answer = turn_to_end(site, "refused")
    assert (answer.status, answer.code, answer.body["revision"]) == ("failed", "config_rejected", 2)


def test_why_a_release_went_back_is_told_also_where_its_cluster_then_does_not_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "UNDO_S", 5.0)
    site.call(cluster="a", values={"tac": "1"})
    site.clusters[0].pods = "crash"
    begun(site, "bad", atomic=True, values={"tac": "2", "image": "registry.test/nf:bad"})
    site.turn_until(lambda: operation(site, "bad").phase is Phase.WATCH_UNDO, "the way back")
    site.clusters[0].refuse.add("/pods")
    answer = turn_to_end(site, "bad")
    assert (answer.status, answer.code, answer.body["revision"]) == ("rolled-back", "pods_crash", 3)
    assert "could not be looked at" in answer.body["error"]["message"]
