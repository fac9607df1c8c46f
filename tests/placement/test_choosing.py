"""Choosing among clusters through the whole function: by location, by name, by room; and staying where a release is."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from durable import journal
from durable.errors import StoreError
from durable.journal import Hand
from placement.choosing import NOTHING, Chooser
from placement.cluster import Cluster, Placed, State
from placement.inventory import Clusters
from placement.operation import Operation, Phase
from placement.parts import Next
from placement.request import Request
from placement.steps import Placer
from placement.tables import Table
from tests.placement.agents import once
from tests.placement.conftest import CALLER, Event, Site, signed
from tests.placement.fake_registry import FILES
from tests.placement.test_interrupted import CALLBACK, operation, turn_to_end
from trust.access import TICKER


def test_the_same_function_is_placed_by_location(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    berlin = site.call(location="berlin")
    munich = site.call(location="munich")
    assert (berlin.body["cluster"], munich.body["cluster"]) == ("a", "b")
    assert [len(cluster.things("deployments")) for cluster in site.clusters] == [1, 1]
    assert berlin.body["why"] == {
        "this": "the only cluster that fits",
        "others": {"b": "its location is munich, not berlin"},
    }


def test_a_full_cluster_is_passed_over_by_what_the_chart_asks(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    site.clusters[0].fill("3950m")
    answer = site.call(values={"cpu": "100m"})
    assert answer.body["cluster"] == "b"
    assert answer.body["why"]["others"]["a"] == (
        "too full: pod 1 of 1 asks for 100m CPU and 64 MiB, and a node has at most 50m, 8192 MiB and 109 pods left"
    )
    assert site.call(function_name="small", values={"cpu": "10m"}, location="berlin").body["cluster"] == "a"


def test_a_chart_that_wants_a_kubernetes_of_today_is_rendered_to_learn_what_it_asks_for(
    make_site: Callable[..., Site],
) -> None:
    """helm takes 1.20 for granted where it asks no cluster, unless its release's flags were there when it was built."""
    site = make_site(2)
    chart = {"apiVersion": "v2", "name": "newer", "version": "1.0.0", "kubeVersion": ">=1.25.0-0"}
    site.registry.push("newer", "1.0.0", files={**FILES, "Chart.yaml": json.dumps(chart)})
    site.clusters[0].fill("3950m")
    answer = site.call(chart_repository=site.registry.oci("newer"))
    assert (answer.code, answer.body["cluster"]) == (None, "b")


def test_no_fitting_cluster_is_refused_with_a_reason_for_each(make_site: Callable[..., Site]) -> None:
    site = make_site(3)
    site.clusters[0].fill("4")
    site.clusters[1].stop()
    answer = site.call(values={"cpu": "2"}, choose={"anti_affinity": ["upf"], "labels": {}})
    assert answer.body["cluster"] == "c"
    site.clusters[2].fill("4")
    answer = site.call(function_name="upf-2", values={"cpu": "2"})
    assert (answer.http, answer.status, answer.code) == (200, "refused", "no_cluster_fits")
    others = answer.body["why"]["others"]
    assert set(others) == {"a", "b", "c"}
    assert others["a"].startswith("too full: pod 1 of 1 asks for 2000m CPU")
    assert others["b"] == "it does not answer: The API server of b does not answer (NewConnectionError)"
    assert answer.body["cluster"] is None


def test_a_release_on_two_clusters_comes_to_no_third_one_unasked(make_site: Callable[..., Site]) -> None:
    site = make_site(3)
    for name in ("a", "b"):
        assert site.call(cluster=name).status == "ready"
    for changes in ({}, {"action": "diff"}):
        answer = site.call(values={"tac": "9"}, **changes)
        assert (answer.status, answer.code) == ("refused", "bad_request")
        assert "The release is on a, b: name one of them" in answer.body["error"]["message"]
    assert site.clusters[2].calls == []
    assert site.call(values={"tac": "9"}, location="munich").body["revision"] == 2


