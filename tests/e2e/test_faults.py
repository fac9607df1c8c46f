"""Calls and callbacks that get lost, doubled, late or overtaken: every UE attaches, and none of them twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from enb_app.outbox import Policy
from tests.e2e.conftest import Core

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-faults")]

UES = 30
IMPATIENT = replace(Policy(), first_silence_s=1.0, least_silence_s=0.7)


@pytest.mark.parametrize("eager", [False, True], ids=["in turn", "eager"])
def test_every_ue_attaches_once(lossy_core: Core, eager: bool) -> None:
    first = lossy_core.used
    result = lossy_core.attach(ues=UES, concurrency=10, policy=IMPATIENT, eager=eager)
    assert result.attached == UES, [outcome.cause for outcome in result.outcomes]
    imsis = {subscriber.imsi for subscriber in lossy_core.subscribers(first, UES)}
    contexts = [ctx for ctx in lossy_core.registered() if ctx.imsi in imsis]
    assert Counter(ctx.imsi for ctx in contexts) == dict.fromkeys(imsis, 1)
    assert len({ctx.bearer.session.ipv4 for ctx in contexts if ctx.bearer}) == UES
    assert len({ctx.guti for ctx in contexts}) == UES


def test_the_plan_was_carried_out(lossy_core: Core) -> None:
    """Otherwise the test above says nothing; it has made over 300 calls by now."""
    lossy_core.attach(ues=5, concurrency=5, policy=IMPATIENT)
    faults = lossy_core.gateway.manage("GET", "/localfaas/queue")["faults"]
    for section in ("call", "callback"):
        assert all(faults[section][kind] for kind in ("lose", "duplicate", "delay", "reorder")), faults
