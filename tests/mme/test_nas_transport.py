"""NAS security on its way in and out (TS 24.301 4.4), seen from a UE that computes for itself.

The UE's side below is AES alone; TS 33.401 annex C says that it is right before it judges the MME.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from mme import nas_transport
from mme.codec import nas
from mme.context import SecurityContext, UeContext
from mme.crypto import kdf
from mme.enums import Direction, EmmState, SecurityHeader, Step
from mme.errors import NasError
from mme.ids import Guti, Imei, STmsi, Tmsi
from mme.messages import (
    AttachComplete,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    EmmMessage,
    EmmStatus,
    ExtendedServiceRequest,
    IdentityResponse,
    Secured,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceRequest,
    TrackingAreaUpdateRequest,
)
from mme.nas_transport import Discarded, Uplink, claimed_m_tmsi, protect, receive
from tests.mme.codec.outside import vectors
from tests.mme.procedures import conftest as ue

CRYPTO = Path(__file__).parents[1] / "vectors" / "crypto"
NAS_SECURITY = json.loads((CRYPTO / "nas_security.json").read_text(encoding="utf-8"))

# TS 24.301 4.4.4.3, "… the following NAS signalling messages".
WITHOUT_INTEGRITY: set[type[EmmMessage]] = {
    AttachRequest,
    IdentityResponse,
    AuthenticationResponse,
    AuthenticationFailure,
    SecurityModeReject,
    DetachRequestFromUe,
    DetachAccept,
    TrackingAreaUpdateRequest,
}
# The same clause: one that fails its check is answered by SERVICE REJECT #9, so it must be seen.
ANSWERED: set[type[EmmMessage]] = {ServiceRequest, ExtendedServiceRequest}
EVERY = [*ue.UPLINK.values(), *ue.UPLINK_OF_OTHERS.values()]
# SERVICE REQUEST has a short MAC of its own and no envelope (9.9.3.28).
IN_ENVELOPE = [m for m in EVERY if not isinstance(m, ServiceRequest)]
UPLINK, DOWNLINK = 0, 1
INTEGRITY, CIPHERED, NEW, CIPHERED_NEW = (
    SecurityHeader.INTEGRITY,
    SecurityHeader.INTEGRITY_CIPHERED,
    SecurityHeader.INTEGRITY_NEW,
    SecurityHeader.INTEGRITY_CIPHERED_NEW,
)

# --------------------------------------------------------------------------- the UE's own computation


def first_half(count: int, bearer: int, direction: int) -> bytes:
    return count.to_bytes(4, "big") + bytes((bearer << 3 | direction << 2, 0, 0, 0))


def eia2(key: bytes, count: int, bearer: int, direction: int, message: bytes) -> bytes:
    cmac = CMAC(AES(key))
    cmac.update(first_half(count, bearer, direction) + message)
    return cmac.finalize()[:4]


def eea2(key: bytes, count: int, bearer: int, direction: int, octets: bytes) -> bytes:
    return Cipher(AES(key), CTR(first_half(count, bearer, direction) + bytes(8))).encryptor().update(octets)


def joined(hex_lines: str | list[str]) -> bytes:
    return bytes.fromhex(hex_lines if isinstance(hex_lines, str) else "".join(hex_lines))


@pytest.mark.parametrize("entry", NAS_SECURITY["eia2"], ids=lambda e: e["set"])
def test_this_ue_computes_macs_as_annex_c_does(entry: dict[str, Any]) -> None:
    mac = eia2(
        bytes.fromhex(entry["key"]),
        int(entry["count"], 16),
        entry["bearer"],
        entry["direction"],
        joined(entry["message"])[: entry["length_bits"] // 8],
    )
    assert mac.hex() == entry["mac"]


@pytest.mark.parametrize("entry", NAS_SECURITY["eea2"], ids=lambda e: e["set"])
def test_this_ue_ciphers_as_annex_c_does(entry: dict[str, Any]) -> None:
    whole = entry["length_bits"] // 8
    key, count = bytes.fromhex(entry["key"]), int(entry["count"], 16)
    ciphered = eea2(key, count, entry["bearer"], entry["direction"], joined(entry["plaintext"])[:whole])
    assert ciphered == joined(entry["ciphertext"])[:whole]


def sealed(
    keys: SecurityContext,
    message: EmmMessage | bytes,
    count: int,
    header: SecurityHeader = CIPHERED,
    *,
    direction: int = UPLINK,
    bearer: int = 0,
) -> bytes:
    """What a UE with these keys sends under that NAS COUNT.  Another direction or bearer: what it must not send."""
    plain = message if isinstance(message, bytes) else nas.encode(message)
    if header in {CIPHERED, CIPHERED_NEW} and keys.eea == 2:
        plain = eea2(keys.k_nas_enc, count, bearer, direction, plain)
    signed = bytes((count & 0xFF,)) + plain
    return bytes((header << 4 | 7,)) + eia2(keys.k_nas_int, count, bearer, direction, signed) + signed


def opened(keys: SecurityContext, octets: bytes, count: int) -> bytes:
    """The plain message that a UE reads under that NAS COUNT; its MAC must be right."""
    header, mac, signed = SecurityHeader(octets[0] >> 4), octets[1:5], octets[5:]
    assert signed[0] == count & 0xFF
    assert mac == eia2(keys.k_nas_int, count, 0, DOWNLINK, signed)
    if header in {CIPHERED, CIPHERED_NEW} and keys.eea == 2:
        return eea2(keys.k_nas_enc, count, 0, DOWNLINK, signed[1:])
    return signed[1:]


KEYS = ue.security(ul_count=0, dl_count=0)
OTHER_KEYS = replace(KEYS, k_nas_enc=bytes(16), k_nas_int=bytes(16))
STATUS = EmmStatus(97)


def secured(**changes: Any) -> UeContext:
    return ue.registered(security=replace(KEYS, **changes))


def uplink(received: Uplink | Discarded) -> Uplink:
    assert isinstance(received, Uplink), received
    return received


def ul_count(ctx: UeContext) -> int:
    assert ctx.security is not None
    return ctx.security.ul_count


# --------------------------------------------------------------------------- without integrity (4.4.4.3)


@pytest.mark.parametrize("message", EVERY, ids=lambda m: type(m).__name__)
def test_before_secure_exchange_exactly_the_messages_of_4443_are_taken_without_integrity(message: EmmMessage) -> None:
    before = ue.fresh()
    received = receive(before, nas.encode(message))
    if type(message) in WITHOUT_INTEGRITY | ANSWERED:
        plain = nas.encode(message)
        assert received == Uplink(message, hashlib.sha256(plain).digest(), protected=False, ctx=before)
    else:
        assert received == Discarded(f"not protected: {type(message).__name__}")


def test_the_table_of_the_transport_is_that_of_4443_and_the_service_requests() -> None:
    assert set(nas_transport.UNPROTECTED) == WITHOUT_INTEGRITY | ANSWERED


@pytest.mark.parametrize("message", EVERY, ids=lambda m: type(m).__name__)
def test_once_secure_exchange_is_established_nothing_is_taken_without_integrity(message: EmmMessage) -> None:
    received = receive(secured(), nas.encode(message))
    assert isinstance(received, Discarded)
    assert received.reason.endswith("after secure exchange was established")


@pytest.mark.parametrize("message", IN_ENVELOPE, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("header", [INTEGRITY, NEW])
def test_before_secure_exchange_a_mac_that_cannot_be_verified_is_as_none(
    message: EmmMessage, header: SecurityHeader
) -> None:
    received = receive(ue.fresh(), sealed(OTHER_KEYS, message, 3, header))
    assert isinstance(received, Uplink) == (type(message) in WITHOUT_INTEGRITY | ANSWERED)
    if isinstance(received, Uplink):
        assert (received.message, received.protected, received.ctx) == (message, False, ue.fresh())


def test_equal_attach_requests_have_equal_digests_whatever_protects_them() -> None:
    """5.5.1.2.7 d, e compare information elements, not NAS COUNTs."""
    octets = [nas.encode(ue.attach_request())]
    octets += [sealed(OTHER_KEYS, ue.attach_request(), count, INTEGRITY) for count in (3, 4)]
    digests = {uplink(receive(ue.fresh(), o)).digest for o in octets}
    assert len(digests) == 1
    other = nas.encode(ue.attach_request(attach_type=2))
    assert uplink(receive(ue.fresh(), other)).digest not in digests


def test_a_wrong_mac_under_a_context_of_an_earlier_connection_is_as_none_and_moves_no_count() -> None:
    before = replace(ue.registered(security=replace(KEYS, ul_count=5)), secured=False)
    received = uplink(receive(before, sealed(OTHER_KEYS, ue.attach_request(), 5, INTEGRITY)))
    assert (received.protected, received.ctx) == (False, before)


def test_a_right_mac_under_a_context_of_an_earlier_connection_is_protected() -> None:
    before = replace(ue.registered(security=replace(KEYS, ul_count=5)), secured=False)
    received = uplink(receive(before, sealed(KEYS, ue.attach_request(), 5, INTEGRITY)))
    assert (received.protected, ul_count(received.ctx)) == (True, 6)


@pytest.mark.parametrize("identity", [Imei("353490069873319"), Imei("3534900698733190"), Tmsi(1)])
def test_an_identity_response_without_integrity_is_taken_for_an_imsi_only(identity: Any) -> None:
    received = receive(ue.asked_for_identity(), nas.encode(IdentityResponse(identity)))
    assert received == Discarded("not protected: identity other than IMSI")


def test_an_identity_response_with_no_identity_is_taken() -> None:
    assert uplink(receive(ue.asked_for_identity(), nas.encode(IdentityResponse(None)))).message == IdentityResponse(
        None
    )


@pytest.mark.parametrize("header", [CIPHERED, CIPHERED_NEW])
@pytest.mark.parametrize("build", [ue.fresh, ue.challenged, ue.commanded, secured])
def test_what_is_ciphered_under_a_context_that_is_not_there_is_discarded(build: Any, header: SecurityHeader) -> None:
    assert isinstance(receive(build(), sealed(OTHER_KEYS, ue.attach_request(), 0, header)), Discarded)


# --------------------------------------------------------------------------- with integrity


@pytest.mark.parametrize("eea", [0, 2])
@pytest.mark.parametrize("header", [INTEGRITY, CIPHERED])
@pytest.mark.parametrize("message", IN_ENVELOPE, ids=lambda m: type(m).__name__)
def test_a_protected_message_is_deciphered_and_counted(message: EmmMessage, header: SecurityHeader, eea: int) -> None:
    before = secured(eea=eea, ul_count=7)
    keys = before.security
    assert keys is not None
    received = uplink(receive(before, sealed(keys, message, 7, header)))
    digest = hashlib.sha256(nas.encode(message)).digest()
    assert received == Uplink(message, digest, protected=True, ctx=secured(eea=eea, ul_count=8))


@pytest.mark.parametrize("header", [INTEGRITY, CIPHERED])
@pytest.mark.parametrize("octet", range(1, 9))
def test_one_wrong_bit_anywhere_is_discarded(header: SecurityHeader, octet: int) -> None:
    """Octets 1 to 4 are the MAC, 5 the sequence number, 6 on the message."""
    octets = bytearray(sealed(KEYS, STATUS, 0, header))
    octets[octet] ^= 1
    assert isinstance(receive(secured(), bytes(octets)), Discarded)


@pytest.mark.parametrize(("direction", "bearer"), [(DOWNLINK, 0), (UPLINK, 1)])
def test_a_mac_of_the_other_direction_or_of_a_radio_bearer_is_discarded(direction: int, bearer: int) -> None:
    octets = sealed(KEYS, STATUS, 0, direction=direction, bearer=bearer)
    assert isinstance(receive(secured(), octets), Discarded)


def test_a_downlink_message_sent_back_is_discarded() -> None:
    octets, _ = protect(secured(), Secured(EmmStatus(97)))
    assert isinstance(receive(secured(), octets), Discarded)


def test_a_replayed_message_is_discarded_and_the_next_one_is_taken() -> None:
    octets = sealed(KEYS, STATUS, 0)
    after = uplink(receive(secured(), octets)).ctx
    assert isinstance(receive(after, octets), Discarded)
    assert ul_count(uplink(receive(after, sealed(KEYS, STATUS, 1))).ctx) == 2


@given(st.integers(0, (1 << 24) - 2), st.data())
def test_no_count_below_the_expected_one_is_ever_taken(expected: int, data: Any) -> None:
    count = data.draw(st.integers(max(0, expected - 600), max(0, expected - 1)))
    if count < expected:
        assert isinstance(receive(secured(ul_count=expected), sealed(KEYS, STATUS, count)), Discarded)


@given(st.integers(0, (1 << 24) - 257), st.integers(0, 255))
def test_up_to_255_messages_may_be_lost_before_one_that_is_taken(expected: int, lost: int) -> None:
    """4.4.3.1: the overflow counter is estimated from the sequence number."""
    received = uplink(receive(secured(ul_count=expected), sealed(KEYS, STATUS, expected + lost)))
    assert ul_count(received.ctx) == expected + lost + 1


def test_more_lost_messages_than_a_sequence_number_counts_are_not_made_good() -> None:
    assert isinstance(receive(secured(ul_count=10), sealed(KEYS, STATUS, 10 + 256)), Discarded)


@pytest.mark.parametrize(
    ("expected", "count"), [(0xFF, 0xFF), (0x100, 0x100), (0xFF, 0x100), (0xFE, 0x101), (0x12FF, 0x1300)]
)
def test_the_sequence_number_wraps_from_ff_to_00_into_the_overflow_counter(expected: int, count: int) -> None:
    received = uplink(receive(secured(ul_count=expected), sealed(KEYS, STATUS, count)))
    assert ul_count(received.ctx) == count + 1


def test_a_wrapped_sequence_number_under_the_old_overflow_counter_is_discarded() -> None:
    assert isinstance(receive(secured(ul_count=0x100), sealed(KEYS, STATUS, 0x00)), Discarded)


def count_after(ctx: UeContext, octets: bytes) -> int:
    """The uplink NAS COUNT that a caller goes on with: of the context that comes back, else as it was."""
    try:
        received = receive(ctx, octets)
    except NasError:
        return ul_count(ctx)
    return ul_count(getattr(received, "ctx", ctx))


@pytest.mark.parametrize("plain", [b"\x07\xff", b"\x07\x60", b"\x07\x41\x00"], ids=["type", "cut off", "attach"])
def test_a_genuine_message_that_cannot_be_decoded_uses_up_its_count(plain: bytes) -> None:
    """4.4.3.2: one and the same message is not taken twice; here each copy would be answered again."""
    assert count_after(secured(), sealed(KEYS, plain, 0)) == 1


@pytest.mark.parametrize("header", range(5, 12))
def test_a_reserved_security_header_is_discarded_once_secure_exchange_is_established(header: int) -> None:
    """4.4.4.3: what is not integrity checked is not processed; an answer would be one to anybody."""
    octets = bytes((header << 4 | 7,)) + bytes(5) + nas.encode(STATUS)
    assert isinstance(receive(secured(), octets), Discarded)


@pytest.mark.parametrize("octets", [b"", b"\x07", b"\x17\x00\x00\x00\x00\x00"])
def test_octets_too_short_for_a_header_are_to_be_ignored(octets: bytes) -> None:
    """7.2.1."""
    with pytest.raises(NasError) as error:
        receive(ue.fresh(), octets)
    assert error.value.cause is None


# --------------------------------------------------------------------------- SECURITY MODE COMPLETE

NEW_KEYS = ue.security(ul_count=0, dl_count=1)
COMPLETE = SecurityModeComplete()


def test_security_mode_complete_is_checked_under_the_new_context_and_counted_there() -> None:
    before = ue.commanded(security=OTHER_KEYS, secured=True)
    received = uplink(receive(before, sealed(NEW_KEYS, COMPLETE, 0, CIPHERED_NEW)))
    assert (received.message, received.protected) == (COMPLETE, True)
    assert received.ctx == replace(before, security_new=replace(NEW_KEYS, ul_count=1))


@pytest.mark.parametrize("keys", [OTHER_KEYS, replace(NEW_KEYS, k_nas_int=bytes(16))])
def test_security_mode_complete_under_other_keys_is_discarded(keys: SecurityContext) -> None:
    before = ue.commanded(security=OTHER_KEYS, secured=True)
    assert isinstance(receive(before, sealed(keys, COMPLETE, 0, CIPHERED_NEW)), Discarded)


@pytest.mark.parametrize("header", [INTEGRITY, CIPHERED])
def test_the_new_context_protects_nothing_but_what_says_so(header: SecurityHeader) -> None:
    assert isinstance(receive(ue.commanded(), sealed(NEW_KEYS, COMPLETE, 0, header)), Discarded)


def test_a_second_security_mode_complete_is_discarded() -> None:
    """The command was resent; the first answer has taken the context into use."""
    octets = sealed(KEYS, COMPLETE, 1, CIPHERED_NEW)
    assert isinstance(receive(ue.waiting_for_profile(security=replace(KEYS, ul_count=1)), octets), Discarded)


@pytest.mark.parametrize("step", [step for state, step in ue.STATIONS if step is not Step.SECURITY_MODE])
def test_the_new_context_counts_only_while_its_command_is_out(step: Step) -> None:
    state = next(s for s, t in ue.STATIONS if t is step and s is not EmmState.DEREGISTERED)
    before = replace(ue.STATIONS[state, step](), security_new=NEW_KEYS)
    assert isinstance(receive(before, sealed(NEW_KEYS, COMPLETE, 0, CIPHERED_NEW)), Discarded)


# --------------------------------------------------------------------------- downlink


def test_security_mode_command_is_protected_as_srsran_expects_it() -> None:
    """Octets and subscriber of srsRAN's nas_test: XOR algorithm of TS 34.108 8.1.2, PLMN 001 01, EEA0 and EIA2."""
    k = bytes.fromhex("00112233445566778899aabbccddeeff")
    request = nas.decode(vectors("nas/srsran")["auth_request"], Direction.DOWNLINK)
    rand, autn = request.rand, request.autn  # type: ignore[attr-defined]
    xdout = bytes(a ^ b for a, b in zip(k, rand, strict=True))
    k_asme = kdf.k_asme(xdout[1:] + xdout[:1], xdout[2:] + xdout[:2], bytes.fromhex("00f110"), autn[:6])
    keys = SecurityContext(1, k_asme, eea=0, eia=2, k_nas_enc=bytes(16), k_nas_int=kdf.k_nas_int(k_asme, 2))
    command = SecurityModeCommand(0, 2, 1, bytes.fromhex("f070"), imeisv_requested=True)
    octets, after = protect(ue.commanded(security_new=keys), Secured(command, NEW))
    assert octets == vectors("nas/srsran")["sec_mode_command"]
    assert after.security_new == replace(keys, dl_count=1)


