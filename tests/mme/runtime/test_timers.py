"""NAS timers through `mme-timer` and the ticker, on a clock that only the test moves."""

from __future__ import annotations

import pytest

from enb_app.effects import SendNas
from enb_app.ue import Profile
from mme.codec import nas
from mme.codec.envelope import Item, Timer
from mme.enums import Direction, EmmState, TimerName
from mme.messages import (
    AttachAccept,
    AuthenticationRequest,
    DownlinkNasTransport,
    EmmMessage,
    EsmContainer,
    EsmInformationRequest,
    IdentityRequest,
    SecurityModeCommand,
    UeContextReleaseCommand,
)
from mme.settling import SETTLED_S
from tests.mme.runtime.pair import PLMN, Network, Talk, assert_no_count_used_twice, protected_downlinks
from tests.mme.runtime.test_attach import assert_registered

ESM = Profile(plmn=PLMN, esm_information=True, access_point_name="internet")

# TS 24.301 tables 10.2.2 and 10.3.2: seconds, and how often the message is sent again before the procedure is aborted.
CASES = {
    "T3460 of authentication": ("Authentication Response", AuthenticationRequest, 6, 4),
    "T3460 of security mode": ("Security Mode Complete", SecurityModeCommand, 6, 4),
    "T3470": ("Identity Response", IdentityRequest, 6, 4),
    "T3489": ("ESM Information Response", EsmInformationRequest, 4, 2),
    "T3450": ("Attach Complete", AttachAccept, 6, 4),
}


def waiting(network: Network, case: str) -> Talk:
    """A UE whose answer is awaited and never comes."""
    sim = network.subscribe()
    if case == "T3470":
        sim = type(sim)(sim.imsi, bytes(16), sim.opc)
    talk = network.ue(sim, profile=ESM if case == "T3489" else None)
    answer = CASES[case][0]
    if case == "T3450":
        talk.until("UECapabilityInfoIndication")
        talk.step()
        talk.step()
    assert (talk.until(answer).nas or "") == answer
    talk.queue.clear()
    return talk


def heard(talk: Talk, kind: type) -> int:
    """How many messages of that kind the UE's eNB heard, in the clear or under the UE's keys."""
    plains = [plain for _, _, plain in protected_downlinks(talk)]
    for message in talk.messages():
        pdu = getattr(message, "nas_pdu", None)
        if isinstance(message, DownlinkNasTransport) and isinstance(pdu, bytes) and pdu[0] == 7:
            plains.append(pdu)
    messages: list[EmmMessage] = [nas.decode(plain, Direction.DOWNLINK) for plain in plains]
    return sum(isinstance(m.esm if isinstance(m, EsmContainer) else m, kind) for m in messages)


@pytest.mark.parametrize("case", CASES)
def test_sent_again_and_then_aborted(network: Network, case: str) -> None:
    _, kind, seconds, times = CASES[case]
    talk = waiting(network, case)
    assert heard(talk, kind) == 1
    for again in range(1, times + 1):
        network.wait(seconds - 1.5)
        talk.queue.clear()
        assert heard(talk, kind) == again, f"too early, {again}"
        network.wait(1.6)
        talk.queue.clear()
        assert heard(talk, kind) == again + 1
    network.wait(seconds + 1)
    assert heard(talk, kind) == times + 1
    assert isinstance(talk.messages()[-1], UeContextReleaseCommand)
    ctx = network.context(talk)
    assert (ctx.emm, ctx.timers) == (EmmState.DEREGISTERED, {})
    assert network.sessions() == []
    assert_no_count_used_twice(talk)
    assert [d.order for d in talk.heard] == list(range(len(talk.heard)))


@pytest.mark.parametrize("case", CASES)
def test_the_answer_to_a_resend_completes(network: Network, case: str) -> None:
    talk = waiting(network, case)
    network.wait(CASES[case][2] + 0.5)
    assert len(network.pushes.attempts) == 1
    talk.flow()
    if case == "T3470":
        assert network.context(talk).emm is EmmState.DEREGISTERED
        assert talk.side.released
        return
    assert_registered(network, talk)


@pytest.mark.parametrize("case", ["T3460 of security mode", "T3489", "T3450"])
def test_protected_resends_have_counts_of_their_own(network: Network, case: str) -> None:
    talk = waiting(network, case)
    network.wait(CASES[case][2] * 2 + 1)
    talk.queue.clear()
    counts = [count for count, _, _ in protected_downlinks(talk)]
    assert len(counts) == len(set(counts))
    assert counts == sorted(counts)


