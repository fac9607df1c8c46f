"""Builders of contexts, messages and answers for the tests of the pure procedures: values in, values out, no doubles.

A builder without arguments gives the ordinary case; `dataclasses.replace` and keyword arguments give the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mme.config import MmeConfig
from mme.context import Attaching, Bearer, Connection, RunningTimer, SecurityContext, UeContext, Updating
from mme.crypto import kdf
from mme.enums import CauseGroup, EmmState, EsmCause, SecurityHeader, Step, TimerName
from mme.ids import Ecgi, Gummei, Guti, Imsi, Plmn, Tai
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    ActivateDefaultEpsBearerContextReject,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    Cause,
    DetachAccept,
    DetachRequestFromUe,
    DetachRequestToUe,
    DownlinkNasTransport,
    EmmInformation,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmInformationResponse,
    EsmMessage,
    EsmStatus,
    ExtendedServiceRequest,
    GutiReallocationCommand,
    GutiReallocationComplete,
    IdentityRequest,
    IdentityResponse,
    PdnConnectivityRequest,
    S1apMessage,
    Secured,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceReject,
    ServiceRequest,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
    TrackingAreaUpdateRequest,
    UeContextReleaseCommand,
    UndecodableEsm,
)
from mme.needs import ApnConfiguration, Need, Profile, Session, Vector
from mme.outcome import Env, Outcome

T = TypeVar("T")

KEY = 0x0ABCDEF
MME_UE_S1AP_ID = KEY << 4
ENB_UE_S1AP_ID = 77
ITEM = "00101-0019b/run1/3"
NOW_MS = 1_700_000_000_000
PTI = 42

PLMN = Plmn("00101")
IMSI = Imsi("001010123456789")
OTHER_IMSI = Imsi("001010000000001")
TAI = Tai(PLMN, 7)
ECGI = Ecgi(PLMN, 0x19B01)
GUTI = Guti(Gummei(PLMN, 1, 1), 0xC0FFEE01)

DIGEST = b"\x01" * 32
OTHER_DIGEST = b"\x02" * 32
UE_NETWORK_CAPABILITY = bytes.fromhex("f0f0c0c0")  # EEA0 to EEA3, EIA0 to EIA3, UEA0 and UEA1, UCS2 and UIA1
MS_NETWORK_CAPABILITY = bytes.fromhex("e5e0")

RAND = bytes(range(16))
AUTN = bytes(range(16, 32))
XRES = bytes(range(32, 40))
AUTS = bytes(range(14))
K_ASME = bytes(range(64, 96))

CONFIG = MmeConfig(m_tmsi_key=bytes(range(100, 132)))
CONNECTION = Connection(MME_UE_S1AP_ID, "00101-0019b", "epoch1", ENB_UE_S1AP_ID, TAI, ECGI)
VECTOR = Vector(RAND, XRES, AUTN, K_ASME)
INTERNET = ApnConfiguration("internet", 9, 8, 200_000_000, 100_000_000)
IMS = ApnConfiguration("ims", 5, 2, 1_000_000, 500_000, preemption_capable=True, preemption_vulnerable=False)
PROFILE = Profile(300_000_000, 150_000_000, (INTERNET, IMS))
SESSION = Session("session1", bytes((10, 0, 0, 1)), 0x1234, bytes((10, 45, 0, 2)), pco=b"\x80\x0d\x04\x08\x08\x08\x08")
ENB_ADDRESS = bytes((10, 0, 0, 9))
ENB_TEID = 0x9999
RADIO_LOST = Cause(CauseGroup.RADIO_NETWORK, "radio-connection-with-ue-lost")


NEW_CONNECTION = Connection(
    MME_UE_S1AP_ID + 1, "00101-0019c", "epoch9", 78, TAI, Ecgi(PLMN, 0x19C01)
)  # where a UE that returns comes in
RENAMED = Guti(GUTI.gummei, 0xC0FFEE02)  # what a reallocation has given it, where GUTI is the old one


def env(config: MmeConfig = CONFIG, item: str = ITEM, *, alive: bool = True) -> Env:
    """alive: the association of the UE's connection is still there."""
    return Env(NOW_MS, bytes(32), config, item, association_alive=alive)


def pdn_connectivity_request(**changes: Any) -> PdnConnectivityRequest:
    return replace(PdnConnectivityRequest(eps_bearer_identity=0, pti=PTI, request_type=1, pdn_type=1), **changes)


