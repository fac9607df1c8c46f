"""An account for each namespace: whoever is let into one reaches no other, whatever a chart renders."""

from __future__ import annotations

import time

import pytest

from placement import namespaces
from placement.api import Api
from placement.errors import Code, PlacementError
from placement.kubeconfig import credentials
from reload.account import account_of, headers_of
from tests.placement.conftest import Site
from tests.placement.fake_cluster import FakeCluster, api

ACTS_AS = "system:serviceaccount:home:placement-{namespace}"


@pytest.fixture
def apart(site: Site) -> Site:
    """On cluster a nobody but a namespace's account is let into it; `lab` has one."""
    only(site.clusters[0])
    site.secret("kubeconfig-a", site.clusters[0].kubeconfig)
    site.policy(create_namespaces=True)
    return site


def only(cluster: FakeCluster) -> None:
    cluster.acts_as = ACTS_AS
    cluster.accounts = {"lab": ACTS_AS.replace("{namespace}", "lab")}
    cluster.put("/api/v1/namespaces/home", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "home"}})


@pytest.mark.parametrize(
    ("acts_as", "namespace", "account"),
    [
        (ACTS_AS, "lab", "system:serviceaccount:home:placement-lab"),
        (ACTS_AS, "", ""),
        ("jane", "lab", "jane"),
        ("jane", "", "jane"),
        ("", "lab", ""),
    ],
)
def test_whose_rights_a_call_has(acts_as: str, namespace: str, account: str) -> None:
    assert account_of(acts_as, namespace) == account
    # docs.kubernetes.io, Authenticating: User impersonation
    assert headers_of(acts_as, namespace) == ({"Impersonate-User": account} if account else {})


def test_all_that_is_done_in_a_namespace_is_done_by_its_account(apart: Site) -> None:
    assert apart.call(cluster="a", wait=True).status == "ready"
    assert apart.call(cluster="a", action="status").body["drift"] == []
    assert apart.call(cluster="a", action="diff", values={"replicas": 2}).status == "planned"
    assert apart.call(cluster="a", values={"replicas": 2}).body["revision"] == 2
    there = {"cluster": "a", "chart_repository": None, "chart_version": None}
    assert apart.call(action="rollback", **there).body["revision"] == 3
    assert apart.call(action="uninstall", **there).status == "uninstalled"


def test_without_an_account_nothing_is_done(apart: Site) -> None:
    cluster = apart.clusters[0]
    cluster.put("/api/v1/namespaces/made-1", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-1"}})
    answer = apart.call(cluster="a", run_namespace="made-1")
    assert (answer.status, answer.code) == ("failed", "cluster_refused")
    assert "system:serviceaccount:home:placement-made-1" in answer.body["error"]["message"]
    assert cluster.things("rolebindings") == []


def test_the_room_of_a_cluster_is_read_by_the_token_itself(apart: Site) -> None:
    assert apart.call(location="berlin").body["cluster"] == "a"
    assert ("GET", "/api/v1/nodes") in apart.clusters[0].calls


def test_a_namespace_that_is_made_gets_an_account_as_the_chart_gives_the_others(apart: Site) -> None:
    answer = apart.call(cluster="a", run_namespace="made-1", wait=True)
    assert answer.status == "ready", answer.body
    cluster = apart.clusters[0]
    (account,) = cluster.things("serviceaccounts")
    assert (account["metadata"]["namespace"], account["metadata"]["name"]) == ("home", "placement-made-1")
    assert account["automountServiceAccountToken"] is False
    (binding,) = cluster.things("rolebindings")
    assert binding["metadata"]["namespace"] == "made-1"
    assert binding["roleRef"]["name"] == "placement-target-placement-namespace"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "placement-made-1", "namespace": "home"}]
    posted = [path for method, path in cluster.calls if (method, path) == ("POST", "/api/v1/namespaces")]
    assert len(posted) == 1


@pytest.mark.parametrize("lost", ["serviceaccounts", "rolebindings"])
def test_a_call_that_was_cut_off_while_it_made_one_is_finished_by_its_repeat(apart: Site, lost: str) -> None:
    apart.clusters[0].trouble.append(("POST", lost, 500))
    answer = apart.call(cluster="a", run_namespace="made-1", wait=True)
    assert answer.code == "cluster_down"
    answer = apart.call(cluster="a", run_namespace="made-1", wait=True)
    assert answer.status == "ready", answer.body


def test_rights_that_do_not_count_at_once_are_waited_for(apart: Site) -> None:
    apart.clusters[0].trouble += [("GET", "/made-1/leases/", 403)] * 3
    answer = apart.call(cluster="a", run_namespace="made-1", wait=True)
    assert answer.status == "ready", answer.body


def test_somebody_elses_namespace_is_given_no_account(apart: Site) -> None:
    """Neither one that was made by hand nor one that a call made long ago, whose account was taken away since."""
    cluster = apart.clusters[0]
    inside = Api("a", credentials(cluster.kubeconfig, "", "a").within("made-1"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-1", "labels": namespaces.LABELS}}
    made_s = time.time() - namespaces.FINISHED_WITHIN_S
    for seconds, labels, is_new in ((5, namespaces.LABELS, True), (-5, namespaces.LABELS, False), (5, {}, False)):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made_s + seconds))
        metadata = {"name": "made-1", "labels": labels, "creationTimestamp": when}
        cluster.put("/api/v1/namespaces/made-1", namespace | {"metadata": metadata})
        assert namespaces.is_being_made(inside, "made-1") is is_new


def test_a_token_that_may_make_none_says_so(apart: Site) -> None:
    apart.clusters[0].refuse.add("rolebindings")
    answer = apart.call(cluster="a", run_namespace="made-1")
    assert (answer.status, answer.code) == ("failed", "cluster_refused")
    assert "rolebindings" in answer.body["error"]["message"]


def test_the_same_server_is_asked_with_the_tokens_own_rights(cluster: FakeCluster) -> None:
    only(cluster)
    inside = Api("a", credentials(cluster.kubeconfig, "", "a").within("lab"))
    assert inside.get("/api/v1/namespaces/lab/secrets")["items"] == []
    with pytest.raises(PlacementError) as refused:
        inside.get("/api/v1/nodes")
    assert refused.value.code is Code.CLUSTER_REFUSED
    assert inside.itself().get("/api/v1/nodes")["items"]
    assert (inside.account, inside.itself().account) == (ACTS_AS.replace("{namespace}", "lab"), "")
    with pytest.raises(PlacementError):
        api(cluster).get("/api/v1/namespaces/lab/secrets")
