"""Exchanges of other networks: their phones' and eNBs' octets in, this MME's answer octet for octet as theirs.

Keys, RAND, SQN, subscription and session are those of the other network; of the phones that come back (two published
captures) the keys are not known: they sign anew, and what hangs on K_ASME is masked.  What may differ is listed, with
the reason, in masks.toml and nowhere else: each mask is found exactly once in their octets, and `??` stands for any
octet.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from enb_app.enb import Cell
from mme.codec import s1ap
from mme.config import MmeConfig
from mme.context import Bearer, SecurityContext, UeContext
from mme.crypto import kdf, milenage
from mme.enums import EmmState
from mme.ids import GlobalEnbId, Guti, Imsi, Plmn, STmsi
from mme.m_tmsi import context_of
from mme.messages import InitialUeMessage
from mme.needs import ApnConfiguration, Done, Need, NeedProfile, NeedSession, NeedVector, Profile, Session, Vector
from mme.rows import pack
from mme.store.base import Saved, Table
from mme.work import Ports
from tests.mme.codec.outside import vectors
from tests.mme.runtime.pair import ENB, EPOCH, M_TMSI_KEY, Network
from tests.mme.test_nas_transport import eia2

THEIRS, PHONE = vectors("exchanges/nextepc_attach"), vectors("s1ap/nextepc")
OPEN5GS = vectors("s1ap/open5gs")
LAB, SRSRAN_S1AP, SRSRAN_NAS = vectors("s1ap/lab"), vectors("s1ap/srsran"), vectors("nas/srsran")
MASKS = tomllib.loads((Path(__file__).parent / "masks.toml").read_text(encoding="utf-8"))

TEST = Plmn("00101")
NEXTEPC = MmeConfig(m_tmsi_key=M_TMSI_KEY, mme_group_id=2, mme_code=1, tacs=(12345,), eea_order=(0,), t3412_s=3240)
APN = ApnConfiguration("internet", 9, 8, 1_000_000_000, 1_000_000_000, (1,), preemption_vulnerable=False)
PCO = bytes.fromhex("80c223040300000480211002000010810608080808830608080404000d0408080808000d0408080404")


@dataclass
class Injected:
    """HSS and gateway of the other network."""

    vector: Vector
    profile: Profile = field(default=Profile(1_048_576_000, 1_048_576_000, (APN,)))

    def ask(self, need: Need) -> Vector | Profile | Session | Done:
        match need:
            case NeedVector():
                return self.vector
            case NeedProfile():
                return self.profile
            case NeedSession():
                return Session("s", bytes((127, 0, 0, 2)), 1, bytes((45, 45, 0, 2)), pco=PCO)
            case _:
                return Done()


def milenage_vector(k: str, opc: str, rand: str, sqn: int, plmn: Plmn) -> Vector:
    octets = (bytes.fromhex(k), bytes.fromhex(opc), bytes.fromhex(rand), sqn.to_bytes(6, "big"), b"\x80\x00")
    made = milenage.generate_eutran_vector(*octets, plmn.octets())
    return Vector(made.rand, made.xres, made.autn, made.k_asme)


def xor_vector(k: bytes, rand: bytes, autn: bytes, plmn: Plmn) -> Vector:
    """The test algorithm of TS 34.108 8.1.2: XDOUT = K xor RAND; RES of 8 octets, CK and IK are it, rotated."""
    xdout = bytes(a ^ b for a, b in zip(k, rand, strict=True))
    ck, ik = xdout[1:] + xdout[:1], xdout[2:] + xdout[:2]
    return Vector(rand, xdout[:8], autn, kdf.k_asme(ck, ik, plmn.octets(), autn[:6]))


def same(name: str, ours: bytes, theirs: bytes) -> None:
    """Octet for octet, but for the masks of that exchange."""
    wanted = theirs.hex()
    for mask in MASKS.get(name, []):
        found = [at.start() for at in re.finditer(f"(?={mask['theirs']})", wanted) if at.start() % 2 == 0]
        assert len(found) == 1, f"{name}: mask {mask['theirs']} is there {len(found)} times"
        wanted = wanted[: found[0]] + mask["ours"] + wanted[found[0] + len(mask["theirs"]) :]
    assert re.fullmatch(wanted.replace("?", "."), ours.hex()), f"{name}\nours   {ours.hex()}\ntheirs {wanted}"


class Played:
    """An MME that plays the other network's part."""

    def __init__(self, folder: Path, config: MmeConfig, vector: Vector) -> None:
        self.network = Network(folder, config=config)
        port = Injected(vector)
        self.network.ports = Ports(port, port)
        self.vector = vector
        self.enb = ENB
        self.items = 0
        self.theirs = b""
        self.mme_id = b""

    def answer(self, octets: bytes, *, resign: int | None = None) -> bytes:
        """One message of their eNB, our (only) answer.  Their MME-UE-S1AP-ID becomes ours.

        resign: uplink NAS COUNT.  Their phone signed with 128-EIA1, which this MME has not: signed anew with 128-EIA2
        under the same K_ASME.
        """
        if self.mme_id:
            assert octets.count(self.theirs) == 1
            octets = octets.replace(self.theirs, self.mme_id)
        if resign is not None:
            octets = self._signed(octets, resign)
        self.items += 1
        exchange = self.network.s1ap(octets, run="x", number=self.items, epoch=EPOCH, enb=self.enb)
        answers = [downlink.s1ap for downlink in exchange.reply.downlink]
        return answers[0] if answers else b""

    def begin(self, octets: bytes, theirs: bytes) -> bytes:
        """The phone's first message.  theirs: their MME-UE-S1AP-ID in the messages to come, as it is encoded."""
        answer = self.answer(octets)
        message = s1ap.decode(answer)
        value = getattr(message, "mme_ue_s1ap_id", 0)
        self.theirs, self.mme_id = theirs, b"\xc0" + value.to_bytes(4, "big")
        assert answer.count(self.mme_id) == 1
        return answer

    def _signed(self, octets: bytes, count: int) -> bytes:
        message = s1ap.decode(octets)
        pdu = getattr(message, "nas_pdu", b"")
        key = kdf.k_nas_int(self.vector.k_asme, 2)
        mac = eia2(key, count, 0, 0, pdu[5:])
        return octets.replace(pdu, pdu[:1] + mac + pdu[5:])


