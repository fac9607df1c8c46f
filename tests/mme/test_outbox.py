"""Downlinks for an eNB that did not call: kept until it has taken them, whatever dies in between."""

from __future__ import annotations

import pytest

from enb_app.usim import Usim
from mme.enums import EmmState, TimerName
from mme.messages import DownlinkNasTransport, UeContextReleaseCommand
from mme.store.base import Table
from mme.store.faulty import FaultConflict, FaultUnavailable, on_load, on_save
from tests.mme.runtime.pair import OTHER_ENB, Network, PusherDiedError, Talk, assert_no_count_used_twice
from tests.mme.runtime.test_attach import assert_registered


def challenged(network: Network) -> Talk:
    """A UE that does not answer its challenge, so that T3460 will push."""
    talk = network.ue(network.subscribe())
    talk.step()
    talk.queue.clear()
    return talk


def test_taken_at_once_leaves_no_outbox(network: Network) -> None:
    talk = challenged(network)
    network.wait(6.5)
    ctx = network.context(talk)
    assert ctx.outbox == ()
    assert TimerName.OUTBOX.value not in ctx.timers
    assert len(network.pushes.attempts) == 1
    network.wait(4)
    assert len(network.pushes.attempts) == 1


def test_refused_push_is_made_again_with_the_same_id(network: Network) -> None:
    talk = challenged(network)
    network.pushes.works = False
    network.wait(6.5)
    ctx = network.context(talk)
    assert len(ctx.outbox) == 1
    assert TimerName.OUTBOX.value in ctx.timers
    network.wait(2.5)
    network.pushes.works = True
    network.wait(2.5)
    assert network.context(talk).outbox == ()
    assert {ids for _, ids in network.pushes.attempts} == {network.pushes.attempts[0][1]}
    assert len(network.pushes.attempts) >= 3
    talk.flow()
    assert_registered(network, talk)


def test_push_whose_answer_was_lost_reaches_the_ue_once(network: Network) -> None:
    """The eNB took it, the MME does not know: the second push has the same id and is dropped there."""
    talk = challenged(network)
    network.pushes.works = False
    network.wait(6.5)
    network.pushes.works = True
    network.wait(3)
    copies = list(talk.heard)
    for downlink in copies:
        talk.hear(downlink)
    assert talk.association.ordering.repeats == len(copies)
    talk.flow()
    assert_registered(network, talk)


@pytest.mark.parametrize("at", ["timer", "take-over"])
def test_runtime_that_dies_between_save_and_push_loses_nothing(network: Network, at: str) -> None:
    if at == "timer":
        talk = challenged(network)
        network.pushes.dies = True
        with pytest.raises(PusherDiedError):
            network.wait(6.5)
        network.pushes.dies = False
        network.wait(4)
        assert [type(m) for m in talk.messages()].count(DownlinkNasTransport) == 2
        talk.flow()
        assert_registered(network, talk)
        return
    sim = network.subscribe()
    usim = Usim(sim)
    old = network.ue(sim, usim=usim)
    old.run()
    new = network.ue(sim, usim=usim)
    new.until("Security Mode Complete")
    network.pushes.dies = True
    message = new.queue[0]
    with pytest.raises(PusherDiedError):
        new.post()
    network.pushes.dies = False
    last = network.s1ap(message.octets, run=new.run_name, number=new.sent)
    new.posted[last.item.id] = message
    new.take(last)
    new.run()
    network.wait(4)
    old.flow()
    assert_registered(network, new)
    assert isinstance(old.messages()[-1], UeContextReleaseCommand)
    assert network.context(old).emm is EmmState.DEREGISTERED


def test_two_enbs_get_their_own(network: Network) -> None:
    """A registered UE's context moves to another eNB: the old eNB's push and the new eNB's reply do not mix."""
    network.set_up("there", enb=OTHER_ENB)
    sim = network.subscribe()
    usim = Usim(sim)
    here = network.ue(sim, usim=usim)
    here.run()
    there = network.ue(sim, usim=usim, enb=OTHER_ENB)
    there.run()
    assert {enb for enb, _ in network.pushes.attempts} == {here.enb}
    assert {d.enb for d in there.heard} == {OTHER_ENB}


def test_push_for_an_older_association_is_dropped(network: Network) -> None:
    """The UE id may be another UE's by now."""
    talk = challenged(network)
    network.set_up("epoch-2")
    network.wait(40)
    assert network.pushes.attempts == []
    ctx = network.context(talk)
    assert (ctx.outbox, ctx.emm) == ((), EmmState.DEREGISTERED)


def test_outbox_survives_conflicts_and_a_store_that_fails_when_it_is_emptied(network: Network) -> None:
    talk = challenged(network)
    network.clock.now_s += 6.2
    network.faults.plan = on_save(FaultConflict(), FaultConflict(), table=Table.UE_CONTEXT)
    network.ticker.tick()
    assert network.context(talk).outbox == ()
    network.deliver()
    talk.queue.clear()
    network.clock.now_s += 6.2
    # The eNB's row cannot be read once the context is saved: the push waits for the outbox timer.
    network.faults.plan = on_load(FaultUnavailable(), table=Table.ENB)
    network.ticker.tick()
    assert len(network.context(talk).outbox) == 1
    network.wait(4)
    assert network.context(talk).outbox == ()
    talk.flow()
    assert_registered(network, talk)
    assert_no_count_used_twice(talk)


def test_an_uplink_meanwhile_keeps_what_waits(network: Network) -> None:
    """A refused push stays in the outbox through the UE's next messages, and is delivered later."""
    talk = network.ue(network.subscribe())
    talk.until("Security Mode Complete")
    later = talk.queue.pop()
    network.pushes.works = False
    network.wait(6.5)
    talk.queue.append(later)
    talk.step()
    assert len(network.context(talk).outbox) == 1
    network.pushes.works = True
    network.wait(6.5)
    talk._take(talk.association.expire("gap"))
    talk.flow()
    assert network.context(talk).outbox == ()
    assert_registered(network, talk)
