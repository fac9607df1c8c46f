"""Hypothesis strategies for every message that the codec has, limited to values that the wire can carry."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from mme import messages as m
from mme.enums import CauseGroup, EmmCause, EsmCause, IdentityType
from mme.ids import Ecgi, GlobalEnbId, Gummei, Guti, Imei, Imsi, Plmn, STmsi, Tai, Tmsi

_T = TypeVar("_T")


def bits(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << count) - 1)


def octets(shortest: int, longest: int | None = None) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=shortest, max_size=shortest if longest is None else longest)


def digits(shortest: int, longest: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=shortest, max_size=longest)


def maybe(strategy: st.SearchStrategy[_T]) -> st.SearchStrategy[_T | None]:
    return st.none() | strategy


def tuples_of(strategy: st.SearchStrategy[_T], shortest: int, longest: int) -> st.SearchStrategy[tuple[_T, ...]]:
    return st.lists(strategy, min_size=shortest, max_size=longest).map(tuple)


PLMNS = st.builds(Plmn, digits(5, 6))
TAIS = st.builds(Tai, PLMNS, bits(16))
ECGIS = st.builds(Ecgi, PLMNS, bits(28))
GUMMEIS = st.builds(Gummei, PLMNS, bits(16), bits(8))
GUTIS = st.builds(Guti, GUMMEIS, bits(32))
IMSIS = st.builds(Imsi, digits(6, 15))
IMEIS = st.builds(Imei, digits(15, 16))
EPS_IDENTITIES = IMSIS | GUTIS | IMEIS
MOBILE_IDENTITIES = IMSIS | IMEIS | st.builds(Tmsi, bits(32))
KSIS = bits(3)

# --------------------------------------------------------------------------- NAS

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
APNS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PCOS = maybe(octets(0, 251))
HEADER = (bits(4), bits(8))
RATES_BPS = st.sampled_from(
    [kbps * 1000 for kbps in (0, 1, 63, 64, 568, 576, 8_640, 8_700, 16_000, 17_000, 128_000, 130_000)]
    + [mbps * 1_000_000 for mbps in (256, 266, 512, 4_294, 65_280)]
)
PDN_ADDRESSES = st.one_of(
    st.builds(m.PdnAddress, octets(4)),
    st.builds(m.PdnAddress, st.none(), octets(8)),
    st.builds(m.PdnAddress, octets(4), octets(8)),
)
TIMERS_S = st.one_of(
    st.integers(0, 31).map(lambda n: 2 * n), st.integers(0, 31).map(lambda n: 60 * n), st.sampled_from((3240, 11160))
)


@st.composite
def default_bearer_requests(draw: st.DrawFn) -> m.ActivateDefaultEpsBearerContextRequest:
    with_rates = draw(st.booleans())
    return m.ActivateDefaultEpsBearerContextRequest(
        draw(bits(4)),
        draw(bits(8)),
        qci=draw(bits(8)),
        access_point_name=draw(APNS),
        pdn_address=draw(PDN_ADDRESSES),
        apn_ambr_dl_bps=draw(RATES_BPS) if with_rates else None,
        apn_ambr_ul_bps=draw(RATES_BPS) if with_rates else None,
        cause=draw(maybe(st.sampled_from(EsmCause))),
        protocol_configuration_options=draw(PCOS),
    )


ESM: dict[type[m.EsmMessage], st.SearchStrategy[m.EsmMessage]] = {
    m.PdnConnectivityRequest: st.builds(
        m.PdnConnectivityRequest, *HEADER, bits(3), bits(3), st.booleans(), maybe(APNS), PCOS
    ),
    m.PdnConnectivityReject: st.builds(m.PdnConnectivityReject, *HEADER, st.sampled_from(EsmCause), PCOS),
    m.ActivateDefaultEpsBearerContextRequest: default_bearer_requests(),
    m.ActivateDefaultEpsBearerContextAccept: st.builds(m.ActivateDefaultEpsBearerContextAccept, *HEADER, PCOS),
    m.ActivateDefaultEpsBearerContextReject: st.builds(m.ActivateDefaultEpsBearerContextReject, *HEADER, bits(8), PCOS),
    m.EsmInformationRequest: st.builds(m.EsmInformationRequest, *HEADER),
    m.EsmInformationResponse: st.builds(m.EsmInformationResponse, *HEADER, maybe(APNS), PCOS),
    m.EsmStatus: st.builds(m.EsmStatus, *HEADER, bits(8)),
}
ESM_MESSAGES = st.one_of(*ESM.values())
EMM_CAUSES = st.sampled_from(EmmCause)
UE_CAPABILITIES = octets(2, 13)
NAMES = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=60)

EMM: dict[type[m.EmmMessage], st.SearchStrategy[m.EmmMessage]] = {
    m.AttachRequest: st.builds(
        m.AttachRequest,
        attach_type=bits(3),
        nas_ksi=KSIS,
        identity=EPS_IDENTITIES,
        ue_network_capability=UE_CAPABILITIES,
        esm=ESM_MESSAGES,
        native=st.booleans(),
        last_visited_tai=maybe(TAIS),
        ms_network_capability=maybe(octets(2, 8)),
        drx_parameter=maybe(octets(2)),
        old_guti_is_native=maybe(st.booleans()),
        additional_guti=maybe(GUTIS),
    ),
    m.AttachAccept: st.builds(
        m.AttachAccept,
        attach_result=bits(3),
        t3412_s=TIMERS_S,
        tai_list=tuples_of(TAIS, 1, 16),
        esm=ESM_MESSAGES,
        guti=maybe(GUTIS),
        cause=maybe(EMM_CAUSES),
        eps_network_feature_support=maybe(octets(1, 3)),
    ),
    m.AttachComplete: st.builds(m.AttachComplete, ESM_MESSAGES),
    m.AttachReject: st.builds(m.AttachReject, EMM_CAUSES, maybe(ESM_MESSAGES), maybe(TIMERS_S), maybe(TIMERS_S)),
    m.AuthenticationRequest: st.builds(m.AuthenticationRequest, KSIS, octets(16), octets(16)),
    m.AuthenticationResponse: st.builds(m.AuthenticationResponse, octets(4, 16)),
    m.AuthenticationFailure: st.builds(m.AuthenticationFailure, bits(8), maybe(octets(14))),
    m.AuthenticationReject: st.builds(m.AuthenticationReject),
    m.IdentityRequest: st.builds(m.IdentityRequest, st.sampled_from(IdentityType)),
    m.IdentityResponse: st.builds(m.IdentityResponse, maybe(MOBILE_IDENTITIES)),
    m.SecurityModeCommand: st.builds(m.SecurityModeCommand, bits(3), bits(3), KSIS, octets(2, 5), st.booleans()),
    m.SecurityModeComplete: st.builds(m.SecurityModeComplete, maybe(digits(16, 16))),
    m.SecurityModeReject: st.builds(m.SecurityModeReject, bits(8)),
    m.EmmInformation: st.builds(
        m.EmmInformation, maybe(NAMES), maybe(NAMES), maybe(st.integers(946_684_800, 4_102_444_799))
    ),
    m.DetachRequestFromUe: st.builds(m.DetachRequestFromUe, bits(3), st.booleans(), KSIS, EPS_IDENTITIES),
    m.DetachRequestToUe: st.builds(m.DetachRequestToUe, bits(3), maybe(EMM_CAUSES)),
    m.DetachAccept: st.builds(m.DetachAccept),
    m.EmmStatus: st.builds(m.EmmStatus, bits(8)),
    m.ServiceRequest: st.builds(m.ServiceRequest, KSIS, bits(5), octets(2)),
    m.ServiceReject: st.builds(m.ServiceReject, EMM_CAUSES),
    m.TrackingAreaUpdateRequest: st.builds(
        m.TrackingAreaUpdateRequest,
        update_type=bits(3),
        active=st.booleans(),
        nas_ksi=KSIS,
        old_guti=GUTIS,
        native=st.booleans(),
        ue_network_capability=maybe(UE_CAPABILITIES),
        eps_bearer_context_status=maybe(bits(16)),
        drx_parameter=maybe(octets(2)),
        radio_capability_changed=st.booleans(),
        ms_network_capability=maybe(octets(2, 8)),
    ),
    m.TrackingAreaUpdateAccept: st.builds(
        m.TrackingAreaUpdateAccept,
        update_result=bits(3),
        t3412_s=maybe(TIMERS_S),
        guti=maybe(GUTIS),
        tai_list=tuples_of(TAIS, 0, 16),
        eps_bearer_context_status=maybe(bits(16)),
        cause=maybe(EMM_CAUSES),
    ),
    m.TrackingAreaUpdateComplete: st.builds(m.TrackingAreaUpdateComplete),
    m.ExtendedServiceRequest: st.builds(
        m.ExtendedServiceRequest, bits(4), KSIS, bits(32), st.booleans(), maybe(bits(3)), maybe(bits(16))
    ),
    m.GutiReallocationCommand: st.builds(m.GutiReallocationCommand, GUTIS, tuples_of(TAIS, 0, 16)),
    m.GutiReallocationComplete: st.builds(m.GutiReallocationComplete),
    m.TrackingAreaUpdateReject: st.builds(m.TrackingAreaUpdateReject, EMM_CAUSES),
    m.EsmContainer: st.builds(m.EsmContainer, ESM_MESSAGES),
}

# --------------------------------------------------------------------------- S1AP

IDS = (bits(32), bits(24))
NAS_PDUS = octets(0, 400)
CAUSES = st.sampled_from(
    (
        m.Cause(CauseGroup.RADIO_NETWORK, "user-inactivity"),
        m.Cause(CauseGroup.RADIO_NETWORK, "unknown-pair-ue-s1ap-id"),
        m.Cause(CauseGroup.TRANSPORT, "transport-resource-unavailable"),
        m.Cause(CauseGroup.NAS, "normal-release"),
        m.Cause(CauseGroup.PROTOCOL, "semantic-error"),
        m.Cause(CauseGroup.MISC, "unknown-PLMN"),
    )
)
PRINTABLE = st.text(
    "ABCXYZabcxyz0189 '()+,-./:=?", min_size=1, max_size=150
)  # PrintableString has no more kinds of characters than these
TRIGGERS = st.sampled_from(("initiating-message", "successful-outcome", "unsuccessfull-outcome"))
CRITICALITIES = st.sampled_from(("reject", "ignore", "notify"))
DIAGNOSTICS = st.builds(
    m.CriticalityDiagnostics,
    procedure_code=maybe(bits(8)),
    triggering_message=maybe(TRIGGERS),
    procedure_criticality=maybe(CRITICALITIES),
    ies=tuples_of(st.tuples(bits(16), CRITICALITIES, st.sampled_from(("not-understood", "missing"))), 0, 5),
)
ENB_IDS = st.sampled_from((18, 20, 21, 28)).flatmap(lambda n: st.builds(GlobalEnbId, PLMNS, bits(n), st.just(n)))
ADDRESSES = octets(4) | octets(16) | octets(20)
E_RAB_IDS = bits(4)
PAGING_DRX = st.sampled_from(("v32", "v64", "v128", "v256"))
SUPPORTED_TAS = tuples_of(st.builds(m.SupportedTa, bits(16), tuples_of(PLMNS, 1, 6)), 1, 5)
SERVED_GUMMEIS = tuples_of(
    st.builds(m.ServedGummei, tuples_of(PLMNS, 1, 4), tuples_of(bits(16), 1, 4), tuples_of(bits(8), 1, 4)), 1, 3
)
WAITS_S = maybe(st.sampled_from((1, 2, 5, 10, 20, 60)))
BIT_RATES = st.integers(0, 10_000_000_000)
CONNECTIONS = st.builds(m.UeS1apIds, bits(32), maybe(bits(24))) | st.builds(m.UeS1apIds, st.none(), bits(24))

S1AP: dict[type[m.S1apMessage], st.SearchStrategy[m.S1apMessage]] = {
    m.S1SetupRequest: st.builds(m.S1SetupRequest, ENB_IDS, SUPPORTED_TAS, maybe(PRINTABLE), PAGING_DRX),
    m.S1SetupResponse: st.builds(m.S1SetupResponse, SERVED_GUMMEIS, bits(8), maybe(PRINTABLE)),
    m.S1SetupFailure: st.builds(m.S1SetupFailure, CAUSES, WAITS_S, maybe(DIAGNOSTICS)),
    m.EnbConfigurationUpdate: st.builds(
        m.EnbConfigurationUpdate, maybe(PRINTABLE), maybe(SUPPORTED_TAS), maybe(PAGING_DRX)
    ),
    m.EnbConfigurationUpdateAcknowledge: st.builds(m.EnbConfigurationUpdateAcknowledge),
    m.EnbConfigurationUpdateFailure: st.builds(m.EnbConfigurationUpdateFailure, CAUSES, WAITS_S),
    m.MmeConfigurationUpdate: st.builds(
        m.MmeConfigurationUpdate, maybe(PRINTABLE), maybe(SERVED_GUMMEIS), maybe(bits(8))
    ),
    m.MmeConfigurationUpdateAcknowledge: st.builds(m.MmeConfigurationUpdateAcknowledge),
    m.MmeConfigurationUpdateFailure: st.builds(m.MmeConfigurationUpdateFailure, CAUSES, WAITS_S),
    m.OverloadStart: st.builds(
        m.OverloadStart,
        st.sampled_from(("reject-non-emergency-mo-dt", "reject-rrc-cr-signalling", "reject-delay-tolerant-access")),
        maybe(st.integers(1, 99)),
    ),
    m.OverloadStop: st.builds(m.OverloadStop),
    m.Reset: st.builds(m.Reset, CAUSES, maybe(tuples_of(CONNECTIONS, 1, 5))),
    m.ResetAcknowledge: st.builds(m.ResetAcknowledge, tuples_of(CONNECTIONS, 0, 5)),
    m.Paging: st.builds(
        m.Paging,
        bits(10),
        st.builds(STmsi, bits(8), bits(32)) | IMSIS,
        tuples_of(TAIS, 1, 16),
        st.sampled_from(("ps", "cs")),
        maybe(PAGING_DRX),
    ),
    m.UeContextModificationRequest: st.one_of(
        st.builds(m.UeContextModificationRequest, *IDS, BIT_RATES, BIT_RATES, maybe(octets(32))),
        st.builds(m.UeContextModificationRequest, *IDS, st.none(), st.none(), maybe(octets(32))),
    ),
    m.UeContextModificationResponse: st.builds(m.UeContextModificationResponse, *IDS),
    m.UeContextModificationFailure: st.builds(m.UeContextModificationFailure, *IDS, CAUSES),
    m.InitialUeMessage: st.builds(
        m.InitialUeMessage,
        bits(24),
        NAS_PDUS,
        TAIS,
        ECGIS,
        st.sampled_from(("emergency", "highPriorityAccess", "mt-Access", "mo-Signalling", "mo-Data")),
        maybe(st.builds(STmsi, bits(8), bits(32))),
        maybe(GUMMEIS),
    ),
    m.UplinkNasTransport: st.builds(m.UplinkNasTransport, *IDS, NAS_PDUS, ECGIS, TAIS),
    m.DownlinkNasTransport: st.builds(m.DownlinkNasTransport, *IDS, NAS_PDUS),
    m.NasNonDeliveryIndication: st.builds(m.NasNonDeliveryIndication, *IDS, NAS_PDUS, CAUSES),
    m.InitialContextSetupRequest: st.builds(
        m.InitialContextSetupRequest,
        *IDS,
        BIT_RATES,
        BIT_RATES,
        tuples_of(
            st.builds(
                m.ErabToBeSetup,
                E_RAB_IDS,
                bits(8),
                bits(4),
                ADDRESSES,
                bits(32),
                maybe(NAS_PDUS),
                st.booleans(),
                st.booleans(),
            ),
            1,
            3,
        ),
        bits(16),
        bits(16),
        octets(32),
        maybe(octets(0, 300)),
    ),
    m.InitialContextSetupResponse: st.builds(
        m.InitialContextSetupResponse,
        *IDS,
        tuples_of(st.builds(m.ErabSetup, E_RAB_IDS, ADDRESSES, bits(32)), 1, 3),
        tuples_of(st.builds(m.ErabFailed, E_RAB_IDS, CAUSES), 0, 3),
    ),
    m.InitialContextSetupFailure: st.builds(m.InitialContextSetupFailure, *IDS, CAUSES),
    m.UeCapabilityInfoIndication: st.builds(m.UeCapabilityInfoIndication, *IDS, octets(0, 300)),
    m.UeContextReleaseRequest: st.builds(m.UeContextReleaseRequest, *IDS, CAUSES),
    m.UeContextReleaseCommand: st.builds(m.UeContextReleaseCommand, bits(32), maybe(bits(24)), CAUSES),
    m.UeContextReleaseComplete: st.builds(m.UeContextReleaseComplete, *IDS),
    m.ErrorIndication: st.builds(
        m.ErrorIndication, maybe(bits(32)), maybe(bits(24)), maybe(CAUSES), maybe(DIAGNOSTICS)
    ),
    m.UnhandledS1ap: st.builds(
        m.UnhandledS1ap,
        st.integers(64, 255),
        TRIGGERS,
        CRITICALITIES,
        maybe(bits(32)),
        maybe(bits(24)),
    ),
}