def test_a_plain_message_is_the_message_and_counts_nothing() -> None:
    before = secured()
    assert protect(before, Secured(STATUS, SecurityHeader.PLAIN)) == (nas.encode(STATUS), before)


@pytest.mark.parametrize("eea", [0, 2])
@pytest.mark.parametrize("header", [INTEGRITY, CIPHERED])
@pytest.mark.parametrize("count", [0, 1, 0xFF, 0x100, 0xABCD, (1 << 24) - 1])
def test_a_protected_downlink_is_what_the_ue_computes(count: int, header: SecurityHeader, eea: int) -> None:
    before = secured(dl_count=count, eea=eea)
    octets, after = protect(before, Secured(STATUS, header))
    assert octets[0] == header << 4 | 7
    assert opened(replace(KEYS, eea=eea), octets, count) == nas.encode(STATUS)
    assert after == secured(dl_count=count + 1, eea=eea)


def test_security_mode_command_is_not_ciphered_and_leaves_the_old_context_alone() -> None:
    command = SecurityModeCommand(2, 2, 1, bytes.fromhex("f0f0"))
    before = ue.commanded(security=replace(OTHER_KEYS, dl_count=9), security_new=replace(NEW_KEYS, dl_count=0))
    octets, after = protect(before, Secured(command, NEW))
    assert octets[6:] == nas.encode(command)
    assert opened(NEW_KEYS, octets, 0) == nas.encode(command)
    assert after == replace(before, security_new=NEW_KEYS)


