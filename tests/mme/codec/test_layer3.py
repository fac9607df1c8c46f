"""The octets of mme.codec.layer3 as pycrate's own decoder reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycrate_core.charpy import Charpy
from pycrate_core.elt import Envelope
from pycrate_mobile.TS24007 import Type1TV, Type3TV, Type4TLV, Type6TLVE

from mme.codec import esm, nas
from mme.codec.layer3 import Layer3Codec, Values
from mme.codec.lock import PYCRATE_LOCK
from mme.errors import NasError
from tests.mme.codec.test_fuzz import MUTATED_NAS, NAS, mutated

CLASSES = [row[3] for row in nas._MESSAGES] + [row[2] for row in esm._MESSAGES]
UNSIZED = {"AddInfoReq"}  # one octet (9.9.3.55), of which pycrate 0.8 takes all that follows
FEW = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def values_of(codec: Layer3Codec, optional: bool) -> st.SearchStrategy[Values]:
    def value(half: bool, size: int | None) -> st.SearchStrategy[Any]:
        return st.integers(0, 15) if half else st.binary(min_size=size or 0, max_size=40 if size is None else size)

    mandatory = {ie.name: value(ie.half is not None, ie.size) for ie in codec._mandatory if ie.name is not None}
    others = {name: value(ie.half, ie.size) for name, ie in codec._optional.items() if name not in UNSIZED}
    return st.fixed_dictionaries(mandatory, optional=others if optional else {})


def by_pycrate(message_class: Any, octets: bytes) -> dict[str, Any]:
    """Each IE that pycrate finds, its value part as octets or the number of a half octet."""
    message = message_class()
    for ie in message[1:]:
        if hasattr(ie, "_IE_stat"):
            ie._IE_stat = None  # leave the value part undivided: what is inside is not this module's
    message.from_bytes(octets)
    assert message.to_bytes() == octets
    return {ie._name: ie[-1].get_val() for ie in message[1:] if hasattr(ie, "_IE_stat") and not ie.get_trans()}


@pytest.mark.parametrize("message_class", CLASSES, ids=lambda kind: kind.__name__)
def test_pycrate_reads_what_is_written(message_class: Any) -> None:
    codec = Layer3Codec(message_class)

    @FEW
    @given(values_of(codec, optional=True))
    def check(values: Values) -> None:
        octets = codec.write({}, values)
        assert by_pycrate(message_class, octets) == values
        assert codec.read(octets) == values

    check()


@pytest.mark.parametrize("message_class", CLASSES, ids=lambda kind: kind.__name__)
def test_a_mandatory_part_cut_off_anywhere_is_refused(message_class: Any) -> None:
    codec = Layer3Codec(message_class)

    @FEW
    @given(values_of(codec, optional=False), st.data())
    def check(values: Values, data: st.DataObject) -> None:
        octets = codec.write({}, values)
        header = codec._header_octets
        if len(octets) > header:
            with pytest.raises(NasError, match="missing or cut off"):
                codec.read(octets[: data.draw(st.integers(header, len(octets) - 1))])

    check()


class ByPycrate:
    """The same message read by pycrate's own elements, one by one, where TS 24.007 11.2.4 puts them."""

    def __init__(self, message_class: Any) -> None:
        self.message = message_class()
        self.optional: dict[int, Any] = {}
        self.mandatory: list[Any] = []
        for ie in self.message[1:]:
            if isinstance(ie, Type1TV | Type3TV | Type4TLV | Type6TLVE):
                ie._trans = True
                tag = ie[0].get_val()
                self.optional[tag << 4 if isinstance(ie, Type1TV) else tag] = ie
            elif hasattr(ie, "_IE_stat"):
                self.mandatory.append(ie)
            if hasattr(ie, "_IE_stat"):
                ie._IE_stat = None

    def read(self, octets: bytes) -> Values | str:
        """The IEs; or which half of the message is wrong."""
        char = Charpy(octets)
        try:
            Envelope._from_char(self.message, char)
            values = {ie._name: ie[-1].get_val() for ie in self.mandatory}
        except Exception:  # noqa: BLE001  pycrate raises many types where octets end early
            return "mandatory"
        position = len(octets) - char.len_byte()
        while position < len(octets):
            tag = octets[position]
            ie = self.optional.get(tag & 0xF0 if tag & 0x80 else tag)
            if ie is None and tag < 0x10:
                return "comprehension"
            if isinstance(ie, Type3TV):
                size = 1 + ie[-1].get_bl() // 8
            elif tag & 0x80:
                size = 1
            elif tag >= 0x70:
                size = 3 + int.from_bytes(octets[position + 1 : position + 3])
            else:
                size = 2 + int.from_bytes(octets[position + 1 : position + 2])
            part = octets[position : position + size]
            if ie is not None and len(part) == size and ie._name not in values:
                ie._trans = False
                ie._from_char(Charpy(part))
                values[ie._name] = ie[-1].get_val()
                ie._trans = True
            position += size
        return values


@pytest.mark.parametrize("message_class", CLASSES, ids=lambda kind: kind.__name__)
def test_whatever_the_octets_each_ie_is_what_pycrate_takes_it_for(message_class: Any) -> None:
    """Other vendors' messages with octets changed, removed and added, read as whatever message."""
    codec, other = Layer3Codec(message_class), ByPycrate(message_class)
    own = st.builds(mutated, values_of(codec, optional=True).map(lambda values: codec.write({}, values)), st.integers())

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(own | MUTATED_NAS | st.sampled_from(NAS))
    def check(octets: bytes) -> None:
        if len(octets) < codec._header_octets:
            return
        with PYCRATE_LOCK:
            expected = other.read(octets)
        try:
            found: Values | str = codec.read(octets)
        except NasError as e:
            found = "comprehension" if "comprehension" in e.detail else "mandatory"
        assert found == expected

    check()


def test_what_no_ie_takes_is_refused() -> None:
    codec = Layer3Codec(CLASSES[0])
    good: Values = {"NAS_KSI": 7, "EPSAttachType": 1, "EPSID": bytes(8), "UENetCap": bytes(2), "ESMContainer": bytes(4)}
    codec.write({}, good)
    for wrong in (
        {"NAS_KSI": 16},
        {"NAS_KSI": -1},
        {"NAS_KSI": b"\7"},
        {"EPSID": bytes(256)},
        {"EPSID": 1},
        {"ESMContainer": bytes(65536)},
        {"DRXParam": bytes(3)},
        {"OldGUTIType": 16},
    ):
        with pytest.raises(ValueError, match=r"does not take|has 4 bits|is octets"):
            codec.write({}, {**good, **wrong})
    with pytest.raises(ValueError, match="mandatory"):
        codec.write({}, {**good, "EPSID": None})
    with pytest.raises(KeyError, match="NoSuchIe"):
        codec.write({}, {**good, "NoSuchIe": 1})
    with pytest.raises(ValueError, match="8 bits"):
        Layer3Codec(CLASSES[-1]).write({"PTI": 256}, {"ESMCause": b"\1"})
