"""What a call of config-reload must satisfy before a cluster is asked.

Names: Kubernetes' "Object Names and IDs"; keys of a ConfigMap: "ConfigMap v1", data.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from reload.errors import ReloadError
from reload.request import Request, parse

APPLY = {"cluster": "edge-a", "namespace": "core", "release": "amf", "set": {"amf.yaml:amf.tac": 8}}


def asked(**changes: Any) -> Request:
    body = {name: value for name, value in (APPLY | changes).items() if value is not None}
    return parse(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cluster": None}, "cluster"),
        ({"cluster": ""}, "cluster is no DNS label"),
        ({"namespace": ""}, "namespace is no DNS label"),
        ({"namespace": "a/b"}, "namespace is no DNS label"),
        ({"namespace": "core\n"}, "namespace is no DNS label"),
        ({"release": "../amf"}, "release is no DNS label"),
        ({"release": "amf,x=y"}, "release is no DNS label"),
        ({"configmap": "AMF"}, "configmap is no DNS label"),
        ({"release": None}, "neither release nor configmap"),
        ({"set": None}, "neither set nor files"),
        ({"action": "diff", "set": {}}, "neither set nor files"),
        ({"action": "rollback"}, "rollback takes neither set nor files"),
        ({"action": "status", "set": None, "files": {"a": "b"}}, "status takes neither"),
        ({"files": {"a/b": "x"}}, "no file name"),
        ({"files": {"..": "x"}}, "no file name"),
        ({"files": {".": "x"}}, "no file name"),
        ({"files": {"": "x"}}, "no file name"),
        ({"files": {"a\n": "x"}}, "no file name"),
        ({"files": {"x" * 254: "x"}}, "no file name"),
        ({"files": {"a": 7}}, "not a request"),
        ({"timeout_s": 0}, "timeout_s is 1 to 1800"),
        ({"timeout_s": 1801}, "timeout_s is 1 to 1800"),
        ({"call": "x" * 129}, "call has 1 to 128"),
        ({"call": "one\ntwo"}, "printable"),
        ({"call": "заказ-1"}, "printable ASCII"),
        ({"call": "commandé"}, "printable ASCII"),
        ({"action": "explode"}, "not a request"),
        ({"more": 1}, "not a request"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ReloadError) as refused:
        asked(**changes)
    assert (refused.value.code, refused.value.status) == ("request_invalid", 400)
    assert said in refused.value.detail


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"set": {"a": ' + b"[" * 100_000])
def test_what_is_no_json_is_refused_and_nothing_else_happens(body: bytes) -> None:
    with pytest.raises(ReloadError) as refused:
        parse(body)
    assert refused.value.code == "request_invalid"
    assert len(refused.value.detail) <= 300


@pytest.mark.parametrize(
    "changes",
    [
        {"call": "x" * 128, "timeout_s": 1800},
        {"release": None, "configmap": "amf.config"},
        {"set": None, "files": {"..data.conf": "x", "amf-1_x.yaml": None}},
        {"action": "rollback", "set": None, "revision": 1},
        {"action": "history", "set": None},
    ],
)
def test_what_is_right_is_taken(changes: dict[str, Any]) -> None:
    asked(**changes)


@pytest.mark.parametrize(
    ("action", "changes"),
    [("apply", True), ("rollback", True), ("diff", False), ("history", False), ("status", False)],
)
def test_which_actions_write(action: str, changes: bool) -> None:
    given = APPLY["set"] if action in ("apply", "diff") else None
    assert asked(action=action, set=given).changes is changes