@given(st.integers(0, (1 << 24) - 21), st.lists(st.sampled_from([INTEGRITY, CIPHERED, NEW]), max_size=20))
def test_no_downlink_count_is_used_twice_under_one_key(start: int, headers: list[SecurityHeader]) -> None:
    ctx = ue.commanded(security=replace(KEYS, dl_count=start), security_new=replace(OTHER_KEYS, dl_count=start))
    used: list[tuple[bytes, int]] = []
    for header in headers:
        current = ctx.security_new if header is NEW else ctx.security
        assert current is not None
        octets, ctx = protect(ctx, Secured(STATUS, header))
        assert opened(current, octets, current.dl_count) == nas.encode(STATUS)
        used.append((current.k_nas_int, current.dl_count))
    assert len(set(used)) == len(used)


@pytest.mark.parametrize("header", [INTEGRITY, CIPHERED, NEW])
def test_the_last_downlink_count_is_not_followed_by_the_first(header: SecurityHeader) -> None:
    """4.4.3.5: the NAS COUNT does not wrap around."""
    used_up = replace(KEYS, dl_count=1 << 24)
    with pytest.raises(ValueError, match="used up"):
        protect(ue.commanded(security=used_up, security_new=used_up), Secured(STATUS, header))


@pytest.mark.parametrize("header", [INTEGRITY, CIPHERED, NEW])
def test_nothing_is_protected_without_a_context(header: SecurityHeader) -> None:
    with pytest.raises(ValueError, match="no security context"):
        protect(ue.fresh(), Secured(STATUS, header))