@pytest.fixture
def nextepc(tmp_path: Path) -> Iterator[Played]:
    vector = milenage_vector(
        "465b5ce8b199b49faa5f0a2ee238a6bc",
        "e8ed289deba952e4283b54e88e6183ca",
        "20080c3818183b522614162c07601d0d",
        64,
        TEST,
    )
    played = Played(tmp_path, NEXTEPC, vector)
    played.enb = "00101-54f6401"
    played.answer(OPEN5GS["s1_setup_request"])
    yield played
    played.network.close()


def test_an_attach_with_nextepc_is_answered_as_nextepc_did(nextepc: Played) -> None:
    challenge = nextepc.begin(PHONE["initial_ue_msg_0"], bytes.fromhex("c00100009d"))
    same("nextepc_authentication_request", challenge, THEIRS["authentication_request"])
    command = nextepc.answer(PHONE["authentication_response_0"])
    same("nextepc_security_mode_command", command, THEIRS["security_mode_command"])
    request = nextepc.answer(PHONE["security_mode_complete_0"], resign=0)
    same("nextepc_esm_information_request", request, THEIRS["esm_information_request"])
    setup = nextepc.answer(PHONE["esm_information_response_0"], resign=1)
    same("nextepc_initial_context_setup_request", setup, THEIRS["initial_context_setup_request"])
    nextepc.answer(PHONE["attach_complete_0"], resign=2)
    release = nextepc.answer(PHONE["ue_context_release_request_0"])
    same("nextepc_ue_context_release_command", release, THEIRS["ue_context_release_command"])


def test_a_guti_of_elsewhere_is_answered_by_an_identity_request(tmp_path: Path, nextepc: Played) -> None:
    (tmp_path / "csfb").mkdir()
    plmn = Plmn("90170")
    config = replace(NEXTEPC, plmn=plmn, tacs=(7,), mme_group_id=3)
    played = Played(tmp_path / "csfb", config, nextepc.vector)
    try:
        played.enb = "90170-0019b"
        played.answer(SRSRAN_S1AP["s1_setup_request"])
        answer = played.answer(THEIRS["initial_ue_msg_18"])
        same("nextepc_identity_request", answer, THEIRS["identity_request"])
    finally:
        played.network.close()


