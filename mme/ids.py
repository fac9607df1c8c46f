"""3GPP identifiers as values: PLMN, TAI, ECGI, IMSI, GUTI, eNB identity (TS 23.003)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_PLMN = re.compile(r"[0-9]{5,6}\Z")
_IMSI = re.compile(r"[0-9]{6,15}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Plmn:
    """Public land mobile network: 3 digits MCC and 2 or 3 digits MNC, kept as text ("00101" is no number)."""

    digits: str

    def __post_init__(self) -> None:
        if not _PLMN.match(self.digits):
            raise ValueError("a PLMN is 5 or 6 decimal digits")

    @property
    def mcc(self) -> str:
        return self.digits[:3]

    @property
    def mnc(self) -> str:
        return self.digits[3:]

    def octets(self) -> bytes:
        """3 octets, digits swapped (TS 24.008 10.5.1.13)."""
        mcc, mnc = self.mcc, self.mnc
        third = mnc[2] if len(mnc) == 3 else "f"
        return bytes.fromhex(mcc[1] + mcc[0] + third + mcc[2] + mnc[1] + mnc[0])

    @classmethod
    def from_octets(cls, octets: bytes) -> Plmn:
        """octets: 3.  Raises ValueError when a nibble is no digit."""
        if len(octets) != 3:
            raise ValueError("a PLMN is 3 octets")
        text = octets.hex()
        mcc = text[1] + text[0] + text[3]
        mnc = text[5] + text[4] + ("" if text[2] == "f" else text[2])
        return cls(mcc + mnc)


@dataclass(frozen=True, slots=True, order=True)
class Tai:
    """Tracking area identity: PLMN and TAC (0..65535)."""

    plmn: Plmn
    tac: int


@dataclass(frozen=True, slots=True)
class Ecgi:
    """E-UTRAN cell global identifier: PLMN and 28-bit cell identity."""

    plmn: Plmn
    cell_identity: int


@dataclass(frozen=True, slots=True)
class GlobalEnbId:
    """Global eNB ID (TS 36.413 9.2.1.37).  bits: 20 for a macro eNB, 28 for a home eNB."""

    plmn: Plmn
    enb_id: int
    bits: int = 20

    def __str__(self) -> str:
        """The eNB's name in envelopes, keys and logs, for example "00101-0019b"."""
        return f"{self.plmn.digits}-{self.enb_id:0{(self.bits + 3) // 4}x}"


@dataclass(frozen=True, slots=True)
class Imsi:
    """International mobile subscriber identity, 6 to 15 digits.  repr and str never show it whole."""

    digits: str

    def __post_init__(self) -> None:
        if not _IMSI.match(self.digits):
            raise ValueError("an IMSI is 6 to 15 decimal digits")

    def __str__(self) -> str:
        return masked(self.digits)

    def __repr__(self) -> str:
        return f"Imsi({masked(self.digits)})"


def masked(imsi: str) -> str:
    """An IMSI as logs may show it: the PLMN prefix (5 digits) and 8 hex digits of its SHA-256."""
    return f"{imsi[:5]}~{hashlib.sha256(imsi.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Imei:
    """IMEI (15 digits) or IMEISV (16 digits)."""

    digits: str


@dataclass(frozen=True, slots=True)
class Gummei:
    """Globally unique MME identifier: PLMN, MME group id (16 bits), MME code (8 bits)."""

    plmn: Plmn
    mme_group_id: int
    mme_code: int


@dataclass(frozen=True, slots=True)
class Guti:
    """Globally unique temporary identity: GUMMEI and M-TMSI (32 bits)."""

    gummei: Gummei
    m_tmsi: int


@dataclass(frozen=True, slots=True)
class Tmsi:
    """TMSI given as a mobile identity where no GUTI fits (4 octets)."""

    tmsi: int


@dataclass(frozen=True, slots=True)
class STmsi:
    """S-TMSI of an InitialUEMessage: MME code (8 bits) and M-TMSI (32 bits)."""

    mme_code: int
    m_tmsi: int


MobileIdentity = Imsi | Guti | Imei | Tmsi
