"""config-reload against a fake API server, with real agents and real daemons as pods."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from reload import apply, history
from reload.agent.digest import digest_of
from reload.cluster import NUDGE_ANNOTATION
from reload.kubernetes_client import from_kubeconfig
from reload.service import IN_LINE_S, Service
from tests.reload.conftest import ALICE, AMF, FILES, LABELS, POLICY, QUOTING, REFUSED, Call, Edge, pod_body
from tests.reload.volumes import eventually


def test_one_value_reaches_every_pod_without_a_new_process(edge: Edge) -> None:
    pods = [edge.add_pod(), edge.add_pod()]
    status, answer = edge.call(set={"amf.yaml:amf.tac": 8}, files={"app.conf": "greeting=two\n"})
    assert (status, answer["status"], answer["applied"], answer["of"]) == (200, "applied", 2, 2)
    after = {"app.conf": b"greeting=two\n", "amf.yaml": AMF.replace("tac: 7", "tac: 8").encode()}
    assert answer["digest"] == digest_of(after)
    assert answer["error"] is None
    assert [pod["state"] for pod in answer["pods"]] == ["applied", "applied"]
    assert [pod["restarts"] for pod in answer["pods"]] == [2, 2]
    assert answer["time_taken_s"] < 5
    assert edge.api.data("core", "amf-config")["amf.yaml"].encode() == after["amf.yaml"]
    for pod in pods:
        pod.until_daemon("hup two")
        assert len(pod.starts()) == 1


def test_a_bad_value_is_reported_and_the_daemon_keeps_the_last_good_one(edge: Edge) -> None:
    pod = edge.add_pod()
    status, answer = edge.call(files={"app.conf": "greeting=bad\n"})
    assert (status, answer["status"], answer["applied"], answer["of"]) == (200, "rejected", 0, 1)
    assert answer["error"]["code"] == "candidate_rejected"
    assert "app.conf says bad" in answer["error"]["message"]
    assert pod.greeting() == "one"
    status, answer = edge.call(action="rollback")
    assert (answer["status"], answer["applied"]) == ("applied", 1)
    assert edge.api.data("core", "amf-config") == FILES


def test_a_pod_that_kubelet_does_not_sync_is_told_apart(edge: Edge) -> None:
    edge.add_pod()
    edge.add_pod()
    edge.deaf.add("amf-1")
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert (status, answer["status"], answer["of"], answer["error"]["code"]) == (200, "waiting", 2, "pod_waiting")

    def states() -> list[str]:
        told = edge.call(action="status", wait=False)[1]
        assert told["status"] == "waiting"
        return [pod["state"] for pod in told["pods"]]

    eventually(lambda: states() == ["applied", "waiting"], "the one that hears did not take it")
    edge.deaf.clear()
    assert states() == ["applied", "waiting"]
    eventually(lambda: edge.call(action="status")[1]["applied"] == 2, "it was never nudged again")


def test_a_call_waits_no_longer_than_its_time(edge: Edge) -> None:
    """By a timer of its own: what the machine is doing beside does not count."""
    edge.add_pod()
    edge.deaf.add("amf-0")
    tick_s = 0.1
    seconds = itertools.count(0, tick_s)
    edge.use(Service(timer=lambda: next(seconds)))
    _, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert answer["status"] == "waiting"
    looks = sum(path.endswith("/proxy/status") for _, path in edge.api.calls)
    assert 1 <= looks <= IN_LINE_S / (4 * tick_s)  # each asks the timer at least so often
    assert IN_LINE_S <= 4


def test_a_pod_whose_agent_is_gone_and_one_without_any(edge: Edge) -> None:
    pod = edge.add_pod()
    assert pod.process is not None
    edge.api.put("pods", "core", "amf-9", pod_body(None), LABELS)
    edge.api.put("pods", "core", "amf-8", pod_body(1, "Succeeded"), LABELS)
    pod.process.kill()
    pod.process.wait()
    _, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert [pod["state"] for pod in answer["pods"]] == ["silent", "unmanaged"]
    assert answer["error"]["code"] == "pod_silent"


@pytest.mark.parametrize("wait", [True, False])
def test_a_pod_that_nobody_can_ask_has_not_applied_it(edge: Edge, wait: bool) -> None:
    edge.api.put("pods", "core", "amf-9", pod_body(None), LABELS)
    _, answer = edge.call(files={"app.conf": "greeting=two\n"}, wait=wait)
    assert (answer["status"], answer["applied"], answer["of"]) == ("unmanaged", 0, 1)
    assert (answer["error"] or {}).get("code") == ("pod_unmanaged" if wait else None)
    _, answer = edge.call(files={"app.conf": "greeting=two\n"}, wait=wait)
    assert (answer["status"], answer["changed"]) == ("unmanaged", False)
    edge.add_pod()
    _, answer = edge.call(files={"app.conf": "greeting=three\n"})
    assert (answer["status"], answer["applied"], answer["of"]) == ("unmanaged", 1, 2)


@pytest.mark.parametrize("wait", [True, False])
def test_where_no_pod_mounts_it_nobody_has_applied_it(edge: Edge, wait: bool) -> None:
    """Scaled to 0, evicted, or another ConfigMap than the daemon's."""
    for changed, call in (
        (True, {"files": {"app.conf": "greeting=two\n"}}),
        (False, {"files": {"app.conf": "greeting=two\n"}}),
        (False, {"action": "status"}),
        (True, {"action": "rollback"}),
    ):
        status, answer = edge.call(wait=wait, **call)
        assert (status, answer["status"], answer["changed"]) == (200, "written", changed)
        assert (answer["applied"], answer["of"], answer["pods"]) == (0, 0, [])
        assert (answer["error"] or {}).get("code") == ("pod_missing" if wait else None)
    edge.add_pod()
    _, answer = edge.call(action="status")
    assert (answer["status"], answer["applied"], answer["of"], answer["error"]) == ("unchanged", 1, 1, None)


