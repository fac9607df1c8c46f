"""NAS security on the UE's side: counts, integrity, ciphering and the replay check (TS 24.301 4.4.3)."""

from __future__ import annotations

from hmac import compare_digest

from mme.codec import nas
from mme.crypto import kdf, nas_security
from mme.enums import SecurityHeader
from mme.messages import SecuredEnvelope, ServiceRequest

_NAS_BEARER = 0
_MAC_END = 5
_COUNT_MASK = 0xFFFFFF
_CIPHERED = frozenset({SecurityHeader.INTEGRITY_CIPHERED, SecurityHeader.INTEGRITY_CIPHERED_NEW})


class NasSecurity:
    """An EPS security context taken into use.  ul_count: of the next uplink; dl_count: lowest one still acceptable."""

    def __init__(self, k_asme: bytes, ksi: int, eea: int, eia: int) -> None:
        self.k_asme = k_asme
        self.ksi = ksi
        self.eea = eea
        self.eia = eia
        self._k_nas_enc = kdf.k_nas_enc(k_asme, eea)
        self._k_nas_int = kdf.k_nas_int(k_asme, eia)
        self.ul_count = 0
        self.dl_count = 0

    def protect(self, plain: bytes, header: SecurityHeader) -> bytes:
        """Cipher, number and sign an uplink message; each takes a count of its own."""
        count, self.ul_count = self.ul_count, (self.ul_count + 1) & _COUNT_MASK
        up = nas_security.UPLINK
        payload = plain
        if header in _CIPHERED:
            payload = nas_security.cipher(self.eea, self._k_nas_enc, count, _NAS_BEARER, up, plain)
        sequence_number = count & 0xFF
        signed = bytes((sequence_number,)) + payload
        mac = nas_security.mac(self.eia, self._k_nas_int, count, _NAS_BEARER, up, signed)
        return nas.seal(header, mac, sequence_number, payload)

    def service_request(self) -> bytes:
        """SERVICE REQUEST under the next count: five bits of it, and the MAC's last two octets (9.9.3.19, 9.9.3.28)."""
        count, self.ul_count = self.ul_count, (self.ul_count + 1) & _COUNT_MASK
        signed = nas.encode(ServiceRequest(self.ksi, count & 0x1F, bytes(2)))[:2]
        mac = nas_security.mac(self.eia, self._k_nas_int, count, _NAS_BEARER, nas_security.UPLINK, signed)
        return nas.encode(ServiceRequest(self.ksi, count & 0x1F, mac[2:]))

    def k_enb(self, ul_count: int) -> bytes:
        """K_eNB of a connection whose initial message, or SECURITY MODE COMPLETE, had that count (TS 33.401 A.3)."""
        return kdf.k_enb(self.k_asme, ul_count)

    def open(self, octets: bytes, envelope: SecuredEnvelope) -> bytes | None:
        """The plain message inside; None = MAC wrong or sent before, and nothing has changed.

        A sequence number below the expected one can only belong to the next overflow (4.4.3.1), under which the MAC
        of a repeated message does not hold.
        """
        overflow = self.dl_count & ~0xFF
        if envelope.sequence_number < self.dl_count & 0xFF:
            overflow += 0x100
        count = overflow | envelope.sequence_number
        if count > _COUNT_MASK:
            return None
        down = nas_security.DOWNLINK
        mac = nas_security.mac(self.eia, self._k_nas_int, count, _NAS_BEARER, down, octets[_MAC_END:])
        if not compare_digest(mac, envelope.mac):
            return None
        self.dl_count = count + 1
        if envelope.header in _CIPHERED:
            return nas_security.cipher(self.eea, self._k_nas_enc, count, _NAS_BEARER, down, envelope.payload)
        return envelope.payload
