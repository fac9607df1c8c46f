"""tshark as an independent referee of what our encoder writes: it must see no error and the same fields."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from mme import messages as m
from mme.codec import nas, s1ap
from mme.enums import CauseGroup, EmmCause, EsmCause, IdentityType, SecurityHeader
from mme.ids import Ecgi, GlobalEnbId, Gummei, Guti, Imei, Imsi, Plmn, STmsi, Tai, Tmsi

TSHARK = shutil.which("tshark")
pytestmark = pytest.mark.skipif(
    TSHARK is None and os.environ.get("CI") != "true", reason="tshark is not installed: no referee for the encoder"
)

_EXPORTED_PDU = 252
_DISSECTOR_NAME = 12

PLMN = Plmn("00101")
LONG_MNC = Plmn("310410")
TAI, ECGI = Tai(LONG_MNC, 0x1234), Ecgi(LONG_MNC, 0x1A2D001)
GUTI = Guti(Gummei(LONG_MNC, 0x8001, 7), 0xC0FFEE01)
CAUSE = m.Cause(CauseGroup.RADIO_NETWORK, "user-inactivity")
RADIO_LOST = m.Cause(CauseGroup.RADIO_NETWORK, "radio-connection-with-ue-lost")
NO_TRANSPORT = m.Cause(CauseGroup.TRANSPORT, "unspecified")
DIAGNOSTICS = m.CriticalityDiagnostics(12, "initiating-message", "ignore", ((26, "reject", "missing"),))
DEFAULT_BEARER = m.ActivateDefaultEpsBearerContextRequest(
    5,
    1,
    qci=9,
    access_point_name="internet.mnc001",
    pdn_address=m.PdnAddress(bytes((10, 45, 0, 2)), bytes(range(8))),
    apn_ambr_dl_bps=804_000_000,
    apn_ambr_ul_bps=8_700_000,
    cause=EsmCause.PDN_TYPE_IPV4_ONLY_ALLOWED,
    protocol_configuration_options=bytes.fromhex("80000d0408080808"),
)
PDN_REQUEST = m.PdnConnectivityRequest(0, 1, 1, 3, True, "internet", bytes.fromhex("80000d00"))

Fields = dict[str, str]

S1AP: list[tuple[m.S1apMessage, Fields]] = [
    (
        m.S1SetupRequest(GlobalEnbId(LONG_MNC, 0x19B), (m.SupportedTa(7, (LONG_MNC, PLMN)),), "lab enb-1", "v64"),
        {
            "s1ap.procedureCode": "17",
            "s1ap.ENBname": "lab enb-1",
            "s1ap.macroENB_ID": "0019b0",
            "s1ap.tAC": "7",
            "s1ap.PagingDRX": "1",
            "e212.mcc": "310,310,1",
            "e212.mnc": "410,410,1",
        },
    ),
    (
        m.S1SetupResponse((m.ServedGummei((PLMN, LONG_MNC), (0x8001,), (1, 2)),), 200, "mme"),
        {
            "s1ap.MMEname": "mme",
            "s1ap.RelativeMMECapacity": "200",
            "s1ap.MME_Code": "1,2",
            "s1ap.MME_Group_ID": "32769",
        },
    ),
    (
        m.S1SetupFailure(m.Cause(CauseGroup.MISC, "unknown-PLMN"), 20, DIAGNOSTICS),
        {"s1ap.misc": "5", "s1ap.TimeToWait": "4", "s1ap.iE_ID": "26", "s1ap.typeOfError": "1"},
    ),
    (
        m.InitialUeMessage(0x123456, b"\xc7\xa8\x64\x0c", TAI, ECGI, "emergency", STmsi(9, 0xDEADBEEF), GUTI.gummei),
        {
            "s1ap.ENB_UE_S1AP_ID": "1193046",
            "s1ap.RRC_Establishment_Cause": "0",
            "s1ap.tAC": "4660",
            "s1ap.CellIdentity": "0x01a2d001",
            "s1ap.m_TMSI": "3735928559",
            "s1ap.mMEC": "9",
            "nas_eps.emm.short_mac": "0x640c",
        },
    ),
    (
        m.UplinkNasTransport(0xFFFFFFFF, 0xFFFFFF, b"\x07\x5e", ECGI, TAI),
        {"s1ap.MME_UE_S1AP_ID": "4294967295", "s1ap.ENB_UE_S1AP_ID": "16777215", "nas_eps.nas_msg_emm_type": "0x5e"},
    ),
    (
        m.DownlinkNasTransport(0, 0, b"\x07\x54"),
        {"s1ap.MME_UE_S1AP_ID": "0", "s1ap.ENB_UE_S1AP_ID": "0", "nas_eps.nas_msg_emm_type": "0x54"},
    ),
    (
        m.NasNonDeliveryIndication(
            1, 2, b"\x07\x46", m.Cause(CauseGroup.RADIO_NETWORK, "radio-connection-with-ue-lost")
        ),
        {"s1ap.procedureCode": "16", "s1ap.radioNetwork": "21", "nas_eps.nas_msg_emm_type": "0x46"},
    ),
    (
        m.InitialContextSetupRequest(
            1,
            2,
            10_000_000_000,
            50_000_000,
            (m.ErabToBeSetup(5, 9, 8, bytes((10, 0, 0, 1)), 0xCAFE, b"\x07\x46", True, True),),
            0xE000,
            0xC000,
            bytes(range(32)),
            bytes(200),
        ),
        {
            "s1ap.uEaggregateMaximumBitRateDL": "10000000000",
            "s1ap.uEaggregateMaximumBitRateUL": "50000000",
            "s1ap.e_RAB_ID": "5",
            "s1ap.qCI": "9",
            "s1ap.priorityLevel": "8",
            "s1ap.pre_emptionCapability": "1",
            "s1ap.pre_emptionVulnerability": "1",
            "s1ap.transportLayerAddressIPv4": "10.0.0.1",
            "s1ap.gTP_TEID": "0000cafe",
            "s1ap.encryptionAlgorithms": "e000",
            "s1ap.integrityProtectionAlgorithms": "c000",
            "s1ap.SecurityKey": bytes(range(32)).hex(),
        },
    ),
    (
        m.InitialContextSetupResponse(
            1,
            2,
            (m.ErabSetup(5, bytes((10, 0, 0, 2)), 7),),
            (m.ErabFailed(6, m.Cause(CauseGroup.TRANSPORT, "unspecified")),),
        ),
        {"s1ap.e_RAB_ID": "5,6", "s1ap.transportLayerAddressIPv4": "10.0.0.2", "s1ap.transport": "1"},
    ),
    (
        m.InitialContextSetupFailure(1, 2, m.Cause(CauseGroup.NAS, "authentication-failure")),
        {"s1ap.procedureCode": "9", "s1ap.nas": "1"},
    ),
    (m.UeCapabilityInfoIndication(1, 2, bytes(300)), {"s1ap.procedureCode": "22"}),
    (m.UeContextReleaseRequest(1, 2, CAUSE), {"s1ap.procedureCode": "18", "s1ap.radioNetwork": "20"}),
    (
        m.UeContextReleaseCommand(70000, 2, m.Cause(CauseGroup.NAS, "detach")),
        {"s1ap.MME_UE_S1AP_ID": "70000", "s1ap.ENB_UE_S1AP_ID": "2", "s1ap.nas": "2"},
    ),
    (
        m.UeContextReleaseCommand(70000, None, m.Cause(CauseGroup.NAS, "normal-release")),
        {"s1ap.MME_UE_S1AP_ID": "70000", "s1ap.ENB_UE_S1AP_ID": "", "s1ap.nas": "0"},
    ),
    (m.UeContextReleaseComplete(70000, 300), {"s1ap.MME_UE_S1AP_ID": "70000", "s1ap.ENB_UE_S1AP_ID": "300"}),
    (
        m.ErrorIndication(1, 2, m.Cause(CauseGroup.PROTOCOL, "abstract-syntax-error-reject"), DIAGNOSTICS),
        {"s1ap.protocol": "1", "s1ap.triggeringMessage": "0", "s1ap.procedureCriticality": "1", "s1ap.iE_ID": "26"},
    ),
    (
        m.Paging(723, STmsi(9, 0xDEADBEEF), (TAI, Tai(PLMN, 7)), "cs", "v256"),
        {
            "s1ap.UEIdentityIndexValue": "b4c0",
            "s1ap.m_TMSI": "3735928559",
            "s1ap.CNDomain": "1",
            "s1ap.tAC": "4660,7",
            "s1ap.PagingDRX": "3",
        },
    ),
    (m.Paging(5, Imsi("001010123456789"), (TAI,)), {"e212.imsi": "001010123456789", "s1ap.CNDomain": "0"}),
    (m.Reset(m.Cause(CauseGroup.MISC, "om-intervention")), {"s1ap.misc": "3", "s1ap.s1_Interface": "0"}),
    (
        m.Reset(CAUSE, (m.UeS1apIds(70000, 300), m.UeS1apIds(None, 301))),
        {"s1ap.MME_UE_S1AP_ID": "70000", "s1ap.ENB_UE_S1AP_ID": "300,301"},
    ),
    (m.ResetAcknowledge((m.UeS1apIds(70000),)), {"s1ap.MME_UE_S1AP_ID": "70000", "s1ap.ENB_UE_S1AP_ID": ""}),
    (m.ResetAcknowledge(), {"s1ap.procedureCode": "14"}),
    (
        m.UeContextModificationRequest(1, 2, 5_000_000, 6_000_000, bytes(range(32))),
        {
            "s1ap.uEaggregateMaximumBitRateDL": "5000000",
            "s1ap.uEaggregateMaximumBitRateUL": "6000000",
            "s1ap.SecurityKey": bytes(range(32)).hex(),
        },
    ),
    (m.UeContextModificationResponse(1, 2), {"s1ap.procedureCode": "21"}),
    (m.UeContextModificationFailure(1, 2, CAUSE), {"s1ap.radioNetwork": "20"}),
    (
        m.EnbConfigurationUpdate("enb", (m.SupportedTa(9, (PLMN,)),), "v32"),
        {"s1ap.ENBname": "enb", "s1ap.tAC": "9", "s1ap.PagingDRX": "0"},
    ),
    (m.EnbConfigurationUpdateAcknowledge(), {"s1ap.procedureCode": "29"}),
    (m.EnbConfigurationUpdateFailure(m.Cause(CauseGroup.MISC, "unspecified"), 60), {"s1ap.TimeToWait": "5"}),
    (
        m.MmeConfigurationUpdate("mme", (m.ServedGummei((PLMN,), (2,), (3,)),), 7),
        {"s1ap.MMEname": "mme", "s1ap.MME_Code": "3", "s1ap.RelativeMMECapacity": "7"},
    ),
    (m.MmeConfigurationUpdateAcknowledge(), {"s1ap.procedureCode": "30"}),
    (m.MmeConfigurationUpdateFailure(m.Cause(CauseGroup.MISC, "unspecified"), 1), {"s1ap.TimeToWait": "0"}),
    (
        m.OverloadStart("reject-rrc-cr-signalling", 40),
        {"s1ap.overloadAction": "1", "s1ap.TrafficLoadReductionIndication": "40"},
    ),
    (m.OverloadStop(), {"s1ap.procedureCode": "35"}),
    (
        m.UnhandledS1ap(2, "initiating-message", "ignore", 70000, 300),
        {"s1ap.procedureCode": "2", "s1ap.MME_UE_S1AP_ID": "70000", "s1ap.ENB_UE_S1AP_ID": "300"},
    ),
]

NAS: list[tuple[m.EmmMessage, Fields]] = [
    (
        m.AttachRequest(
            2,
            3,
            GUTI,
            bytes.fromhex("f0f0c04019"),
            PDN_REQUEST,
            native=False,
            last_visited_tai=TAI,
            ms_network_capability=bytes.fromhex("e5e034"),
            drx_parameter=bytes.fromhex("0a00"),
            old_guti_is_native=False,
            additional_guti=GUTI,
        ),
        {
            "nas_eps.nas_msg_emm_type": "0x41",
            "nas_eps.emm.eps_att_type": "2",
            "nas_eps.emm.nas_key_set_id": "3",
            "nas_eps.emm.tsc": "1",
            "nas_eps.emm.type_of_id": "6,6",
            "nas_eps.emm.mme_grp_id": "32769,32769",
            "3gpp.tmsi": "0xc0ffee01,0xc0ffee01",
            "nas_eps.emm.tai_tac": "4660",
            "nas_eps.emm.guti_type": "1",
            "nas_eps.nas_msg_esm_type": "0xd0",
            "nas_eps.esm_request_type": "1",
            "nas_eps.esm_pdn_type": "3",
            "nas_eps.esm.eit": "1",
            "gsm_a.gm.sm.apn": "internet",
            "e212.tai.mnc": "410",
        },
    ),
    (
        m.AttachAccept(
            1,
            3240,
            tuple(Tai(PLMN, tac) for tac in (7, 9)),
            DEFAULT_BEARER,
            GUTI,
            EmmCause.CS_DOMAIN_NOT_AVAILABLE,
            b"\x01",
        ),
        {
            "nas_eps.emm.EPS_attach_result": "1",
            "gsm_a.gm.gmm.gprs_timer_unit": "2",
            "gsm_a.gm.gmm.gprs_timer_value": "9",
            "nas_eps.emm.tai_tac": "7,9",
            "nas_eps.emm.cause": "18",
            "nas_eps.esm.qci": "9",
            "gsm_a.gm.sm.apn": "internet.mnc001",
            "nas_eps.esm.pdn_ipv4": "10.45.0.2",
            "nas_eps.esm.pdn_ipv6_if_id": "0001020304050607",
            "nas_eps.esm.cause": "50",
        },
    ),
    (m.AttachComplete(m.ActivateDefaultEpsBearerContextAccept(5, 0)), {"nas_eps.nas_msg_esm_type": "0xc2"}),
    (
        m.AttachReject(EmmCause.ESM_FAILURE, m.PdnConnectivityReject(0, 1, EsmCause.MISSING_OR_UNKNOWN_APN), 60, 720),
        {"nas_eps.emm.cause": "19", "nas_eps.esm.cause": "27", "gsm_a.gm.gmm.gprs_timer2_value": "30,12"},
    ),
    (m.AuthenticationRequest(1, bytes(16), bytes(range(16))), {"gsm_a.dtap.autn": bytes(range(16)).hex()}),
    (m.AuthenticationResponse(bytes(range(8))), {"nas_eps.emm.res": bytes(range(8)).hex()}),
    (
        m.AuthenticationFailure(21, bytes(range(14))),
        {"nas_eps.emm.cause": "21", "gsm_a.dtap.auts": bytes(range(14)).hex()},
    ),
    (m.AuthenticationReject(), {"nas_eps.nas_msg_emm_type": "0x54"}),
    (m.IdentityRequest(IdentityType.IMEISV), {"nas_eps.emm.id_type2": "3"}),
    (m.IdentityResponse(Imsi("001010123456789")), {"e212.imsi": "001010123456789"}),
    (m.IdentityResponse(Imei("490154203237518")), {"gsm_a.imei": "490154203237518"}),
    (m.IdentityResponse(Tmsi(0xDEADBEEF)), {"3gpp.tmsi": "0xdeadbeef"}),
    (m.IdentityResponse(None), {"nas_eps.nas_msg_emm_type": "0x56"}),
    (
        m.SecurityModeCommand(2, 1, 4, bytes.fromhex("f0f0c04070"), True),
        {
            "nas_eps.emm.toc": "2",
            "nas_eps.emm.toi": "1",
            "nas_eps.emm.nas_key_set_id": "4",
            "nas_eps.emm.imeisv_req": "1",
        },
    ),
    (m.SecurityModeComplete("3598624297814540"), {"gsm_a.imeisv": "3598624297814540"}),
    (m.SecurityModeReject(23), {"nas_eps.emm.cause": "23"}),
    (
        m.EmmInformation("Lab net", "Лаб", 1508404576),
        {"gsm_a.dtap.text_string": "Lab net,Лаб"},
    ),
    (
        m.DetachRequestFromUe(1, True, 2, GUTI),
        {"nas_eps.emm.switch_off": "1", "nas_eps.emm.detach_type_ul": "1", "3gpp.tmsi": "0xc0ffee01"},
    ),
    (m.DetachAccept(), {"nas_eps.nas_msg_emm_type": "0x46"}),
    (m.EmmStatus(97), {"nas_eps.emm.cause": "97"}),
    (m.ServiceRequest(3, 17, b"\xab\xcd"), {"nas_eps.emm.nas_key_set_id": "3", "nas_eps.seq_no_short": "17"}),
    (m.ServiceReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED), {"nas_eps.emm.cause": "9"}),
    (
        m.TrackingAreaUpdateRequest(
            3,
            True,
            6,
            GUTI,
            True,
            bytes.fromhex("f0f0"),
            1 << 5 | 1 << 9,
            bytes.fromhex("0a70"),
            True,
            bytes.fromhex("e5e034"),
        ),
        {
            "gsm_a.gm.gmm.net_cap.gea1": "1",
            "gsm_a.gm.gmm.net_cap.gea2": "1",
            "gsm_a.gm.gmm.net_cap.gea3": "1",
            "gsm_a.gm.gmm.net_cap.gea4": "0",
            "gsm_a.gm.gmm.cn_spec_drx_cycle_len_coef": "7",
            "nas_eps.emm.ue_ra_cap_inf_upd_need_flg": "1",
            "nas_eps.emm.update_type_value": "3",
            "nas_eps.emm.active_flg": "1",
            "nas_eps.emm.ebi5": "1",
            "nas_eps.emm.ebi9": "1",
            "nas_eps.emm.ebi6": "0",
        },
    ),
    (
        m.TrackingAreaUpdateAccept(1, 3240, GUTI, (TAI,), 1 << 5, EmmCause.CS_DOMAIN_NOT_AVAILABLE),
        {
            "nas_eps.emm.eps_update_result_value": "1",
            "gsm_a.gm.gmm.gprs_timer_value": "9",
            "nas_eps.emm.tai_tac": "4660",
            "3gpp.tmsi": "0xc0ffee01",
            "nas_eps.emm.ebi5": "1",
            "nas_eps.emm.cause": "18",
        },
    ),
    (m.TrackingAreaUpdateComplete(), {"nas_eps.nas_msg_emm_type": "0x4a"}),
    (
        m.ExtendedServiceRequest(1, 2, 0xC0FFEE01, True, 1, 1 << 6),
        {"nas_eps.emm.service_type": "1", "3gpp.tmsi": "0xc0ffee01", "nas_eps.emm.csfb_resp": "1"},
    ),
    (m.GutiReallocationCommand(GUTI, (TAI,)), {"3gpp.tmsi": "0xc0ffee01", "nas_eps.emm.tai_tac": "4660"}),
    (m.GutiReallocationComplete(), {"nas_eps.nas_msg_emm_type": "0x51"}),
    (m.TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED), {"nas_eps.emm.cause": "10"}),
    (
        m.EsmContainer(m.EsmInformationRequest(0, 9)),
        {"nas_eps.nas_msg_esm_type": "0xd9", "nas_eps.esm.proc_trans_id": "9"},
    ),
    (m.EsmContainer(m.EsmInformationResponse(0, 9, "a.b")), {"gsm_a.gm.sm.apn": "a.b"}),
    (m.EsmContainer(m.ActivateDefaultEpsBearerContextReject(5, 0, 31)), {"nas_eps.esm.cause": "31"}),
    (m.EsmContainer(m.EsmStatus(0, 0, 81)), {"nas_eps.esm.cause": "81"}),
]


def pcap(dissector: bytes, payloads: list[bytes]) -> bytes:
    """A capture of exported PDUs: tag, dissector name, end of tags, then the octets."""
    name = dissector.ljust(-(-len(dissector) // 4) * 4, b"\0")
    head = struct.pack(">HH", _DISSECTOR_NAME, len(name)) + name + bytes(4)
    frames = [struct.pack("<IIII", 0, 0, *[len(head) + len(p)] * 2) + head + p for p in payloads]
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _EXPORTED_PDU) + b"".join(frames)


def dissect(path: Path, dissector: bytes, payloads: list[bytes], fields: list[str]) -> list[Fields]:
    path.write_bytes(pcap(dissector, payloads))
    assert TSHARK is not None
    command = [TSHARK, "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "separator=/t"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == len(payloads)
    return [dict(zip(fields, line.split("\t"), strict=True)) for line in lines]


def plain(values: str) -> list[str | int]:
    """The different values, numbers as numbers: versions of tshark write 17 or 0x11, and one IE once or twice."""
    numbers = [int(v, 16) if v.startswith("0x") else int(v) if v.isdigit() else v for v in values.split(",")]
    return list(dict.fromkeys(numbers))


def referee(path: Path, dissector: bytes, payloads: list[bytes], expected: list[Fields]) -> None:
    fields = sorted({field for row in expected for field in row} | {"_ws.malformed", "_ws.expert.message"})
    for i, (row, seen) in enumerate(zip(expected, dissect(path, dissector, payloads, fields), strict=True)):
        assert seen["_ws.malformed"] == "", payloads[i].hex()
        assert seen["_ws.expert.message"] == "", payloads[i].hex()
        assert {field: plain(seen[field]) for field in row} == {field: plain(row[field]) for field in row}


def encoded(message: m.EmmMessage) -> bytes:
    """tshark wants an envelope around an ESM message."""
    octets = nas.encode(message)
    if isinstance(message, m.EsmContainer):
        return nas.seal(SecurityHeader.INTEGRITY, bytes(4), 0, octets)
    return octets


def test_s1ap(tmp_path: Path) -> None:
    referee(tmp_path / "s1ap.pcap", b"s1ap", [s1ap.encode(message) for message, _ in S1AP], [row for _, row in S1AP])


def test_nas(tmp_path: Path) -> None:
    referee(tmp_path / "nas.pcap", b"nas-eps", [encoded(message) for message, _ in NAS], [row for _, row in NAS])


def test_envelope(tmp_path: Path) -> None:
    octets = nas.seal(SecurityHeader.INTEGRITY_NEW, b"\x01\x02\x03\x04", 7, nas.encode(m.SecurityModeComplete()))
    expected = {
        "nas_eps.security_header_type": "3,0",
        "nas_eps.msg_auth_code": "0x01020304",
        "nas_eps.seq_no": "7",
        "nas_eps.nas_msg_emm_type": "0x5e",
    }
    referee(tmp_path / "envelope.pcap", b"nas-eps", [octets], [expected])
