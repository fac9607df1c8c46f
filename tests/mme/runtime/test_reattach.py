"""A registered UE attaches again: the new context takes over with Security Mode Complete and not before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enb_app.effects import SendNas, Verdict
from enb_app.ue import Profile
from enb_app.usim import Usim
from mme.enums import EmmState, SecurityHeader
from mme.messages import UeContextReleaseCommand
from mme.needs import DeleteSession
from mme.settling import SETTLED_S
from mme.store.base import Table
from mme.store.faulty import FaultUnavailable, on_save
from tests.mme.runtime.pair import OTHER_ENB, PLMN, Network, Talk, assert_no_count_used_twice
from tests.mme.runtime.test_attach import assert_registered


def assert_taken_over(network: Network, old: Talk, new: Talk) -> None:
    network.deliver()
    old.flow()
    assert_registered(network, new)
    gone = network.context(old)
    assert (gone.emm, gone.connections, gone.bearer, gone.security, gone.outbox) == (
        EmmState.DEREGISTERED,
        (),
        None,
        None,
        (),
    )
    assert network.indexed() == network.context(new).key
    assert len(network.sessions()) == 1
    assert isinstance(old.messages()[-1], UeContextReleaseCommand)
    assert [type(m) for m in old.messages()].count(UeContextReleaseCommand) == 1
    assert [type(n) for n in network.gateway.asked].count(DeleteSession) >= 1


@pytest.mark.parametrize("elsewhere", [False, True])
def test_old_context_is_released_by_a_push(network: Network, elsewhere: bool) -> None:
    if elsewhere:
        network.set_up("there", enb=OTHER_ENB)
    sim = network.subscribe()
    old = network.ue(sim)
    old.run()
    new = network.ue(sim, usim=old.ue.usim, enb=OTHER_ENB if elsewhere else old.enb)
    new.until("Security Mode Complete")
    assert network.indexed() == network.context(old).key
    assert_registered(network, old)
    assert network.pushes.attempts == []
    new.step()
    assert network.indexed() == network.context(new).key
    assert [enb for enb, _ in network.pushes.attempts] == [old.enb]
    new.run()
    assert_taken_over(network, old, new)


@pytest.mark.parametrize("steps", [1, 2])
def test_an_attach_that_is_never_finished_leaves_the_registered_ue_untouched(network: Network, steps: int) -> None:
    sim = network.subscribe()
    old = network.ue(sim)
    old.run()
    mine = network.context(old)
    unfinished = network.ue(sim, usim=old.ue.usim)
    for _ in range(steps):
        unfinished.step()
    unfinished.queue.clear()
    network.wait(40)
    assert network.context(old) == mine
    assert network.indexed() == mine.key
    assert len(network.sessions()) == 1
    unfinished.queue.clear()
    assert network.context(unfinished).emm is EmmState.DEREGISTERED
    assert old.queue == []
    old.detach()
    old.flow()
    assert network.context(old).emm is EmmState.DEREGISTERED


@pytest.mark.parametrize("forgery", ["wrong key", "wrong res", "wrong mac"])
def test_a_forged_attach_leaves_the_registered_ue_untouched(network: Network, forgery: str) -> None:
    sim = network.subscribe()
    old = network.ue(sim)
    old.run()
    mine = network.context(old)
    if forgery == "wrong mac":
        forger = network.ue(sim, usim=old.ue.usim)
        forger.until("Security Mode Complete")
        octets = forger.queue[0].octets
        pdu = bytearray(octets)
        # The MAC is the four octets after the NAS security header 47 (TS 24.301 9.1).
        place = octets.index(b"\x47", 20)
        pdu[place + 1] ^= 0x80
        assert network.s1ap(bytes(pdu), run=forger.run_name, number=50).reply.result == "discarded"
    else:
        thief = replace(sim, k=bytes(16)) if forgery == "wrong key" else sim
        card = None if forgery == "wrong key" else old.ue.usim
        forger = network.ue(thief, usim=card, profile=Profile(plmn=PLMN, wrong_res=forgery == "wrong res"))
        assert forger.run().verdict is Verdict.REJECTED
    assert network.context(old) == mine
    assert network.indexed() == mine.key
    assert network.pushes.attempts == []
    assert_registered(network, old)


def test_after_a_lost_association_the_ue_comes_back(network: Network) -> None:
    """The old connection is of an older epoch: nothing is pushed for it, its UE id may be another UE's by now."""
    sim = network.subscribe()
    old = network.ue(sim)
    old.run()
    network.event("association-lost")
    network.set_up("epoch-2")
    new = network.ue(sim, usim=old.ue.usim)
    new.run()
    assert_registered(network, new)
    assert network.pushes.attempts == []
    gone = network.context(old)
    assert (gone.emm, gone.outbox) == (EmmState.DEREGISTERED, ())
    assert len(network.sessions()) == 1


