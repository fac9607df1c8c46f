"""What a call must satisfy before anybody is asked anything.

Names: RFC 1123 labels as Kubernetes has them ("Object Names and IDs"); versions: Semantic Versioning 2.0.0.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from placement.errors import Code, PlacementError
from placement.request import Request, decode

UPF = {
    "function_name": "upf",
    "run_namespace": "lab",
    "chart_repository": "oci://registry.example:5000/charts/upf",
    "chart_version": "1.0.0",
}


def asked(**changes: Any) -> Request:
    return decode(json.dumps(UPF | changes).encode())


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"id": ""}, Code.BAD_REQUEST, "id has 1 to 128"),
        ({"id": "x" * 129}, Code.BAD_REQUEST, "id has 1 to 128"),
        ({"id": "one\ntwo"}, Code.BAD_REQUEST, "id has 1 to 128"),
        ({"id": "заказ-1"}, Code.BAD_REQUEST, "printable ASCII"),
        ({"id": "commandé"}, Code.BAD_REQUEST, "printable ASCII"),
        ({"cluster": "a", "eks_cluster_name": "b"}, Code.BAD_REQUEST, "name two clusters"),
        ({"timeout_s": 0}, Code.BAD_REQUEST, "timeout_s is 1 to 1800"),
        ({"timeout_s": -5}, Code.BAD_REQUEST, "timeout_s is 1 to 1800"),
        ({"timeout_s": 1801}, Code.BAD_REQUEST, "timeout_s is 1 to 1800"),
        ({"action": "list", "timeout_s": 1801}, Code.BAD_REQUEST, "timeout_s is 1 to 1800"),
        ({"function_name": ""}, Code.BAD_NAME, "function_name '' is no DNS label"),
        ({"function_name": "x" * 54}, Code.BAD_NAME, "at most 53"),
        ({"function_name": "upf\n"}, Code.BAD_NAME, "is no DNS label"),
        ({"function_name": "upf-"}, Code.BAD_NAME, "is no DNS label"),
        ({"function_name": "--set=x"}, Code.BAD_NAME, "is no DNS label"),
        ({"run_namespace": "Lab"}, Code.BAD_NAME, "run_namespace 'Lab' is no DNS label"),
        ({"run_namespace": "x" * 64}, Code.BAD_NAME, "at most 63"),
        ({"run_namespace": "a/b"}, Code.BAD_NAME, "is no DNS label"),
        ({"revision": 1}, Code.BAD_REQUEST, "revision goes with action rollback"),
        ({"action": "rollback", "revision": 0}, Code.BAD_REQUEST, "counts from 1"),
        ({"chart_repository": "https://registry.example/charts/upf"}, Code.BAD_REQUEST, "chart_repository is like"),
        ({"chart_repository": "oci://registry.example"}, Code.BAD_REQUEST, "chart_repository is like"),
        ({"chart_repository": "oci://user:pass@r.example/x"}, Code.BAD_REQUEST, "chart_repository is like"),
        ({"chart_repository": "oci://r.example/x\n"}, Code.BAD_REQUEST, "chart_repository is like"),
        ({"chart_version": "1.0"}, Code.BAD_REQUEST, "one exact version"),
        ({"chart_version": ">1.0.0"}, Code.BAD_REQUEST, "one exact version"),
        ({"chart_version": ""}, Code.BAD_REQUEST, "one exact version"),
        ({"action": "diff", "chart_version": "latest"}, Code.BAD_REQUEST, "one exact version"),
        ({"values_yaml_file": "https://b/k"}, Code.BAD_REQUEST, "values_yaml_file is like"),
        ({"values_yaml_file": "s3://b"}, Code.BAD_REQUEST, "values_yaml_file is like"),
        ({"values_yaml_file": "s3://B_/k"}, Code.BAD_REQUEST, "values_yaml_file is like"),
        ({"values_yaml_file": "s3://bucket/a\nb"}, Code.BAD_REQUEST, "values_yaml_file is like"),
        ({"choose": {"max_latency_ms": 5}}, Code.BAD_REQUEST, "goes with choose.latency_from"),
        ({"choose": {"needs": {"cpu": "lots"}}}, Code.BAD_REQUEST, "choose.needs"),
        ({"choose": {"needs": {"memory": "-1"}}}, Code.BAD_REQUEST, "choose.needs"),
        ({"choose": {"needs": {"replicas": 0}}}, Code.BAD_REQUEST, "replicas is 1 to 1000"),
        ({"choose": {"needs": {"replicas": 1001}}}, Code.BAD_REQUEST, "replicas is 1 to 1000"),
        ({"choose": {"tolerations": [{"operator": "exists"}]}}, Code.BAD_REQUEST, "not a placement request"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(changes: dict[str, Any], code: Code, said: str) -> None:
    with pytest.raises(PlacementError) as caught:
        asked(**changes)
    assert caught.value.code is code
    assert said in caught.value.detail


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"values": {"a": ' + b"[" * 100_000])
def test_what_is_no_json_is_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(PlacementError) as caught:
        decode(body)
    assert caught.value.code is Code.BAD_REQUEST


def test_a_long_name_is_told_in_part_only() -> None:
    with pytest.raises(PlacementError) as caught:
        asked(function_name="X" * 10_000)
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    "changes",
    [
        {"function_name": "x" * 53, "run_namespace": "x" * 63, "id": "~ " + "x" * 126, "timeout_s": 1800},
        {"function_name": "5gc-1", "chart_version": "v1.2.3-rc.1+build.5", "timeout_s": 1},
        {"chart_repository": "oci://127.0.0.1:5000/a/b-c/d_e"},
        {"values_yaml_file": "s3://bucket/path/to/values test.yaml"},
        {"cluster": "a", "eks_cluster_name": "a"},
        {"action": "rollback", "revision": 1, "chart_repository": "", "chart_version": ""},
        {"action": "list", "function_name": "", "run_namespace": ""},
        {"choose": {"latency_from": "hq", "max_latency_ms": 5, "needs": {"cpu": "100m", "replicas": 1000}}},
    ],
)
def test_what_is_right_is_taken(changes: dict[str, Any]) -> None:
    asked(**changes)


def test_either_name_of_the_cluster_is_its_name_and_atomic_waits() -> None:
    assert (asked(cluster="a").named, asked(eks_cluster_name="a").named, asked().named) == ("a", "a", None)
    assert (asked(wait=True).waits, asked(atomic=True).waits, asked().waits) == (True, True, False)


def test_a_request_is_never_shown_with_its_values() -> None:
    assert "hidden" not in repr(asked(values={"password": "hidden"}))
