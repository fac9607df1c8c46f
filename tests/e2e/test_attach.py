"""UEs attach through the functions of stack.yml as processes: every way of calling them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enb_app.association import Leave
from enb_app.measure import UeOutcome
from enb_app.options import Mode
from enb_app.outbox import Policy
from mme.enums import EmmState
from tests.e2e.conftest import Core

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-core")]

UES = 20


@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.value)
def test_twenty_ues_attach(core: Core, mode: Mode) -> None:
    """Each is registered once, with an address and a GUTI of its own."""
    first = core.used
    result = core.attach(ues=UES, concurrency=5, mode=mode)
    assert (result.attached, result.failed, result.exit_code) == (UES, 0, 0)
    assert result.counters.results == {"done": 6 * UES + 1}
    imsis = {subscriber.imsi for subscriber in core.subscribers(first, UES)}
    contexts = [ctx for ctx in core.registered() if ctx.imsi in imsis]
    assert len(contexts) == UES
    assert len({ctx.imsi for ctx in contexts}) == UES
    assert len({ctx.guti for ctx in contexts}) == UES
    assert len({ctx.bearer.session.ipv4 for ctx in contexts if ctx.bearer}) == UES


def test_batches_carry_the_messages_of_several_ues(core: Core) -> None:
    result = core.attach(ues=UES, concurrency=UES, policy=replace(Policy(), batch=10, calls=1))
    assert result.attached == UES
    assert result.counters.calls < result.counters.items / 2


def test_eager_ues_do_not_wait_for_answers(core: Core) -> None:
    result = core.attach(ues=UES, concurrency=5, eager=True)
    assert result.attached == UES


def test_two_enbs_share_the_ues(core: Core) -> None:
    result = core.attach(ues=4, concurrency=4, enbs=2)
    assert result.attached == 4
    assert {outcome.enb for outcome in result.outcomes} == {"00101-0019b", "00101-0019c"}


def test_esm_information_is_asked_for(core: Core) -> None:
    result = core.attach(ues=2, esm_information=True)
    assert result.attached == 2
    assert sum(message.nas == "ESM Information Response" for message in result.messages) == 2


@pytest.mark.parametrize("leave", [Leave.DETACH, Leave.SWITCH_OFF], ids=lambda leave: leave.name.lower())
def test_detached_ues_are_registered_no_more(core: Core, leave: Leave) -> None:
    first = core.used
    result = core.attach(ues=5, concurrency=5, leave=leave)
    assert (result.attached, result.detached) == (5, 5)
    imsis = {subscriber.imsi for subscriber in core.subscribers(first, 5)}
    assert not [ctx for ctx in core.registered() if ctx.imsi in imsis and ctx.emm is EmmState.REGISTERED]


def test_a_ue_that_attaches_again_has_one_registration(core: Core) -> None:
    first = core.used
    core.attach(ues=3)
    core.used = first
    assert core.attach(ues=3).attached == 3
    imsis = {subscriber.imsi for subscriber in core.subscribers(first, 3)}
    assert len([ctx for ctx in core.registered() if ctx.imsi in imsis]) == 3


@pytest.mark.localfaas_only("kills a replica")
def test_a_killed_replica_costs_no_attach(core: Core) -> None:
    killed: list[object] = []

    def kill_once(_: UeOutcome) -> None:
        if not killed:
            killed.append(core.gateway.kill("mme-uplink-nas"))

    result = core.attach(kill_once, ues=UES, concurrency=10)
    assert killed
    assert result.attached == UES, [outcome.cause for outcome in result.outcomes]