def test_attach_complete_reaches_the_procedure_deciphered() -> None:
    complete = AttachComplete(ue.UPLINK_ESM[3])
    received = uplink(receive(ue.accepted(security=replace(KEYS, ul_count=1)), sealed(KEYS, complete, 1)))
    assert received.message == complete


# --------------------------------------------------------------------------- SERVICE REQUEST (9.9.3.28, 8.2.25)


def service_request(keys: SecurityContext, count: int, *, ksi: int | None = None) -> bytes:
    """Security header 12, KSI and 5 bits of the count, and the last 2 octets of the MAC over the first 2."""
    head = bytes((SecurityHeader.SERVICE_REQUEST << 4 | 7, (keys.ksi if ksi is None else ksi) << 5 | count & 0x1F))
    return head + eia2(keys.k_nas_int, count, 0, UPLINK, head)[2:]


def idle(ul_count: int) -> UeContext:
    return ue.idle(security=replace(KEYS, ul_count=ul_count))


@pytest.mark.parametrize("count", [0, 1, 0x1F, 0x20, 0xFF, 0x100, 0xABCDE, (1 << 24) - 1])
def test_a_service_request_is_proven_by_its_short_mac_and_counted(count: int) -> None:
    octets = service_request(KEYS, count)
    received = uplink(receive(idle(count), octets))
    assert isinstance(received.message, ServiceRequest)
    assert (received.message.ksi, received.message.sequence_number) == (KEYS.ksi, count & 0x1F)
    assert received.protected
    assert received.ctx == idle(count + 1)
    assert received.digest == hashlib.sha256(octets).digest()


