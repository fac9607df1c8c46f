"""Value parts of NAS information elements: octets to values and back.

Decoders raise ValueError for octets that no value of the IE has; the caller knows whether the IE was mandatory
(TS 24.301 7.5) or is to be taken as absent (7.7.1).  Encoders raise ValueError for what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from mme.ids import Gummei, Guti, Imei, Imsi, MobileIdentity, Plmn, Tai, Tmsi
from mme.messages import PdnAddress

# --------------------------------------------------------------------------- identities

_IMSI, _IMEI, _IMEISV, _TMSI, _GUTI, _NO_IDENTITY = 1, 2, 3, 4, 6, 0
_EPS_IMEI = 3


def digits(octets: bytes) -> str:
    """BCD digits of a mobile identity, the first in the upper half of octet 1 (TS 24.008 10.5.1.4)."""
    nibbles = [octets[0] >> 4]
    for octet in octets[1:]:
        nibbles += (octet & 0x0F, octet >> 4)
    if not octets[0] & 0x08 and nibbles.pop() != 0x0F:
        raise ValueError("an even number of digits ends in 1111")
    if any(nibble > 9 for nibble in nibbles):
        raise ValueError("a nibble is no digit")
    return "".join(map(str, nibbles))


def bcd(identity_type: int, text: str) -> bytes:
    """Digits as a mobile identity of identity_type."""
    if not text.isascii() or not text.isdigit():
        raise ValueError("an identity is made of digits")
    odd = len(text) % 2
    padded = text if odd else text + "f"
    pairs = (int(padded[i + 1] + padded[i], 16) for i in range(1, len(padded), 2))
    return bytes((int(text[0]) << 4 | odd << 3 | identity_type, *pairs))


def _imei(octets: bytes, lengths: tuple[int, ...]) -> Imei:
    text = digits(octets)
    if len(text) not in lengths:
        raise ValueError("an IMEI has 15 digits, an IMEISV 16")
    return Imei(text)


def guti(octets: bytes) -> Guti:
    """GUTI of an EPS mobile identity: 11 octets (TS 24.301 9.9.3.12)."""
    if len(octets) != 11 or octets[0] & 0x07 != _GUTI:
        raise ValueError("a GUTI has 11 octets")
    plmn = Plmn.from_octets(octets[1:4])
    gummei = Gummei(plmn, int.from_bytes(octets[4:6]), octets[6])
    return Guti(gummei, int.from_bytes(octets[7:11]))


def guti_octets(value: Guti) -> bytes:
    gummei = value.gummei
    head = bytes((0xF0 | _GUTI,)) + gummei.plmn.octets() + _number(gummei.mme_group_id, 2, "MME group id")
    return head + _number(gummei.mme_code, 1, "MME code") + _number(value.m_tmsi, 4, "M-TMSI")


def eps_mobile_identity(octets: bytes) -> MobileIdentity:
    """TS 24.301 9.9.3.12: IMSI, GUTI or IMEI."""
    if not octets:
        raise ValueError("an identity has at least 1 octet")
    kind = octets[0] & 0x07
    if kind == _IMSI:
        return Imsi(digits(octets))
    if kind == _GUTI:
        return guti(octets)
    if kind == _EPS_IMEI:
        return _imei(octets, (15, 16))
    raise ValueError("the identity's type is reserved")


def eps_mobile_identity_octets(value: MobileIdentity) -> bytes:
    match value:
        case Imsi():
            return bcd(_IMSI, value.digits)
        case Guti():
            return guti_octets(value)
        case Imei():
            return bcd(_EPS_IMEI, value.digits)
        case Tmsi():
            raise ValueError("an EPS mobile identity is no TMSI")


def mobile_identity(octets: bytes) -> MobileIdentity | None:
    """TS 24.008 10.5.1.4: IMSI, IMEI, IMEISV, TMSI, or None for "no identity"."""
    if not octets:
        raise ValueError("an identity has at least 1 octet")
    kind = octets[0] & 0x07
    if kind == _IMSI:
        return Imsi(digits(octets))
    if kind == _IMEI:
        return _imei(octets, (15,))
    if kind == _IMEISV:
        return _imei(octets, (16,))
    if kind == _TMSI and len(octets) == 5:
        return Tmsi(int.from_bytes(octets[1:]))
    if kind == _NO_IDENTITY:
        return None
    raise ValueError("the identity is none of this MME's")


def mobile_identity_octets(value: MobileIdentity | None) -> bytes:
    match value:
        case None:
            return bytes((0xF0 | _NO_IDENTITY,))
        case Imsi():
            return bcd(_IMSI, value.digits)
        case Imei():
            return bcd(_IMEISV if len(value.digits) == 16 else _IMEI, value.digits)
        case Tmsi():
            return bytes((0xF0 | _TMSI,)) + _number(value.tmsi, 4, "TMSI")
        case Guti():
            raise ValueError("a GUTI is no mobile identity of TS 24.008")


def _number(value: int, octets: int, name: str) -> bytes:
    if not 0 <= value < 1 << 8 * octets:
        raise ValueError(f"{name} has {8 * octets} bits")
    return value.to_bytes(octets)


# --------------------------------------------------------------------------- tracking areas


def tai(octets: bytes) -> Tai:
    """5 octets (TS 24.301 9.9.3.32)."""
    return Tai(Plmn.from_octets(octets[:3]), int.from_bytes(octets[3:5]))


def tai_octets(value: Tai) -> bytes:
    return value.plmn.octets() + _number(value.tac, 2, "TAC")


def tai_list(octets: bytes) -> tuple[Tai, ...]:
    """Every TAI of all partial lists, in order (TS 24.301 9.9.3.33)."""
    tais: list[Tai] = []
    rest = octets
    while rest:
        kind, count = rest[0] >> 5 & 3, min((rest[0] & 0x1F) + 1, 16)
        size = {0: 4 + 2 * count, 1: 6, 2: 1 + 5 * count}.get(kind, 0)
        if not size or len(rest) < size:
            raise ValueError("a partial tracking area list is cut off or of an unknown type")
        part, rest = rest[:size], rest[size:]
        if kind == 2:
            tais += (tai(part[i : i + 5]) for i in range(1, size, 5))
            continue
        plmn, first = Plmn.from_octets(part[1:4]), int.from_bytes(part[4:6])
        tacs: Iterable[int] = range(first, first + count)
        if kind == 0:
            tacs = (int.from_bytes(part[i : i + 2]) for i in range(4, size, 2))
        tais += (Tai(plmn, tac & 0xFFFF) for tac in tacs)
    if not 1 <= len(tais) <= 16:
        raise ValueError("a tracking area identity list has 1 to 16 areas")
    return tuple(tais)


def tai_list_octets(tais: tuple[Tai, ...]) -> bytes:
    """One partial list: type 1 for consecutive TACs of one PLMN, 0 for others of one PLMN, 2 for more PLMNs."""
    if not 1 <= len(tais) <= 16:
        raise ValueError("a tracking area identity list has 1 to 16 areas")
    last = len(tais) - 1
    tacs = [value.tac for value in tais]
    if len({value.plmn for value in tais}) > 1:
        return bytes((2 << 5 | last,)) + b"".join(map(tai_octets, tais))
    if last and tacs == list(range(tacs[0], tacs[0] + len(tacs))):
        _number(tacs[-1], 2, "TAC")
        return bytes((1 << 5 | last,)) + tai_octets(tais[0])
    return bytes((last,)) + tais[0].plmn.octets() + b"".join(_number(tac, 2, "TAC") for tac in tacs)


# --------------------------------------------------------------------------- timers and time

_TIMER_UNITS_S = ((0, 2), (1, 60), (2, 360))
_TIMER_DEACTIVATED = 0xE0


def gprs_timer_s(octet: int) -> int:
    """Seconds of a GPRS timer or GPRS timer 2; 0 = deactivated (TS 24.008 10.5.7.3, 10.5.7.4)."""
    unit, value = octet >> 5, octet & 0x1F
    return 0 if unit == 7 else value * dict(_TIMER_UNITS_S).get(unit, 60)


def gprs_timer_octet(seconds: int) -> int:
    """The finest unit that carries seconds exactly; 0 = deactivated."""
    if seconds == 0:
        return _TIMER_DEACTIVATED
    for unit, length_s in _TIMER_UNITS_S:
        value, rest = divmod(seconds, length_s)
        if not rest and 0 < value <= 31:
            return unit << 5 | value
    raise ValueError(f"no GPRS timer carries {seconds} s")


def universal_time_s(octets: bytes) -> int:
    """Unix seconds of a time zone and time: 7 octets (TS 24.008 10.5.3.9).  The time is UTC, the zone only said."""
    year, month, day, hour, minute, second = ((octet & 0x0F) * 10 + (octet >> 4) for octet in octets[:6])
    return int(datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


def universal_time_octets(seconds: int) -> bytes:
    """seconds: from 2000 to 2099.  The time zone is UTC."""
    if not 946_684_800 <= seconds < 4_102_444_800:
        raise ValueError("the year has two digits, from 2000")
    moment = datetime.fromtimestamp(seconds, UTC)
    parts = (moment.year - 2000, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return bytes(part % 10 << 4 | part // 10 for part in parts) + b"\0"


# --------------------------------------------------------------------------- network names

_ESCAPE = 0x1B
_GSM7 = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_NUMBER = {character: number for number, character in enumerate(_GSM7) if number != _ESCAPE}
_GSM7_EXTENSION = {0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€"}
_UCS2 = 1


def network_name(octets: bytes) -> str:
    """Full or short name for network (TS 24.008 10.5.3.5a)."""
    if not octets:
        raise ValueError("a network name has at least 1 octet")
    coding, spare_bits, text = octets[0] >> 4 & 7, octets[0] & 7, octets[1:]
    if coding == _UCS2:
        return text.decode("utf-16-be")
    if coding != 0:
        raise ValueError("the coding scheme is reserved")
    bits = int.from_bytes(text, "little")
    numbers = iter([bits >> 7 * i & 0x7F for i in range((8 * len(text) - spare_bits) // 7)])
    return "".join(_GSM7_EXTENSION.get(next(numbers, 0), " ") if n == _ESCAPE else _GSM7[n] for n in numbers)


def network_name_octets(text: str) -> bytes:
    """GSM 7-bit default alphabet where it has every character, else UCS2."""
    if all(character in _GSM7_NUMBER for character in text):
        bits = sum(_GSM7_NUMBER[character] << 7 * i for i, character in enumerate(text))
        length = (7 * len(text) + 7) // 8
        octets = bytes((0x80 | 8 * length - 7 * len(text),)) + bits.to_bytes(length, "little")
    else:
        octets = bytes((0x80 | _UCS2 << 4,)) + text.encode("utf-16-be")
    if len(octets) > 255:
        raise ValueError("the network name is too long")
    return octets


# --------------------------------------------------------------------------- session management


def access_point_name(octets: bytes) -> str:
    """Labels joined by dots (TS 23.003 9.1)."""
    labels: list[str] = []
    rest = octets
    while rest:
        label, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :] if 1 + rest[0] <= len(rest) else b"\0"
        if not label or b"." in label:
            raise ValueError("an APN is made of labels with a length before each")
        labels.append(label.decode("ascii"))
    if not labels:
        raise ValueError("an APN has a label")
    return ".".join(labels)


def access_point_name_octets(text: str) -> bytes:
    labels = [label.encode("ascii") for label in text.split(".")]
    if not all(1 <= len(label) <= 63 for label in labels) or len(text) > 99:
        raise ValueError("an APN has labels of 1 to 63 octets and at most 100 octets")
    return b"".join(bytes((len(label),)) + label for label in labels)


def pdn_address(octets: bytes) -> PdnAddress:
    """TS 24.301 9.9.4.9: an IPv6 interface identifier stands before an IPv4 address."""
    kind, address = octets[0] & 7 if octets else 0, octets[1:]
    if kind == 1 and len(address) >= 4:
        return PdnAddress(ipv4=address[:4])
    if kind == 2 and len(address) >= 8:
        return PdnAddress(ipv6_interface_id=address[:8])
    if kind == 3 and len(address) >= 12:
        return PdnAddress(ipv4=address[8:12], ipv6_interface_id=address[:8])
    raise ValueError("the PDN address is too short or of an unknown type")


def pdn_address_octets(value: PdnAddress) -> bytes:
    ipv4, ipv6 = value.ipv4 or b"", value.ipv6_interface_id or b""
    if len(ipv4) not in (0, 4) or len(ipv6) not in (0, 8) or not ipv4 + ipv6:
        raise ValueError("a PDN address has 4 octets of IPv4, 8 of IPv6, or both")
    return bytes(((1 if ipv4 else 0) | (2 if ipv6 else 0),)) + ipv6 + ipv4


_MBPS = 1_000_000
_EXTENDED_2_BPS = 256 * _MBPS
_APN_AMBR_MAX_BPS = 0xFE * _EXTENDED_2_BPS + 256 * _MBPS


def _rate_octets(bps: int) -> tuple[int, int, int]:
    """APN-AMBR octet, extended octet, extended-2 octet of one direction: the largest rate that is not above bps."""
    if bps < 0:
        raise ValueError("a bit rate is not negative")
    capped = min(bps, _APN_AMBR_MAX_BPS)
    times_256 = max(0, (capped - 1) // _EXTENDED_2_BPS)
    kbps = (capped - times_256 * _EXTENDED_2_BPS) // 1000
    if kbps >= 8_700:
        if kbps <= 16_000:
            extended = (kbps - 8_600) // 100
        elif kbps < 17_000:
            extended = 0x4A
        elif kbps <= 128_000:
            extended = 0x4A + (kbps - 16_000) // 1000
        else:
            extended = 0xBA + (kbps - 128_000) // 2000
        return 0xFE, extended, times_256
    if kbps == 0:
        base = 0xFF
    elif kbps < 64:
        base = kbps
    elif kbps < 576:
        base = 0x40 + (kbps - 64) // 8
    else:
        base = 0x80 + (min(kbps, 8_640) - 576) // 64
    return base, 0, times_256


def _rate_bps(base: int, extended: int, times_256: int) -> int:
    if extended > 0xFA or times_256 == 0xFF or base == 0:
        raise ValueError("the bit rate is a reserved value")
    if extended > 0xBA:
        kbps = 128_000 + (extended - 0xBA) * 2000
    elif extended > 0x4A:
        kbps = 16_000 + (extended - 0x4A) * 1000
    elif extended:
        kbps = 8_600 + extended * 100
    elif base == 0xFF:
        kbps = 0
    elif base >= 0x80:
        kbps = 576 + (base - 0x80) * 64
    elif base >= 0x40:
        kbps = 64 + (base - 0x40) * 8
    else:
        kbps = base
    return kbps * 1000 + times_256 * _EXTENDED_2_BPS


def apn_ambr(octets: bytes) -> tuple[int, int]:
    """(downlink, uplink) bit/s (TS 24.301 9.9.4.2): 2 octets, 4 with the extended, 6 with the extended-2 ones."""
    if len(octets) < 2:
        raise ValueError("an APN-AMBR has at least 2 octets")
    padded = (octets + bytes(4))[:6]
    return _rate_bps(*padded[0::2]), _rate_bps(*padded[1::2])


def apn_ambr_octets(dl_bps: int, ul_bps: int) -> bytes:
    """As many octets as the rates need.  A rate between two steps is rounded down: never more than subscribed."""
    downlink, uplink = _rate_octets(dl_bps), _rate_octets(ul_bps)
    octets = bytes(octet for pair in zip(downlink, uplink, strict=True) for octet in pair)
    if any(octets[4:]):
        return octets
    return octets[:4] if any(octets[2:]) else octets[:2]
