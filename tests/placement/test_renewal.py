"""The lease while helm lives: renewed again and again, and helm is stopped where that fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from placement import installing
from placement.operation import Phase
from tests.placement.conftest import Site
from tests.placement.fake_cluster import wait_for
from tests.placement.test_interrupted import LEASES, hurry, operation

LEASE = f"{LEASES}/placement.upf"


def renewed(site: Site) -> str:
    """When the lease was written last, by the cluster; "" = there is none."""
    spec = site.clusters[0].objects.get(LEASE, {}).get("spec", {})
    return str(spec.get("renewTime", ""))


def test_the_lease_is_renewed_as_long_as_helm_lives(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "RENEW_EVERY_S", 0.1)
    hurry(site, "60")
    cluster = site.clusters[0]
    cluster.stall = ("POST", "/deployments")
    with ThreadPoolExecutor() as pool:
        try:
            answer = pool.submit(site.call, cluster="a")
            wait_for(lambda: cluster.stalled.is_set() and bool(renewed(site)), "helm, under a lease")
            times = {renewed(site)}
            for wanted in (2, 3):
                wait_for(lambda n=wanted: len(times | {renewed(site)}) >= n, "a renewal")
                times.add(renewed(site))
        finally:
            cluster.stall = None
            cluster.go_on.set()
        assert answer.result().status == "ready"
    assert LEASE not in cluster.objects


def test_helm_is_stopped_when_a_renewal_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "RENEW_EVERY_S", 0.1)
    hurry(site, "60")
    cluster = site.clusters[0]
    cluster.stall = ("POST", "/deployments")
    with ThreadPoolExecutor() as pool:
        try:
            answer = pool.submit(site.call, site.request(cluster="a", id="lost"))
            wait_for(lambda: cluster.stalled.is_set() and bool(renewed(site)), "helm, under a lease")
            cluster.refuse.add("/leases")
            # The fake still holds helm's request: only its being stopped lets the call go on.
            wait_for(lambda: operation(site, "lost").phase is Phase.MEND, "helm's being stopped")
        finally:
            cluster.refuse.clear()
            cluster.stall = None
            cluster.go_on.set()
        told = answer.result()
    assert (told.status, told.code) == ("failed", "lease_lost")
