"""Who may place what where: nobody may do what the secret placement-policy does not grant."""

from __future__ import annotations

import msgspec
import pytest

from placement import policy
from placement.cluster import Cluster
from placement.errors import Code, PlacementError
from placement.policy import Grant
from placement.request import Action, Request

CHART = "oci://registry.example/charts/upf"
GRANT = Grant(
    locations=("berlin", "munich-*"), namespaces=("edge-*",), repositories=("oci://registry.example/charts/*",)
)


def request(action: Action = "apply", **fields: str) -> Request:
    return Request(
        **({"function_name": "upf", "run_namespace": "edge-1", "chart_repository": CHART} | fields), action=action
    )  # type: ignore[arg-type]


def refused(grant: Grant, asked: Request) -> str:
    with pytest.raises(PlacementError) as caught:
        policy.check(grant, "operator/alice", asked)
    assert caught.value.code is Code.NOT_ALLOWED
    return caught.value.detail.removeprefix("The policy does not let operator/alice ")


def test_what_is_granted_may_be_done() -> None:
    for action in policy.ACTIONS:
        policy.check(GRANT, "operator/alice", request(action, location="berlin"))
        policy.check(GRANT, "operator/alice", request(action, location="munich-2"))


@pytest.mark.parametrize("action", ["apply", "diff"])
def test_charts_come_from_repositories_that_are_granted(action: Action) -> None:
    elsewhere = request(action, chart_repository="oci://evil.example/charts/upf")
    assert refused(GRANT, elsewhere) == "use charts of oci://evil.example/charts/upf."


@pytest.mark.parametrize("action", ["apply", "diff"])
def test_values_come_from_files_that_are_granted(action: Action) -> None:
    """The function reads them with its own keys, and shows them to its caller as what a release would be."""
    narrow = msgspec.structs.replace(GRANT, values_files=("s3://configs/upf/*",))
    policy.check(narrow, "operator/alice", request(action, values_yaml_file="s3://configs/upf/values.yaml"))
    policy.check(narrow, "operator/alice", request(action))
    policy.check(GRANT, "operator/alice", request(action, values_yaml_file="s3://other/values.yaml"))
    elsewhere = request(action, values_yaml_file="s3://other/values.yaml")
    assert refused(narrow, elsewhere) == "use values of s3://other/values.yaml."


@pytest.mark.parametrize("action", ["apply", "diff", "status", "rollback", "uninstall"])
def test_every_action_keeps_to_namespaces_and_locations(action: Action) -> None:
    assert refused(GRANT, request(action, run_namespace="kube-system")) == "use namespace kube-system."
    assert refused(GRANT, request(action, location="hamburg")) == "use location hamburg."
    assert refused(GRANT, request(action, location="munich")) == "use location munich."


@pytest.mark.parametrize("action", policy.ACTIONS)
def test_an_action_that_is_not_among_those_granted_is_refused(action: Action) -> None:
    others = tuple(name for name in policy.ACTIONS if name != action)
    grant = Grant(GRANT.locations, GRANT.namespaces, GRANT.repositories, others)
    assert refused(grant, request(action)) == f"use action {action}."


def test_a_grant_of_nothing_grants_nothing() -> None:
    grant = Grant()
    assert not grant.create_namespaces
    assert not grant.may_use(Cluster("a", "berlin"))
    assert not grant.may_see("edge-1")
    assert refused(Grant(namespaces=("*",)), request()) == f"use charts of {CHART}."
    with pytest.raises(PlacementError, match="use cluster a"):
        policy.check_cluster(grant, "operator/alice", Cluster("a", "berlin"))


def test_a_callers_own_entry_counts_else_the_first_that_fits() -> None:
    text = """
callers:
  "*": {namespaces: [of-all]}
  operator/*: {namespaces: [of-operators]}
  operator/alice: {namespaces: [of-alice]}
"""
    grants = policy.parse(text)
    assert policy.grant_of(grants, "operator/alice").namespaces == ("of-alice",)
    assert policy.grant_of(grants, "operator/bob").namespaces == ("of-all",)
    with pytest.raises(PlacementError, match="no entry for operator/bob") as caught:
        policy.grant_of({"operator/alice": GRANT}, "operator/bob")
    assert caught.value.code is Code.NOT_ALLOWED


@pytest.mark.parametrize("text", ["", "{}", "[]", "callers:", "callers: {}", "callers: []"])
def test_an_empty_policy_lets_nobody_in(text: str) -> None:
    with pytest.raises(PlacementError, match="no entry"):
        policy.grant_of(policy.parse(text), "operator/alice")


@pytest.mark.parametrize(
    "text",
    [
        "just text",
        "callers: [alice]",
        "callers: {a: {locatoins: [berlin]}}",
        "callers: {a: {create_namespaces: 1}}",
        # with a word that is mistyped, what it should have limited would not be
        "callers: {}\nlimits: {}",
        "a: [",
    ],
)
def test_a_policy_that_cannot_be_read_is_no_policy(text: str) -> None:
    with pytest.raises(PlacementError, match="placement-policy cannot be read") as caught:
        policy.parse(text)
    assert caught.value.code is Code.CONFIGURATION
    assert "\n" not in caught.value.detail