def attach_request(**changes: Any) -> AttachRequest:
    plain = AttachRequest(
        attach_type=1,
        nas_ksi=7,
        identity=IMSI,
        ue_network_capability=UE_NETWORK_CAPABILITY,
        esm=pdn_connectivity_request(),
        ms_network_capability=MS_NETWORK_CAPABILITY,
    )
    return replace(plain, **changes)


def security(**changes: Any) -> SecurityContext:
    """EEA2 and EIA2 under K_ASME, as after SECURITY MODE COMPLETE and two downlinks."""
    plain = SecurityContext(
        ksi=1,
        k_asme=K_ASME,
        eea=2,
        eia=2,
        k_nas_enc=kdf.k_nas_enc(K_ASME, 2),
        k_nas_int=kdf.k_nas_int(K_ASME, 2),
        ul_count=1,
        dl_count=2,
    )
    return replace(plain, **changes)


def running(name: TimerName, expiries: int = 0) -> dict[str, RunningTimer]:
    return {name.value: RunningTimer("00101-0019b/run1/2", NOW_MS, expiries)}


def being_set_up(ctx: UeContext) -> UeContext:
    """INITIAL CONTEXT SETUP REQUEST is out, its guard runs."""
    return replace(ctx, timers={**ctx.timers, **running(TimerName.CONTEXT_SETUP)})


# --------------------------------------------------------------------------- a UE on its way, station by station


def fresh(**changes: Any) -> UeContext:
    """What an InitialUEMessage makes: a connection and nothing else."""
    return replace(UeContext(key=KEY, connections=(CONNECTION,), next_connection=1), **changes)


def attaching(**changes: Any) -> Attaching:
    plain = Attaching(
        digest=DIGEST,
        attach_type=1,
        pti=PTI,
        request_type=1,
        pdn_type=1,
        esm_information_transfer_flag=False,
    )
    return replace(plain, **changes)


def begun(step: Step, **changes: Any) -> UeContext:
    """An attach by IMSI whose identity is not proven."""
    plain = fresh(
        emm=EmmState.COMMON_PROCEDURE_INITIATED,
        step=step,
        imsi=IMSI,
        ue_network_capability=UE_NETWORK_CAPABILITY,
        ms_network_capability=MS_NETWORK_CAPABILITY,
        attaching=attaching(),
    )
    return replace(plain, **changes)


def waiting_for_vector(**changes: Any) -> UeContext:
    return begun(Step.VECTOR, **{"waiting_for": f"{ITEM}/vector", **changes})


def asked_for_identity(**changes: Any) -> UeContext:
    """By GUTI, so that the IMSI is not known."""
    by_guti = {"imsi": None, "attaching": attaching(identity_was_imsi=False)}
    return begun(Step.IDENTITY, **{**by_guti, **changes})


def challenged(**changes: Any) -> UeContext:
    return begun(Step.AUTHENTICATION, **{"vector": VECTOR, "vector_ksi": 1, **changes})


def commanded(**changes: Any) -> UeContext:
    """SECURITY MODE COMMAND is out; the new context has sent one downlink and received nothing."""
    new = security(ul_count=0, dl_count=1)
    return begun(Step.SECURITY_MODE, **{"security_new": new, "vector_ksi": 1, **changes})


def proven(step: Step, **changes: Any) -> UeContext:
    """SECURITY MODE COMPLETE came under NAS COUNT 0."""
    return begun(step, **{"security": security(), "secured": True, "proven": True, "vector_ksi": 1, **changes})


def asked_for_esm_information(**changes: Any) -> UeContext:
    flagged = attaching(esm_information_transfer_flag=True)
    return proven(Step.ESM_INFORMATION, **{"attaching": flagged, **changes})


def waiting_for_profile(**changes: Any) -> UeContext:
    return proven(Step.PROFILE, **{"waiting_for": f"{ITEM}/profile", **changes})


def waiting_for_session(**changes: Any) -> UeContext:
    chosen = attaching(access_point_name="internet")
    return proven(
        Step.SESSION, **{"waiting_for": f"{ITEM}/session", "profile": PROFILE, "attaching": chosen, **changes}
    )


def bearer(**changes: Any) -> Bearer:
    return replace(Bearer(5, "internet", 9, SESSION), **changes)


def accepted(**changes: Any) -> UeContext:
    """ATTACH ACCEPT is out; neither the eNB nor the UE has answered."""
    plain: dict[str, Any] = {
        "profile": PROFILE,
        "attaching": attaching(access_point_name="internet"),
        "bearer": bearer(),
        "generation": 1,
        "guti": GUTI,
    }
    return proven(Step.ATTACH_COMPLETE, **{**plain, **changes})