def test_a_release_stays_where_it_is(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    first = site.call(location="munich")
    site.clusters[1].fill("3950m")
    again = site.call(values={"tac": "8"})
    assert (first.body["cluster"], again.body["cluster"], again.body["revision"]) == ("b", "b", 2)
    assert again.body["why"]["this"] == "the release is there already"
    elsewhere = site.call(choose={"zone": "berlin-1"})
    assert (elsewhere.status, elsewhere.code) == ("refused", "placed_elsewhere")
    assert "b" in elsewhere.body["error"]["message"]


def test_declared_needs_count_instead_of_the_charts(make_site: Callable[..., Site]) -> None:
    site = make_site(1)
    answer = site.call(choose={"needs": {"cpu": "5", "memory": "1Gi"}})
    assert answer.code == "no_cluster_fits"
    assert "5000m CPU and 1024 MiB" in answer.body["why"]["others"]["a"]
    assert site.registry.pulls == 0


def test_a_registry_without_clusters_says_so(make_site: Callable[..., Site]) -> None:
    site = make_site(1)
    Clusters(site.store).remove("a")
    assert site.call().body["error"]["message"] == "No cluster is registered."
    assert site.call(cluster="a").code == "unknown_cluster"


def coming(site: Site, call_id: str, **changes: Any) -> None:
    """A call whose pods are waited for."""
    site.call(site.request(wait=True, id=call_id, **changes), callback=CALLBACK)
    site.turn_until(lambda: operation(site, call_id).phase is Phase.WATCH, "helm's end")


def step(site: Site, call_id: str) -> None:
    body = json.dumps({"step": f"{CALLER}\n{call_id}"}).encode()
    site.post(Event(body, signed(body, TICKER)))


def test_a_release_whose_pods_are_waited_for_has_its_place(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    site.clusters[0].pods = "pending"
    coming(site, "one", values={"cpu": "500m"})
    assert site.inventory.all() == []
    second = site.call(values={"tac": "8"}, id="two")
    assert (second.body["cluster"], second.body["revision"]) == ("a", 2)
    assert second.body["why"]["this"] == "another call places the release there"
    assert site.clusters[1].things("deployments") == []
    elsewhere = site.call(choose={"zone": "munich-1"})
    assert (elsewhere.status, elsewhere.code) == ("refused", "placed_elsewhere")


def test_a_release_whose_pods_are_waited_for_is_found_by_status(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    site.clusters[0].pods = "pending"
    coming(site, "one")
    status = once(site, site.request(action="status", id="status", chart_repository=None, chart_version=None))
    assert (status.status, status.body["cluster"], status.body["revision"]) == ("progressing", "a", 1)
    assert status.body["drift"] == []
    assert site.call(action="list").body["placements"] == []


def test_a_release_that_was_removed_while_its_pods_were_waited_for_has_no_place(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(2)
    site.clusters[0].pods = "pending"
    coming(site, "one")
    remove = site.request(action="uninstall", chart_repository=None, chart_version=None)
    assert site.call(remove).status == "uninstalled"
    answer = turn_to_end(site, "one")
    assert (answer.status, answer.code) == ("failed", "no_such_release")
    assert site.inventory.placed() == site.function._placer.planning.placed() == ()


@pytest.mark.parametrize("choose", [{"spread": "cluster", "group": "upf"}, {"anti_affinity": ["upf"], "group": "upf"}])
def test_a_group_counts_what_is_under_way(make_site: Callable[..., Site], choose: dict[str, Any]) -> None:
    site = make_site(2)
    site.clusters[0].pods = "pending"
    site.clusters[1].fill("2")
    coming(site, "one", choose=choose)
    assert site.call(function_name="upf-2", choose=choose).body["cluster"] == "b"


def let_happen(monkeypatch: pytest.MonkeyPatch, *, after_a_look: Callable[[State], None]) -> None:
    """Between what a plan reads and what it decides.  after_a_look: is told what the plan had known before."""
    real = Chooser.look

    def look(
        chooser: Chooser,
        request: Request,
        clusters: Sequence[Cluster],
        placed: Sequence[Placed],
        known: State = NOTHING,
        *,
        until: float,
    ) -> State:
        found = real(chooser, request, clusters, placed, known, until=until)
        after_a_look(known)
        return found

    monkeypatch.setattr(Chooser, "look", look)


def test_calls_at_once_know_of_each_other(make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(3)
    names = [f"upf-{number}" for number in range(6)]
    together = threading.Barrier(len(names))

    def all_have_looked(known: State) -> None:
        if known is NOTHING:
            together.wait(60)

    let_happen(monkeypatch, after_a_look=all_have_looked)
    choose = {"spread": "cluster", "group": "upf", "needs": {"cpu": "100m", "memory": "64Mi"}}
    for name in names:
        site.call(site.request(function_name=name, choose=choose, id=name), callback=CALLBACK)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: step(site, name), names))
    site.turn_until(lambda: all(operation(site, name).cluster for name in names), "every plan")
    assert Counter(operation(site, name).cluster for name in names) == {"a": 2, "b": 2, "c": 2}


def test_one_release_asked_for_twice_at_once_is_placed_once(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(2)
    others = ["two"]

    def another_plan(_: State) -> None:
        """Begun and ended within the first one, while b was the better cluster."""
        if others:
            others.pop()
            site.clusters[0].fill("2")
            step(site, "two")
            assert operation(site, "two").cluster == "b"

    let_happen(monkeypatch, after_a_look=another_plan)
    for call_id in ("one", "two"):
        site.call(site.request(id=call_id), callback=CALLBACK)
    step(site, "one")
    assert operation(site, "one").cluster == "b"


def test_what_came_to_nothing_has_no_place(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    assert site.call(cluster="b", chart_version="9.9.9").code == "no_such_chart"
    first = site.call(values={"tac": "8"})
    assert (first.status, first.body["cluster"]) == ("ready", "a")
    row = site.store.load(Table.OPERATION, "under way")
    assert row is not None
    assert len(json.loads(row.value)) == 1  # its own: what is over is dropped by who plans next


def test_a_call_that_has_vanished_has_no_place(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    site.clusters[0].pods = "pending"
    coming(site, "one")
    key = f"{CALLER}\none"
    row = site.store.load(Table.OPERATION, key)
    assert row is not None
    site.store.save(Table.OPERATION, key, None, expect=row.version, writer="test")
    assert site.call(location="munich").body["why"]["this"] == "the only cluster that fits"
    assert site.function._placer.planning.placed() == (Placed("b", "lab", "upf"),)


def test_a_plan_that_was_not_written_down_binds_nobody(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function is killed between the plan and its call's row: the next runner plans anew."""
    site = make_site(2)
    monkeypatch.setattr(journal, "RUN_MS", 0)
    killed, real = ["one"], Placer._step

    def dying(placer: Placer, hand: Hand[Operation], until: float) -> Next:
        done = real(placer, hand, until)
        if killed:
            killed.pop()
            raise StoreError("as if it were killed")
        return done

    monkeypatch.setattr(Placer, "_step", dying)
    site.call(site.request(id="one"), callback=CALLBACK)
    step(site, "one")
    assert (operation(site, "one").phase, [p.cluster for p in site.function._placer.planning.placed()]) == (
        Phase.PLAN,
        ["a"],
    )
    site.clusters[0].fill("3950m")
    answer = turn_to_end(site, "one")
    assert (answer.status, answer.body["cluster"]) == ("ready", "b")
    assert answer.body["why"]["others"]["a"].startswith("too full")


def test_a_plan_that_others_always_come_before_is_made_later(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(2)
    busy = True

    def others_come_first(_: State) -> None:
        if busy:
            row = site.store.load(Table.OPERATION, "under way")
            site.store.save(Table.OPERATION, "under way", b"[]", expect=row.version if row else None, writer="others")

    let_happen(monkeypatch, after_a_look=others_come_first)
    site.call(site.request(id="one"), callback=CALLBACK)
    step(site, "one")
    assert operation(site, "one").phase is Phase.PLAN
    busy = False
    assert turn_to_end(site, "one").status == "ready"


def test_where_two_runners_of_a_call_disagree_its_own_row_counts(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    site.clusters[0].pods = "pending"
    coming(site, "one")
    row = site.store.load(Table.OPERATION, "under way")
    assert row is not None
    slower = row.value.replace(b'"cluster":"a"', b'"cluster":"b"')
    assert slower != row.value
    site.store.save(Table.OPERATION, "under way", slower, expect=row.version, writer="the slower")
    assert [p.cluster for p in site.function._placer.planning.placed()] == ["a"]


def test_a_dry_run_takes_no_place(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    assert site.call(dry_run=True).status == "planned"
    assert site.store.load(Table.OPERATION, "under way") is None


def test_a_list_is_narrowed_by_what_the_request_names(make_site: Callable[..., Site]) -> None:
    site = make_site(2)
    places = {cluster.name: cluster.location for cluster in site.function._placer.parts.clusters.all()}
    assert places["a"] != places["b"]
    for name in places:
        assert site.call(cluster=name, function_name=f"on-{name}").body["revision"] == 1

    def listed(**asked: str) -> list[str]:
        return [row["release"] for row in site.call({"action": "list", **asked}).body["placements"]]

    assert listed() == ["on-a", "on-b"]
    assert listed(location=places["b"]) == ["on-b"]
    assert listed(cluster="a") == ["on-a"]
    assert listed(cluster="a", location=places["b"]) == []
    assert listed(function_name="on-b") == ["on-b"]
