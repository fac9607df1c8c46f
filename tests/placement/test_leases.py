"""The Lease on a release: who may have it when, and what its object says.

Its fields: Kubernetes' reference, "Lease v1 coordination.k8s.io"; versions and preconditions: "API Concepts".
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from placement.errors import Code, PlacementError
from placement.leases import HeldError, Lease
from tests.placement.fake_cluster import FakeCluster, api

PATH = "/apis/coordination.k8s.io/v1/namespaces/lab/leases/placement.upf"


def lease(cluster: FakeCluster, holder: str = "ours/1", namespace: str = "lab") -> Lease:
    return Lease(api(cluster), namespace, "upf", holder)


def spec(cluster: FakeCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects[PATH]["spec"]
    return found


def written(seconds: float) -> str:
    """A MicroTime."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(seconds))


def left(cluster: FakeCluster, renewed_s: float, holder: str = "others/1", *, lasts_s: int = 10) -> None:
    """Another's lease, as it was written then."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": lasts_s, "renewTime": written(renewed_s)}
    cluster.put(PATH, {"kind": "Lease", "metadata": {"name": "placement.upf", "namespace": "lab"}, "spec": spec})


def test_a_lease_says_whose_it_is_since_when_and_for_how_long(cluster: FakeCluster) -> None:
    ours = lease(cluster)
    assert ours.take() is None
    first = dict(spec(cluster))
    assert (first["holderIdentity"], first["leaseDurationSeconds"], first["leaseTransitions"]) == ("ours/1", 10, 0)
    assert first["acquireTime"] == first["renewTime"]
    spec(cluster)["renewTime"] = written(time.time() - 5)
    ours.renew()
    assert spec(cluster)["renewTime"] > written(time.time() - 4)
    # "the time when the current lease was acquired"
    assert (spec(cluster)["acquireTime"], spec(cluster)["leaseTransitions"]) == (first["acquireTime"], 0)
    ours.release()
    assert PATH not in cluster.objects


def test_who_comes_while_it_is_held_is_told_by_whom(cluster: FakeCluster) -> None:
    lease(cluster, "others/1").take()
    with pytest.raises(HeldError) as held:
        lease(cluster).take()
    assert (held.value.code, held.value.holder) == (Code.BUSY, "others/1")
    assert spec(cluster)["holderIdentity"] == "others/1"


def test_one_that_has_ended_is_taken_and_counted_as_a_transition(cluster: FakeCluster) -> None:
    now = int(time.time())
    left(cluster, now - 60, lasts_s=600)
    with pytest.raises(HeldError):
        lease(cluster).take()
    left(cluster, now - 60)
    assert lease(cluster).take() == now - 50
    # "the number of transitions of a lease between holders"
    assert (spec(cluster)["holderIdentity"], spec(cluster)["leaseTransitions"]) == ("ours/1", 1)


def test_whether_it_has_ended_is_judged_by_the_servers_clock(cluster: FakeCluster) -> None:
    """As a caller whose own clock is an hour ahead, or behind."""
    for offset_s, is_held in ((-3600.0, True), (3600.0, False)):
        asking = api(cluster)
        left(cluster, time.time() - (60 if is_held else 5))
        asking._learn_clock = lambda _date, a=asking, o=offset_s: setattr(a, "offset_s", o)  # type: ignore[method-assign, misc]
        ours = Lease(asking, "lab", "upf", "ours/1")
        if is_held:
            with pytest.raises(HeldError):
                ours.take()
        else:
            ours.take()


@pytest.mark.parametrize("status", [404, 409])
def test_of_two_that_take_it_at_once_one_is_told_that_it_is_held(cluster: FakeCluster, status: int) -> None:
    """409: it was written, 404: it was removed, between reading and writing."""
    left(cluster, time.time() - 60)
    cluster.trouble.append(("PUT", "/leases/", status))
    with pytest.raises(HeldError):
        lease(cluster).take()


def test_of_two_that_make_it_at_once_one_is_told_that_it_is_held(cluster: FakeCluster) -> None:
    cluster.trouble.append(("POST", "/leases", 409))
    with pytest.raises(HeldError):
        lease(cluster).take()


def test_a_namespace_that_is_missing_is_told_apart(cluster: FakeCluster) -> None:
    with pytest.raises(PlacementError, match="Cluster a has no namespace gone") as missing:
        lease(cluster, namespace="gone").take()
    assert missing.value.code is Code.NAMESPACE_MISSING
    cluster.refuse.add("/leases")
    with pytest.raises(PlacementError) as missing:
        lease(cluster, namespace="gone").take()
    assert missing.value.code is Code.NAMESPACE_MISSING
    for refused in ("/leases", "/namespaces/"):  # there, and: nobody may know
        cluster.refuse.add(refused)
        with pytest.raises(PlacementError) as denied:
            lease(cluster).take()
        assert denied.value.code is Code.CLUSTER_REFUSED


def test_a_renewal_whose_answer_was_lost_is_no_loss(cluster: FakeCluster) -> None:
    ours = lease(cluster)
    ours.take()
    cluster.put(PATH, {**cluster.objects[PATH]})  # as by a renewal of ours: another version
    ours.renew()
    ours.renew()
    ours.release()
    assert PATH not in cluster.objects


def test_a_lease_that_another_has_by_now_is_lost_and_stays_the_others(cluster: FakeCluster) -> None:
    ours = lease(cluster)
    ours.take()
    left(cluster, time.time())
    with pytest.raises(PlacementError) as lost:
        ours.renew()
    assert lost.value.code is Code.LEASE_LOST
    ours.release()
    assert spec(cluster)["holderIdentity"] == "others/1"


def test_a_lease_that_was_removed_is_lost(cluster: FakeCluster) -> None:
    ours = lease(cluster)
    ours.take()
    del cluster.objects[PATH]
    with pytest.raises(PlacementError) as lost:
        ours.renew()
    assert lost.value.code is Code.LEASE_LOST
    ours.release()  # nothing to remove, and no error


def test_a_cluster_that_does_not_answer_is_no_lost_lease(cluster: FakeCluster) -> None:
    ours = lease(cluster)
    ours.take()
    cluster.trouble.append(("PUT", "/leases/", 500))
    with pytest.raises(PlacementError) as down:
        ours.renew()
    assert down.value.code is Code.CLUSTER_DOWN
    ours.renew()
    cluster.trouble.append(("DELETE", "/leases/", 500))
    ours.release()  # it ends with its time
    assert PATH in cluster.objects


def test_what_was_never_taken_is_not_released(cluster: FakeCluster) -> None:
    left(cluster, time.time(), lasts_s=600)
    ours = lease(cluster)
    with pytest.raises(HeldError):
        ours.take()
    ours.release()
    assert PATH in cluster.objects
