"""Whatever the octets: S1apError or NasError, and what was read can be written and read again."""

from __future__ import annotations

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mme.codec import nas, s1ap
from mme.enums import Direction
from mme.errors import NasError, S1apError
from tests.mme.codec.outside import vectors

PDUS = [p for name in ("lab", "srsran", "open5gs", "nextepc", "pcapr") for p in vectors(f"s1ap/{name}").values()]
NAS = [p for name in ("pycrate", "srsran", "open5gs") for p in vectors(f"nas/{name}").values()]
NAS += [p[6:] for p in NAS if p[0] >> 4 in (1, 2, 3) and len(p) > 8]


def mutated(octets: bytes, seed: int) -> bytes:
    """1 to 4 octets changed, removed or added, or the end cut off."""
    chance = random.Random(seed)
    changed = bytearray(octets)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(8):
            case 0:
                changed.insert(place, chance.randrange(256))
            case 1:
                del changed[place:]
            case 2:
                del changed[place : place + 1]
            case _:
                changed[place : place + 1] = bytes((chance.randrange(256),))
    return bytes(changed)


MUTATED_PDUS = st.builds(mutated, st.sampled_from(PDUS), st.integers(0, 1 << 32))
MUTATED_NAS = st.builds(mutated, st.sampled_from(NAS), st.integers(0, 1 << 32))


@settings(max_examples=1500, deadline=None)
@given(MUTATED_PDUS | st.binary(max_size=60))
def test_s1ap_never_raises_anything_else(octets: bytes) -> None:
    s1ap.peek_ue_ids(octets)
    with contextlib.suppress(S1apError):
        s1ap.decode(octets)


@settings(max_examples=3000, deadline=None)
@given(MUTATED_NAS | st.binary(max_size=40), st.sampled_from(Direction))
def test_nas_never_raises_anything_else(octets: bytes, direction: Direction) -> None:
    nas.peek_type(octets)
    with contextlib.suppress(NasError):
        nas.open_envelope(octets)
    try:
        message = nas.decode(octets, direction)
    except NasError:
        return
    with contextlib.suppress(ValueError):  # what has no canonical form, such as an UndecodableEsm
        again = nas.encode(message)
        assert nas.decode(again, direction) == message
