"""The capture, read back by tshark where there is one, and octet by octet everywhere."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from enb_app.pcap import PcapFile, crc32c

SETUP = bytes.fromhex(
    "0011002d000004003b00080000f110000019b0003c400a0380737273656e62303100400007000001c000f1100089400140"
)
INITIAL = bytes.fromhex(
    "000c403e000005000800020001001a00161507417108091010103254760802f07000040201d011004300060000f110000700644008"
    "0000f1100019b0100086400140"
)


@pytest.mark.parametrize(
    ("octets", "crc"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # RFC 3720 B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_crc32c_against_published_values(octets: bytes, crc: int) -> None:
    assert crc32c(octets) == crc


def capture(path: Path) -> Path:
    with PcapFile(path, lambda: 1_800_000_000.25) as file:
        file.write("00101-0019b", SETUP, 0, up=True)
        file.write("00101-0019b", INITIAL, 1, up=True)
        file.write("00101-0019c", SETUP, 0, up=True)
        file.write("00101-0019b", INITIAL, 1, up=True)
    return path


def test_the_file_octet_by_octet(tmp_path: Path) -> None:
    octets = capture(tmp_path / "a.pcap").read_bytes()
    assert struct.unpack_from("<IHH", octets) == (0xA1B2C3D4, 2, 4)
    assert struct.unpack_from("<I", octets, 20) == (101,)
    at, tsns = 24, []
    while at < len(octets):
        seconds, micros, size, whole = struct.unpack_from("<IIII", octets, at)
        packet = octets[at + 16 : at + 16 + size]
        at += 16 + size
        assert (seconds, micros, size) == (1_800_000_000, 250_000, whole)
        sctp = packet[20:]
        assert struct.unpack("<I", sctp[8:12])[0] == crc32c(sctp[:8] + bytes(4) + sctp[12:])
        if sctp[12] == 0:
            tsn, stream, sequence, payload = struct.unpack_from("!IHHI", sctp, 16)
            tsns.append((packet[15], tsn, stream, sequence))
            assert payload == 18
    assert tsns == [(1, 1000, 0, 0), (1, 1001, 1, 0), (2, 1000, 0, 0), (1, 1002, 1, 1)]


def test_tshark_names_every_message_and_finds_nothing_malformed(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        assert os.environ.get("CI") != "true", "CI needs tshark: apt-get install tshark"
        pytest.skip("tshark is not installed: apt-get install tshark")
    path = capture(tmp_path / "a.pcap")
    fields = ("ip.src", "sctp.dstport", "sctp.checksum.status", "_ws.malformed", "_ws.col.Protocol", "_ws.col.Info")
    options = [option for field in fields for option in ("-e", field)]
    command = [tshark, "-r", str(path), "-o", "sctp.checksum:CRC 32c", "-T", "fields", *options]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    rows = [line.split("\t") for line in told.splitlines()]
    assert all(row[2] == "1" and not row[3] for row in rows)
    messages = [(row[0], row[1], row[5]) for row in rows if row[4].startswith("S1AP")]
    assert [message[0] for message in messages] == ["198.51.100.1", "198.51.100.1", "198.51.100.2", "198.51.100.1"]
    assert {message[1] for message in messages} == {"36412"}
    assert messages[0][2].startswith("S1SetupRequest")
    assert messages[1][2].startswith("InitialUEMessage, Attach request, PDN connectivity request")