def test_s1_setup_is_answered_as_srsran_does(tmp_path: Path) -> None:
    config = MmeConfig(m_tmsi_key=M_TMSI_KEY, mme_group_id=256, mme_code=26, mme_name="srsmme01")
    network = Network(tmp_path, config=config)
    try:
        exchange = network.s1ap(LAB["s1_setup_request"], run="setup-x", number=1)
        same("srsran_s1_setup_response", exchange.reply.downlink[0].s1ap, SRSRAN_S1AP["s1_setup_response"])
    finally:
        network.close()


def nas_of(pdu: bytes) -> bytes:
    octets = getattr(s1ap.decode(pdu), "nas_pdu", b"")
    assert isinstance(octets, bytes)
    return octets


def test_challenge_and_security_mode_command_are_those_of_srsran_with_128_eia2(tmp_path: Path) -> None:
    """K of nas_test.cc in the same folder as the messages; the phone is the lab's, of the same make."""
    request = SRSRAN_NAS["auth_request"]
    rand, autn = request[3:19], request[20:36]
    vector = xor_vector(bytes.fromhex("00112233445566778899aabbccddeeff"), rand, autn, TEST)
    config = MmeConfig(m_tmsi_key=M_TMSI_KEY, eea_order=(0,), request_imeisv=True)
    played = Played(tmp_path, config, vector)
    try:
        challenge = played.begin(LAB["initial_ue_message_attach"], b"")
        same("srsran_authentication_request", nas_of(challenge), request)
        answer = PHONE["authentication_response_6"]  # its RES is put in: what that USIM says to this challenge
        answer = answer.replace(bytes.fromhex("7dc78e7c421f9eb9"), vector.xres)
        played.theirs = bytes.fromhex("c0020000c8")
        answer = answer.replace(bytes.fromhex("000800020002"), bytes.fromhex("000800020001"))
        command = played.answer(answer)
        same("srsran_security_mode_command", nas_of(command), SRSRAN_NAS["sec_mode_command"])
    finally:
        played.network.close()


# --------------------------------------------------------------------------- phones that are registered already

K_ASME = bytes(range(32))  # theirs was not published: what depends on it is masked, and the phone signs anew


def registered(config: MmeConfig, m_tmsi: int, ul_count: int, **changes: Any) -> UeContext:
    """A registered, idle phone that goes by a GUTI of theirs.  Under EEA0, as theirs."""
    key, generation = context_of(config.m_tmsi_key, m_tmsi)
    keys = {"k_nas_enc": kdf.k_nas_enc(K_ASME, 0), "k_nas_int": kdf.k_nas_int(K_ASME, 2)}
    security = SecurityContext(changes.pop("ksi"), K_ASME, eea=0, eia=2, ul_count=ul_count, **keys)
    plain = UeContext(
        key=key,
        emm=EmmState.REGISTERED,
        imsi=Imsi(config.plmn.digits + "000000001"),
        guti=Guti(config.gummei, m_tmsi),
        generation=generation,
        security=security,
        proven=True,
    )
    return replace(plain, **changes)


class Returned:
    """A registered phone on an MME that plays the other network's part."""

    def __init__(self, folder: Path, config: MmeConfig, enb_id: int, phone: UeContext) -> None:
        self.network = Network(folder, config=config)
        port = Injected(Vector(bytes(16), bytes(8), bytes(16), K_ASME))
        self.network.ports = Ports(port, port)
        self.cell = Cell(GlobalEnbId(config.plmn, enb_id), config.tacs[0], "enb", bytes((127, 0, 1, 1)))
        self.enb = f"{config.plmn.digits}-{enb_id:05x}"
        self.network.cells[self.enb] = self.cell
        self.network.set_up(enb=self.enb)
        saved = self.network.database.save(Table.UE_CONTEXT, str(phone.key), pack(phone), expect=None, writer="test")
        assert isinstance(saved, Saved)
        self.phone = phone
        self.items = 0

    def answers(self, octets: bytes) -> list[bytes]:
        self.items += 1
        exchange = self.network.s1ap(octets, run="back", number=self.items, enb=self.enb)
        return [downlink.s1ap for downlink in exchange.reply.downlink]

    def comes(self, plain: bytes) -> list[bytes]:
        """Their plain message as first message, protected with the next count; what the phone is told, plain."""
        security, guti = self.phone.security, self.phone.guti
        assert security is not None
        assert guti is not None
        signed = bytes((security.ul_count & 0xFF,)) + plain
        octets = b"\x17" + eia2(security.k_nas_int, security.ul_count, 0, 0, signed) + signed
        message = InitialUeMessage(
            7, octets, self.cell.tai, self.cell.ecgi, s_tmsi=STmsi(guti.gummei.mme_code, guti.m_tmsi)
        )
        messages = [s1ap.decode(answer) for answer in self.answers(s1ap.encode(message))]
        pdus = [getattr(message, "nas_pdu", None) for message in messages]
        return [pdu[6:] for pdu in pdus if isinstance(pdu, bytes)]


