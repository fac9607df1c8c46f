"""Authentication, security mode, identity, NAS protection (TS 24.301 4.4, 5.4.2 to 5.4.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from enb_app.cases.attach import heard, refused
from enb_app.cases.case import SkipError, Stage, case, check, discarded
from enb_app.cases.s1 import status_taken
from enb_app.device import Device
from enb_app.effects import Registered, SendNas, UeEffect
from enb_app.procedures import attach, detach, done, release, service_request
from enb_app.station import Station
from enb_app.usim import Usim
from mme.codec import nas
from mme.enums import DetachType, EmmCause, SecurityHeader
from mme.messages import (
    AttachReject,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    EmmMessage,
    EmmStatus,
    IdentityRequest,
    SecurityModeCommand,
    SecurityModeComplete,
    ServiceReject,
    UeContextModificationRequest,
    UeContextReleaseCommand,
)

BLOCKED_TYPE = "99000000"
BLOCKED_EQUIPMENT = "35349006987399"
"""What `blocked_imeis` must name: a type (8 digits) with every serial number, and one equipment of another type."""


async def rejected(ue: Device) -> None:
    """AUTHENTICATION REJECT and release."""
    await ue.expect(AuthenticationReject)
    await ue.idle()


@case("security", "5.4.2.5", "wrong RES: Authentication Reject and release")
async def attach_auth_failure(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), wrong_res=True)
    ue.perform(ue.ue.attach())
    await rejected(ue)


@case("security", "5.4.2.5, 5.4.2.7", "wrong RES of a UE that came with an unknown GUTI: identity first, then Reject")
async def auth_failure_after_guti(stage: Stage) -> None:
    other = await stage.attached()
    ue = stage.ue(other.station, wrong_res=True)
    ue.ue.guti = replace(other.ue.guti, m_tmsi=2) if other.ue.guti else None
    ue.perform(ue.ue.attach())
    await ue.expect(IdentityRequest)
    await rejected(ue)


def _with_wrong_key(ue: Device) -> None:
    card = ue.ue.usim.card
    ue.ue.usim = Usim(replace(card, k=bytes(octet ^ 0xFF for octet in card.k)))


@case("security", "5.4.2.7 c", "wrong AUTN: MAC failure #20, Identity Request, then Authentication Reject")
async def attach_auth_mac_failure(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    _with_wrong_key(ue)
    ue.perform(ue.ue.attach())
    await ue.expect(IdentityRequest)
    await rejected(ue)


@case("security", "5.4.2.7 c", "MAC failure, but another IMSI on request: a new challenge, and the attach completes")
async def auth_mac_failure_then_another_imsi(stage: Stage) -> None:
    ue, other = stage.ue(await stage.enb()), stage.ue(await stage.enb())
    own = ue.ue.usim
    ue.ue.usim = other.ue.usim
    request = next(e for e in ue.ue.attach() if isinstance(e, SendNas))
    ue.ue.usim = own
    await ue.say(request)
    await ue.expect(IdentityRequest)
    await ue.expect(Registered)
    await ue.settled()


def _ahead(ue: Device) -> None:
    """The USIM has seen a far later SQN than the HSS has given."""
    highest = int.from_bytes(ue.ue.usim.highest_sqn, "big") + (1 << 24)
    ue.ue.usim.highest_sqn = highest.to_bytes(6, "big")


@case("security", "5.4.2.7 e; TS 33.102 6.3.5", "SQN out of range: #21 with AUTS, a new challenge, attached")
async def attach_auth_resync(stage: Stage) -> None:
    ue = await stage.attached()
    await detach(ue)
    ue.ue.forget()
    _ahead(ue)
    before = heard(ue, AuthenticationRequest)
    await attach(ue)
    check(heard(ue, AuthenticationRequest) == before + 2, "two challenges", heard(ue, AuthenticationRequest) - before)


@case("security", "5.4.2.7 e", "a second synch failure in one attach: Authentication Reject")
async def attach_auth_second_synch_failure(stage: Stage) -> None:
    ue = await stage.attached()  # learns where the HSS's SQN stands
    await detach(ue)
    ue.ue.forget()
    ue.journal.skip()
    ue.ue.silent_to.add(AuthenticationRequest)
    ue.perform(ue.ue.attach())
    for _ in range(2):
        challenge = await ue.expect(AuthenticationRequest)
        await ue.settled()
        _ahead(ue)
        ue.perform(ue.ue.react(challenge))
    await rejected(ue)


@case("security", "5.4.2.7 e", "synch failure with a forged AUTS: Authentication Reject")
async def attach_auth_forged_auts(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(AuthenticationRequest)
    ue.perform(ue.ue.attach())
    await ue.expect(AuthenticationRequest)
    await ue.settled()
    await ue.say(AuthenticationFailure(EmmCause.SYNCH_FAILURE, bytes(14)))
    await rejected(ue)


@case("security", "5.4.2.7 d", "non-EPS authentication unacceptable (#26): Authentication Reject")
async def attach_non_eps_authentication_unacceptable(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(AuthenticationRequest)
    ue.perform(ue.ue.attach())
    await ue.expect(AuthenticationRequest)
    await ue.settled()
    await ue.say(AuthenticationFailure(EmmCause.NON_EPS_AUTHENTICATION_UNACCEPTABLE))
    await rejected(ue)


@case("security", "5.4.3.5", "Security Mode Reject #23: the attach is aborted and the connection released")
async def attach_security_mode_reject(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), knows_capability=False)
    ue.perform(ue.ue.attach())
    await ue.expect(SecurityModeCommand)
    await ue.expect(UeContextReleaseCommand)
    await ue.idle()


async def _with_algorithms(stage: Stage, capability: bytes) -> SecurityModeCommand:
    ue = stage.ue(await stage.enb(), ue_network_capability=capability)
    ue.perform(ue.ue.attach())
    command = await ue.expect(SecurityModeCommand)
    await ue.expect(Registered)
    await ue.settled()
    await detach(ue)
    return command


@case("security", "5.4.3.2", "a UE with EEA2 and EIA2: both chosen, and the attach completes")
async def attach_detach_security_algo_eea2_eia2(stage: Stage) -> None:
    command = await _with_algorithms(stage, bytes.fromhex("2020"))
    check((command.eea, command.eia) == (2, 2), "EEA2 and EIA2", f"EEA{command.eea} and EIA{command.eia}")


@case("security", "5.4.3.2", "a UE with EEA0 only: EEA0 with EIA2 where the MME allows it, else Attach Reject #23")
async def attach_detach_security_algo_eea0(stage: Stage) -> None:
    command = await _with_algorithms(stage, bytes.fromhex("8020"))
    check((command.eea, command.eia) == (0, 2), "EEA0 and EIA2", f"EEA{command.eea} and EIA{command.eia}")


@case("security", "5.4.3.2; TS 33.401 5.1.4.2", "a UE with null integrity only: Attach Reject #23")
async def attach_security_algo_eia0_only(stage: Stage) -> None:
    ue = stage.ue(await stage.enb(), ue_network_capability=bytes.fromhex("f080"))
    ue.perform(ue.ue.attach())
    await ue.expect(AttachReject, cause=EmmCause.SECURITY_CAPABILITIES_MISMATCH)
    await ue.idle()


@case("security", "9.9.3.36", "UMTS and GPRS algorithms are replayed in Security Mode Command")
async def security_capability_replayed(stage: Stage) -> None:
    station = await stage.enb()
    await stage.attached(
        station, ue_network_capability=bytes.fromhex("f070c040"), ms_network_capability=bytes.fromhex("e5e034")
    )


@case("security", "5.4.2.4", "the same challenge answered twice: the second answer is ignored")
async def authentication_response_twice(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to |= {AuthenticationRequest, SecurityModeCommand}
    ue.perform(ue.ue.attach())
    challenge = await ue.expect(AuthenticationRequest)
    await ue.settled()
    answer = next(e for e in ue.ue.react(challenge) if isinstance(e, SendNas))
    await ue.say(answer)
    await ue.expect(SecurityModeCommand)
    discarded(await ue.say(answer), "the second Authentication Response")
    check(heard(ue, SecurityModeCommand) == 1, "one Security Mode Command", heard(ue, SecurityModeCommand))


@case("security", "5.4.2.2", "the key set identifier of a challenge differs from the one that the UE came with")
async def challenge_uses_another_ksi(stage: Stage) -> None:
    ue = await stage.stranger()
    used = ue.ue.security.ksi if ue.ue.security else None
    ue.journal.skip()
    ue.perform(ue.ue.attach())
    challenge = await ue.expect(AuthenticationRequest)
    check(challenge.nas_ksi != used, f"a KSI other than {used}", challenge.nas_ksi)


@case("security", "5.4.2; TS 36.413 8.3.4", "authentication on the network's wish: new keys, a new K_eNB")
async def reauthentication_by_command(stage: Stage) -> None:
    ue = await stage.attached()
    before = ue.connection.side.k_enb if ue.connection else None
    ue.journal.skip()
    done(await stage.command("authenticate", ue), "authenticate")
    await ue.expect(UeContextModificationRequest)
    await ue.settled()
    check(ue.connection is not None and ue.connection.side.k_enb != before, "another K_eNB", "the same")
    await status_taken(ue)
    await release(ue)
    await service_request(ue)


async def authenticated_up_to(stage: Stage, ue: Device, kind: type[EmmMessage]) -> None:
    """The network authenticates the UE on its own wish; this message of it the UE has not answered yet."""
    ue.ue.silent_to.add(kind)
    ue.journal.skip()
    done(await stage.command("authenticate", ue), "authenticate")
    await ue.expect(kind)
    await ue.settled()
    ue.ue.silent_to.clear()


async def _commanded_again(stage: Stage, ask: Callable[[Device], list[UeEffect]], answer: type[EmmMessage]) -> None:
    """What the UE asks for in the middle of a security mode control is answered once it was commanded anew."""
    ue = await stage.attached()
    commands = heard(ue, SecurityModeCommand)
    await authenticated_up_to(stage, ue, SecurityModeCommand)
    ue.perform(ask(ue))
    await ue.expect(SecurityModeCommand)
    await ue.expect(answer)
    await ue.settled()
    check(heard(ue, SecurityModeCommand) == commands + 2, "two commands", heard(ue, SecurityModeCommand) - commands)
    check(not heard(ue, EmmStatus), "no EMM Status", "one")
    await status_taken(ue)
    await release(ue)
    await service_request(ue)


@case("security", "5.4.3.7 c", "extended service request in the middle of a security mode control: #18 after a new one")
async def extended_service_request_crosses_security_mode(stage: Stage) -> None:
    await _commanded_again(stage, lambda ue: ue.ue.extended_service_request(), ServiceReject)


@case("security", "5.4.3.7 c", "IMSI detach in the middle of a security mode control: accepted after a new one")
async def imsi_detach_crosses_security_mode(stage: Stage) -> None:
    await _commanded_again(stage, lambda ue: ue.ue.detach(switch_off=False, detach_type=DetachType.IMSI), DetachAccept)


@case("security", "4.4.3.2, 4.4.4.3", "a replayed uplink is discarded; the UE's next message is taken")
async def replayed_uplink(stage: Stage) -> None:
    ue = await stage.attached()
    message = ue.ue.protected(EmmStatus(EmmCause.PROTOCOL_ERROR))
    await ue.say(message)
    discarded(await ue.say(message), "the replayed message")
    await status_taken(ue)


@case("security", "4.4.4.3", "an uplink with a wrong MAC is discarded")
async def uplink_with_wrong_mac(stage: Stage) -> None:
    ue = await stage.attached()
    octets = ue.ue.protected(EmmStatus(EmmCause.PROTOCOL_ERROR)).octets
    forged = octets[:1] + bytes((octets[1] ^ 1,)) + octets[2:]
    discarded(await ue.say(SendNas(forged, "EMM Status", protected=True)), "the forged message")
    await status_taken(ue)


@case("security", "4.4.4.3", "unprotected messages after secure exchange is established are discarded")
async def unprotected_after_security_mode(stage: Stage) -> None:
    ue = await stage.attached()
    discarded(await ue.say(ue.ue.plain(EmmStatus(EmmCause.PROTOCOL_ERROR))), "the unprotected EMM Status")
    detach_request = SendNas(nas.encode(_detach(ue)), "Detach Request")
    discarded(await ue.say(detach_request), "the unprotected Detach Request")
    discarded(await ue.say(ue.ue.plain(AuthenticationResponse(bytes(8)))), "the unprotected response")
    await status_taken(ue)


def _detach(ue: Device) -> DetachRequestFromUe:
    return DetachRequestFromUe(1, True, 7, ue.ue.guti or ue.ue.usim.imsi)


@case("security", "4.4.4.3", "integrity right but not ciphered is taken: the MAC is what counts")
async def uplink_signed_not_ciphered(stage: Stage) -> None:
    ue = await stage.attached()
    security = ue.ue.security
    if security is None:
        raise SkipError("no security context")
    plain = nas.encode(EmmStatus(EmmCause.PROTOCOL_ERROR))
    octets = security.protect(plain, SecurityHeader.INTEGRITY)
    reply = await ue.say(SendNas(octets, "EMM Status", protected=True))
    check(reply.result == "done", "done", reply.result)


@case("security", "4.4.3.1", "a gap in the uplink count (messages lost on the way) is no obstacle")
async def gap_in_uplink_count(stage: Stage) -> None:
    ue = await stage.attached()
    if ue.ue.security is not None:
        ue.ue.security.ul_count += 9
    await status_taken(ue)
    await release(ue)
    if ue.ue.security is not None:
        ue.ue.security.ul_count += 9
    await service_request(ue)


@case("security", "4.4.3.1", "the sequence number wraps: the overflow counter goes on")
async def uplink_count_wraps(stage: Stage) -> None:
    ue = await stage.attached()
    if ue.ue.security is not None:
        ue.ue.security.ul_count = 0xFE
    for _ in range(4):
        await status_taken(ue)
    await release(ue)
    await service_request(ue)


@case("security", "5.4.3.4", "Security Mode Complete under a wrong key is discarded")
async def security_mode_complete_with_wrong_mac(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.ue.silent_to.add(SecurityModeCommand)
    ue.perform(ue.ue.attach())
    await ue.expect(SecurityModeCommand)
    await ue.settled()
    plain = nas.encode(SecurityModeComplete())
    forged = nas.seal(SecurityHeader.INTEGRITY_CIPHERED_NEW, bytes(4), 0, plain)
    discarded(await ue.say(SendNas(forged, "Security Mode Complete", protected=True)), "the forged message")


@case("security", "5.4.3.2", "IMEISV asked for in Security Mode Command (where the MME is told to)")
async def imeisv_in_security_mode(stage: Stage) -> None:
    ue = stage.ue(await stage.enb())
    ue.perform(ue.ue.attach())
    command = await ue.expect(SecurityModeCommand)
    await ue.expect(Registered)
    await ue.settled()
    if not command.imeisv_requested:
        raise SkipError("the MME does not ask for the IMEISV (request_imeisv)")


async def _where_equipment_is_checked(stage: Stage) -> Station:
    """Raises SkipError where nobody who has not told its IMEISV is asked for it."""
    station = await stage.enb()
    ue = stage.ue(station, tells_imeisv=False)
    await attach(ue)
    if not heard(ue, IdentityRequest):
        raise SkipError(f"the MME checks no equipment (blocked_imeis={BLOCKED_TYPE},{BLOCKED_EQUIPMENT})")
    return station


@case(
    "security", "5.5.1.2.5; TS 23.401 5.3.2.1 step 5b", "IMEISV in Security Mode Complete is blocked: Attach Reject #6"
)
async def imei_restriction_smc(stage: Stage) -> None:
    ue = stage.ue(await _where_equipment_is_checked(stage), imeisv=f"{BLOCKED_EQUIPMENT}01")
    await refused(ue, EmmCause.ILLEGAL_ME)
    check(not heard(ue, IdentityRequest), "no Identity Request", "one")


@case(
    "security", "5.5.1.2.5; TS 23.401 5.3.2.1 step 5b", "IMEISV not told: Identity Request; blocked: Attach Reject #6"
)
async def imei_restriction_no_imeisv_in_smc(stage: Stage) -> None:
    station = await _where_equipment_is_checked(stage)
    ue = stage.ue(station, imeisv=f"{BLOCKED_EQUIPMENT}01", tells_imeisv=False)
    await refused(ue, EmmCause.ILLEGAL_ME)
    check(heard(ue, IdentityRequest) == 1, "one Identity Request", heard(ue, IdentityRequest))


@case("security", "5.5.1.2.5; TS 23.401 5.3.2.1 step 5b", "a type is blocked: whatever the serial number, #6")
async def imei_restriction_wildcard_snr(stage: Stage) -> None:
    station = await _where_equipment_is_checked(stage)
    for serial_number in ("000000", "123456"):
        await refused(stage.ue(station, imeisv=f"{BLOCKED_TYPE}{serial_number}01"), EmmCause.ILLEGAL_ME)


@case(
    "security",
    "5.5.1.2.3, 5.5.1.2.5; TS 23.401 5.3.2.1 step 5b",
    "a USIM with GUTI and keys in blocked equipment: asked without authentication, Attach Reject #6",
)
async def imei_restriction_known_ue(stage: Stage) -> None:
    ue = await stage.idle(await _where_equipment_is_checked(stage))
    own, challenges = ue.ue.profile, heard(ue, AuthenticationRequest)
    ue.ue.profile = replace(own, imeisv=f"{BLOCKED_EQUIPMENT}01")
    await refused(ue, EmmCause.ILLEGAL_ME)
    check(heard(ue, AuthenticationRequest) == challenges, "no Authentication Request", "one")
    check(heard(ue, IdentityRequest) == 1, "one Identity Request", heard(ue, IdentityRequest))
    ue.ue.profile = own
    ue.ue.forget()
    await attach(ue)
