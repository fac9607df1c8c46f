"""The lease while helm lives: renewed again and again, and helm is stopped where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from placement import helm, installing, leases
from placement.operation import Phase
from tests.placement.conftest import Answered, Site
from tests.placement.fake_cluster import wait_for
from tests.placement.test_interrupted import LEASES, hurry, operation

LEASE = f"{LEASES}/placement.upf"


def renewed(site: Site) -> str:
    """When the lease was written last, by the cluster; "" = there is none."""
    spec = site.clusters[0].objects.get(LEASE, {}).get("spec", {})
    return str(spec.get("renewTime", ""))


@contextmanager
def helm_held(site: Site, monkeypatch: pytest.MonkeyPatch, request: dict[str, Any]) -> Iterator[Future[Answered]]:
    """Place while the cluster keeps helm waiting, under a lease, until the block ends."""
    monkeypatch.setattr(installing, "RENEW_EVERY_S", 0.1)
    hurry(site, "60")
    cluster = site.clusters[0]
    cluster.stall = ("POST", "/deployments")
    with ThreadPoolExecutor() as pool:
        try:
            answer = pool.submit(site.call, request)
            wait_for(lambda: cluster.stalled.is_set() and bool(renewed(site)), "helm, under a lease")
            yield answer
        finally:
            cluster.refuse.clear()
            cluster.stall = None
            cluster.go_on.set()


def test_the_lease_is_renewed_as_long_as_helm_lives(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with helm_held(site, monkeypatch, site.request(cluster="a")) as answer:
        times = {renewed(site)}
        for wanted in (2, 3):
            wait_for(lambda n=wanted: len(times | {renewed(site)}) >= n, "a renewal")
            times.add(renewed(site))
    assert answer.result().status == "ready"
    assert LEASE not in site.clusters[0].objects


def test_helm_is_stopped_when_a_renewal_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with helm_held(site, monkeypatch, site.request(cluster="a", id="lost")) as answer:
        site.clusters[0].refuse.add("/leases")
        # The fake still holds helm's request: only its being stopped lets the call go on.
        wait_for(lambda: operation(site, "lost").phase is Phase.MEND, "helm's being stopped")
    told = answer.result()
    assert (told.status, told.code) == ("failed", "lease_lost")


def test_a_helm_that_lost_its_lease_is_dead_before_another_may_take_it() -> None:
    """A renewal that hangs is one that failed; helm is told to end when that is seen, and killed after its grace."""
    assert installing.PATIENCE_S + helm.POLL_S + helm.TERM_GRACE_S < leases.DURATION_S
    assert installing.RENEW_EVERY_S * 2 < installing.PATIENCE_S, "one renewal that fails is no loss"