PYCRATE, PCAPR = vectors("nas/pycrate"), vectors("s1ap/pcapr")
ORANGE = MmeConfig(
    m_tmsi_key=M_TMSI_KEY,
    plmn=Plmn("20801"),
    mme_group_id=0x8003,
    mme_code=0xC8,
    tacs=(0xC4A0, 0xC4A1, 0xC4A2),
    tau_reallocates_guti=False,
)
NXTGEN = MmeConfig(m_tmsi_key=M_TMSI_KEY, plmn=Plmn("310410"), mme_group_id=0x8001, mme_code=1, tacs=(1,))


@pytest.fixture
def orange(tmp_path: Path) -> Iterator[Returned]:
    """The phone of Orange France in pycrate's test_mobile.py: its GUTI is that of the ATTACH ACCEPT beside it."""
    bearer = Bearer(5, "orange", 8, Session("s", bytes((127, 0, 0, 2)), 1, bytes((10, 116, 86, 65))))
    phone = registered(ORANGE, 0xC2E65E9A, 9, ksi=6, bearer=bearer, ue_network_capability=bytes.fromhex("e060c040"))
    returned = Returned(tmp_path, ORANGE, 0x19B, phone)
    yield returned
    returned.network.close()


def test_an_update_is_answered_as_orange_does(orange: Returned) -> None:
    (accept,) = orange.comes(PYCRATE["tracking_area_update_request"])
    same("orange_tracking_area_update_accept", accept, PYCRATE["tracking_area_update_accept"])


def test_a_detach_is_answered_as_orange_does(orange: Returned) -> None:
    (accept,) = orange.comes(PYCRATE["detach_request_from_ue"])
    same("orange_detach_accept", accept, PYCRATE["detach_accept"])


def test_a_service_request_and_its_release_are_answered_as_in_a_published_capture(tmp_path: Path) -> None:
    """Frames 18 to 22: an iPhone comes back from idle, and its eNB finds it inactive."""
    apn = ApnConfiguration("nxtgenphone", 9, 15, 1, 1, (1,), preemption_capable=False, preemption_vulnerable=False)
    capability = getattr(s1ap.decode(PCAPR["frame_08"]), "ue_radio_capability", b"")
    phone = registered(
        NXTGEN,
        1,
        5,
        ksi=0,
        ue_network_capability=bytes.fromhex("e060c040"),
        ue_radio_capability=capability,
        profile=Profile(100_000_000, 50_000_000, (apn,)),
        bearer=Bearer(5, "nxtgenphone", 9, Session("s", bytes((127, 0, 1, 100)), 2_115_024_234, bytes(4))),
    )
    returned = Returned(tmp_path, NXTGEN, 0x1A2D0, phone)
    try:
        request = PCAPR["frame_18"]
        head = bytes.fromhex("c705")
        short = eia2(kdf.k_nas_int(K_ASME, 2), 5, 0, 0, head)[2:]
        assert request.count(head) == 1
        at = request.index(head)
        (setup,) = returned.answers(request[: at + 2] + short + request[at + 4 :])
        same("pcapr_initial_context_setup_request", setup, PCAPR["frame_19"])
        mme_id = getattr(s1ap.decode(setup), "mme_ue_s1ap_id", 0)
        assert returned.answers(with_id(PCAPR["frame_20"], mme_id)) == []
        (release,) = returned.answers(with_id(PCAPR["frame_21"], mme_id))
        same("pcapr_ue_context_release_command", release, PCAPR["frame_22"])
    finally:
        returned.network.close()


def with_id(pdu: bytes, mme_ue_s1ap_id: int) -> bytes:
    """Their message with the MME-UE-S1AP-ID that this MME has given."""
    message: Any = s1ap.decode(pdu)
    return s1ap.encode(replace(message, mme_ue_s1ap_id=mme_ue_s1ap_id))


def test_every_mask_says_why() -> None:
    for name, masks in MASKS.items():
        for mask in masks:
            assert set(mask) == {"theirs", "ours", "why"}, name
            assert len(mask["why"]) > 20, name
            assert len(mask["theirs"]) >= 2, name
