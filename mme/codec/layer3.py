"""Layer 3 messages (TS 24.007 11.2) as {IE name: value}, by pycrate's message tables.

pycrate decodes every IE into objects of its own, which costs a millisecond for an ATTACH REQUEST.  Here its messages
stay cached prototypes whose IEs keep their value part as octets (half-octet IEs: as a number): about 0.05 ms.
The optional part is walked here, by the rules of TS 24.301 clause 7, which pycrate does not follow:
an unknown IE is skipped unless it asks for comprehension, of a repeated IE the first counts, and an IE that runs
beyond the message is taken as absent.  An IE out of sequence is accepted, as every network does (7.6.2 is a "should").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pycrate_core.charpy import Charpy
from pycrate_core.elt import Envelope
from pycrate_mobile.TS24007 import Type1TV, Type1V, Type3TV, Type3V, Type4LV, Type4TLV, Type6LVE, Type6TLVE

from mme.codec.lock import PYCRATE_LOCK
from mme.enums import EmmCause
from mme.errors import NasError

Value = int | bytes
Values = dict[str, Value]

_OPTIONAL = (Type1TV, Type3TV, Type4TLV, Type6TLVE)
_MANDATORY = (Type1V, Type3V, Type4LV, Type6LVE)


class Layer3Codec:
    """One message class of pycrate.  message_class: a Layer3E class; only this module looks inside."""

    def __init__(self, message_class: Any) -> None:
        self._message_class = message_class
        self._reader = _Prototype(message_class)
        self._writer = _Prototype(message_class)

    def read(self, octets: bytes) -> Values:
        """The IEs of a message.  octets: header included.  Raises NasError, cause #96 (TS 24.301 7.5.1)."""
        with PYCRATE_LOCK:
            return self._reader.read(octets)

    def write(self, header: Mapping[str, int], values: Mapping[str, Value | None]) -> bytes:
        """A message from its IEs; None leaves an optional IE out.  header: fields of the header other than the type."""
        with PYCRATE_LOCK:
            try:
                return self._writer.write(header, values)
            except Exception:
                self._writer = _Prototype(self._message_class)
                raise


class _Prototype:
    """A message object of pycrate that is used again and again, under the lock."""

    def __init__(self, message_class: Any) -> None:
        self._message = message_class()
        self._header = self._message[0]
        self._mandatory: dict[str, Any] = {}
        self._optional: dict[str, Any] = {}
        self._by_tag: dict[int, tuple[str, Any]] = {}
        for ie in self._message[1:]:
            if isinstance(ie, _OPTIONAL):
                tag = ie[0].get_val()
                self._by_tag[tag << 4 if isinstance(ie, Type1TV) else tag] = (ie._name, ie)
                self._optional[ie._name] = ie
            elif isinstance(ie, _MANDATORY):
                self._mandatory[ie._name] = ie
            else:
                continue
            ie._IE_stat = None  # the value part stays as it is

    def read(self, octets: bytes) -> Values:
        self._hide_optional()
        char = Charpy(octets)
        try:
            Envelope._from_char(self._message, char)
            values: Values = {name: ie[-1].get_val() for name, ie in self._mandatory.items()}
        except Exception as error:  # pycrate raises many types where octets end early
            raise NasError(EmmCause.INVALID_MANDATORY_INFORMATION, "a mandatory IE is missing or cut off") from error
        position = len(octets) - char.len_byte()
        while position < len(octets):
            position = self._read_optional(octets, position, values)
        return values

    def _read_optional(self, octets: bytes, position: int, values: Values) -> int:
        """Add the optional IE at position to values; returns the position after it."""
        tag = octets[position]
        length = _length(octets, position)
        name, ie = self._by_tag.get(tag & 0xF0 if tag & 0x80 else tag, ("", None))
        if ie is None:
            if tag & 0xF0 == 0:  # TS 24.007 11.2.4
                raise NasError(EmmCause.INVALID_MANDATORY_INFORMATION, f"unknown IE {tag:#04x} wants comprehension")
        elif isinstance(ie, Type3TV):
            length = 1 + ie[-1].get_bl() // 8
        if ie is not None and position + length <= len(octets) and name not in values:
            char = Charpy(octets[position : position + length])
            ie._trans = False
            ie._from_char(char)
            values[name] = ie[-1].get_val()
        return position + length

    def write(self, header: Mapping[str, int], values: Mapping[str, Value | None]) -> bytes:
        self._hide_optional()
        for name, number in header.items():
            self._header[name].set_val(number)
        for name, ie in self._mandatory.items():
            value = values[name]
            if value is None:
                raise ValueError(f"{name} is mandatory")
            _set(ie, value)
        for name, value in values.items():
            if value is not None and name in self._optional:
                self._optional[name]._trans = False
                _set(self._optional[name], value)
            elif name not in self._optional and name not in self._mandatory:
                raise KeyError(name)
        octets: bytes = self._message.to_bytes()
        return octets

    def _hide_optional(self) -> None:
        for ie in self._optional.values():
            ie._trans = True


def _length(octets: bytes, position: int) -> int:
    """Octets of the optional IE at position, tag included, by the form of its tag (TS 24.007 11.2.4)."""
    tag = octets[position]
    if tag & 0x80:
        return 1
    if tag & 0x70 == 0x70:
        return 3 + int.from_bytes(octets[position + 1 : position + 3])
    return 2 + int.from_bytes(octets[position + 1 : position + 2])


def _set(ie: Any, value: Value) -> None:
    """Set the value part; its length follows.  Raises ValueError where it does not fit."""
    if isinstance(value, bytes):
        fixed = ie[-1].get_bl() // 8 if isinstance(ie, Type3V | Type3TV) else None
        limit = 65535 if isinstance(ie, Type6LVE | Type6TLVE) else 255
        if len(value) > limit or (fixed is not None and len(value) != fixed):
            raise ValueError(f"{ie._name} does not take {len(value)} octets")
    elif not 0 <= value <= 15:
        raise ValueError(f"{ie._name} has 4 bits")
    ie[-1].set_val(value)