def test_a_path_that_is_none_is_the_callers_fault(edge: Edge) -> None:
    status, answer = edge.call(set={r'amf.yaml:["\x"]': 1})
    assert (status, answer["error"]["code"]) == (400, "request_invalid")
    assert "is not file:path" in answer["error"]["message"]
    assert edge.api.data("core", "amf-config") == FILES


def test_a_writer_in_between_is_seen_and_its_change_is_kept(edge: Edge) -> None:
    meanwhile = iter([True])

    def somebody() -> None:
        if next(meanwhile, False):
            with edge.api.lock:
                data = edge.api.objects["configmaps", "core", "amf-config"]["data"]
                data["amf.yaml"] = data["amf.yaml"].replace('mnc: "01"', 'mnc: "05"')
            edge.api.touch("core", "amf-config")

    edge.api.before_patch = somebody
    status, _ = edge.call(set={"amf.yaml:amf.tac": 9}, wait=False)
    assert status == 200
    text = edge.api.data("core", "amf-config")["amf.yaml"]
    assert 'mnc: "05"' in text
    assert "tac: 9 " in text


def test_conflicts_without_end_are_given_up(edge: Edge) -> None:
    edge.api.before_patch = lambda: edge.api.touch("core", "amf-config")
    status, answer = edge.call(set={"amf.yaml:amf.tac": 9})
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert edge.api.data("core", "amf-config") == FILES


