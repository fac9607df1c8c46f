"""The UE's EMM and ESM machine: NAS octets and expiries in, effects out (TS 24.301 clauses 4.4, 5.4, 5.5).

States are those of 5.1.3.2 that occur here.  DEVIATES: TS 24.301 5.5.1.2.6 c because a UE whose T3410 expires gives
up instead of trying again after T3411: a load run must end.  DEVIATES: TS 24.301 5.4.2.7 because T3418 and T3420 are
not run; T3410, which goes on, bounds the wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from enb_app import capability, names
from enb_app.effects import Detached, Ended, NasReceived, Registered, SendNas, StartTimer, StopTimer, UeEffect, Verdict
from enb_app.protection import NasSecurity
from enb_app.usim import Authenticated, MacFailure, NoSeparationBit, SynchFailure, Usim
from mme.codec import nas
from mme.enums import (
    AttachType,
    DetachType,
    Direction,
    EmmCause,
    EsmCause,
    IdentityType,
    PdnType,
    RequestType,
    SecurityHeader,
)
from mme.errors import NasError
from mme.ids import Guti, Imei, MobileIdentity, Plmn
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    DetachRequestToUe,
    EmmInformation,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmInformationRequest,
    EsmInformationResponse,
    EsmStatus,
    IdentityRequest,
    IdentityResponse,
    PdnConnectivityReject,
    PdnConnectivityRequest,
    SecuredEnvelope,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
)

T3410 = "T3410"
T3421 = "T3421"
T3410_S = 15.0
T3421_S = 15.0
NO_KEY = 7
MOST_MAC_FAILURES = 3
"""After the third in a row the UE holds the network for false (5.4.2.7)."""

_NEW_CONTEXT = frozenset({SecurityHeader.INTEGRITY_NEW, SecurityHeader.INTEGRITY_CIPHERED_NEW})
_PLAIN_ACCEPTED = (IdentityRequest, AuthenticationRequest, AuthenticationReject, AttachReject, DetachAccept)
"""Processed without integrity before a security context is in use (4.4.4.2); an IDENTITY REQUEST for the IMSI only."""


class State(Enum):
    """EMM main states of the UE (5.1.3.2)."""

    DEREGISTERED = "EMM-DEREGISTERED"
    REGISTERED_INITIATED = "EMM-REGISTERED-INITIATED"
    REGISTERED = "EMM-REGISTERED"
    DEREGISTERED_INITIATED = "EMM-DEREGISTERED-INITIATED"


@dataclass(frozen=True, slots=True)
class Profile:
    """How this UE is built.  wrong_res: answers challenges wrongly.  esm_information: keeps the APN until asked."""

    plmn: Plmn
    ue_network_capability: bytes = capability.SRSUE_NETWORK_CAPABILITY
    ms_network_capability: bytes | None = None
    attach_type: int = AttachType.EPS
    pdn_type: int = PdnType.IPV4
    access_point_name: str | None = None
    esm_information: bool = False
    imeisv: str = "3534900698733001"
    pti: int = 1
    wrong_res: bool = False
    t3410_s: float = T3410_S


class Ue:
    """One UE.  Everything a test wants to see is public; nothing of it is for others to change."""

    def __init__(self, usim: Usim, profile: Profile) -> None:
        self.usim = usim
        self.profile = profile
        self.state = State.DEREGISTERED
        self.security: NasSecurity | None = None
        self.guti: Guti | None = None
        self.bearer: ActivateDefaultEpsBearerContextRequest | None = None
        self.information: EmmInformation | None = None
        self.discarded = 0
        self._challenge: tuple[bytes, bytes, bytes] | None = None
        self._fresh: tuple[int, bytes] | None = None
        self._mac_failures = 0

    # ------------------------------------------------------------------ what the UE does by itself

    def attach(self) -> list[UeEffect]:
        """Attach by IMSI, with the PDN CONNECTIVITY REQUEST inside (5.5.1.2.2)."""
        profile = self.profile
        request = AttachRequest(
            attach_type=profile.attach_type,
            nas_ksi=NO_KEY,
            identity=self.usim.imsi,
            ue_network_capability=profile.ue_network_capability,
            ms_network_capability=profile.ms_network_capability,
            esm=PdnConnectivityRequest(
                eps_bearer_identity=0,
                pti=profile.pti,
                request_type=RequestType.INITIAL,
                pdn_type=profile.pdn_type,
                esm_information_transfer_flag=profile.esm_information,
            ),
        )
        self.state = State.REGISTERED_INITIATED
        return [self._plain(request), StartTimer(T3410, profile.t3410_s)]

    def detach(self, *, switch_off: bool) -> list[UeEffect]:
        """Detach from EPS (5.5.2.2); with switch-off the UE waits for no answer."""
        identity: MobileIdentity = self.guti or self.usim.imsi
        ksi = self.security.ksi if self.security else NO_KEY
        send = self._answer(DetachRequestFromUe(DetachType.EPS, switch_off, ksi, identity))
        if switch_off:
            self.state = State.DEREGISTERED
            return [send, Detached()]
        self.state = State.DEREGISTERED_INITIATED
        return [send, StartTimer(T3421, T3421_S)]

    def expire(self, timer: str) -> list[UeEffect]:
        """A timer ran out: the UE gives up and says so."""
        if timer == T3410 and self.state is State.REGISTERED_INITIATED:
            return self._end(Verdict.FAILED, "T3410 expired: no Attach Accept in time", connection_lost=True)
        if timer == T3421 and self.state is State.DEREGISTERED_INITIATED:
            return self._end(Verdict.FAILED, "T3421 expired: no Detach Accept in time", connection_lost=True)
        return []

    def connection_released(self, cause: str) -> list[UeEffect]:
        """The lower layers lost the NAS signalling connection (5.5.1.2.6 b, 5.5.2.2.4 b)."""
        if self.state is State.REGISTERED_INITIATED:
            return self._end(Verdict.FAILED, f"released by the network before Attach Accept ({cause})")
        if self.state is State.DEREGISTERED_INITIATED:
            return self._detached()
        return []

    # ------------------------------------------------------------------ what the network sends

    def receive(self, octets: bytes) -> list[UeEffect]:
        """A downlink NAS message.  What fails its integrity check is discarded silently (4.4.4.2)."""
        try:
            envelope = nas.open_envelope(octets)
            if envelope is None and self.security is not None:
                return self._discard()
            if envelope is None:
                return self._on_plain(nas.decode(octets, Direction.DOWNLINK))
            if envelope.header in _NEW_CONTEXT:
                return self._on_new_context(octets, envelope)
            plain = self.security.open(octets, envelope) if self.security else None
            return self._discard() if plain is None else self._process(nas.decode(plain, Direction.DOWNLINK))
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
        heard: list[UeEffect] = [NasReceived(names.of_nas(message))]
        return heard + self._react(message)

    def _react(self, message: EmmMessage) -> list[UeEffect]:
        match message:
            case IdentityRequest():
                return self._on_identity_request(message)
            case AuthenticationRequest():
                return self._on_authentication_request(message)
            case AuthenticationReject():
                return self._end(Verdict.REJECTED, "Authentication Reject", EmmCause.ILLEGAL_UE)
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
                return [self._answer(DetachAccept()), *self._end(Verdict.FAILED, "detached by the network")]
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
                identity = self.usim.imsi
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
        if self._fresh is None or self._fresh[0] != message.nas_ksi:
            return self._discard()
        heard = NasReceived(names.of_nas(message))
        eea_octet, eia_octet = self.profile.ue_network_capability[:2]
        known = capability.supports(eea_octet, message.eea) and capability.supports(eia_octet, message.eia)
        told = capability.replayed(self.profile.ue_network_capability, self.profile.ms_network_capability)
        if not known or message.replayed_ue_security_capability != told:
            return [heard, *self._refuse_security_mode(EmmCause.SECURITY_CAPABILITIES_MISMATCH)]
        fresh = NasSecurity(self._fresh[1], message.nas_ksi, message.eea, message.eia)
        if message.eia == 0 or fresh.open(octets, envelope) is None:
            return [heard, *self._refuse_security_mode(EmmCause.SECURITY_MODE_REJECTED)]
        self.security = fresh
        self._fresh = None
        self._challenge = None
        return self._secured(message)

    def _secured(self, message: SecurityModeCommand) -> list[UeEffect]:
        complete = SecurityModeComplete(self.profile.imeisv if message.imeisv_requested else None)
        return [NasReceived(names.of_nas(message)), self._answer(complete, SecurityHeader.INTEGRITY_CIPHERED_NEW)]

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
        self.bearer = request
        self.state = State.REGISTERED
        accept = ActivateDefaultEpsBearerContextAccept(request.eps_bearer_identity, request.pti)
        return [StopTimer(T3410), self._answer(AttachComplete(accept)), Registered()]

    def _on_attach_reject(self, message: AttachReject) -> list[UeEffect]:
        text = f"Attach Reject #{message.cause.value}"
        if isinstance(message.esm, PdnConnectivityReject):
            text += f" (ESM #{message.esm.cause.value})"
        return self._end(Verdict.REJECTED, text, message.cause)

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
        return [StopTimer(T3410), StopTimer(T3421), Ended(verdict, cause, number, connection_lost)]

    def _plain(self, message: EmmMessage) -> SendNas:
        return SendNas(nas.encode(message), names.of_nas(message))

    def _answer(self, message: EmmMessage, header: SecurityHeader = SecurityHeader.INTEGRITY_CIPHERED) -> SendNas:
        """Protected as soon as a security context is in use (4.4.2.3)."""
        if self.security is None:
            return self._plain(message)
        return SendNas(self.security.protect(nas.encode(message), header), names.of_nas(message), protected=True)
