"""Choosing among clusters through the whole function: by location, by name, by room; and staying where a release is."""

from __future__ import annotations

from collections.abc import Callable

from placement.inventory import Clusters
from tests.placement.conftest import Site


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
