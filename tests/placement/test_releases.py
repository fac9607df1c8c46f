"""Helm's records on a cluster: read, and a pending one marked as failed only by who may.

Their form: Helm's documentation, "Storage backends"; its statuses: helm.sh/helm/v3/pkg/release, status.go.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
from typing import Any

import pytest

from placement import releases
from placement.api import ApiError
from placement.errors import Code, PlacementError
from placement.releases import STALE_S, decode, encode, good_before, is_pending, revision_of, target
from tests.placement.fake_cluster import FakeCluster, api

SECRETS = "/api/v1/namespaces/lab/secrets"


def record(number: int, status: str) -> dict[str, Any]:
    info = {"status": status, "description": f"made {number}", "first_deployed": "2026-01-01T00:00:00Z"}
    chart = {"metadata": {"name": "nf", "version": "1.0.0"}}
    return {"name": "upf", "version": number, "info": info, "chart": chart, "manifest": "---", "config": {"tac": 7}}


def put(cluster: FakeCluster, number: int, status: str, *, made_s: float | None = None, owner: str = "helm") -> str:
    name = f"sh.helm.release.v1.upf.v{number}"
    labels = {"owner": owner, "name": "upf", "status": status, "version": str(number)}
    labels |= {} if made_s is None else {"createdAt": str(int(made_s))}
    data = {"release": encode(record(number, status))}
    cluster.put(f"{SECRETS}/{name}", {"kind": "Secret", "metadata": {"name": name, "labels": labels}, "data": data})
    return f"{SECRETS}/{name}"


def states(cluster: FakeCluster) -> list[tuple[int, str]]:
    return [(r.number, r.status) for r in releases.revisions(api(cluster), "lab", "upf")]


def test_a_record_is_base64_of_base64_of_gzip_of_json() -> None:
    text = json.dumps(record(1, "deployed")).encode()
    for packed in (gzip.compress(text), text):  # Helm before 3 did not compress
        secret = {"data": {"release": base64.b64encode(base64.b64encode(packed)).decode()}}
        found = revision_of(decode(secret))
        assert (found.number, found.status, found.chart) == (1, "deployed", "nf-1.0.0")
        assert (found.config, found.description, found.installed) == ({"tac": 7}, "made 1", "2026-01-01T00:00:00Z")
    assert decode({"data": {"release": encode(record(2, "failed"))}}) == record(2, "failed")


def test_hooks_are_told_apart_from_the_manifest() -> None:
    hook = {
        "name": "a",
        "kind": "Job",
        "path": "nf/templates/a.yaml",
        "manifest": "kind: Job",
        "events": ["pre-install"],
    }
    found = revision_of(record(1, "failed") | {"hooks": [hook, {"name": "b", "kind": "Job"}]})
    assert (found.manifest, found.hooks) == ("---", ("kind: Job", ""))
    assert revision_of(record(1, "failed") | {"hooks": None}).hooks == revision_of(record(1, "failed")).hooks == ()


@pytest.mark.parametrize(
    "release",
    [
        None,
        "",
        "no base64!",
        base64.b64encode(b"one is not enough").decode(),
        base64.b64encode(base64.b64encode(b"\x1f\x8bno gzip")).decode(),
        base64.b64encode(base64.b64encode(gzip.compress(b"[1, 2]", mtime=0))).decode(),
        base64.b64encode(base64.b64encode(gzip.compress(b"{}" * 100, mtime=0)[:-9])).decode(),
    ],
)
def test_what_is_no_record_is_refused(release: str | None) -> None:
    with pytest.raises(ValueError, match="not Helm's"):
        decode({"data": {"release": release}})


def test_revisions_are_in_the_order_of_their_numbers(cluster: FakeCluster) -> None:
    for number in (10, 9, 11):
        put(cluster, number, "superseded")
    put(cluster, 12, "deployed", owner="somebody")
    assert [number for number, _ in states(cluster)] == [9, 10, 11]
    newest = releases.latest(api(cluster), "lab", "upf")
    assert newest is not None
    assert newest.number == 11
    assert releases.latest(api(cluster), "lab", "other") is None
    cluster.trouble.append(("GET", "/secrets", 404))
    with pytest.raises(PlacementError) as refused:
        releases.latest(api(cluster), "lab", "upf")
    assert refused.value.code is Code.CLUSTER_REFUSED


def test_where_a_rollback_goes() -> None:
    kept = [
        revision_of(record(number, status))
        for number, status in enumerate(("superseded", "superseded", "failed", "deployed", "failed"), 1)
    ]
    assert target(kept, None).number == 4
    assert target(kept[:4], None).number == 2
    assert target(kept, 3).number == 3
    assert good_before(kept, 2) == kept[0]
    assert good_before(kept, 1) is None
    for wrong, number, code in (
        (kept, 9, Code.NO_SUCH_REVISION),
        (kept[:1], None, Code.NO_SUCH_REVISION),
        ([], None, Code.NO_SUCH_RELEASE),
        ([], 1, Code.NO_SUCH_RELEASE),
    ):
        with pytest.raises(PlacementError) as refused:
            target(wrong, number)
        assert refused.value.code is code


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback", "uninstalling"])
def test_what_ours_has_left_pending_is_marked_as_failed(cluster: FakeCluster, status: str) -> None:
    put(cluster, 9, "deployed")
    path = put(cluster, 10, status, made_s=time.time())
    assert is_pending(releases.revisions(api(cluster), "lab", "upf"))
    told: list[list[int]] = []

    def is_ours(kept: Any) -> bool:
        told.append([r.number for r in kept])
        return True

    found = releases.recover(api(cluster), "lab", "upf", is_ours)
    assert [(r.number, r.status) for r in found] == [(9, "deployed"), (10, "failed")] == states(cluster)
    assert told == [[9, 10]]
    # by its label helm finds it, and its description tells who has done that
    assert cluster.objects[path]["metadata"]["labels"]["status"] == "failed"
    assert found[-1].description == releases.RECOVERED
    assert releases.recover(api(cluster), "lab", "upf", is_ours) == found


@pytest.mark.parametrize("status", ["deployed", "failed", "superseded", "uninstalled", "unknown"])
def test_what_is_not_pending_stays(cluster: FakeCluster, status: str) -> None:
    put(cluster, 1, "pending-upgrade")  # not the newest
    put(cluster, 2, status)
    releases.recover(api(cluster), "lab", "upf", lambda _: True, ended_s=time.time())
    assert states(cluster) == [(1, "pending-upgrade"), (2, status)]
    assert "PUT" not in {method for method, _ in cluster.calls}


@pytest.mark.parametrize(
    ("age_s", "ended_ago_s", "is_taken"),
    [
        # written before a lease ended whose holder was killed, or after
        (60, 50, True),
        (60, 70, False),
        (60, None, False),
        # nobody's for a quarter of an hour
        (STALE_S - 60, None, False),
        (STALE_S + 60, None, True),
    ],
)
def test_somebody_elses_is_taken_only_where_he_is_known_to_be_dead(
    cluster: FakeCluster, age_s: float, ended_ago_s: float | None, is_taken: bool
) -> None:
    now = time.time()
    put(cluster, 1, "pending-install", made_s=now - age_s)
    ended = {} if ended_ago_s is None else {"ended_s": now - ended_ago_s}
    releases.recover(api(cluster), "lab", "upf", lambda _: False, **ended)
    assert states(cluster) == [(1, "failed" if is_taken else "pending-install")]


def test_a_helm_that_lives_all_the_same_is_not_overwritten(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cluster, 1, "pending-install")
    asking = api(cluster)
    real = asking.get

    def written_meanwhile(path: str, **query: Any) -> dict[str, Any]:
        found = json.loads(json.dumps(real(path, **query)))
        put(cluster, 1, "deployed")
        return dict(found)

    monkeypatch.setattr(asking, "get", written_meanwhile)
    with pytest.raises(ApiError) as conflict:
        releases.recover(asking, "lab", "upf", lambda _: True)
    assert conflict.value.status == 409
    assert states(cluster) == [(1, "deployed")]