def test_two_callers_at_once_both_win(edge: Edge) -> None:
    answers: list[int] = []

    def change(target: str, value: object) -> None:
        answers.append(edge.call(set={target: value}, wait=False)[0])

    threads = [
        threading.Thread(target=change, args=("amf.yaml:amf.tac", 9)),
        threading.Thread(target=change, args=("amf.yaml:amf.plmn.mnc", "02")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [200, 200]
    text = edge.api.data("core", "amf-config")["amf.yaml"]
    assert 'mnc: "02"' in text
    assert "tac: 9 " in text


def test_the_same_call_twice_writes_once(edge: Edge) -> None:
    edge.add_pod()
    first = edge.call(action="apply", call="c-1", files={"app.conf": "greeting=two\n"})[1]
    edge.call(call="c-2", files={"app.conf": "greeting=three\n"})
    again = edge.call(action="apply", call="c-1", files={"app.conf": "greeting=two\n"})[1]
    assert again["revision"] == first["revision"] == 1
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=three\n"
    edge.call(action="rollback", call="c-3")
    edge.call(action="rollback", call="c-3")
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"


def test_a_captured_call_under_a_new_call_id_writes_nothing(edge: Edge) -> None:
    """X-Call-Id is not signed: who captures a call can send it again under another, or under none."""
    captured = edge.signed(action="rollback", wait=False)
    edge.call(files={"app.conf": "greeting=two\n"}, wait=False)
    edge.call(files={"app.conf": "greeting=three\n"}, wait=False)
    first = edge.send(captured, "one")[1]
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"
    for again in ("two", "", "x" * 500):
        assert edge.send(captured, again)[1]["revision"] == first["revision"] == 3
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"
    assert edge.call(action="history")[1]["history"][0]["call"] == "one"


def test_a_captured_call_is_known_after_more_writes_than_can_be_gone_back_to(edge: Edge) -> None:
    captured = edge.signed(files={"app.conf": "greeting=two\n"}, wait=False)
    assert edge.send(captured, "one")[1]["revision"] == 1
    for n in range(history.ENTRIES + 2):
        edge.call(files={"app.conf": f"greeting={n}\n"}, wait=False)
    before = edge.api.data("core", "amf-config")
    assert edge.send(captured, "two")[1]["revision"] == 1
    assert edge.api.data("core", "amf-config") == before


def test_a_captured_call_that_found_nothing_to_write_finds_nothing_later(edge: Edge) -> None:
    """Sent again after somebody else's change it is still the first one; neither is it anything to go back to."""
    captured = edge.signed(files={"app.conf": "greeting=one\n"}, wait=False)
    first = edge.send(captured, "one")[1]
    own = edge.call(call="c-1", files={"app.conf": "greeting=one\n"}, wait=False)[1]
    assert {(a["changed"], "revision" in a, "warning" in a) for a in (first, own)} == {(False, False, False)}
    edge.call(files={"app.conf": "greeting=two\n"}, wait=False)
    edge.call(files={"app.conf": "greeting=three\n"}, wait=False)
    edge.call(call="c-2", files={"app.conf": "greeting=three\n"}, wait=False)
    for again in (edge.send(captured, "two")[1], edge.call(call="c-1", files={"app.conf": "x\n"}, wait=False)[1]):
        assert (again["changed"], "revision" in again) == (False, False)
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=three\n"
    assert [entry["revision"] for entry in edge.call(action="history")[1]["history"]] == [2, 1]
    edge.call(action="rollback", wait=False)
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"
    edge.call(call="c-2", files={"app.conf": "greeting=three\n"}, wait=False)
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"


def test_calls_that_found_nothing_to_write_take_no_writes_place_and_go_after_an_hour(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KNOWN", 3)
    cluster = edge.function._clusters.for_caller(ALICE, "edge-a", "core")
    before = cluster.config("core", "amf-config")
    assert before is not None
    after = replace(before, files={"app.conf": b"greeting=two\n"})
    assert history.add(cluster, before, after, at=1000, by=ALICE, call="w") == 1
    for n in range(5):
        history.note_unchanged(cluster, after, at=1000 + n, by=ALICE, call=f"n{n}")
    past = history.load(cluster, "core", "amf-config")
    assert ([e.call for e in past.entries], [e.call for e in past.unchanged]) == (["w"], ["n4", "n3", "n2"])
    assert past.entries[0].contents() == before.files
    history.note_unchanged(cluster, after, at=1003 + history.KNOWN_S, by=ALICE, call="late")
    past = history.load(cluster, "core", "amf-config")
    assert ([e.call for e in past.entries], [e.call for e in past.unchanged]) == (["w"], ["late", "n4"])


def test_a_call_that_found_nothing_to_write_and_cannot_be_remembered_is_told(edge: Edge) -> None:
    edge.api.refuse["POST", "secrets"] = 403
    status, answer = edge.call(files={"app.conf": "greeting=one\n"}, wait=False)
    assert (status, answer["changed"], answer["warning"]["code"]) == (200, False, "cluster_denied")
    assert answer["warning"]["message"].startswith(
        "perhaps the history of ConfigMap amf-config does not know this call"
    )


def test_a_call_without_any_id_goes_by_its_signature(edge: Edge) -> None:
    captured = edge.signed(files={"app.conf": "greeting=two\n"}, wait=False)
    assert edge.send(captured, "")[1]["revision"] == 1
    edge.call(files={"app.conf": "greeting=three\n"}, wait=False)
    assert edge.send(captured, "one")[1]["revision"] == 1
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=three\n"


@pytest.mark.parametrize("own", ["", "x"])
def test_a_call_id_that_another_signer_used_is_another_call(edge: Edge, own: str) -> None:
    """Neither the gateway's X-Call-Id nor an id in the body answers for another caller, or keeps it away."""
    bob = "operator/bob"
    policy = POLICY.replace("callers: {", "callers: {operator/bob: {clusters: [edge-a], namespaces: [core]}, ")
    (edge.folder / "secrets" / "reload-policy").write_text(policy)
    theirs = edge.signed(bob, call=own, files={"app.conf": "greeting=two\n"}, wait=False)
    assert edge.send(theirs, "x")[1]["revision"] == 1
    mine = edge.signed(call=own, files={"app.conf": "greeting=three\n"}, wait=False)
    assert edge.send(mine, "x")[1]["revision"] == 2
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=three\n"
    assert edge.send(theirs, "x")[1]["revision"] == 1
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=three\n"
    kept = edge.call(action="history")[1]["history"]
    assert [(entry["by"], entry["call"]) for entry in kept] == [(ALICE, "x"), (bob, "x")]


def test_two_calls_with_ids_of_their_own_are_two_whatever_the_gateway_calls_them(edge: Edge) -> None:
    for own, given in (("a", "one"), ("b", "one"), ("a", "two")):
        edge.send(edge.signed(call=own, files={"app.conf": f"greeting={own}\n"}, wait=False), given)
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=b\n"


def test_without_the_store_only_a_call_with_an_id_of_its_own_changes_anything(edge: Edge) -> None:
    edge.store.close()
    (edge.folder / "edge.db").unlink(missing_ok=True)
    (edge.folder / "edge.db").mkdir()
    status, answer = edge.call(files={"app.conf": "greeting=two\n"}, wait=False)
    assert (status, answer["error"]["code"]) == (503, "store_down")
    assert "`call`" in answer["error"]["hint"]
    assert edge.api.data("core", "amf-config") == FILES
    assert edge.call(action="status", wait=False)[0] == 200
    assert edge.call(call="c-1", files={"app.conf": "greeting=two\n"}, wait=False)[0] == 200
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"


@pytest.mark.parametrize(
    ("method", "code", "told"),
    [("GET", 403, "cluster_denied"), ("PATCH", 403, "cluster_denied"), ("PATCH", 409, "cluster_failed")],
)
@pytest.mark.parametrize("wait", [True, False])
def test_what_is_written_is_told_and_remembered_also_where_its_pods_cannot_be_nudged(
    edge: Edge, method: str, code: int, told: str, wait: bool
) -> None:
    edge.api.put("pods", "core", "amf-0", pod_body(1), LABELS)
    edge.api.refuse[method, "pods"] = code
    status, answer = edge.call(call="c-1", files={"app.conf": "greeting=two\n"}, wait=wait)
    assert (status, answer["status"], answer["changed"], answer["revision"]) == (200, "waiting", True, 1)
    assert (answer["applied"], answer["of"], answer["pods"]) == (0, None, [])
    assert answer["error"]["code"] == told
    assert answer["error"]["message"].startswith("ConfigMap amf-config is written, but its pods")
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"
    again = edge.call(call="c-1", files={"app.conf": "greeting=two\n"}, wait=wait)[1]
    assert (again["status"], again["revision"], again["error"]["code"]) == ("waiting", 1, told)
    edge.api.refuse.clear()
    assert [entry["call"] for entry in edge.call(action="history")[1]["history"]] == ["c-1"]
    assert edge.call(action="rollback", wait=False)[0] == 200
    assert edge.api.data("core", "amf-config") == FILES


@pytest.mark.parametrize("call", ["c-1", "c-2"])
def test_a_repeat_nudges_the_pods_that_the_first_call_could_not(edge: Edge, call: str) -> None:
    pod = edge.add_pod()
    edge.api.refuse["PATCH", "pods"] = 403
    assert edge.call(call="c-1", files={"app.conf": "greeting=two\n"}, wait=False)[1]["changed"] is True
    edge.api.refuse.clear()
    assert edge.call(call=call, files={"app.conf": "greeting=two\n"}, wait=False)[1]["changed"] is False
    pod.until_daemon("hup two")


def test_what_is_written_and_cannot_be_remembered_is_told_and_reaches_the_pods(edge: Edge) -> None:
    edge.add_pod()
    edge.api.refuse["POST", "secrets"] = 403
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert (status, answer["status"], answer["applied"], answer["error"]) == (200, "applied", 1, None)
    assert (answer["revision"], answer["warning"]["code"]) == (None, "cluster_denied")
    assert answer["warning"]["message"].startswith("ConfigMap amf-config is written, but its history is not")
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"


def test_diff_writes_nothing_and_hides_what_looks_like_a_secret(edge: Edge) -> None:
    status, answer = edge.call(action="diff", set={"amf.yaml:amf.tac": 8}, files={"app.conf": "password=hunter2\n"})
    assert status == 200
    assert "+  tac: 8   # hex 0x7" in answer["diff"]
    assert "-  tac: 7   # hex 0x7" in answer["diff"]
    assert "password=***" in answer["diff"]
    assert "hunter2" not in json.dumps(answer)
    assert edge.api.data("core", "amf-config") == FILES


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("K: 465b5ce8b199b49faa5f0a2ee238a6bc", "K: ***"),
        ('"opc": "cd63cb71954a9f4e48a5994e37a02baf"', '"opc": ***'),
        ("private_key = abc", "private_key = ***"),
        ("passphrase: correct horse", "passphrase: ***"),
        ("enable password hunter2", "enable password ***"),
        ("db: mongodb://amf:hunter2@db", "db: mongodb://amf:***@db"),
        ("check: on", "check: on"),
        ("stop: 3", "stop: 3"),
    ],
)
def test_what_is_hidden_in_a_diff(edge: Edge, line: str, shown: str) -> None:
    assert f"+{shown}" in edge.call(action="diff", files={"app.conf": f"{line}\n"})[1]["diff"].splitlines()


def test_a_diff_tells_that_a_secret_changes_and_not_to_what(edge: Edge) -> None:
    def pem(body: str) -> str:
        lines = ["a = 1", "-----BEGIN PRIVATE KEY-----", *["same"] * 9, body, *["same"] * 9]
        return "\n".join([*lines, "-----END PRIVATE KEY-----", "b = 1"])

    edge.api.put("configmaps", "core", "amf-config", {"data": {"key.pem": pem("hunter2")}}, LABELS)
    shown = edge.call(action="diff", files={"key.pem": pem("hunter3")})[1]["diff"]
    assert shown.splitlines() == [
        "--- key.pem (now)",
        "+++ key.pem (then)",
        "@@ -10,5 +10,5 @@",
        *(" ***", " ***", "-***", "+***", " ***", " ***"),
    ]
    assert edge.call(action="diff", files={"key.pem": pem("hunter2")})[1]["diff"] == ""


def test_what_a_check_refuses_is_told_without_the_secrets_in_it(edge: Edge) -> None:
    edge.add_pod("--check", QUOTING)
    status, answer = edge.call(files={"app.conf": REFUSED})
    assert (status, answer["status"], answer["error"]["code"]) == (200, "rejected", "candidate_rejected")
    for told in (answer["error"]["message"], answer["pods"][0]["detail"]):
        assert 'keyword "retrun" password=*** uri=mongodb://amf:***@db alone: *** token=***, no "***"' in told
    said = json.dumps([answer, edge.call(action="status")[1]])
    assert "hunter" not in said
    assert "horse" not in said


def test_history_tells_who_and_what_and_is_bounded(edge: Edge) -> None:
    for n in range(12):
        assert edge.call(files={"app.conf": f"greeting={n}\n"}, wait=False)[0] == 200
    _, answer = edge.call(action="history")
    assert [entry["revision"] for entry in answer["history"]] == list(range(12, 2, -1))
    assert {entry["by"] for entry in answer["history"]} == {ALICE}
    assert answer["history"][0]["replaced"] == answer["history"][1]["digest"]
    status, answer = edge.call(action="rollback", revision=1)
    assert (status, answer["error"]["code"]) == (404, "revision_unknown")
    assert edge.call(action="rollback", revision=5, wait=False)[0] == 200
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=3\n"


def test_a_write_that_a_killed_call_left_out_of_the_history_is_told(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    assert "warning" not in edge.call(files={"app.conf": "greeting=two\n"}, wait=False)[1]
    with monkeypatch.context() as kill, pytest.raises(KeyboardInterrupt):
        kill.setattr(history, "add", killed)
        edge.call(files={"app.conf": "greeting=three\n"}, wait=False)
    assert edge.call(action="history")[1]["warning"]["code"] == "write_unknown"
    back = edge.call(action="rollback", call="one", wait=False)[1]
    assert (back["warning"]["code"], back["revision"]) == ("write_unknown", 2)
    assert edge.api.data("core", "amf-config") == FILES
    assert "warning" not in edge.call(action="history")[1]
    assert "warning" not in edge.call(action="rollback", call="two", wait=False)[1]
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=three\n"


def test_the_history_secret_belongs_to_the_configmap_and_stays_small(edge: Edge) -> None:
    noise = random.Random(7)
    for _ in range(6):
        text = "".join(chr(noise.randrange(33, 127)) for _ in range(200_000))
        assert edge.call(files={"app.conf": text}, wait=False)[0] == 200
    secret = edge.api.objects["secrets", "core", "amf-config.history"]
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "uid-amf-config"
    assert len(secret["data"]["history"]) < 1_000_000
    _, answer = edge.call(action="history")
    assert [entry["kept"] for entry in answer["history"]] == sorted(
        (e["kept"] for e in answer["history"]), reverse=True
    )
    assert 3 <= sum(entry["kept"] for entry in answer["history"]) < len(answer["history"]) == 6
    assert history.ENTRIES == 10


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"cluster": "nowhere"}, 403, "namespace_not_allowed"),
        ({"cluster": "edge-z"}, 404, "cluster_unknown"),
        ({"namespace": "kube-system"}, 403, "namespace_not_allowed"),
        ({"release": "smf"}, 404, "configmap_missing"),
        ({"release": "", "configmap": "none"}, 404, "configmap_missing"),
        ({"release": ""}, 400, "request_invalid"),
        ({"set": {}}, 400, "request_invalid"),
        ({"set": {"amf.yaml": 1}}, 400, "request_invalid"),
        ({"set": {"smf.yaml:a": 1}}, 404, "file_unknown"),
        ({"set": {"amf.yaml:amf.tak": 1}}, 404, "path_unknown"),
        ({"set": {"amf.yaml:amf.plmn.mnc": 1}}, 400, "values_invalid"),
        ({"set": {}, "files": {"amf.yaml": "a: ["}}, 400, "values_invalid"),
        ({"set": {}, "files": {"../x": "a"}}, 400, "request_invalid"),
        ({"set": {}, "files": {"new.txt": "a"}}, 404, "file_unknown"),
        ({"action": "destroy"}, 400, "request_invalid"),
        ({"namespace": "../x"}, 400, "request_invalid"),
        ({"more": 1}, 400, "request_invalid"),
    ],
)
def test_each_fault_has_a_code_and_a_sentence(edge: Edge, request_: dict[str, Any], status: int, code: str) -> None:
    given, answer = edge.call(**{"set": {"amf.yaml:amf.tac": 8}, **request_})
    assert (given, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]
    assert edge.api.data("core", "amf-config") == FILES


