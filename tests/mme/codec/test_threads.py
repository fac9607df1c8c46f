"""pycrate's objects are global singletons: without the lock this test sees wrong values and exceptions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mme.codec import nas, s1ap
from mme.enums import Direction
from mme.messages import UnhandledS1ap
from tests.mme.codec.outside import vectors

THREADS, ROUNDS = 4, 12
PDUS = [octets for octets in vectors("s1ap/pcapr").values() if len(octets) < 250]
NAS = [vectors("nas/pycrate")[name] for name in ("attach_accept", "tracking_area_update_request", "emm_information")]


@pytest.fixture
def often_switched() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def work(start: int) -> int:
    wrong = 0
    for i in range(ROUNDS * len(PDUS)):
        pdu = PDUS[(i + start) % len(PDUS)]
        message = s1ap.decode(pdu)
        if not isinstance(message, UnhandledS1ap):
            wrong += s1ap.encode(message) != pdu
        octets = NAS[(i + start) % len(NAS)]
        decoded = nas.decode(octets, Direction.DOWNLINK)
        wrong += nas.decode(nas.encode(decoded), Direction.DOWNLINK) != decoded
    return wrong


def test_four_threads_see_no_wrong_value(often_switched: None) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(0, 7 * THREADS, 7))) == 0