def test_the_same_challenge_again(network: Network) -> None:
    """5.4.2.7 b: the same RAND and AUTN, so no second SQN."""
    talk = waiting(network, "T3460 of authentication")
    sqn = network.sqn()
    network.wait(13)
    pdus = {m.nas_pdu for m in talk.messages() if isinstance(m, DownlinkNasTransport)}
    assert len(pdus) == 1
    assert network.sqn() == sqn


def test_a_timer_that_is_not_running_any_more_is_stale(network: Network) -> None:
    """Rows are never deleted: the ticker drops them, and one that is fired all the same changes nothing."""
    talk = network.ue(network.subscribe())
    talk.step()
    ctx = network.context(talk)
    running = ctx.timers[TimerName.T3460.value]
    talk.run()
    before = network.snapshot()
    network.wait(8)
    fired = network.send(
        "mme-timer", Item(id="a/late/1", timer=Timer(ctx.key, TimerName.T3460.value, running.token, running.due_ms))
    )
    assert fired.reply.result == "stale"
    assert network.snapshot() == before
    assert network.pushes.attempts == []


def test_repeated_firing_is_a_duplicate(network: Network) -> None:
    talk = waiting(network, "T3460 of authentication")
    network.wait(6.5)
    [fired] = [e for e in network.fired if e.reply.result == "done"]
    attempts = len(network.pushes.attempts)
    assert network.again(fired).reply == fired.reply
    talk.flow()
    assert network.again(fired).reply.result == "duplicate"
    assert len(network.pushes.attempts) == attempts


def test_timers_that_are_nobodys(network: Network) -> None:
    """Of an item that the context does not know: not before that item's write must have taken effect."""
    talk = waiting(network, "T3460 of authentication")
    ctx = network.context(talk)
    running = ctx.timers[TimerName.T3460.value]
    network.clock.now_s += 7
    before = network.snapshot()
    cases = {
        "no such timer": (Timer(ctx.key, "T9999", running.token, running.due_ms), "rejected"),
        "other token": (Timer(ctx.key, "T3460", "x/y/1", running.due_ms), "retry"),
        "other name": (Timer(ctx.key, "T3450", running.token, running.due_ms), "stale"),
        "other owner": (Timer(ctx.key ^ 1, "T3460", running.token, running.due_ms), "retry"),
        "not due": (Timer(ctx.key, "T3460", running.token, running.due_ms + 60_000), "retry"),
    }
    for name, (timer, result) in cases.items():
        exchange = network.send("mme-timer", Item(id=f"a/{name}/1", timer=timer))
        assert (exchange.reply.result, exchange.reply.downlink) == (result, []), name
    network.clock.now_s += SETTLED_S
    for name in ("other token", "other owner"):
        exchange = network.send("mme-timer", Item(id=f"a/{name}/2", timer=cases[name][0]))
        assert (exchange.reply.result, exchange.reply.downlink) == ("stale", []), name
    assert network.snapshot() == before


def test_context_setup_that_is_never_answered(network: Network) -> None:
    """Our own guard: the eNB's silence ends the connection, not the registration of a UE that answered."""
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")
    talk.queue = [talk.queue[2]]
    talk.step()
    network.wait(12)
    ctx = network.context(talk)
    assert ctx.emm is EmmState.REGISTERED
    assert ctx.connection is None


def test_nothing_hangs_whatever_is_lost(network: Network) -> None:
    """The UE falls silent after each message in turn: within the timers every context is done with."""
    for silent_after in range(1, 7):
        talk = network.ue(network.subscribe(f"00101000003000{silent_after}"), profile=ESM)
        for _ in range(silent_after):
            talk.step()
        talk.queue.clear()
    for talk in network.talks:
        ctx = network.context(talk)
        busy = ctx.emm is EmmState.COMMON_PROCEDURE_INITIATED
        assert not busy or ctx.timers or ctx.waiting_for
    for _ in range(60):
        network.wait(1)
        for talk in network.talks:
            talk.queue.clear()
    assert {ctx.emm for ctx in network.contexts()} <= {EmmState.DEREGISTERED, EmmState.REGISTERED}
    registered = [ctx for ctx in network.contexts() if ctx.emm is EmmState.REGISTERED]
    assert len(network.sessions()) == len(registered)


def test_detach_of_a_ue_whose_attach_accept_is_being_sent_again(network: Network) -> None:
    talk = waiting(network, "T3450")
    network.wait(6.5)
    talk.queue.clear()
    assert talk.ue.security is not None
    for effect in talk.ue.detach(switch_off=True):
        if isinstance(effect, SendNas):
            talk.say(effect)
    talk.flow()
    network.wait(40)
    assert network.context(talk).emm is EmmState.DEREGISTERED
    assert network.sessions() == []
