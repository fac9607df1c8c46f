"""The UE's EMM and ESM machine: NAS octets and expiries in, effects out (TS 24.301 clauses 4.4, 5.4, 5.5).

States are those of 5.1.3.2 that occur here.  DEVIATES: TS 24.301 5.5.1.2.6 c because a UE whose T3410 expires gives
up instead of trying again after T3411: a load run must end.  DEVIATES: TS 24.301 5.4.2.7 because T3418 and T3420 are
not run; T3410, which goes on, bounds the wait.
"""

from __future__ import annotations

from hmac import compare_digest

from enb_app import capability, initial_nas, names
from enb_app.effects import (
    AreaUpdated,
    Detached,
    DetachedByNetwork,
    Ended,
    GutiTaken,
    NasReceived,
    Registered,
    SendNas,
    ServiceGranted,
    StartTimer,
    StopTimer,
    UeEffect,
    Verdict,
)
from enb_app.profile import (
    T3410,
    T3410_S,
    T3417,
    T3417_S,
    T3421,
    T3421_S,
    T3430,
    T3430_S,
    UNPROTECTED_T3346_S,
    Profile,
    State,
)
from enb_app.protection import NasSecurity
from enb_app.usim import Authenticated, MacFailure, NoSeparationBit, SynchFailure, Usim
from mme.codec import nas
from mme.enums import DetachType, Direction, EmmCause, EsmCause, IdentityType, SecurityHeader
from mme.errors import NasError
from mme.ids import Guti, Imei, MobileIdentity, Tai
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestToUe,
    EmmInformation,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmInformationRequest,
    EsmInformationResponse,
    EsmStatus,
    GutiReallocationCommand,
    GutiReallocationComplete,
    IdentityRequest,
    IdentityResponse,
    PdnConnectivityReject,
    SecuredEnvelope,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceReject,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
)

__all__ = ["T3410", "T3410_S", "T3417", "T3421", "T3430", "Profile", "State", "Ue"]

MOST_MAC_FAILURES = 3
"""After the third in a row the UE holds the network for false (5.4.2.7)."""

_NEW_CONTEXT = frozenset({SecurityHeader.INTEGRITY_NEW, SecurityHeader.INTEGRITY_CIPHERED_NEW})
_PLAIN_ACCEPTED = (
    IdentityRequest,
    AuthenticationRequest,
    AuthenticationReject,
    AttachReject,
    DetachAccept,
    TrackingAreaUpdateReject,
    ServiceReject,
)
"""Processed without integrity before secure exchange is established (4.4.4.2); IDENTITY REQUEST for the IMSI only."""
_INITIATED = (State.REGISTERED_INITIATED, State.SERVICE_REQUEST_INITIATED, State.TRACKING_AREA_UPDATING_INITIATED)
_NAME_LOST = (
    EmmCause.ILLEGAL_UE,
    EmmCause.ILLEGAL_ME,
    EmmCause.EPS_SERVICES_NOT_ALLOWED,
    EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED,
    EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED,
    EmmCause.PLMN_NOT_ALLOWED,
    EmmCause.TRACKING_AREA_NOT_ALLOWED,
)
"""Causes with which GUTI, TAI list and key set are deleted (5.5.1.2.5, 5.5.3.2.5, 5.6.1.5)."""
NORMAL, COMBINED, PERIODIC = 0, 1, 3
_REATTACH_REQUIRED, _IMSI_DETACH = 1, 3


