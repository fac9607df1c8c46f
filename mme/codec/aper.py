"""Aligned PER (X.691) of what S1AP messages usually hold, from the ASN.1 that pycrate carries and without its objects.

pycrate builds, checks and packs an object for every field: a third of a millisecond for a message of five IEs.  Here
each type of its ASN.1 becomes one reader and one writer when this module's caller is imported, and a message takes a
hundredth of a millisecond.  The values have pycrate's form: dict for SEQUENCE, (name, value) for CHOICE and open types,
(number, bits) for BIT STRING.

Whatever is not plain (an extension, a fragment, padding that is not zero, an unknown IE, a value out of its range, a
type that is not here) is answered by None, and is then pycrate's to read, write or refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pycrate_asn1rt.asnobj_basic import ENUM, INT
from pycrate_asn1rt.asnobj_construct import CHOICE, SEQ, SEQ_OF
from pycrate_asn1rt.asnobj_ext import OPEN
from pycrate_asn1rt.asnobj_str import BIT_STR, OCT_STR

_CRITICALITIES = ("reject", "ignore", "notify")
_FRAGMENTED = 16384
_COUNTS = 65536

Fields = list[dict[str, Any]]
"""IEs as pycrate gives them: {"id", "criticality", "value": (name of the type, value)}."""

Read = Callable[[bytes, int], tuple[Any, int]]
"""(octets, position in bits) -> (value, position after it).  A position beyond the octets: they were cut off."""


class UnusualError(Exception):
    """This is for pycrate."""


class Out:
    """Bits written so far, the first one the most significant.  They begin on an octet."""

    __slots__ = ("count", "number")

    def __init__(self) -> None:
        self.number = 0
        self.count = 0

    def bits(self, number: int, count: int) -> None:
        self.number = self.number << count | number
        self.count += count

    def align(self) -> None:
        padding = -self.count & 7
        self.number <<= padding
        self.count += padding

    def octets(self) -> bytes:
        self.align()
        if not self.count:
            raise UnusualError
        return self.number.to_bytes(self.count >> 3)


Write = Callable[[Any, Out], None]


class Type(NamedTuple):
    read: Read
    write: Write


class Ie(NamedTuple):
    """A row of an IE container's table.  head: id and criticality as they stand before the value."""

    head: bytes
    criticality: str
    type_name: str
    type: Type | None


# --------------------------------------------------------------------------- bits


def _bits(octets: bytes, at: int, count: int) -> int:
    end = at + count
    return int.from_bytes(octets[at >> 3 : (end + 7) >> 3]) >> (-end & 7) & ((1 << count) - 1)


def _aligned(octets: bytes, at: int) -> int:
    """The position of the next octet; what is skipped must be zero."""
    padding = -at & 7
    if padding and _bits(octets, at, padding):
        raise UnusualError
    return at + padding


def _length(octets: bytes, position: int) -> tuple[int, int]:
    """(length, position in octets after the determinant) (11.9.3.6-7)."""
    first = int.from_bytes(octets[position : position + 1])
    if first < 0x80:
        return first, position + 1
    if first < 0xC0:
        return (first & 0x3F) << 8 | int.from_bytes(octets[position + 1 : position + 2]), position + 2
    raise UnusualError


