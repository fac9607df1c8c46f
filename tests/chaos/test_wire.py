"""The eavesdropper's NAS COUNT: from the MAC alone, near what the UE has counted, of the right key and way."""

from __future__ import annotations

import pytest

from chaos import wire
from enb_app.protection import NasSecurity
from enb_app.usim import Subscriber
from mme.codec import nas
from mme.crypto import nas_security
from mme.crypto.kdf import k_nas_int
from mme.enums import Direction, EmmCause, SecurityHeader
from mme.ids import Imsi
from mme.messages import EmmStatus

K_ASME = bytes(range(32))
STATUS = nas.encode(EmmStatus(EmmCause.PROTOCOL_ERROR))


def security() -> NasSecurity:
    return NasSecurity(K_ASME, 1, 2, 2)


def downlink(count: int) -> bytes:
    """As the network sends it, signed under that count."""
    signed = bytes((count & 0xFF,)) + STATUS
    mac = nas_security.mac(2, k_nas_int(K_ASME, 2), count, 0, nas_security.DOWNLINK, signed)
    return nas.seal(SecurityHeader.INTEGRITY, mac, count & 0xFF, STATUS)


@pytest.mark.parametrize("count", [0, 1, 254, 255, 256, 300])
def test_the_count_of_an_uplink_message(count: int) -> None:
    own = security()
    own.ul_count = count
    octets = own.protect(STATUS, SecurityHeader.INTEGRITY_CIPHERED)
    assert wire.Key(own).count_of(octets, Direction.UPLINK) == count


@pytest.mark.parametrize("count", [0, 31, 32, 77])
def test_the_count_of_a_service_request(count: int) -> None:
    own = security()
    own.ul_count = count
    assert wire.Key(own).count_of(own.service_request(), Direction.UPLINK) == count


@pytest.mark.parametrize(("believed", "count"), [(0, 0), (1, 0), (257, 3), (255, 256), (256, 255), (0, 300)])
def test_a_downlink_message_that_the_ue_would_not_take(believed: int, count: int) -> None:
    """Sent before, or counted on beyond what reached the UE."""
    own = security()
    own.dl_count = believed
    assert wire.Key(own).count_of(downlink(count), Direction.DOWNLINK) == count


def test_another_key_another_direction_and_a_changed_octet_are_not_taken() -> None:
    own, other = security(), NasSecurity(bytes(32), 1, 2, 2)
    octets = own.protect(STATUS, SecurityHeader.INTEGRITY)
    assert wire.Key(other).count_of(octets, Direction.UPLINK) is None
    assert wire.Key(own).count_of(octets, Direction.DOWNLINK) is None
    assert wire.Key(own).count_of(octets[:-1] + bytes((octets[-1] ^ 1,)), Direction.UPLINK) is None
    assert wire.Key(own).count_of(b"\x07", Direction.UPLINK) is None


def test_a_key_has_a_name_that_does_not_show_it() -> None:
    assert wire.Key(security()).name == wire.name_of(K_ASME)
    assert len(wire.name_of(K_ASME)) == 16
    assert wire.name_of(bytes(32)) != wire.name_of(K_ASME)
    assert wire.name_of(K_ASME) not in K_ASME.hex()


def test_the_sqn_of_a_challenge() -> None:
    """TS 35.208 4.3, set 1: AK and SQN as printed there."""
    card = Subscriber(
        Imsi("001010000000001"),
        bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"),
        bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf"),
    )
    rand, ak, sqn = "23553cbe9637a89d218ae64dae47bf35", "aa689c648370", "ff9bb4d0b607"
    concealed = int(ak, 16) ^ int(sqn, 16)
    autn = concealed.to_bytes(6, "big") + bytes(10)
    assert wire.sqn_of(card, bytes.fromhex(rand), autn) == int(sqn, 16)