def registered(**changes: Any) -> UeContext:
    """The eNB and the UE have answered: EMM-REGISTERED, ECM-CONNECTED."""
    plain: dict[str, Any] = {
        "emm": EmmState.REGISTERED,
        "step": Step.NONE,
        "attaching": None,
        "bearer": bearer(enb_address=ENB_ADDRESS, enb_teid=ENB_TEID),
        "tai_list": (TAI,),
    }
    return replace(accepted(), **{**plain, **changes})


def idle(**changes: Any) -> UeContext:
    """EMM-REGISTERED, ECM-IDLE, the connection released by the eNB."""
    return registered(**{"connections": (), "secured": False, "bearer": bearer(), **changes})


def returned(**changes: Any) -> UeContext:
    """Back from idle: on a connection again, proven by its message, and no bearer on the radio yet."""
    return registered(**{"bearer": bearer(), **changes})


def updating(**changes: Any) -> UeContext:
    """TRACKING AREA UPDATE ACCEPT with the GUTI RENAMED is out, to a UE that came from idle."""
    plain: dict[str, Any] = {
        "emm": EmmState.COMMON_PROCEDURE_INITIATED,
        "step": Step.TAU_COMPLETE,
        "guti": RENAMED,
        "old_guti": GUTI,
        "generation": 2,
        "updating": Updating(active=False),
    }
    return returned(**{**plain, **changes})


def reallocating(**changes: Any) -> UeContext:
    """GUTI REALLOCATION COMMAND with the GUTI RENAMED is out."""
    plain: dict[str, Any] = {
        "emm": EmmState.COMMON_PROCEDURE_INITIATED,
        "step": Step.GUTI_REALLOCATION,
        "guti": RENAMED,
        "old_guti": GUTI,
        "generation": 2,
    }
    return registered(**{**plain, **changes})


def leaving(**changes: Any) -> UeContext:
    """DETACH REQUEST of the network is out."""
    return registered(**{"emm": EmmState.DEREGISTERED_INITIATED, "step": Step.DETACH, **changes})


_AT_STEP: dict[Step, dict[str, Any]] = {
    Step.VECTOR: {"waiting_for": f"{ITEM}/vector"},
    Step.IDENTITY: {},
    Step.AUTHENTICATION: {"vector": VECTOR, "vector_ksi": 2},
    Step.SECURITY_MODE: {"security_new": security(ksi=2, ul_count=1, dl_count=1), "vector_ksi": 2},
    Step.ESM_INFORMATION: {},
    Step.PROFILE: {"waiting_for": f"{ITEM}/profile"},
    Step.SESSION: {"waiting_for": f"{ITEM}/session"},
    Step.ATTACH_COMPLETE: {"guti": RENAMED, "old_guti": GUTI, "generation": 2, "bearer": bearer()},
}
REATTACHING_STEPS = tuple(_AT_STEP)
REKEYING_STEPS = (Step.VECTOR, Step.AUTHENTICATION, Step.SECURITY_MODE)


def reattaching(step: Step, **changes: Any) -> UeContext:
    """A known UE attaches by its GUTI, its integrity right: native context in use, its session of before given back."""
    plain: dict[str, Any] = {
        "emm": EmmState.COMMON_PROCEDURE_INITIATED,
        "step": step,
        "attaching": attaching(identity_was_imsi=False, access_point_name="internet"),
        "bearer": None,
    }
    return registered(**{**plain, **_AT_STEP[step], **changes})


def rekeying(step: Step, **changes: Any) -> UeContext:
    """A registered UE is authenticated anew."""
    return registered(**{"emm": EmmState.COMMON_PROCEDURE_INITIATED, "step": step, **_AT_STEP[step], **changes})


STATIONS = {
    (EmmState.DEREGISTERED, Step.NONE): fresh,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.VECTOR): waiting_for_vector,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.IDENTITY): asked_for_identity,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.AUTHENTICATION): challenged,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.SECURITY_MODE): commanded,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.ESM_INFORMATION): asked_for_esm_information,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.PROFILE): waiting_for_profile,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.SESSION): waiting_for_session,
    (EmmState.COMMON_PROCEDURE_INITIATED, Step.ATTACH_COMPLETE): accepted,
    (EmmState.REGISTERED, Step.NONE): registered,
}

# --------------------------------------------------------------------------- reading an outcome


def only(things: Sequence[S1apMessage], kind: type[T]) -> T:
    """The one message there is, of that kind."""
    assert len(things) == 1, things
    (thing,) = things
    assert isinstance(thing, kind), thing
    return thing


