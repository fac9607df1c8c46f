"""Emergency attach through the whole MME: what is stored for a UE that nobody has proven, and what is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enb_app.capability import WITH_NULL_INTEGRITY
from enb_app.effects import Verdict
from enb_app.profile import Profile
from mme.codec import nas, s1ap
from mme.config import MmeConfig
from mme.context import UeContext
from mme.enums import EmmState, S1apCause
from mme.ids import Imsi, STmsi
from mme.messages import (
    AttachRequest,
    EmmMessage,
    IdentityRequest,
    InitialContextSetupRequest,
    InitialUeMessage,
    PdnConnectivityRequest,
    SecurityModeCommand,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateRequest,
    UeContextReleaseCommand,
)
from mme.needs import NeedSession, NeedVector
from mme.store.base import Table
from tests.mme.runtime.pair import IMSI, M_TMSI_KEY, PLMN, Exchange, Network, Talk
from tests.mme.runtime.returning import attached
from tests.mme.runtime.test_known_ue import plain_nas

T3412_S = 60
UNKNOWN = "001010999999999"
WITH_USIM = Profile(PLMN, ue_network_capability=WITH_NULL_INTEGRITY, attach_type=6, request_type=4)
WITHOUT_USIM = replace(WITH_USIM, has_usim=False)
OTHER_K = bytes(16)


def network_with(folder: Path, policy: str) -> Network:
    return Network(folder, config=MmeConfig(m_tmsi_key=M_TMSI_KEY, emergency_attach=policy, t3412_s=T3412_S))


@pytest.fixture
def open_to_all(tmp_path: Path) -> Iterator[Network]:
    made = network_with(tmp_path, "all")
    yield made
    made.close()


def without_usim(network: Network) -> Talk:
    talk = network.ue(network.subscribe(), profile=WITHOUT_USIM)
    assert talk.run().verdict is Verdict.ATTACHED
    return talk


def gone_idle(network: Network, talk: Talk) -> UeContext:
    request = talk.side.request_release(S1apCause.USER_INACTIVITY)
    assert request is not None
    talk.queue.append(request)
    talk.flow()
    ctx = network.context(talk)
    assert (ctx.emm, ctx.connections) == (EmmState.REGISTERED, ())
    return ctx


def comes(network: Network, ctx: UeContext, octets: bytes, number: int = 900) -> Exchange:
    """INITIAL UE MESSAGE on a new connection with the context's S-TMSI beside it."""
    assert ctx.guti is not None
    s_tmsi = STmsi(ctx.guti.gummei.mme_code, ctx.guti.m_tmsi)
    cell = network.cell
    message = InitialUeMessage(number, octets, cell.tai, cell.ecgi, s_tmsi=s_tmsi)
    return network.s1ap(s1ap.encode(message), run=f"back{number}")


def null_sealed(message: EmmMessage, sequence_number: int) -> bytes:
    """Security header type 1 and a MAC of zeros (TS 33.401 B.0)."""
    return b"\x17" + bytes(4) + bytes((sequence_number,)) + nas.encode(message)


def test_a_ue_with_an_imei_alone_attaches_and_no_index_row_is_made(open_to_all: Network) -> None:
    talk = without_usim(open_to_all)
    ctx = open_to_all.context(talk)
    assert (ctx.emm, ctx.emergency, ctx.proven, ctx.imsi) == (EmmState.REGISTERED, True, False, None)
    assert ctx.imeisv == WITHOUT_USIM.imeisv
    assert open_to_all.keys(Table.IMSI) == []
    assert not any(isinstance(need, NeedVector) for need in open_to_all.hss.asked)
    (need,) = [need for need in open_to_all.gateway.asked if isinstance(need, NeedSession)]
    assert (need.imsi, need.imei, need.access_point_name) == (None, WITHOUT_USIM.imeisv, "sos")
    assert talk.ue.bearer is not None
    assert talk.ue.bearer.access_point_name == "sos"
    setup = next(m for m in talk.messages() if isinstance(m, InitialContextSetupRequest))
    assert (setup.encryption_algorithms, setup.integrity_algorithms) == (0, 0)


def test_it_detaches_and_its_session_is_given_back(open_to_all: Network) -> None:
    talk = without_usim(open_to_all)
    assert len(open_to_all.sessions()) == 1
    talk.detach()
    talk.flow()
    assert open_to_all.sessions() == []


@pytest.mark.parametrize("policy", ["imsi-required", "all"])
def test_a_subscriber_that_the_hss_does_not_know_is_served_without_proof(tmp_path: Path, policy: str) -> None:
    network = network_with(tmp_path, policy)
    sim = replace(network.subscribe(), imsi=Imsi(UNKNOWN))
    talk = network.ue(sim, profile=WITH_USIM)
    assert talk.run().verdict is Verdict.ATTACHED
    ctx = network.context(talk)
    assert (ctx.imsi, ctx.imeisv, ctx.proven) == (Imsi(UNKNOWN), WITH_USIM.imeisv, False)
    assert network.keys(Table.IMSI) == []
    network.close()


def test_a_subscriber_that_proves_itself_has_keys_and_its_index_row(open_to_all: Network) -> None:
    talk = open_to_all.ue(open_to_all.subscribe(), profile=WITH_USIM)
    assert talk.run().verdict is Verdict.ATTACHED
    ctx = open_to_all.context(talk)
    assert ctx.security is not None
    assert (ctx.security.eia, ctx.proven, ctx.emergency) == (2, True, True)
    assert open_to_all.indexed() == ctx.key