def test_a_release_with_two_configmaps_asks_which(edge: Edge) -> None:
    edge.api.put("configmaps", "core", "amf-more", {"data": {"a.txt": "1"}}, LABELS)
    status, answer = edge.call(files={"a.txt": "2"})
    assert (status, answer["error"]["code"]) == (404, "configmap_missing")
    assert "amf-config, amf-more" in answer["error"]["hint"]
    assert edge.call(files={"a.txt": "2"}, configmap="amf-more", wait=False)[0] == 200


def test_callers_without_a_grant_or_a_key_change_nothing(edge: Edge) -> None:
    assert edge.call(caller="operator/bob", set={"amf.yaml:amf.tac": 8})[0] == 403
    assert edge.call(caller="00101-0019b", set={"amf.yaml:amf.tac": 8})[0] == 403
    assert edge.call(key=b"x" * 32, set={"amf.yaml:amf.tac": 8})[0] == 401
    assert edge.api.calls == []


def test_a_dead_a_slow_and_a_refusing_api_server(edge: Edge) -> None:
    edge.api.denied.add("configmaps")
    status, answer = edge.call(set={"amf.yaml:amf.tac": 8})
    assert (status, answer["error"]["code"]) == (403, "cluster_denied")
    edge.api.denied.clear()
    edge.api.delay_s = 3.0
    begin = time.monotonic()
    status, answer = edge.call(set={"amf.yaml:amf.tac": 8})
    assert (status, answer["error"]["code"]) == (503, "cluster_unreachable")
    assert time.monotonic() - begin < 5
    edge.api.close()
    status, answer = edge.call(set={"amf.yaml:amf.tac": 8})
    assert (status, answer["error"]["code"]) == (503, "cluster_unreachable")
    assert "token-of-the-function" not in json.dumps(answer)