def only_need(outcome: Outcome) -> Need:
    """The one thing that it needs."""
    (need,) = outcome.needs
    return need


def context(outcome: Outcome) -> UeContext:
    assert outcome.ctx is not None
    return outcome.ctx


def said(message: S1apMessage, on: Connection = CONNECTION) -> tuple[EmmMessage, SecurityHeader]:
    """(NAS message, how it is protected) of a DOWNLINK NAS TRANSPORT on the UE's connection."""
    assert isinstance(message, DownlinkNasTransport), message
    assert (message.mme_ue_s1ap_id, message.enb_ue_s1ap_id) == (on.mme_ue_s1ap_id, on.enb_ue_s1ap_id)
    assert isinstance(message.nas_pdu, Secured)
    return message.nas_pdu.message, message.nas_pdu.header


def released(message: S1apMessage, on: Connection = CONNECTION) -> str:
    """The cause in a UE CONTEXT RELEASE COMMAND on the UE's connection."""
    assert isinstance(message, UeContextReleaseCommand), message
    assert (message.mme_ue_s1ap_id, message.enb_ue_s1ap_id) == (on.mme_ue_s1ap_id, on.enb_ue_s1ap_id)
    return message.cause.value


def timers(outcome: Outcome) -> tuple[dict[TimerName, tuple[float, int]], set[TimerName]]:
    """({started: (seconds, expiries)}, stopped)."""
    started = {start.name: (start.seconds, start.expiries) for start in outcome.start}
    assert len(started) == len(outcome.start), "a timer is started twice"
    return started, set(outcome.stop)


def assert_gone(outcome: Outcome, before: UeContext, *, needs: int = 0) -> None:
    """Deregistered, its connection being released, nothing kept that the UE or a port could still refer to."""
    after = context(outcome)
    assert (after.emm, after.step) == (EmmState.DEREGISTERED, Step.NONE)
    assert after.connection is None
    assert [c.mme_ue_s1ap_id for c in after.connections] == [c.mme_ue_s1ap_id for c in before.connections]
    assert all(c.releasing for c in after.connections)
    assert not after.secured
    left = (after.attaching, after.bearer, after.vector, after.security_new, after.waiting_for)
    assert left == (None,) * 5
    assert outcome.forget
    assert outcome.start == ()
    assert set(outcome.stop) == set(TimerName)
    assert outcome.claim is None
    assert len(outcome.needs) == needs


# --------------------------------------------------------------------------- what a UE and an MME say

UPLINK: dict[type[EmmMessage], EmmMessage] = {
    type(message): message
    for message in (
        attach_request(),
        IdentityResponse(IMSI),
        AuthenticationResponse(XRES),
        AuthenticationFailure(20),
        SecurityModeComplete(),
        SecurityModeReject(23),
        AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0)),
        DetachRequestFromUe(1, False, 1, GUTI),
        DetachAccept(),
        TrackingAreaUpdateRequest(0, False, 1, GUTI),
        ServiceRequest(1, 0, b"ab"),
        EmmStatus(97),
        EsmContainer(EsmInformationResponse(0, PTI)),
    )
}
DOWNLINK_ONLY: frozenset[type[EmmMessage]] = frozenset(
    {
        AttachAccept,
        AttachReject,
        AuthenticationRequest,
        AuthenticationReject,
        IdentityRequest,
        SecurityModeCommand,
        EmmInformation,
        DetachRequestToUe,
        ServiceReject,
        TrackingAreaUpdateReject,
    }
)
# Messages and states of tracking area update, service request, GUTI reallocation and detach by the network: their
# procedures have tests of their own, the state table is tested whole.
UPLINK_OF_OTHERS: dict[type[EmmMessage], EmmMessage] = {
    type(message): message
    for message in (
        ExtendedServiceRequest(8, 1, 0xC0FFEE01),
        GutiReallocationComplete(),
        TrackingAreaUpdateComplete(),
    )
}
DOWNLINK_OF_OTHERS: frozenset[type[EmmMessage]] = frozenset({GutiReallocationCommand, TrackingAreaUpdateAccept})
STATIONS_OF_OTHERS: tuple[UeContext, ...] = (updating(), reallocating(), leaving())
UPLINK_ESM: tuple[EsmMessage, ...] = (
    EsmInformationResponse(0, PTI),
    EsmStatus(5, 0, 111),
    pdn_connectivity_request(),
    ActivateDefaultEpsBearerContextAccept(5, 0),
    ActivateDefaultEpsBearerContextReject(5, 0, 26),
    UndecodableEsm(0, PTI, EsmCause.INVALID_MANDATORY_INFORMATION),
)
