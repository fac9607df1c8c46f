"""What comes down for an eNB as a whole."""

from __future__ import annotations

from enb_app import station as stations
from enb_app.enb import Cell
from enb_app.measure import MessageSample
from enb_app.station import Network, Station
from mme.codec import s1ap
from mme.codec.envelope import Downlink
from mme.ids import GlobalEnbId, Plmn, STmsi, Tai
from mme.messages import Paging
from tests.enb_app.test_exchange import ENB, Bench

PLMN = Plmn("00101")
PAGING = Paging(723, STmsi(1, 0xC0FFEE), (Tai(PLMN, 7),))
DOWNLINK = Downlink(f"operator/x/1/p-{ENB}", ENB, 0, s1ap.encode(PAGING))


def listening(paged: list[Paging]) -> Station:
    bench = Bench()
    samples: list[MessageSample] = []
    network = Network(
        bench.exchange,
        bench.clock,
        "t",
        lambda _: "",
        lambda _, message: paged.append(message),
        samples.append,
        0.0,
    )
    return Station(Cell(GlobalEnbId(PLMN, 0x19B), 7, "enb0019b"), network)


def test_a_push_that_comes_twice_is_one_paging() -> None:
    """Of two functions that save one context, both push what its outbox holds; whoever is first is taken."""
    paged: list[Paging] = []
    station = listening(paged)
    station.on_downlink(DOWNLINK)
    station.on_downlink(DOWNLINK)
    assert (paged, station.journal.entries, station.repeats) == ([PAGING], [PAGING], 1)
    station.on_downlink(replace_id(DOWNLINK, "operator/x/2"))
    assert len(paged) == 2


def test_only_the_latest_ids_are_remembered() -> None:
    paged: list[Paging] = []
    station = listening(paged)
    for number in range(stations.REMEMBERED + 1):
        station.on_downlink(replace_id(DOWNLINK, f"operator/x/{number}"))
    station.on_downlink(replace_id(DOWNLINK, "operator/x/1"))
    assert station.repeats == 1
    station.on_downlink(replace_id(DOWNLINK, "operator/x/0"))
    assert (station.repeats, len(paged)) == (1, stations.REMEMBERED + 2)


def replace_id(downlink: Downlink, downlink_id: str) -> Downlink:
    return Downlink(downlink_id, downlink.enb, downlink.stream, downlink.s1ap)
