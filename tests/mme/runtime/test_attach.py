"""Attach and detach end to end: the simulator's UE and eNB against the runtime, and what the store holds afterwards."""

from __future__ import annotations

import hmac
import itertools

import pytest

from enb_app.association import Leave
from enb_app.effects import Verdict
from enb_app.enb import UE_RADIO_CAPABILITY
from enb_app.ue import Profile, State
from mme.codec import nas, s1ap
from mme.enums import AttachType, Direction, EcmState, EmmCause, EmmState, S1apCause, Step, TimerName
from mme.ids import Tai
from mme.messages import (
    AttachAccept,
    DetachAccept,
    EmmInformation,
    InitialContextSetupRequest,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
)
from mme.needs import DeleteSession, ModifySession
from mme.store.base import Table
from tests.mme.runtime.pair import (
    IMSI,
    OTHER_ENB,
    PLMN,
    Network,
    Talk,
    assert_no_count_used_twice,
    protected_downlinks,
)

UPLINKS = [
    "Attach Request",
    "Authentication Response",
    "Security Mode Complete",
    "UECapabilityInfoIndication",
    "InitialContextSetupResponse",
    "Attach Complete",
]


def accept_of(talk: Talk) -> AttachAccept:
    plains = [plain for _, _, plain in protected_downlinks(talk)]
    accepts = [m for m in (nas.decode(plain, Direction.DOWNLINK) for plain in plains) if isinstance(m, AttachAccept)]
    assert accepts
    return accepts[0]


def assert_registered(network: Network, talk: Talk) -> None:
    """UE and MME agree on all that they share."""
    ctx = network.context(talk)
    ue = talk.ue
    assert ue.state is State.REGISTERED
    assert (ctx.emm, ctx.step, ctx.ecm) == (EmmState.REGISTERED, Step.NONE, EcmState.CONNECTED)
    assert ctx.imsi == ue.usim.imsi
    assert ctx.guti == ue.guti
    assert ue.security is not None
    assert ctx.security is not None
    assert ctx.security.k_asme == ue.security.k_asme
    assert (ctx.security.ksi, ctx.security.eea, ctx.security.eia) == (
        ue.security.ksi,
        ue.security.eea,
        ue.security.eia,
    )
    assert ctx.security.ul_count == ue.security.ul_count
    assert ctx.security.dl_count == ue.security.dl_count
    assert ue.bearer is not None
    assert ctx.bearer is not None
    assert ctx.bearer.session.ipv4 == ue.bearer.pdn_address.ipv4
    assert set(ctx.timers) == {TimerName.MOBILE_REACHABLE.value}  # TS 24.301 5.3.5; it runs for connected UEs too
    assert ctx.waiting_for is None
    assert_no_count_used_twice(talk)


def test_plain_attach(network: Network) -> None:
    talk = network.ue(network.subscribe())
    assert talk.run().verdict is Verdict.ATTACHED
    assert talk.names == UPLINKS
    assert_registered(network, talk)
    ctx = network.context(talk)
    assert ctx.ue_radio_capability == UE_RADIO_CAPABILITY
    assert ctx.bearer is not None
    assert ctx.bearer.enb_address == network.cell.gtp_address
    assert ctx.bearer.enb_teid == talk.number << 4 | 5
    assert network.indexed() == ctx.key
    assert len(network.keys(Table.UE_CONTEXT)) == len(network.sessions()) == 1
    assert [d.order for d in talk.heard] == list(range(len(talk.heard)))
    assert isinstance(talk.ue.information, EmmInformation)


def test_k_enb_is_of_the_security_mode_complete(network: Network) -> None:
    """TS 33.401 A.3: HMAC-SHA-256 under K_ASME of FC 0x11, the uplink NAS COUNT (0 here), its length."""
    talk = network.ue(network.subscribe())
    talk.run()
    assert talk.ue.security is not None
    text = bytes.fromhex("11" + "00000000" + "0004")
    assert talk.side.k_enb == hmac.digest(talk.ue.security.k_asme, text, "sha256")


