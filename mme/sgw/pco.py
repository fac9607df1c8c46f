"""Protocol configuration options: what the gateway answers, only where the UE asked (TS 24.008 10.5.6.3).

Octet 1 of the value part is the extension bit and the configuration protocol (0, PPP for use with IP PDN type); units
of identifier (2 octets), length (1 octet) and contents follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

_FIRST_OCTET: Final = 0x80
_IPCP: Final = 0x8021
_DNS_IPV4: Final = 0x000D
_MTU_IPV4: Final = 0x0010
_LONGEST: Final = 250
"""Octets of the value part: the IE has 253 at most with its identifier and length."""

_CONFIGURE_REQUEST: Final = 1
_CONFIGURE_ACK: Final = 2
_CONFIGURE_NAK: Final = 3
_CONFIGURE_REJECT: Final = 4
_IP_ADDRESS: Final = 3
_PRIMARY_DNS: Final = 129
_SECONDARY_DNS: Final = 131


def _units(value: bytes) -> Iterator[tuple[int, bytes]]:
    """The well-formed units up to the first broken one (TS 24.301 7.6.3: what cannot be read is not there)."""
    at = 1
    while at + 3 <= len(value):
        size = value[at + 2]
        if at + 3 + size > len(value):
            return
        yield int.from_bytes(value[at : at + 2], "big"), value[at + 3 : at + 3 + size]
        at += 3 + size


def _options(packet: bytes) -> list[bytes] | None:
    """The options of a Configure-Request, each with its type and length; None: it is none (RFC 1661 5.1)."""
    if len(packet) < 4 or packet[0] != _CONFIGURE_REQUEST:
        return None
    end = int.from_bytes(packet[2:4], "big")
    if not 4 <= end <= len(packet):
        return None
    options, at = [], 4
    while at < end:
        if at + 2 > end or packet[at + 1] < 2 or at + packet[at + 1] > end:
            return None
        options.append(packet[at : at + packet[at + 1]])
        at += packet[at + 1]
    return options


def _ipcp(packet: bytes, ipv4: bytes | None, dns: tuple[IPv4Address, ...]) -> bytes | None:
    """Answer a Configure-Request: Nak with our values, Ack when it has them, Reject when it has none that we know.

    There is one exchange only, so options that we do not know are passed over where there is a value to give, instead
    of rejected first (RFC 1661 5.4).   Source: RFC 1332 3, RFC 1877 1, TS 29.061 11.2.1.2.2.
    """
    options = _options(packet)
    if options is None:
        return None
    ours = {_IP_ADDRESS: ipv4}
    ours.update(zip((_PRIMARY_DNS, _SECONDARY_DNS), (address.packed for address in dns), strict=False))
    known = [(option, ours[option[0]]) for option in options if len(option) == 6 and ours.get(option[0]) is not None]
    naks = [option[:2] + value for option, value in known if value is not None and option[2:] != value]
    if naks:
        code, body = _CONFIGURE_NAK, b"".join(naks)
    elif len(known) == len(options):
        code, body = _CONFIGURE_ACK, b"".join(options)
    else:
        rest = [option for option in options if all(option is not good for good, _ in known)]
        code, body = _CONFIGURE_REJECT, b"".join(rest)
    return bytes((code, packet[1])) + (4 + len(body)).to_bytes(2, "big") + body


def answer(asked: bytes | None, ipv4: bytes | None, dns: tuple[IPv4Address, ...], mtu: int) -> bytes | None:
    """The value part to answer with; None: the UE asked for nothing that we have.

    asked: the UE's value part.  ipv4: 4 octets, the UE's address, or None.  mtu: octets of an IPv4 packet (RFC 791: 68
    at least).
    """
    if not asked or asked[0] & 0x87 != _FIRST_OCTET:
        return None
    units: list[tuple[int, bytes]] = []
    done: set[int] = set()
    for identifier, contents in _units(asked):
        if identifier in done:
            continue
        done.add(identifier)
        match identifier:
            case 0x8021:  # the numbers of _IPCP, _DNS_IPV4 and _MTU_IPV4
                packet = _ipcp(contents, ipv4, dns)
                if packet is not None:
                    units.append((_IPCP, packet))
            case 0x000D if ipv4 is not None:
                units.extend((_DNS_IPV4, address.packed) for address in dns)
            case 0x0010 if ipv4 is not None:
                units.append((_MTU_IPV4, mtu.to_bytes(2, "big")))
            case _:
                pass
    value = bytes((_FIRST_OCTET,))
    for identifier, contents in units:
        unit = identifier.to_bytes(2, "big") + bytes((len(contents),)) + contents
        if len(value) + len(unit) <= _LONGEST:
            value += unit
    return value if len(value) > 1 else None
