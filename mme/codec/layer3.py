"""Layer 3 messages (TS 24.007 11.2) as {IE name: value}, by pycrate's message tables.

pycrate decodes every IE into objects of its own, which costs a millisecond for an ATTACH REQUEST.  Here its tables are
read once, when a codec is made, for names, tags and sizes; the octets of an IE stay octets (half-octet IEs: a number).
The optional part follows TS 24.301 clause 7, which pycrate does not:
an unknown IE is skipped unless it asks for comprehension, of a repeated IE the first counts, and an IE that runs
beyond the message is taken as absent.  An IE out of sequence is accepted, as every network does (7.6.2 is a "should").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pycrate_mobile.TS24007 import Type1TV, Type1V, Type3TV, Type3V, Type4LV, Type4TLV, Type6LVE, Type6TLVE

from mme.enums import EmmCause
from mme.errors import NasError

Value = int | bytes
Values = dict[str, Value]


class _Mandatory(NamedTuple):
    """half: upper or lower half of an octet, None = whole octets.  size: fixed count of octets, None = a length
    in front, of `length_octets`.  name None: spare."""

    name: str | None
    half: str | None
    size: int | None
    length_octets: int


class _Optional(NamedTuple):
    """half: the value is the lower half of the tag's octet.  size, length_octets: as above."""

    name: str
    tag: int
    half: bool
    size: int | None
    length_octets: int


class Layer3Codec:
    """One message.  message_class: a Layer3E class of pycrate; only this module looks inside."""

    def __init__(self, message_class: Any) -> None:
        message = message_class()
        self._header = [(field._name, field.get_bl(), field.get_val()) for field in message[0]]
        self._header_octets = message[0].get_bl() // 8
        self._mandatory: list[_Mandatory] = []
        self._optional: dict[str, _Optional] = {}
        self._by_tag: dict[int, _Optional] = {}
        for ie in message[1:]:
            if isinstance(ie, Type1TV | Type3TV | Type4TLV | Type6TLVE):
                self._add_optional(ie)
            else:
                self._add_mandatory(ie)
        self._known = frozenset(self._optional) | {ie.name for ie in self._mandatory}

    def _add_optional(self, ie: Any) -> None:
        half, length_octets = isinstance(ie, Type1TV), {Type4TLV: 1, Type6TLVE: 2}
        tag = ie[0].get_val() << 4 if half else ie[0].get_val()
        size = ie[-1].get_bl() // 8 if isinstance(ie, Type3TV) else None
        count = next((octets for kind, octets in length_octets.items() if isinstance(ie, kind)), 0)
        found = self._by_tag[tag] = _Optional(ie._name, tag, half, size, count)
        self._optional[ie._name] = found

    def _add_mandatory(self, ie: Any) -> None:
        if isinstance(ie, Type3V):
            self._mandatory.append(_Mandatory(ie._name, None, ie[-1].get_bl() // 8, 0))
        elif isinstance(ie, Type4LV | Type6LVE):
            self._mandatory.append(_Mandatory(ie._name, None, None, 2 if isinstance(ie, Type6LVE) else 1))
        elif ie.get_bl() == 4:
            is_second = bool(self._mandatory) and self._mandatory[-1].half == "upper"
            name = ie._name if isinstance(ie, Type1V) else None
            self._mandatory.append(_Mandatory(name, "lower" if is_second else "upper", None, 0))
        else:
            raise TypeError(f"{ie._name} is of no kind that is known here")

    # ----------------------------------------------------------------- octets to values

    def read(self, octets: bytes) -> Values:
        """The IEs of a message.  octets: header included.  Raises NasError, cause #96 (TS 24.301 7.5.1)."""
        values: Values = {}
        position, end = self._header_octets, len(octets)
        for name, half, size, length_octets in self._mandatory:
            if half is not None:
                if position < end and name is not None:
                    values[name] = octets[position] >> 4 if half == "upper" else octets[position] & 0x0F
                position += half == "lower"
                is_cut = position > end or (half == "upper" and position == end)
            else:
                begin = position + length_octets
                length = int.from_bytes(octets[position:begin]) if size is None else size
                position = begin + length
                is_cut = begin > end or position > end
                if name is not None:
                    values[name] = octets[begin:position]
            if is_cut:
                raise NasError(EmmCause.INVALID_MANDATORY_INFORMATION, "a mandatory IE is missing or cut off")
        while position < end:
            position = self._read_optional(octets, position, values)
        return values

    def _read_optional(self, octets: bytes, position: int, values: Values) -> int:
        """Add the optional IE at position to values; returns the position after it."""
        tag = octets[position]
        ie = self._by_tag.get(tag & 0xF0 if tag & 0x80 else tag)
        if ie is None:
            if tag & 0xF0 == 0:  # TS 24.007 11.2.4
                raise NasError(EmmCause.INVALID_MANDATORY_INFORMATION, f"unknown IE {tag:#04x} wants comprehension")
            return position + _length(octets, position)
        after = position + (_length(octets, position) if ie.size is None else 1 + ie.size)
        if after <= len(octets) and ie.name not in values:
            values[ie.name] = tag & 0x0F if ie.half else octets[position + 1 + ie.length_octets : after]
        return after

    # ----------------------------------------------------------------- values to octets

    def write(self, header: Mapping[str, int], values: Mapping[str, Value | None]) -> bytes:
        """A message from its IEs; None leaves an optional IE out.  header: fields of the header other than the type.

        Raises ValueError for a value that its IE cannot carry, and without a mandatory IE; KeyError: no such IE.
        """
        unknown = values.keys() - self._known
        if unknown:
            raise KeyError(*unknown)
        octets = bytearray(self._header_from(header))
        for name, half, size, length_octets in self._mandatory:
            value: Value | None = 0 if name is None else values[name]
            if value is None:
                raise ValueError(f"{name} is mandatory")
            if half == "upper":
                octets.append(_half(name, value) << 4)
            elif half == "lower":
                octets[-1] |= _half(name, value)
            else:
                octets += _whole(name, value, size, length_octets)
        for name, ie in self._optional.items():
            value = values.get(name)
            if value is None:
                continue
            if ie.half:
                octets.append(ie.tag | _half(name, value))
            else:
                octets.append(ie.tag)
                octets += _whole(name, value, ie.size, ie.length_octets)
        return bytes(octets)

    def _header_from(self, given: Mapping[str, int]) -> bytes:
        number = 0
        for name, bits, usual in self._header:
            value = given.get(name, usual)
            if not 0 <= value < 1 << bits:
                raise ValueError(f"{name} has {bits} bits")
            number = number << bits | value
        return number.to_bytes(self._header_octets)


def _half(name: str | None, value: Value) -> int:
    if not isinstance(value, int) or not 0 <= value <= 15:
        raise ValueError(f"{name} has 4 bits")
    return value


def _whole(name: str | None, value: Value, size: int | None, length_octets: int) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"{name} is octets")
    if len(value) != size if size is not None else len(value) >> 8 * length_octets:
        raise ValueError(f"{name} does not take {len(value)} octets")
    return len(value).to_bytes(length_octets) + value if length_octets else value


def _length(octets: bytes, position: int) -> int:
    """Octets of the optional IE at position, tag included, by the form of its tag (TS 24.007 11.2.4)."""
    tag = octets[position]
    if tag & 0x80:
        return 1
    if tag & 0x70 == 0x70:
        return 3 + int.from_bytes(octets[position + 1 : position + 3])
    return 2 + int.from_bytes(octets[position + 1 : position + 2])