@pytest.mark.parametrize(("expected", "count"), [(0x1F, 0x20), (0x1E, 0x21), (0xFF, 0x100), (5, 36), (0x3FF, 0x400)])
def test_the_rest_of_its_count_is_estimated(expected: int, count: int) -> None:
    """Up to 31 messages may be lost before it."""
    assert ul_count(uplink(receive(idle(expected), service_request(KEYS, count))).ctx) == count + 1


def test_more_lost_messages_than_five_bits_count_are_not_made_good() -> None:
    assert not uplink(receive(idle(5), service_request(KEYS, 5 + 32))).protected


@pytest.mark.parametrize("bit", range(16, 32))
def test_a_service_request_with_a_wrong_short_mac_proves_nothing_and_moves_no_count(bit: int) -> None:
    octets = bytearray(service_request(KEYS, 7))
    octets[bit // 8] ^= 1 << bit % 8
    received = uplink(receive(idle(7), bytes(octets)))
    assert (received.protected, received.ctx) == (False, idle(7))
    assert isinstance(receive(secured(ul_count=7), bytes(octets)), Discarded)


def test_a_service_request_under_another_key_set_proves_nothing() -> None:
    octets = service_request(KEYS, 7, ksi=(KEYS.ksi + 1) % 7)
    assert not uplink(receive(idle(7), octets)).protected


def test_a_replayed_service_request_proves_nothing() -> None:
    octets = service_request(KEYS, 7)
    after = uplink(receive(idle(7), octets)).ctx
    assert not uplink(receive(after, octets)).protected


@given(st.integers(0, (1 << 24) - 1), st.integers(1, 64))
def test_no_service_request_below_the_expected_count_is_ever_proven(count: int, later: int) -> None:
    expected = min(count + later, (1 << 24) - 1)
    if expected > count:
        received = receive(idle(expected), service_request(KEYS, count))
        assert not (isinstance(received, Uplink) and received.protected)


def test_a_count_beyond_24_bits_is_not_taken() -> None:
    """4.4.3.5: the count is used up, it must not start again under the same key."""
    past = receive(idle(1 << 24), service_request(KEYS, 1 << 24))
    assert not (isinstance(past, Uplink) and past.protected)


# --------------------------------------------------------------------------- whose message is it?

GUMMEI = ue.GUTI.gummei
HERE = STmsi(GUMMEI.mme_code, 0xAABBCCDD)
ELSEWHERE = STmsi(GUMMEI.mme_code + 1, 0xAABBCCDD)
FOREIGN = Guti(replace(GUMMEI, mme_group_id=9), 0x11223344)
OURS = ue.GUTI.m_tmsi


@pytest.mark.parametrize(
    ("message", "s_tmsi", "claimed"),
    [
        (ue.attach_request(identity=ue.GUTI), None, OURS),
        (ue.attach_request(identity=ue.GUTI), HERE, OURS),
        (ue.attach_request(identity=FOREIGN), None, None),
        (ue.attach_request(identity=FOREIGN), HERE, None),
        (ue.attach_request(), HERE, HERE.m_tmsi),
        (ue.attach_request(), None, None),
        (TrackingAreaUpdateRequest(0, False, 1, ue.GUTI), ELSEWHERE, OURS),
        (TrackingAreaUpdateRequest(0, False, 1, FOREIGN), HERE, None),
        (DetachRequestFromUe(1, False, 1, ue.GUTI), None, OURS),
        (DetachRequestFromUe(1, False, 1, FOREIGN), HERE, None),
        (DetachRequestFromUe(1, False, 1, ue.IMSI), HERE, HERE.m_tmsi),
        (ExtendedServiceRequest(0, 1, OURS), HERE, OURS),
        (EmmStatus(97), HERE, HERE.m_tmsi),
        (EmmStatus(97), ELSEWHERE, None),
    ],
)
def test_the_guti_in_a_protected_message_counts_before_the_s_tmsi_beside_it(
    message: EmmMessage, s_tmsi: STmsi | None, claimed: int | None
) -> None:
    assert claimed_m_tmsi(sealed(KEYS, message, 0, INTEGRITY), s_tmsi, GUMMEI) == claimed


@pytest.mark.parametrize(("s_tmsi", "claimed"), [(HERE, HERE.m_tmsi), (ELSEWHERE, None), (None, None)])
def test_a_service_request_and_what_is_ciphered_are_claimed_by_the_s_tmsi_alone(
    s_tmsi: STmsi | None, claimed: int | None
) -> None:
    assert claimed_m_tmsi(service_request(KEYS, 0), s_tmsi, GUMMEI) == claimed
    ciphered = sealed(KEYS, ue.attach_request(identity=ue.GUTI), 0, CIPHERED)
    assert claimed_m_tmsi(ciphered, s_tmsi, GUMMEI) == claimed


@pytest.mark.parametrize("message", IN_ENVELOPE, ids=lambda m: type(m).__name__)
def test_what_has_no_mac_claims_nobody(message: EmmMessage) -> None:
    assert claimed_m_tmsi(nas.encode(message), HERE, GUMMEI) is None


@pytest.mark.parametrize(
    ("octets", "plain_attach"),
    [
        ("074171", True),  # TS 24.301 8.2.4: EMM, ATTACH REQUEST, no key, EPS attach
        ("074172", True),  # combined
        ("074176", False),  # 9.9.3.11: EPS emergency attach
        ("0741", False),
        ("074571", False),  # DETACH REQUEST
        ("1700000000000741710b", False),  # integrity protected: whose it is must be seen first
        ("", False),
    ],
)
def test_a_plain_attach_is_told_by_its_first_octets(octets: str, plain_attach: bool) -> None:
    assert nas_transport.attaches_plainly(bytes.fromhex(octets)) is plain_attach
