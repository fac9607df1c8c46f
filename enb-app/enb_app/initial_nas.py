"""The messages with which a UE begins: ATTACH, TRACKING AREA UPDATE, DETACH, (EXTENDED) SERVICE REQUEST.

Sent on a new connection they are signed with the stored context, if there is one, but never ciphered (TS 24.301 4.4.5).
"""

from __future__ import annotations

from enb_app.profile import NO_KEY, Profile
from enb_app.protection import NasSecurity
from mme.enums import DetachType
from mme.ids import Guti, MobileIdentity, STmsi, Tai
from mme.messages import (
    AttachRequest,
    DetachRequestFromUe,
    ExtendedServiceRequest,
    PdnConnectivityRequest,
    TrackingAreaUpdateRequest,
)

MOBILE_ORIGINATING = "mo-Data"
MOBILE_TERMINATING = "mt-Access"


def attach_request(
    profile: Profile, identity: MobileIdentity, security: NasSecurity | None, last_visited: Tai | None
) -> AttachRequest:
    """5.5.1.2.2.  identity: GUTI where the UE has one, else IMSI."""
    return AttachRequest(
        attach_type=profile.attach_type,
        nas_ksi=security.ksi if security else NO_KEY,
        identity=identity,
        ue_network_capability=profile.ue_network_capability,
        ms_network_capability=profile.ms_network_capability,
        last_visited_tai=last_visited,
        drx_parameter=profile.drx_parameter,
        esm=PdnConnectivityRequest(
            eps_bearer_identity=0,
            pti=profile.pti,
            request_type=profile.request_type,
            pdn_type=profile.pdn_type,
            esm_information_transfer_flag=profile.esm_information,
            access_point_name=None if profile.esm_information else profile.access_point_name,
            protocol_configuration_options=profile.pco,
        ),
    )


def detach_request(
    identity: MobileIdentity,
    security: NasSecurity | None,
    *,
    switch_off: bool,
    detach_type: int = DetachType.EPS,
) -> DetachRequestFromUe:
    """5.5.2.2.1."""
    return DetachRequestFromUe(detach_type, switch_off, security.ksi if security else NO_KEY, identity)


def area_update_request(
    profile: Profile,
    guti: Guti,
    security: NasSecurity | None,
    *,
    update_type: int,
    active: bool,
    bearers: int | None,
    drx_parameter: bytes | None = None,
    radio_capability_changed: bool = False,
) -> TrackingAreaUpdateRequest:
    """5.5.3.2.2.  bearers: EPS bearer context status, bit n for bearer n; None = not told.

    drx_parameter: where it has changed.
    """
    return TrackingAreaUpdateRequest(
        update_type=update_type,
        active=active,
        nas_ksi=security.ksi if security else NO_KEY,
        old_guti=guti,
        ue_network_capability=profile.ue_network_capability,
        eps_bearer_context_status=bearers,
        drx_parameter=drx_parameter,
        radio_capability_changed=radio_capability_changed,
        ms_network_capability=profile.ms_network_capability,
    )


def extended_service_request(guti: Guti, security: NasSecurity | None, service_type: int) -> ExtendedServiceRequest:
    """5.6.1.2.2."""
    return ExtendedServiceRequest(service_type, security.ksi if security else NO_KEY, guti.m_tmsi)


def s_tmsi(guti: Guti | None) -> STmsi | None:
    return None if guti is None else STmsi(guti.gummei.mme_code, guti.m_tmsi)