def _length_octets(length: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    if length < _FRAGMENTED:
        return (0x8000 | length).to_bytes(2)
    raise UnusualError


# --------------------------------------------------------------------------- simple types


def _whole_number(lowest: int, highest: int) -> Type:
    """A constrained whole number (11.5.7)."""
    count = highest - lowest + 1
    if count > _COUNTS:
        return _long_number(lowest, highest)
    size = (count - 1).bit_length() if count <= 255 else 8 if count == 256 else 16
    is_aligned = count > 255

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        if is_aligned:
            at = _aligned(octets, at)
        value = lowest + _bits(octets, at, size)
        if value > highest:
            raise UnusualError
        return value, at + size

    def write(value: Any, out: Out) -> None:
        if type(value) is not int or not lowest <= value <= highest:
            raise UnusualError
        if is_aligned:
            out.align()
        out.bits(value - lowest, size)

    return Type(read, write)


def _long_number(lowest: int, highest: int) -> Type:
    """More than 64K values: the count of octets, then as few octets as hold it (11.5.7.4)."""
    size = (((highest - lowest).bit_length() + 7) // 8 - 1).bit_length()

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        count = _bits(octets, at, size) + 1
        position = _aligned(octets, at + size) >> 3
        value = lowest + int.from_bytes(octets[position : position + count])
        if value > highest:
            raise UnusualError
        return value, (position + count) << 3

    def write(value: Any, out: Out) -> None:
        if type(value) is not int or not lowest <= value <= highest:
            raise UnusualError
        number = value - lowest
        count = max(1, (number.bit_length() + 7) // 8)
        out.bits(count - 1, size)
        out.align()
        out.bits(number, 8 * count)

    return Type(read, write)


def _extensible(root: Type) -> Type:
    """The bit in front of an extensible type's value: 0 = in the root."""

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        if _bits(octets, at, 1):
            raise UnusualError
        return root.read(octets, at + 1)

    def write(value: Any, out: Out) -> None:
        out.bits(0, 1)
        root.write(value, out)

    return Type(read, write)


def _integer(asn1: Any) -> Type:
    bounds = asn1._const_val
    if not bounds or bounds.lb is None or bounds.ub is None or bounds.lb == bounds.ub:
        raise UnusualError
    number = _whole_number(bounds.lb, bounds.ub)
    return number if bounds.ext is None else _extensible(number)


def _enumerated(asn1: Any) -> Type:
    names = tuple(asn1._root)
    number, numbers = _whole_number(0, len(names) - 1), {name: n for n, name in enumerate(names)}

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        value, at = number.read(octets, at)
        return names[value], at

    def write(value: Any, out: Out) -> None:
        if type(value) is not str or value not in numbers:
            raise UnusualError
        number.write(numbers[value], out)

    root = Type(read, write)
    return root if asn1._ext is None else _extensible(root)


def _octet_string(asn1: Any) -> Type:
    if asn1._const_cont is not None:
        raise UnusualError
    if not asn1._const_sz:
        return Type(_read_octets, _write_octets)
    sizes = asn1._const_sz
    if sizes.ext is not None:
        raise UnusualError
    if sizes.rdyn:
        return _octets_of_range(*_size_range(sizes))
    size = _fixed_size(sizes)

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        if size > 2 or not at & 7:
            position = _aligned(octets, at) >> 3
            return octets[position : position + size], (position + size) << 3
        return _bits(octets, at, 8 * size).to_bytes(size), at + 8 * size

    def write(value: Any, out: Out) -> None:
        if type(value) is not bytes or len(value) != size:
            raise UnusualError
        if size > 2:
            out.align()
        out.bits(int.from_bytes(value), 8 * size)

    return Type(read, write)


def _octets_of_range(shortest: int, longest: int) -> Type:
    length = _whole_number(shortest, longest)

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        size, at = length.read(octets, at)
        position = _aligned(octets, at) >> 3
        return octets[position : position + size], (position + size) << 3

    def write(value: Any, out: Out) -> None:
        if type(value) is not bytes:
            raise UnusualError
        length.write(len(value), out)
        out.align()
        out.bits(int.from_bytes(value), 8 * len(value))

    return Type(read, write)


def _read_octets(octets: bytes, at: int) -> tuple[Any, int]:
    length, position = _length(octets, _aligned(octets, at) >> 3)
    return octets[position : position + length], (position + length) << 3


def _write_octets(value: Any, out: Out) -> None:
    if type(value) is not bytes:
        raise UnusualError
    out.align()
    determinant = _length_octets(len(value))
    out.bits(int.from_bytes(determinant + value), 8 * (len(determinant) + len(value)))


def _bit_string(asn1: Any) -> Type:
    if asn1._const_cont is not None or not asn1._const_sz:
        raise UnusualError
    sizes = asn1._const_sz
    if sizes.rdyn == 0:
        length, is_aligned = None, sizes.ub > 16
        shortest = longest = _fixed_size(sizes)
    else:
        shortest, longest = _size_range(sizes)
        length, is_aligned = _whole_number(shortest, longest), True

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        size = shortest
        if length is not None:
            size, at = length.read(octets, at)
        if is_aligned:
            at = _aligned(octets, at)
        return (_bits(octets, at, size), size), at + size

    def write(value: Any, out: Out) -> None:
        if type(value) is not tuple or len(value) != 2 or type(value[0]) is not int or type(value[1]) is not int:
            raise UnusualError
        number, size = value
        if not shortest <= size <= longest or not 0 <= number < 1 << size:
            raise UnusualError
        if length is not None:
            length.write(size, out)
        if is_aligned:
            out.align()
        out.bits(number, size)

    root = Type(read, write)
    return root if sizes.ext is None else _extensible(root)


def _fixed_size(sizes: Any) -> int:
    if sizes.rdyn != 0 or not 0 < sizes.ub < _COUNTS:
        raise UnusualError
    return int(sizes.ub)


def _size_range(sizes: Any) -> tuple[int, int]:
    if not sizes.rdyn or not 0 < sizes.lb < sizes.ub < _COUNTS:
        raise UnusualError
    return int(sizes.lb), int(sizes.ub)


# --------------------------------------------------------------------------- composed types


def _sequence(asn1: Any) -> Type:
    names = list(asn1._root)
    optional = list(asn1._root_opt or ())
    flags = len(optional) + (asn1._ext is not None)
    parts: list[tuple[str, Type | None, int]] = []
    for name in names:
        part = asn1._cont[name]
        if part._def is not None:
            raise UnusualError
        if name in optional:
            parts.append((name, _compiled(part), 1 << len(optional) - 1 - optional.index(name)))
        else:
            parts.append((name, _type(part), 0))
    extended = 1 << len(optional)
    known = frozenset(names)

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        present = _bits(octets, at, flags) if flags else 0
        if present >= extended:
            raise UnusualError
        at += flags
        value = {}
        for name, part, flag in parts:
            if flag and not present & flag:
                continue
            if part is None:
                raise UnusualError
            value[name], at = part.read(octets, at)
        return value, at

    def write(value: Any, out: Out) -> None:
        if type(value) is not dict or not value.keys() <= known:
            raise UnusualError
        present = 0
        for name, _, flag in parts:
            if name in value:
                present |= flag
            elif not flag:
                raise UnusualError
        out.bits(present, flags)
        for name, part, _ in parts:
            if name in value:
                if part is None:
                    raise UnusualError
                part.write(value[name], out)

    return Type(read, write)


def _choice(asn1: Any) -> Type:
    names = tuple(asn1._root)
    alternatives = {name: _compiled(asn1._cont[name]) for name in names}
    numbers = {name: n for n, name in enumerate(names)}
    number = _whole_number(0, len(names) - 1)

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        index, at = number.read(octets, at)
        alternative = alternatives[names[index]]
        if alternative is None:
            raise UnusualError
        value, at = alternative.read(octets, at)
        return (names[index], value), at

    def write(value: Any, out: Out) -> None:
        if type(value) is not tuple or len(value) != 2 or value[0] not in numbers:
            raise UnusualError
        alternative = alternatives[value[0]]
        if alternative is None:
            raise UnusualError
        number.write(numbers[value[0]], out)
        alternative.write(value[1], out)

    root = Type(read, write)
    return root if asn1._ext is None else _extensible(root)


def _sequence_of(asn1: Any) -> Type:
    if asn1._const_sz.ext is not None:
        raise UnusualError
    shortest, longest = int(asn1._const_sz.lb), int(asn1._const_sz.ub)
    if not shortest < longest < _COUNTS:
        raise UnusualError
    length = _whole_number(shortest, longest)
    element = _element(asn1._cont)

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        count, at = length.read(octets, at)
        values = []
        for _ in range(count):
            value, at = element.read(octets, at)
            values.append(value)
            if at > len(octets) << 3:
                raise UnusualError
        return values, at

    def write(value: Any, out: Out) -> None:
        if type(value) is not list:
            raise UnusualError
        length.write(len(value), out)
        for one in value:
            element.write(one, out)

    return Type(read, write)


def _element(asn1: Any) -> Type:
    if isinstance(asn1, SEQ) and "value" in asn1._cont and isinstance(asn1._cont["value"], OPEN):
        return _ie(ie_table(asn1))
    return _type(asn1)


# --------------------------------------------------------------------------- IE containers


def ie_table(container: Any) -> dict[int, Ie]:
    """The IEs of a container, by id.  container: one element of the ASN.1's list of IEs."""
    if [*container._root] != ["id", "criticality", "value"] or container._ext is not None or container._root_opt:
        raise UnusualError
    table = {}
    for row in container._cont["id"]._const_tab().root:
        head = row["id"].to_bytes(2) + bytes((_CRITICALITIES.index(row["criticality"]) << 6,))
        table[row["id"]] = Ie(head, row["criticality"], row["Value"]._typeref.called[1], _compiled(row["Value"]))
    return table


def _ie(table: Mapping[int, Ie]) -> Type:
    """ProtocolIE-Field (TS 36.413 9.3.8): 16 bits of id, 2 of criticality, and the value as an open type."""
    by_head = {ie.head: (ie_id, ie.criticality, ie.type_name, ie.type) for ie_id, ie in table.items()}

    def read(octets: bytes, at: int) -> tuple[Any, int]:
        position = _aligned(octets, at) >> 3
        ie_id, criticality, type_name, ie_type = by_head.get(octets[position : position + 3], _UNKNOWN)
        length, begin = _length(octets, position + 3)
        end = begin + length
        if ie_type is None or end > len(octets):
            raise UnusualError
        value, bits = ie_type.read(octets[begin:end], 0)
        if (bits + 7) >> 3 != length or not bits or (bits & 7 and octets[end - 1] & (1 << (-bits & 7)) - 1):
            raise UnusualError
        return {"id": ie_id, "criticality": criticality, "value": (type_name, value)}, end << 3

    def write(value: Any, out: Out) -> None:
        ie = table.get(value["id"])
        type_name, content = value["value"]
        if ie is None or ie.type is None or value["criticality"] != ie.criticality or type_name != ie.type_name:
            raise UnusualError
        inner = Out()
        ie.type.write(content, inner)
        octets = inner.octets()
        octets = ie.head + _length_octets(len(octets)) + octets
        out.align()
        out.bits(int.from_bytes(octets), 8 * len(octets))

    return Type(read, write)


_UNKNOWN = (0, "", "", None)


# --------------------------------------------------------------------------- from ASN.1

_MAKERS: tuple[tuple[type, Callable[[Any], Type]], ...] = (
    (INT, _integer),
    (ENUM, _enumerated),
    (OCT_STR, _octet_string),
    (BIT_STR, _bit_string),
    (SEQ, _sequence),
    (SEQ_OF, _sequence_of),
    (CHOICE, _choice),
)


def _type(asn1: Any) -> Type:
    for kind, make in _MAKERS:
        if isinstance(asn1, kind):
            return make(asn1)
    raise UnusualError


def _compiled(asn1: Any) -> Type | None:
    """None: a type that is not here."""
    try:
        return _type(asn1)
    except UnusualError:
        return None


class Message:
    """The PDUs of one S1AP message.  first: octet of the PDU's CHOICE; asn1: the message's SEQUENCE."""

    def __init__(self, first: int, procedure_code: int, criticality: str, asn1: Any) -> None:
        self._head = bytes((first, procedure_code, _CRITICALITIES.index(criticality) << 6))
        self._body = _compiled(asn1)

    def read(self, pdu: bytes) -> Fields | None:
        """The IEs; None: pycrate must look at it."""
        if self._body is None or pdu[:3] != self._head:
            return None
        try:
            length, begin = _length(pdu, 3)
            if begin + length != len(pdu):
                return None
            value, end = self._body.read(pdu[begin:], 0)
        except UnusualError:
            return None
        fields: Fields = value["protocolIEs"]
        return fields if end == length << 3 else None

    def write(self, fields: Fields) -> bytes | None:
        """The PDU; None: pycrate must write or refuse it."""
        if self._body is None:
            return None
        out = Out()
        try:
            self._body.write({"protocolIEs": fields}, out)
            octets = out.octets()
            return self._head + _length_octets(len(octets)) + octets
        except (UnusualError, TypeError, ValueError, KeyError):  # the last three: not of the form of Fields
            return None
