"""The USIM: K, OPc and SQN stay inside; RES and K_ASME come out (TS 33.102 6.3.3, TS 33.401 6.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from mme.crypto import kdf, milenage
from mme.ids import Imsi, Plmn

SEPARATION_BIT = 0x80
_SQN_START = bytes(6)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One line of the subscriber list.  k, opc: 16 octets."""

    imsi: Imsi
    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """AUTN is right.  res: 8 octets, k_asme: 32."""

    res: bytes = field(repr=False)
    k_asme: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MacFailure:
    """EMM cause 20."""


@dataclass(frozen=True, slots=True)
class SynchFailure:
    """EMM cause 21.  auts: 14 octets."""

    auts: bytes


@dataclass(frozen=True, slots=True)
class NoSeparationBit:
    """EMM cause 26: the vector is not for E-UTRAN (TS 33.401 6.1.1)."""


Answer = Authenticated | MacFailure | SynchFailure | NoSeparationBit


class Usim:
    """highest_sqn: 6 octets, grows with each challenge that is accepted."""

    def __init__(self, subscriber: Subscriber, highest_sqn: bytes = _SQN_START) -> None:
        self.imsi = subscriber.imsi
        self.card = subscriber
        self.highest_sqn = highest_sqn

    def authenticate(self, rand: bytes, autn: bytes, serving_plmn: Plmn) -> Answer:
        """Check a challenge and answer it.  rand, autn: 16 octets."""
        card = self.card
        match milenage.check_autn(card.k, card.opc, rand, autn, self.highest_sqn):
            case milenage.MacFailure():
                return MacFailure()
            case milenage.SyncFailure(auts):
                return SynchFailure(auts)
            case milenage.Accepted() as accepted:
                if not autn[6] & SEPARATION_BIT:
                    return NoSeparationBit()
                self.highest_sqn = accepted.sqn
                k_asme = kdf.k_asme(accepted.ck, accepted.ik, serving_plmn.octets(), autn[:6])
                return Authenticated(accepted.res, k_asme)