def test_a_wrong_token_and_commands_in_a_kubeconfig_are_refused(edge: Edge) -> None:
    secret = edge.folder / "secrets" / "edge-kubeconfigs"
    secret.write_text(edge.api.kubeconfig("edge-a", token="other"))
    assert edge.call(set={"amf.yaml:amf.tac": 8})[1]["error"]["code"] == "cluster_denied"
    wrong = json.loads(edge.api.kubeconfig("edge-a"))
    wrong["users"][0]["user"] = {"exec": {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1"}}
    secret.write_text(json.dumps(wrong))
    status, answer = edge.call(set={"amf.yaml:amf.tac": 8})
    assert (status, answer["error"]["code"]) == (404, "cluster_unknown")
    assert "exec" in answer["error"]["message"]


def test_a_policy_that_is_broken_or_missing_lets_nobody_in(edge: Edge) -> None:
    policy = edge.folder / "secrets" / "reload-policy"
    for spoil in (lambda: policy.write_text("callers: 7"), policy.unlink):
        spoil()
        assert edge.call(set={"amf.yaml:amf.tac": 8})[1]["error"]["code"] == "namespace_not_allowed"


def test_more_than_a_configmap_may_hold_is_refused(edge: Edge) -> None:
    edge.api.put("configmaps", "core", "amf-config", {"data": {**FILES, "big.txt": "x" * 800_000}}, LABELS)
    status, answer = edge.call(files={"app.conf": "x" * 150_000})
    assert (status, answer["error"]["code"]) == (413, "too_large")


def slices(count: int, tac: int) -> str:
    """A YAML file like those of a core, of about 100 KB for 1,500."""
    lines = (f'    - {{sst: 1, sd: "{n:06x}", name: "slice-{n}", tac: {n}}}   # one of them\n' for n in range(count))
    return f"amf:\n  tac: {tac}   # hex\n  slices:\n" + "".join(lines)


def test_pods_are_listed_once_for_all_configmaps_of_their_release(edge: Edge) -> None:
    for name in ("amf-config", "amf-more", "amf-rest"):
        edge.api.put("configmaps", "core", name, {"data": {"a.txt": name}}, LABELS)
        pod = pod_body(None) | {"spec": {"volumes": [{"name": "config", "configMap": {"name": name}}]}}
        edge.api.put("pods", "core", f"{name}-9", pod, LABELS)
    cluster = from_kubeconfig("edge-a", edge.api.kubeconfig("edge-a"))
    targets = apply.targets_of_release(cluster, "core", "amf")
    assert apply.nudge(cluster, *targets) == len(targets) == 3
    assert [pod.config for pod in apply.look(cluster, targets).pods] == ["amf-config", "amf-more", "amf-rest"]
    cluster.close()
    assert edge.api.calls.count(("GET", "/api/v1/namespaces/core/pods")) == 2
    for target in targets:
        noted = edge.api.objects["pods", "core", f"{target.config}-9"]["metadata"]["annotations"]
        assert noted[NUDGE_ANNOTATION].startswith(f"{target.digest} {target.config} ")


def test_each_namespace_is_changed_by_its_own_account(edge: Edge) -> None:
    """As charts/placement-target makes them; of none there is one, and nothing is done there."""
    edge.add_pod()
    secret = edge.folder / "secrets" / "edge-kubeconfigs"
    acts_as = "system:serviceaccount:home:placement-{namespace}"
    secret.write_text(edge.api.kubeconfig("edge-a", acts_as=acts_as))
    edge.api.accounts = {"core": acts_as.replace("{namespace}", "core")}
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert (status, answer["status"]) == (200, "applied"), answer
    edge.api.accounts = {"other": acts_as.replace("{namespace}", "other")}
    status, answer = edge.call(files={"app.conf": "greeting=three\n"})
    assert answer["error"]["code"] == "cluster_denied"
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"


def test_files_of_a_hundred_kilobytes_are_taken_whole(edge: Edge) -> None:
    edge.add_pod()
    files = {"amf.yaml": slices(1500, 7), "app.conf": "greeting=two\n"}
    assert len(files["amf.yaml"]) > 100_000
    status, answer = edge.call(files=files)
    assert (status, answer["status"] in ("applied", "waiting"), answer["of"]) == (200, True, 1)
    assert edge.api.data("core", "amf-config") == files
    eventually(lambda: edge.call(action="status")[1].get("applied") == 1, "the pod's report")
    assert edge.call(action="rollback")[0] == 200
    assert edge.api.data("core", "amf-config") == FILES


def test_several_values_of_a_file_of_a_hundred_kilobytes_are_changed_and_nothing_else(edge: Edge) -> None:
    edge.api.put("configmaps", "core", "amf-config", {"data": {"amf.yaml": slices(1500, 7)}}, LABELS)
    wanted = {"amf.yaml:amf.tac": 8, "amf.yaml:amf.slices[3].sd": "abcdef", "amf.yaml:amf.slices[1499].tac": 1}
    status, answer = edge.call(set=wanted, wait=False)
    assert (status, answer["error"]) == (200, None)
    text = slices(1500, 8).replace('"000003"', '"abcdef"').replace("tac: 1499}", "tac: 1}")
    assert edge.api.data("core", "amf-config") == {"amf.yaml": text}


def test_only_post_is_taken(edge: Edge) -> None:
    assert edge.function.handle(Call(b"", {}, "GET"))[1] == 405