def test_accept_carries_what_the_configuration_says(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    accept = accept_of(talk)
    assert accept.attach_result == 1
    assert accept.cause is None
    assert accept.tai_list == (Tai(PLMN, 7),)
    assert accept.t3412_s == 54 * 60  # TS 24.301 table 10.2.2: 54 minutes
    setup = next(m for m in talk.messages() if isinstance(m, InitialContextSetupRequest))
    # EEA1-EEA3 and EIA1-EIA3 as the 16-bit IEs leave EEA0 and EIA0 out (TS 36.413 9.2.1.40); srsUE: f0 70.
    assert (setup.encryption_algorithms, setup.integrity_algorithms) == (0xE000, 0xE000)
    assert setup.e_rabs[0].transport_layer_address == bytes((127, 0, 0, 1))


def test_esm_information_is_asked_for(network: Network) -> None:
    profile = Profile(plmn=PLMN, esm_information=True, access_point_name="Internet")
    talk = network.ue(network.subscribe(), profile=profile)
    assert talk.run().verdict is Verdict.ATTACHED
    assert talk.names.count("ESM Information Response") == 1
    assert_registered(network, talk)


def test_apn_that_is_not_subscribed(network: Network) -> None:
    profile = Profile(plmn=PLMN, esm_information=True, access_point_name="intranet")
    talk = network.ue(network.subscribe(), profile=profile)
    done = talk.run()
    assert (done.verdict, done.emm_cause) == (Verdict.REJECTED, EmmCause.ESM_FAILURE)
    assert "ESM #27" in done.cause
    assert network.sessions() == []


def test_combined_attach_is_accepted_for_eps_with_cause_18(network: Network) -> None:
    talk = network.ue(network.subscribe(), profile=Profile(plmn=PLMN, attach_type=AttachType.COMBINED))
    assert talk.run().verdict is Verdict.ATTACHED
    accept = accept_of(talk)
    assert (accept.attach_result, accept.cause) == (1, EmmCause.CS_DOMAIN_NOT_AVAILABLE)


@pytest.mark.parametrize("leave", [Leave.DETACH, Leave.SWITCH_OFF])
def test_detach(network: Network, leave: Leave) -> None:
    talk = network.ue(network.subscribe(), leave=leave)
    done = talk.run()
    assert done.detached
    assert talk.side.released
    ctx = network.context(talk)
    assert (ctx.emm, ctx.connections, ctx.bearer, ctx.timers) == (EmmState.DEREGISTERED, (), None, {})
    assert network.sessions() == []
    last = [nas.decode(plain, Direction.DOWNLINK) for _, _, plain in protected_downlinks(talk)][-1]
    assert isinstance(last, DetachAccept if leave is Leave.DETACH else EmmInformation)  # 5.5.2.2.2: none when it is off
    assert_no_count_used_twice(talk)


def test_a_deregistered_context_vanishes_after_the_time_of_duplicates(network: Network) -> None:
    talk = network.ue(network.subscribe(), leave=Leave.DETACH)
    talk.run()
    network.clock.now_s += network.config.duplicates_s - 1
    assert network.context_of(talk) is not None
    network.clock.now_s += 2
    assert network.context_of(talk) is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_eager_order(network: Network, order: tuple[int, int, int]) -> None:
    """UE capability, Initial Context Setup Response and Attach Complete wait for nobody (lab-facts)."""
    talk = network.ue(network.subscribe(), leave=Leave.STAY)
    talk.until("UECapabilityInfoIndication")
    assert [m.nas or m.name for m in talk.queue] == UPLINKS[3:]
    talk.queue = [talk.queue[n] for n in order]
    assert talk.run().verdict is Verdict.ATTACHED
    assert_registered(network, talk)
    ctx = network.context(talk)
    assert ctx.attaching is None
    assert ctx.ue_radio_capability == UE_RADIO_CAPABILITY
    modified = [need for need in network.gateway.asked if isinstance(need, ModifySession)]
    assert [need.enb_address for need in modified] == [network.cell.gtp_address]


def test_two_enbs_may_use_the_same_ue_id(network: Network) -> None:
    network.set_up("epoch-x", enb=OTHER_ENB)
    here = network.ue(network.subscribe())
    network.runs -= 1
    there = network.ue(network.subscribe("001010000000002"), enb=OTHER_ENB)
    assert here.side.enb_ue_s1ap_id == there.side.enb_ue_s1ap_id
    for _ in range(6):
        here.step()
        there.step()
    assert_registered(network, here)
    assert_registered(network, there)
    assert here.ue.guti != there.ue.guti
    assert len(set(network.sessions())) == 2


def test_detach_later_and_attach_again_with_the_same_card(network: Network) -> None:
    sim = network.subscribe()
    first = network.ue(sim)
    first.run()
    first.detach()
    first.flow()
    sqn = network.sqn()
    second = network.ue(sim, usim=first.ue.usim)
    assert second.run().verdict is Verdict.ATTACHED
    assert_registered(network, second)
    assert network.sqn() > sqn
    assert network.indexed() == network.context(second).key
    assert len(network.sessions()) == 1


def test_enb_releases_a_registered_ue(network: Network) -> None:
    """UE Context Release Request: ECM-IDLE, still registered; the gateway loses the downlink end."""
    talk = network.ue(network.subscribe())
    talk.run()
    request = talk.side.request_release(S1apCause.USER_INACTIVITY)
    assert request is not None
    talk.queue.append(request)
    talk.flow()
    ctx = network.context(talk)
    assert (ctx.emm, ctx.ecm, ctx.connections) == (EmmState.REGISTERED, EcmState.IDLE, ())
    assert ctx.bearer is not None
    assert ctx.bearer.enb_address is None
    assert len(network.sessions()) == 1
    last = [need for need in network.gateway.asked if isinstance(need, ModifySession)][-1]
    assert last.enb_address is None


def test_ue_given_up_in_the_middle_leaves_nothing(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")
    connection = network.context(talk).connection
    assert connection is not None
    exchange = network.event("release-ue", mme_ue_s1ap_id=connection.mme_ue_s1ap_id)
    commands = [s1ap.decode(d.s1ap) for d in exchange.reply.downlink]
    assert [type(m) for m in commands] == [UeContextReleaseCommand]
    assert network.sessions() == []
    assert [type(n) for n in network.gateway.asked][-1] is DeleteSession
    network.wait(40)
    ctx = network.context(talk)
    assert (ctx.emm, ctx.timers) == (EmmState.DEREGISTERED, {})


def test_release_complete_late(network: Network) -> None:
    """A second or unknown Release Complete changes nothing and is not answered."""
    talk = network.ue(network.subscribe(), leave=Leave.DETACH)
    talk.run()
    before = network.snapshot()
    complete = s1ap.encode(UeContextReleaseComplete(talk.side.mme_ue_s1ap_id or 0, talk.side.enb_ue_s1ap_id))
    for octets in (complete, s1ap.encode(UeContextReleaseComplete(0x7FFFFFF0, 9))):
        late = network.s1ap(octets, run="late", number=len(octets))
        assert (late.reply.result, late.reply.downlink) == ("stale", [])
    assert network.snapshot() == before


def test_subscriber_row_grows_by_one_for_each_attach(network: Network) -> None:
    sim = network.subscribe()
    sqns = [network.sqn()]
    usim = None
    for _ in range(4):
        talk = network.ue(sim, leave=Leave.DETACH, usim=usim)
        talk.run()
        usim = talk.ue.usim
        sqns.append(network.sqn())
    # TS 33.102 C.1.1.1: SEQ in the upper 43 bits.
    assert [sqn >> 5 for sqn in sqns] == [(sqns[0] >> 5) + n for n in range(5)]
    assert network.indexed(IMSI) is not None