class Ue:
    """One UE.  Everything a test wants to see is public; nothing of it is for others to change."""

    def __init__(self, usim: Usim, profile: Profile) -> None:
        """secure: secure exchange of NAS messages is established on this connection (4.4.2.4).

        silent_to: types of messages that the UE takes in and does not react to, for tests of what the network does.
        k_enb_counts: NAS counts that this connection's K_eNB may be derived from: a SECURITY MODE COMMAND that was
        resent is completed twice, and the network may have taken either.
        back_off_s: least and most of T3346, if the latest attach was refused with one; it runs from then on.
        t3402_s: as the network has told it under protection, 0 = deactivated; None: never (5.3.6).
        """
        self.usim = usim
        self.profile = profile
        self.state = State.DEREGISTERED
        self.security: NasSecurity | None = None
        self.secure = False
        self.guti: Guti | None = None
        self.tai_list: tuple[Tai, ...] = ()
        self.bearer: ActivateDefaultEpsBearerContextRequest | None = None
        self.information: EmmInformation | None = None
        self.silent_to: set[type[EmmMessage]] = set()
        self.k_enb_counts: list[int] = []
        self.discarded = 0
        self.back_off_s: tuple[float, float] | None = None
        self.t3402_s: float | None = None
        self._protected = False
        self._challenge: tuple[bytes, bytes, bytes] | None = None
        self._fresh: tuple[int, bytes] | None = None
        self._mac_failures = 0

    # ------------------------------------------------------------------ what the UE does by itself

    def attach(self) -> list[UeEffect]:
        """Attach by GUTI, or by IMSI where there is none, with the PDN CONNECTIVITY REQUEST inside (5.5.1.2.2).

        By IMEI without a USIM.  A security context with null integrity does not outlive its registration (4.4.2.3).
        """
        if self.security is not None and self.security.eia == 0:
            self.security = None
        last = self.tai_list[0] if self.tai_list else None
        request = initial_nas.attach_request(self.profile, self.guti or self._own_identity(), self.security, last)
        self.state = State.REGISTERED_INITIATED
        self.bearer = None
        self.back_off_s = None
        return [self._initial(request), StartTimer(T3410, self.profile.t3410_s)]

    def detach(self, *, switch_off: bool, detach_type: int = DetachType.EPS) -> list[UeEffect]:
        """Detach (5.5.2.2); with switch-off the UE waits for no answer."""
        identity: MobileIdentity = self.guti or self._own_identity()
        request = initial_nas.detach_request(identity, self.security, switch_off=switch_off, detach_type=detach_type)
        send = self._initial(request)
        if switch_off:
            self.state = State.DEREGISTERED
            return [send, Detached()]
        if detach_type != DetachType.IMSI:
            self.state = State.DEREGISTERED_INITIATED
        return [send, StartTimer(T3421, T3421_S)]

    def service_request(self, *, paged: bool = False) -> list[UeEffect]:
        """Come back from idle for the bearers (5.6.1.2).  Raises ValueError for a UE that has no context to use."""
        if self.security is None:
            raise ValueError("a service request needs a security context")
        octets = self.security.service_request()
        self.k_enb_counts = [self.security.ul_count - 1]
        self.state = State.SERVICE_REQUEST_INITIATED
        why = initial_nas.MOBILE_TERMINATING if paged else initial_nas.MOBILE_ORIGINATING
        name = initial_nas.s_tmsi(self.guti)
        return [SendNas(octets, "Service Request", True, name, why), StartTimer(T3417, T3417_S)]

    def extended_service_request(self, service_type: int = 0) -> list[UeEffect]:
        """Ask for CS fallback (5.6.1.2.2); this network has none."""
        guti = self._named()
        if not self.secure:
            self.state = State.SERVICE_REQUEST_INITIATED
        return [
            self._initial(initial_nas.extended_service_request(guti, self.security, service_type)),
            StartTimer(T3417, T3417_S),
        ]

    def update_area(
        self,
        update_type: int = NORMAL,
        *,
        active: bool = False,
        bearers: int | None = None,
        drx_parameter: bytes | None = None,
        radio_capability_changed: bool = False,
    ) -> list[UeEffect]:
        """Tracking area update, from idle or connected (5.5.3.2.2).  Raises ValueError for a UE without a GUTI."""
        request = initial_nas.area_update_request(
            self.profile,
            self._named(),
            self.security,
            update_type=update_type,
            active=active,
            bearers=bearers,
            drx_parameter=drx_parameter,
            radio_capability_changed=radio_capability_changed,
        )
        self.state = State.TRACKING_AREA_UPDATING_INITIATED
        return [self._initial(request), StartTimer(T3430, T3430_S)]

    def forget(self) -> None:
        """As with a new battery: GUTI, areas and keys are gone, the USIM is not."""
        self.guti, self.tai_list, self.security, self.bearer = None, (), None, None
        self.state, self.secure = State.DEREGISTERED, False

    def bearer_status(self) -> int:
        """EPS bearer context status: bit n stands for bearer n."""
        return 1 << self.bearer.eps_bearer_identity if self.bearer else 0

    def _own_identity(self) -> MobileIdentity:
        return self.usim.imsi if self.profile.has_usim else Imei(self.profile.imei)

    def _named(self) -> Guti:
        if self.guti is None:
            raise ValueError("the UE has no GUTI")
        return self.guti

    def _initial(self, message: EmmMessage) -> SendNas:
        """Signed and not ciphered, where secure exchange is not established on this connection."""
        if self.security is None:
            return self._plain(message)
        count = self.security.ul_count
        send = self._answer(message)
        if not self.secure:
            self.k_enb_counts = [count]
        return SendNas(send.octets, send.name, send.protected, initial_nas.s_tmsi(self.guti))

    def expire(self, timer: str) -> list[UeEffect]:
        """A timer ran out: the UE gives up and says so."""
        waits = {
            T3410: (State.REGISTERED_INITIATED, "Attach Accept"),
            T3417: (State.SERVICE_REQUEST_INITIATED, "bearers"),
            T3421: (State.DEREGISTERED_INITIATED, "Detach Accept"),
            T3430: (State.TRACKING_AREA_UPDATING_INITIATED, "Tracking Area Update Accept"),
        }
        state, awaited = waits.get(timer, (None, ""))
        if self.state is not state:
            return []
        return self._given_up(f"{timer} expired: no {awaited} in time", connection_lost=True)

    def _given_up(self, cause: str, *, connection_lost: bool = False) -> list[UeEffect]:
        """What the UE asked for is over; one that was registered stays so (5.5.3.2.6 b, c; 5.6.1.6 b)."""
        stays = self.state in (State.SERVICE_REQUEST_INITIATED, State.TRACKING_AREA_UPDATING_INITIATED)
        effects = self._end(Verdict.FAILED, cause, connection_lost=connection_lost)
        if stays:
            self.state = State.REGISTERED
        return effects

    def bearers_established(self, k_enb: bytes) -> list[UeEffect]:
        """The lower layers have the bearers: a service request is granted (5.6.1.4).

        k_enb: the eNB's.  Under another key than the UE's own, AS security would fail at once; under null algorithms
        UE and MME each have a key of their own making, which nothing uses (TS 33.401 15.2.2.2).
        """
        security = self.security
        unused = security is not None and security.eia == 0
        own = [security.k_enb(count) for count in self.k_enb_counts] if security is not None else []
        if not unused and not any(compare_digest(k_enb, key) for key in own):
            text = "the eNB's K_eNB is not the UE's"
            return self._end(Verdict.FAILED, text, connection_lost=True)
        if self.state is not State.SERVICE_REQUEST_INITIATED:
            return []
        self.state = State.REGISTERED
        self.secure = True
        return [StopTimer(T3417), ServiceGranted()]

    def connection_released(self, cause: str) -> list[UeEffect]:
        """The lower layers lost the NAS signalling connection (5.5.1.2.6 b, 5.5.2.2.4 b, 5.5.3.2.6 b, 5.6.1.6 b)."""
        self.secure = False
        if self.state in _INITIATED:
            return self._given_up(f"released by the network before its answer ({cause})")
        if self.state is State.DEREGISTERED_INITIATED:
            return self._detached()
        return []

    # ------------------------------------------------------------------ what the network sends

    def receive(self, octets: bytes) -> list[UeEffect]:
        """A downlink NAS message.  What fails its integrity check is discarded silently (4.4.4.2)."""
        self._protected = False
        try:
            envelope = nas.open_envelope(octets)
            if envelope is None and self.secure:
                return self._discard()
            if envelope is None:
                return self._on_plain(nas.decode(octets, Direction.DOWNLINK))
            if envelope.header in _NEW_CONTEXT:
                return self._on_new_context(octets, envelope)
            plain = self.security.open(octets, envelope) if self.security else None
            if plain is None:
                return self._discard()
            self.secure = self._protected = True
            return self._process(nas.decode(plain, Direction.DOWNLINK))
        except NasError as e:
            if e.cause is None or self.state is State.DEREGISTERED:
                return self._discard()
            return [NasReceived("(undecodable)"), self._answer(EmmStatus(e.cause))]

    def _on_plain(self, message: EmmMessage) -> list[UeEffect]:
        wants_more = isinstance(message, IdentityRequest) and message.identity_type is not IdentityType.IMSI
        if wants_more or not isinstance(message, _PLAIN_ACCEPTED):
            return self._discard()
        return self._process(message)

    def _discard(self) -> list[UeEffect]:
        self.discarded += 1
        return []

    def _process(self, message: EmmMessage) -> list[UeEffect]:
        heard: list[UeEffect] = [NasReceived(names.of_nas(message), message)]
        return heard if type(message) in self.silent_to else heard + self.react(message)

    def react(self, message: EmmMessage) -> list[UeEffect]:
        """What a message leads to, its protection already checked; also later, for one that silent_to held back."""
        match message:
            case IdentityRequest():
                return self._on_identity_request(message)
            case AuthenticationRequest():
                return self._on_authentication_request(message)
            case AuthenticationReject():
                return self._refused("Authentication Reject", EmmCause.ILLEGAL_UE)
            case EsmContainer():
                return self._on_esm(message)
            case AttachAccept():
                return self._on_attach_accept(message)
            case AttachReject():
                return self._on_attach_reject(message)
            case EmmInformation():
                self.information = message
                return []
            case EmmStatus():
                return self._on_emm_status(message)
            case DetachAccept():
                return self._detached() if self.state is State.DEREGISTERED_INITIATED else []
            case DetachRequestToUe():
                return self._on_detach_request(message)
            case TrackingAreaUpdateAccept():
                return self._on_area_update_accept(message)
            case TrackingAreaUpdateReject() | ServiceReject():
                return self._on_refusal(message)
            case GutiReallocationCommand():
                self.guti = message.guti
                self.tai_list = message.tai_list or self.tai_list
                return [self._answer(GutiReallocationComplete()), GutiTaken()]
            case _:
                return [self._answer(EmmStatus(EmmCause.MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE))]

    def _on_esm(self, container: EsmContainer) -> list[UeEffect]:
        message = container.esm
        if isinstance(message, EsmInformationRequest):
            apn = self.profile.access_point_name
            return [self._answer(EsmContainer(EsmInformationResponse(0, message.pti, access_point_name=apn)))]
        if isinstance(message, EsmStatus):
            return []
        status = EsmStatus(message.eps_bearer_identity, message.pti, EsmCause.MESSAGE_TYPE_NON_EXISTENT)
        return [self._answer(EsmContainer(status))]

    def _on_identity_request(self, message: IdentityRequest) -> list[UeEffect]:
        identity: MobileIdentity | None
        match message.identity_type:
            case IdentityType.IMSI:
                identity = self.usim.imsi if self.profile.has_usim else None
            case IdentityType.IMEISV:
                identity = Imei(self.profile.imeisv)
            case _:
                identity = None
        return [self._answer(IdentityResponse(identity))]

    def _on_authentication_request(self, message: AuthenticationRequest) -> list[UeEffect]:
        """5.4.2.3 and 5.4.2.6-7.  The same challenge again gets the same RES again; the USIM is not asked twice."""
        if self._challenge and self._challenge[:2] == (message.rand, message.autn):
            return [self._answer(AuthenticationResponse(self._challenge[2]))]
        match self.usim.authenticate(message.rand, message.autn, self.profile.plmn):
            case MacFailure():
                self._mac_failures += 1
                failure = self._answer(AuthenticationFailure(EmmCause.MAC_FAILURE))
                if self._mac_failures < MOST_MAC_FAILURES:
                    return [failure]
                text = f"the network failed {MOST_MAC_FAILURES} times to prove itself (AUTN)"
                return [failure, *self._end(Verdict.REJECTED, text, EmmCause.MAC_FAILURE, connection_lost=True)]
            case SynchFailure(auts):
                return [self._answer(AuthenticationFailure(EmmCause.SYNCH_FAILURE, auts))]
            case NoSeparationBit():
                return [self._answer(AuthenticationFailure(EmmCause.NON_EPS_AUTHENTICATION_UNACCEPTABLE))]
            case Authenticated(res, k_asme):
                if self.profile.wrong_res:
                    res = bytes((res[0] ^ 0xFF,)) + res[1:]
                self._mac_failures = 0
                self._challenge = (message.rand, message.autn, res)
                self._fresh = (message.nas_ksi, k_asme)
                return [self._answer(AuthenticationResponse(res))]

    def _on_new_context(self, octets: bytes, envelope: SecuredEnvelope) -> list[UeEffect]:
        """SECURITY MODE COMMAND (5.4.3.3, 5.4.3.5): it names the algorithms under which its own MAC is checked."""
        message = nas.decode(envelope.payload, Direction.DOWNLINK)
        if not isinstance(message, SecurityModeCommand):
            return self._discard()
        in_use = self.security
        same_again = (message.nas_ksi, message.eea, message.eia)
        if in_use and (in_use.ksi, in_use.eea, in_use.eia) == same_again and self._fresh is None:
            opened = in_use.open(octets, envelope)
            return self._discard() if opened is None else self._secured(message)
        if self.profile.emergency and (message.nas_ksi, message.eea, message.eia) == (0, 0, 0):
            self._fresh = (0, bytes(32))  # a K_ASME of the UE's own making (5.4.3.3)
        if self._fresh is None or self._fresh[0] != message.nas_ksi:
            return self._discard()
        heard = NasReceived(names.of_nas(message), message)
        if type(message) in self.silent_to:
            return [heard]
        eea_octet, eia_octet = self.profile.ue_network_capability[:2]
        known = capability.supports(eea_octet, message.eea) and capability.supports(eia_octet, message.eia)
        told = capability.replayed(self.profile.ue_network_capability, self.profile.ms_network_capability)
        known = known and self.profile.knows_capability
        if not known or message.replayed_ue_security_capability != told:
            return [heard, *self._refuse_security_mode(EmmCause.SECURITY_CAPABILITIES_MISMATCH)]
        fresh = NasSecurity(self._fresh[1], message.nas_ksi, message.eea, message.eia)
        unwanted = message.eia == 0 and not self.profile.emergency
        if unwanted or fresh.open(octets, envelope) is None:
            return [heard, *self._refuse_security_mode(EmmCause.SECURITY_MODE_REJECTED)]
        self.security = fresh
        self.k_enb_counts = []
        self._fresh = None
        self._challenge = None
        self.k_enb_counts = []
        return self._secured(message)

    def _secured(self, message: SecurityModeCommand) -> list[UeEffect]:
        told = message.imeisv_requested and self.profile.tells_imeisv
        complete = SecurityModeComplete(self.profile.imeisv if told else None)
        self.secure = True
        if self.security is not None:
            self.k_enb_counts.append(self.security.ul_count)
        return [
            NasReceived(names.of_nas(message), message),
            self._answer(complete, SecurityHeader.INTEGRITY_CIPHERED_NEW),
        ]

    def _refuse_security_mode(self, cause: EmmCause) -> list[UeEffect]:
        text = f"Security Mode Reject #{cause.value}"
        return [self._answer(SecurityModeReject(cause)), *self._end(Verdict.FAILED, text, cause)]

    def _on_attach_accept(self, message: AttachAccept) -> list[UeEffect]:
        """5.5.1.2.4.  A repeated one gets its ATTACH COMPLETE again (5.5.1.2.7 d, the network's T3450)."""
        if self.state not in (State.REGISTERED_INITIATED, State.REGISTERED):
            return [self._answer(EmmStatus(EmmCause.MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE))]
        request = message.esm
        if not isinstance(request, ActivateDefaultEpsBearerContextRequest):
            text = "Attach Accept without a default bearer"
            return self._end(Verdict.FAILED, text, connection_lost=True)
        self.guti = message.guti or self.guti
        self.tai_list = message.tai_list
        self.bearer = request
        self.state = State.REGISTERED
        accept = ActivateDefaultEpsBearerContextAccept(request.eps_bearer_identity, request.pti)
        return [StopTimer(T3410), self._answer(AttachComplete(accept)), Registered()]

    def _on_attach_reject(self, message: AttachReject) -> list[UeEffect]:
        text = f"Attach Reject #{message.cause.value}"
        if isinstance(message.esm, PdnConnectivityReject):
            text += f" (ESM #{message.esm.cause.value})"
        if message.cause is EmmCause.CONGESTION and message.t3346_s:
            told = float(message.t3346_s)
            self.back_off_s = (told, told) if self._protected else UNPROTECTED_T3346_S
        if message.t3402_s is not None and self._protected:
            self.t3402_s = float(message.t3402_s)
        return self._refused(text, message.cause)

    def _on_area_update_accept(self, message: TrackingAreaUpdateAccept) -> list[UeEffect]:
        """5.5.3.2.4.  A new GUTI is answered by TRACKING AREA UPDATE COMPLETE, each time that it comes (T3450)."""
        if self.state not in (State.TRACKING_AREA_UPDATING_INITIATED, State.REGISTERED):
            return [self._answer(EmmStatus(EmmCause.MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE))]
        self.tai_list = message.tai_list or self.tai_list
        self.state = State.REGISTERED
        status = message.eps_bearer_context_status
        if self.bearer is not None and status is not None and not status & self.bearer_status():
            self.bearer = None
        effects: list[UeEffect] = [StopTimer(T3430)]
        if message.guti is not None:
            self.guti = message.guti
            effects.append(self._answer(TrackingAreaUpdateComplete()))
        return [*effects, AreaUpdated(message)]

    def _on_refusal(self, message: TrackingAreaUpdateReject | ServiceReject) -> list[UeEffect]:
        """5.5.3.2.5, 5.6.1.5.  #18 and #39 leave the UE registered."""
        text = f"{names.of_nas(message)} #{message.cause.value}"
        if message.cause in (EmmCause.CS_DOMAIN_NOT_AVAILABLE, EmmCause.CS_DOMAIN_TEMPORARILY_NOT_AVAILABLE):
            self.state = State.REGISTERED
            return [StopTimer(T3417), Ended(Verdict.REJECTED, text, message.cause.value)]
        return self._refused(text, message.cause)

    def _refused(self, text: str, cause: EmmCause) -> list[UeEffect]:
        if cause in _NAME_LOST:
            self.guti, self.tai_list, self.security = None, (), None
        return self._end(Verdict.REJECTED, text, cause)

    def _on_detach_request(self, message: DetachRequestToUe) -> list[UeEffect]:
        """5.5.2.3.2; an IMSI detach (type 3) concerns non-EPS services only."""
        accept = self._answer(DetachAccept())
        if message.detach_type == _IMSI_DETACH:
            return [accept]
        self.bearer = None
        gone = DetachedByNetwork(message.detach_type == _REATTACH_REQUIRED)
        return [accept, gone, *self._end(Verdict.FAILED, "detached by the network", message.cause)]

    def _on_emm_status(self, message: EmmStatus) -> list[UeEffect]:
        """Never answered.  During an attach it says that the network cannot go on with what the UE sent (7.4)."""
        if self.state is not State.REGISTERED_INITIATED:
            return []
        return self._end(Verdict.FAILED, f"EMM Status #{message.cause}", connection_lost=True)

    # ------------------------------------------------------------------ endings and answers

    def _detached(self) -> list[UeEffect]:
        self.state = State.DEREGISTERED
        return [StopTimer(T3421), Detached()]

    def _end(
        self, verdict: Verdict, cause: str, emm_cause: EmmCause | None = None, *, connection_lost: bool = False
    ) -> list[UeEffect]:
        self.state = State.DEREGISTERED
        number = None if emm_cause is None else emm_cause.value
        stops = [StopTimer(timer) for timer in (T3410, T3417, T3421, T3430)]
        return [*stops, Ended(verdict, cause, number, connection_lost)]

    def plain(self, message: EmmMessage) -> SendNas:
        """As above, unprotected."""
        return self._plain(message)

    def _plain(self, message: EmmMessage) -> SendNas:
        return SendNas(nas.encode(message), names.of_nas(message))

    def protected(self, message: EmmMessage) -> SendNas:
        """A message that somebody else makes this UE send, protected like its own."""
        return self._answer(message)

    def _answer(self, message: EmmMessage, header: SecurityHeader | None = None) -> SendNas:
        """Signed as soon as there is a security context, ciphered once secure exchange is established (4.4.5)."""
        if self.security is None:
            return self._plain(message)
        if header is None:
            header = SecurityHeader.INTEGRITY_CIPHERED if self.secure else SecurityHeader.INTEGRITY
        return SendNas(self.security.protect(nas.encode(message), header), names.of_nas(message), protected=True)
