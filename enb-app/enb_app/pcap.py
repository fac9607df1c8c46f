"""A capture file that Wireshark opens as S1AP over SCTP over IPv4 without any setting.

Classic pcap, LINKTYPE_RAW; one SCTP association per eNB, opened by its four messages; each S1AP PDU is one DATA chunk
(RFC 9260 3.3.1) with payload protocol 18 and the S1AP port 36412.  It was HTTP that carried the messages: addresses
and SCTP numbers are made up, octets, order and times are the real ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

S1AP_PORT = 36412
S1AP_PAYLOAD = 18
LINKTYPE_RAW = 101
MME_ADDRESS = bytes((192, 0, 2, 1))
_ENB_NETWORK = bytes((198, 51, 100))
_WHOLE_MESSAGE = 3
_STREAMS = 16
_WINDOW = 106_496
_DATA, _INIT, _INIT_ACK, _COOKIE_ECHO, _COOKIE_ACK = 0, 1, 2, 10, 11
_STATE_COOKIE = 7
_CASTAGNOLI = 0x82F63B78


def _crc_table() -> tuple[int, ...]:
    table = []
    for octet in range(256):
        crc = octet
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(octets: bytes) -> int:
    """Castagnoli CRC of RFC 9260 annex A; it goes out least significant octet first."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = crc >> 8 ^ _TABLE[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _ones_complement(octets: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(slots=True)
class _End:
    """One direction of an association.  tag: the verification tag that its packets carry."""

    tag: int
    tsn: int
    source: tuple[bytes, int]
    target: tuple[bytes, int]
    sequence: dict[int, int] = field(default_factory=dict)


class PcapFile:
    """`with` closes the file.  unix_s: time of each message."""

    def __init__(self, path: Path, unix_s: Callable[[], float]) -> None:
        """Raises OSError when the file cannot be written."""
        self._unix_s = unix_s
        self._ends: dict[str, tuple[_End, _End]] = {}
        self._packets = 0
        self._file: BinaryIO = path.open("wb")
        self._file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, LINKTYPE_RAW))

    def __enter__(self) -> PcapFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, enb: str, octets: bytes, stream: int, *, up: bool) -> None:
        """One S1AP message as it passed; up: from the eNB to the MME."""
        if self._file.closed:
            return
        ends = self._ends.get(enb) or self._open(enb)
        end = ends[0] if up else ends[1]
        sequence = end.sequence.get(stream, 0)
        end.sequence[stream] = (sequence + 1) & 0xFFFF
        header = struct.pack("!IHHI", end.tsn, stream, sequence, S1AP_PAYLOAD)
        end.tsn = (end.tsn + 1) & 0xFFFFFFFF
        self._packet(end, end.tag, _chunk(_DATA, _WHOLE_MESSAGE, header + octets))

    def _open(self, enb: str) -> tuple[_End, _End]:
        number = len(self._ends) + 1
        enb_side = (_ENB_NETWORK + bytes((number & 0xFF,)), S1AP_PORT + (number >> 8))
        mme_side = (MME_ADDRESS, S1AP_PORT)
        up = _End(0x4D4D4500 + number, 1000, enb_side, mme_side)
        down = _End(0x654E4200 + number, 2000, mme_side, enb_side)
        ends = self._ends[enb] = (up, down)
        # INIT tells the tag that the other side is to use, so each carries the one of the opposite direction.
        cookie = struct.pack("!HH", _STATE_COOKIE, 12) + b"S1AP%04d" % number
        self._packet(up, 0, _chunk(_INIT, 0, struct.pack("!IIHHI", down.tag, _WINDOW, _STREAMS, _STREAMS, up.tsn)))
        ack = struct.pack("!IIHHI", up.tag, _WINDOW, _STREAMS, _STREAMS, down.tsn)
        self._packet(down, down.tag, _chunk(_INIT_ACK, 0, ack + cookie))
        self._packet(up, up.tag, _chunk(_COOKIE_ECHO, 0, cookie[4:]))
        self._packet(down, down.tag, _chunk(_COOKIE_ACK, 0, b""))
        return ends

    def _packet(self, end: _End, tag: int, chunk: bytes) -> None:
        ports = struct.pack("!HHI", end.source[1], end.target[1], tag)
        checksum = struct.pack("<I", crc32c(ports + bytes(4) + chunk))
        sctp = ports + checksum + chunk
        self._packets += 1
        start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(sctp), self._packets & 0xFFFF, 0x4000, 64, 132)
        addresses = end.source[0] + end.target[0]
        ip = start + struct.pack("!H", _ones_complement(start + bytes(2) + addresses)) + addresses
        now = self._unix_s()
        size = len(ip) + len(sctp)
        self._file.write(struct.pack("<IIII", int(now), int(now % 1 * 1_000_000), size, size) + ip + sctp)


def _chunk(kind: int, flags: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("!BBH", kind, flags, size) + value + bytes(-size % 4)