def test_three_generations(network: Network) -> None:
    sim = network.subscribe()
    usim = Usim(sim)
    gutis = []
    for _ in range(3):
        talk = network.ue(sim, usim=usim)
        talk.run()
        gutis.append(talk.ue.guti)
        network.deliver()
    assert len(set(gutis)) == 3
    assert [ctx.emm for ctx in network.contexts()].count(EmmState.REGISTERED) == 1
    assert len(network.sessions()) == 1


def test_two_new_attaches_race_for_one_subscriber(network: Network) -> None:
    sim = network.subscribe()
    usim = Usim(sim)
    first, second = network.ue(sim, usim=usim), network.ue(sim, usim=usim)
    for _ in range(2):
        first.step()
    second.until("Security Mode Complete")
    first.step()
    second.step()
    network.deliver()
    first.flow()
    second.flow()
    network.deliver()
    first.flow()
    assert_registered(network, second)
    assert network.context(first).emm is EmmState.DEREGISTERED
    assert len(network.sessions()) == 1


def test_claim_whose_context_could_never_be_saved_still_loses_nobody(network: Network) -> None:
    """B claims the IMSI, its context cannot be saved, B gives up; C comes: A must not stay registered for ever."""
    sim = network.subscribe()
    a = network.ue(sim)
    a.run()
    b = network.ue(sim, usim=a.ue.usim)
    b.until("Security Mode Complete")
    network.faults.plan = on_save(FaultUnavailable(), table=Table.UE_CONTEXT)
    assert b.post().reply.result == "retry"
    network.faults.plan.clear()
    b.queue.clear()
    network.wait(SETTLED_S + 5)
    c = network.ue(sim, usim=a.ue.usim)
    c.run()
    network.deliver()
    a.flow()
    registered = [ctx.key for ctx in network.contexts() if ctx.emm is EmmState.REGISTERED]
    assert registered == [network.context(c).key]
    assert len(network.sessions()) == 1


def test_release_of_the_old_context_outlives_a_crash_after_the_save(network: Network) -> None:
    """The runtime dies after Security Mode Complete was saved: the next item of the UE makes the take-over good."""
    sim = network.subscribe()
    old = network.ue(sim)
    old.run()
    new = network.ue(sim, usim=old.ue.usim)
    new.until("Security Mode Complete")

    calls = 0

    def unavailable_for_the_old_one() -> None:
        # Saves of UE contexts in this item: the new context's own, then the old one's.
        nonlocal calls
        calls += 1
        network.faults.plan = on_save(FaultUnavailable(), table=Table.UE_CONTEXT)

    def own_save() -> None:
        network.between.act = (Table.UE_CONTEXT, unavailable_for_the_old_one)

    network.between.act = (Table.UE_CONTEXT, own_save)
    new.step()
    assert calls == 1
    new.run()
    assert_taken_over(network, old, new)


def test_another_attach_request_under_protection_after_attach_accept(network: Network) -> None:
    """5.5.1.2.7 e: other IEs, the first attach is aborted; its session must not outlive it."""
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")
    talk.queue.clear()
    assert talk.ue.security is not None
    assert len(network.sessions()) == 1
    talk.ue.profile = replace(talk.ue.profile, pti=9)
    request = next(e for e in talk.ue.attach() if isinstance(e, SendNas))
    octets = talk.ue.security.protect(request.octets, SecurityHeader.INTEGRITY)
    talk.say(SendNas(octets, "Attach Request", protected=True))
    talk.flow()
    network.wait(60)
    registered = [ctx for ctx in network.contexts() if ctx.emm is EmmState.REGISTERED]
    assert len(network.sessions()) == len(registered)
    assert_no_count_used_twice(talk)
