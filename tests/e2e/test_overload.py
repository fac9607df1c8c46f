"""More attaches at once than one queue worker takes: the eNBs are told, what was begun is finished, and it passes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.sections.overload import peak
from enb_app.attach import attach
from enb_app.effects import Verdict
from enb_app.options import AttachOptions
from enb_app.outbox import Policy
from enb_app.result import Result
from laptop.site import Site
from localfaas.process import Running
from mme.enums import EmmCause
from mme.load import read_decision
from mme.overload import Decision
from mme.store.opening import open_store

FIRST, SECONDS, TIMES = 24, 12.0, 3.0
PATIENCE_S = 120.0
PATIENT = {"context_setup_s": "100"}
"""A test machine may stand still for longer than an eNB is given: what is tested is that nobody waits for others."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def attached(site: Site, gateway: Running, first: int, ues: int, **options: Any) -> Result:
    """Nobody loses patience for the test machine's sake."""
    return asyncio.run(
        attach(
            AttachOptions(
                gateway=gateway.url,
                secrets=site.secrets,
                subscribers=site.subscribers,
                first_ue=first,
                ues=ues,
                t3410_s=100.0,
                policy=Policy(tries=20, give_up_s=100.0),
                rrc_wait_s=6.0,
                attempts=1,
                seed=3,
                **options,
            )
        )
    )


def until(decision: Callable[[Decision], bool], site: Site, what: str) -> Decision:
    store = open_store(site.store_url)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not decision(found := read_decision(store)[0]):
            assert time.monotonic() < deadline, f"waited in vain for {what}: {found}"
            time.sleep(0.1)
        return found
    finally:
        store.close()


@pytest.mark.parametrize("ignore", [False, True], ids=["honouring", "ignoring"])
def test_three_times_the_capacity(tmp_path: Path, ignore: bool) -> None:
    """Of what this machine takes now; the figures themselves are the bench's affair."""
    site = Site(tmp_path)
    site.provision(1500)
    with site.serve(port=0, workers=1, settings=PATIENT) as gateway:
        capacity = peak(attached(site, gateway, 0, FIRST, concurrency=6))
        until(lambda decision: decision.percent == 0, site, "quiet after the measurement")
        ues = min(1400, int(TIMES * capacity * SECONDS))
        result = attached(site, gateway, FIRST, ues, rate_per_s=TIMES * capacity, ignore_overload=ignore, enbs=2)
        refused = [o for o in result.outcomes if o.emm_cause == EmmCause.CONGESTION.value]
        others = [o.cause for o in result.outcomes if o.verdict is not Verdict.ATTACHED and o not in refused]
        assert result.attached > 0
        assert result.overload_starts >= 2
        if ignore:
            assert refused
            assert result.rrc_rejected == 0
        else:
            assert result.rrc_rejected > 0
        assert others == []
        until(lambda decision: decision.percent == 0, site, "the end of the overload")
