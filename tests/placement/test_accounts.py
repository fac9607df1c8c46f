"""An account for each namespace: whoever is let into one reaches no other, whatever a chart renders."""

from __future__ import annotations

import time

import pytest

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
    bindings = {
        (thing["metadata"]["namespace"], thing["metadata"]["name"]): (thing["roleRef"]["name"], thing["subjects"])
        for thing in cluster.things("rolebindings")
    }
    pods = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts:made-1"}
    role = "placement-target-placement"
    assert bindings == {
        ("made-1", role): (
            f"{role}-namespace",
            [{"kind": "ServiceAccount", "name": "placement-made-1", "namespace": "home"}],
        ),
        ("made-1", f"{role}-events"): (f"{role}-events", [pods]),
    }
    labels = cluster.objects["/api/v1/namespaces/made-1"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    posted = [path for method, path in cluster.calls if (method, path) == ("POST", "/api/v1/namespaces")]
    assert len(posted) == 1


@pytest.mark.parametrize("later_s", [0, 3600])
@pytest.mark.parametrize("lost", ["serviceaccounts", "rolebindings"])
def test_a_call_that_was_cut_off_while_it_made_one_tells_it_and_another_finishes(
    apart: Site, lost: str, later_s: float
) -> None:
    cluster = apart.clusters[0]
    cluster.trouble.append(("POST", lost, 500))
    answer = apart.call(cluster="a", run_namespace="made-1", wait=True)
    assert answer.code == "cluster_down"
    left = "Left on the cluster: the namespace made-1, made for this call."
    assert answer.body["error"]["message"].endswith(left)
    made = cluster.objects["/api/v1/namespaces/made-1"]["metadata"]
    made["creationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - later_s))
    answer = apart.call(cluster="a", run_namespace="made-1", wait=True)
    assert answer.status == "ready", answer.body


def test_rights_that_do_not_count_at_once_are_waited_for(apart: Site) -> None:
    apart.clusters[0].trouble += [("GET", "/made-1/leases/", 403)] * 3
    answer = apart.call(cluster="a", run_namespace="made-1", wait=True)
    assert answer.status == "ready", answer.body


def test_somebody_elses_namespace_is_given_no_account(apart: Site) -> None:
    cluster = apart.clusters[0]
    cluster.put("/api/v1/namespaces/made-1", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-1"}})
    assert apart.call(cluster="a", run_namespace="made-1").code == "cluster_refused"
    assert cluster.things("serviceaccounts") == cluster.things("rolebindings") == []


def test_an_account_that_is_refused_though_it_is_let_in_is_not_waited_for(apart: Site) -> None:
    cluster = apart.clusters[0]
    assert apart.call(cluster="a", run_namespace="made-1", wait=True).status == "ready"
    made = cluster.objects["/api/v1/namespaces/made-1"]["metadata"]
    made["creationTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.refuse.add("/made-1/leases")
    assert apart.call(cluster="a", run_namespace="made-1", values={"replicas": 2}).code == "cluster_refused"


def test_what_is_asked_of_a_namespace_that_is_not_there(apart: Site) -> None:
    """Its account is refused whatever it asks: that must not be told for what it is not."""
    there = {"cluster": "a", "run_namespace": "made-1", "chart_repository": None, "chart_version": None}
    assert apart.call(action="status", **there).status == "absent"
    assert apart.call(action="rollback", **there).code == "no_such_release"
    assert apart.call(action="uninstall", **there).status == "absent"
    assert apart.call(action="uninstall", dry_run=True, **there).status == "planned"
    assert apart.call(cluster="a", run_namespace="made-1", dry_run=True).code == "namespace_missing"
    assert apart.call(cluster="a", run_namespace="made-1", action="diff").code == "namespace_missing"


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
    cluster.acts_as = "jane"  # who is named without a namespace is whom all is done as
    whole = Api("a", credentials(cluster.kubeconfig, "", "a").within("lab")).itself()
    assert whole.account == "jane"
    with pytest.raises(PlacementError, match="User jane cannot GET"):
        whole.get("/api/v1/nodes")