@pytest.mark.parametrize("policy", ["off", "authenticated", "imsi-required"])
def test_an_imei_alone_is_refused_under_every_other_policy(tmp_path: Path, policy: str) -> None:
    network = network_with(tmp_path, policy)
    done = network.ue(network.subscribe(), profile=WITHOUT_USIM).run()
    assert (done.verdict, done.emm_cause) == (Verdict.REJECTED, 5)
    assert network.sessions() == []
    network.close()


def test_an_impostor_with_a_subscribers_imsi_is_served_and_leaves_the_subscriber_untouched(
    open_to_all: Network,
) -> None:
    """The card's key is wrong: MAC failure, identity, MAC failure; served on, and nobody is superseded."""
    subscriber = attached(open_to_all)
    before = subscriber.context()
    index = open_to_all.database.load(Table.IMSI, IMSI)
    impostor = open_to_all.ue(replace(subscriber.talk.ue.usim.card, k=OTHER_K), profile=WITH_USIM)
    assert impostor.run().verdict is Verdict.ATTACHED
    assert open_to_all.context(impostor).imsi == Imsi(IMSI)
    assert not open_to_all.context(impostor).proven
    assert subscriber.context() == before
    assert open_to_all.database.load(Table.IMSI, IMSI) == index
    assert len(open_to_all.sessions()) == 2


def test_it_comes_back_from_idle_for_its_bearer(open_to_all: Network) -> None:
    talk = without_usim(open_to_all)
    ctx = gone_idle(open_to_all, talk)
    assert ctx.security is not None
    service_request = bytes((0xC7, ctx.security.ul_count & 0x1F)) + bytes(2)
    exchange = comes(open_to_all, ctx, service_request)
    assert [type(s1ap.decode(d.s1ap)) for d in exchange.reply.downlink] == [InitialContextSetupRequest]


def test_it_updates_its_area_and_goes_back_to_idle(open_to_all: Network) -> None:
    talk = without_usim(open_to_all)
    ctx = gone_idle(open_to_all, talk)
    assert ctx.security is not None
    assert ctx.guti is not None
    update = TrackingAreaUpdateRequest(0, active=False, nas_ksi=0, old_guti=ctx.guti)
    exchange = comes(open_to_all, ctx, null_sealed(update, ctx.security.ul_count))
    accept = s1ap.decode(exchange.reply.downlink[0].s1ap)
    assert isinstance(nas.decode(accept.nas_pdu[6:], direction=1), TrackingAreaUpdateAccept)  # type: ignore[union-attr]


@pytest.mark.parametrize("attach_type", [1, 6], ids=["EPS attach", "emergency attach"])
def test_null_integrity_is_no_proof_for_an_attach(open_to_all: Network, attach_type: int) -> None:
    """Whoever has heard the S-TMSI could send it: it gets a context of its own, and is asked who it is."""
    talk = without_usim(open_to_all)
    ctx = gone_idle(open_to_all, talk)
    assert ctx.security is not None
    assert ctx.guti is not None
    esm = PdnConnectivityRequest(0, 1, 1 if attach_type == 1 else 4, 1)
    request = AttachRequest(attach_type, 0, ctx.guti, WITH_NULL_INTEGRITY, esm)
    exchange = comes(open_to_all, ctx, null_sealed(request, ctx.security.ul_count))
    assert isinstance(plain_nas(exchange), IdentityRequest)
    assert open_to_all.context(talk) == ctx


def test_an_idle_one_is_gone_when_t3412_has_passed_and_its_session_with_it(open_to_all: Network) -> None:
    """Not four minutes and the implicit detach timer later, as others (TS 24.301 5.3.5)."""
    talk = without_usim(open_to_all)
    gone_idle(open_to_all, talk)
    open_to_all.wait(T3412_S - 5)
    assert len(open_to_all.sessions()) == 1
    open_to_all.wait(10)
    assert open_to_all.sessions() == []


def test_a_lost_null_security_mode_command_is_sent_again_by_t3460(open_to_all: Network) -> None:
    talk = open_to_all.ue(open_to_all.subscribe(), profile=WITHOUT_USIM)
    talk.ue.silent_to.add(SecurityModeCommand)
    talk.step()
    assert not talk.queue
    talk.ue.silent_to.clear()
    open_to_all.wait(7)
    assert talk.run().verdict is Verdict.ATTACHED


def test_a_duplicate_of_the_request_makes_no_second_context(open_to_all: Network) -> None:
    talk = open_to_all.ue(open_to_all.subscribe(), profile=WITHOUT_USIM)
    exchange = talk.post()
    again = open_to_all.again(exchange)
    assert again.reply.downlink == exchange.reply.downlink
    assert len(open_to_all.contexts()) == 1
    talk.take(exchange)
    assert talk.run().verdict is Verdict.ATTACHED


def test_the_release_of_its_connection_in_the_middle_leaves_nothing(open_to_all: Network) -> None:
    talk = open_to_all.ue(open_to_all.subscribe(), profile=WITHOUT_USIM)
    talk.step()
    request = talk.side.request_release(S1apCause.RADIO_CONNECTION_WITH_UE_LOST)
    assert request is not None
    talk.queue[:] = [request]
    talk.step()
    assert any(isinstance(message, UeContextReleaseCommand) for message in talk.messages())
    assert open_to_all.sessions() == []
    assert open_to_all.context(talk).emm is EmmState.DEREGISTERED
