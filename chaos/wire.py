"""NAS COUNTs as an eavesdropper with the UE's keys finds them: by the MAC, not by what either side believes."""

from __future__ import annotations

import hashlib
from hmac import compare_digest

from enb_app.protection import NasSecurity
from enb_app.usim import Subscriber
from mme.codec import nas
from mme.crypto import kdf, milenage, nas_security
from mme.enums import Direction, SecurityHeader
from mme.errors import NasError
from mme.messages import ServiceRequest

_MAC_END = 5
_SERVICE_REQUEST_COUNTS = 0x20
_WINDOW = 0x100


class Key:
    """One EPS security context.  name: stands for K_ASME, and cannot be turned back."""

    def __init__(self, security: NasSecurity) -> None:
        self.name = name_of(security.k_asme)
        self._security = security
        self._integrity = kdf.k_nas_int(security.k_asme, security.eia)

    def count_of(self, octets: bytes, way: Direction) -> int | None:
        """The NAS COUNT whose MAC a message carries; None: not one of this key, or none that is near."""
        try:
            envelope = nas.open_envelope(octets)
            if envelope is not None:
                return self._found(envelope.sequence_number, _WINDOW, way, octets[_MAC_END:], envelope.mac)
            if way is Direction.UPLINK and octets[0] >> 4 == SecurityHeader.SERVICE_REQUEST:
                request = nas.decode(octets)
                if isinstance(request, ServiceRequest) and request.ksi == self._security.ksi:
                    number, mac = request.sequence_number, request.short_mac
                    return self._found(number, _SERVICE_REQUEST_COUNTS, way, octets[:2], mac)
        except NasError:
            pass
        return None

    def _found(self, number: int, window: int, way: Direction, signed: bytes, mac: bytes) -> int | None:
        """The newest first; counts that are further away than one window are not tried."""
        newest = self._security.ul_count if way is Direction.UPLINK else self._security.dl_count
        for base in (newest + window, newest, newest - window):
            count = base - base % window + number
            if count >= 0:
                whole = nas_security.mac(self._security.eia, self._integrity, count, 0, way, signed)
                if compare_digest(whole[-len(mac) :], mac):
                    return count
        return None


def name_of(k_asme: bytes) -> str:
    """16 hex digits."""
    return digest(b"chaos key" + k_asme)


def digest(octets: bytes) -> str:
    """16 hex digits that stand for octets."""
    return hashlib.blake2b(octets, digest_size=8).hexdigest()


def sqn_of(card: Subscriber, rand: bytes, autn: bytes) -> int:
    """SQN in a challenge (TS 33.102 6.3.2): AUTN begins with SQN xor AK."""
    _, ak = milenage.f2_f5(card.k, card.opc, rand)
    return int.from_bytes(autn[:6], "big") ^ int.from_bytes(ak, "big")
