"""New attaches refused with EMM cause #22 (TS 24.301 5.5.1.2.5), whatever else goes on; S1 overload pushed to eNBs."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from random import Random

import msgspec
import pytest

from enb_app.overload import RadioAccess
from enb_app.ue import Profile
from mme.codec import envelope, nas, s1ap
from mme.codec.envelope import Item
from mme.enums import AttachType, Direction, EmmCause, EmmState, SecurityHeader
from mme.ids import Imsi
from mme.messages import (
    AttachReject,
    DownlinkNasTransport,
    ErrorIndication,
    OverloadStart,
    OverloadStop,
    S1SetupResponse,
    UplinkNasTransport,
)
from mme.ticker import HttpTell
from mme.work import Load
from tests.mme.procedures import conftest as ue
from tests.mme.runtime.pair import DOWNLINK_URL, ENB, IMSI, OTHER_ENB, PLMN, Exchange, Network
from tests.mme.runtime.returning import attached, idle
from tests.mme.runtime.test_attach import assert_registered


@pytest.fixture
def congested(network: Network, monkeypatch: pytest.MonkeyPatch) -> Network:
    """Whatever comes is refused if it is a new attach."""
    make = network.runtime

    class Congested:
        def __init__(self, function: str) -> None:
            self._runtime = make(function)

        def work(self, item: Item) -> object:
            return self._runtime.work(item, Load(congested=True))

    monkeypatch.setattr(network, "runtime", Congested)
    return network


def test_a_new_attach_is_refused_without_t3346_and_leaves_nothing(congested: Network) -> None:
    talk = congested.ue(congested.subscribe())
    sqn, before = congested.sqn(), congested.snapshot()
    first = talk.post()
    assert (first.reply.result, first.reply.label) == ("rejected", "congestion")
    rejected, indication = [s1ap.decode(d.s1ap) for d in first.reply.downlink]
    assert isinstance(rejected, DownlinkNasTransport)
    assert isinstance(rejected.nas_pdu, bytes)
    assert rejected.nas_pdu == bytes.fromhex("074416")  # TS 24.301 8.2.3: EMM, ATTACH REJECT, cause 22
    assert isinstance(indication, ErrorIndication)
    assert indication.cause is not None
    assert indication.cause.value == "unknown-mme-ue-s1ap-id"
    assert indication.enb_ue_s1ap_id == talk.number
    assert (congested.sqn(), congested.snapshot()) == (sqn, before)
    assert (first.cost.reads, first.cost.writes, first.cost.conditional_writes) == (1, 0, 0)
    talk.take(first)
    assert talk.queue == []
    assert talk.done is not None
    assert talk.done.emm_cause == EmmCause.CONGESTION.value
    assert congested.snapshot() == before


def test_a_copy_of_a_refused_attach_is_refused_alike(congested: Network) -> None:
    talk = congested.ue(congested.subscribe())
    first = talk.post()
    assert congested.again(first).reply == first.reply


def test_a_copy_of_an_attach_that_was_taken_before_is_a_duplicate(
    network: Network, request: pytest.FixtureRequest
) -> None:
    talk = network.ue(network.subscribe())
    first = talk.post()
    assert first.reply.result == "done"
    request.getfixturevalue("congested")
    assert network.again(first).reply == first.reply


def test_what_was_begun_is_finished(network: Network, request: pytest.FixtureRequest) -> None:
    talk = network.ue(network.subscribe())
    talk.step()
    request.getfixturevalue("congested")
    talk.run()
    assert_registered(network, talk)


def test_an_attach_begun_anew_on_its_connection_is_no_new_attach(
    network: Network, request: pytest.FixtureRequest
) -> None:
    """Other IEs in the middle of the first one (TS 24.301 5.5.1.2.7 e)."""
    talk = network.ue(network.subscribe())
    first = talk.post()
    talk.take(first)
    request.getfixturevalue("congested")
    connection = network.context(talk).connection
    assert connection is not None
    other = nas.encode(ue.attach_request(attach_type=2, identity=Imsi(IMSI)))
    cell = network.cells[talk.enb]
    octets = s1ap.encode(UplinkNasTransport(connection.mme_ue_s1ap_id, talk.number, other, cell.ecgi, cell.tai))
    exchange = network.s1ap(octets, run="anew", enb=talk.enb)
    assert exchange.reply.result == "done"
    assert [type(s1ap.decode(d.s1ap)) for d in exchange.reply.downlink] == [DownlinkNasTransport]
    assert network.context(talk).timers


def test_a_registered_ue_that_attaches_on_its_connection_is_served(
    network: Network, request: pytest.FixtureRequest
) -> None:
    back = attached(network)
    request.getfixturevalue("congested")
    exchange = back.says(back.attach_request())
    assert exchange.reply.result == "done"
    after = back.context()
    assert after.attaching is not None
    assert after.timers


def test_a_known_ue_is_told_t3346_under_protection_and_stays_known(
    network: Network, request: pytest.FixtureRequest
) -> None:
    back = idle(network)
    request.getfixturevalue("congested")
    exchange: Exchange = back.comes(back.sealed(back.attach_request(), header=SecurityHeader.INTEGRITY))
    assert (exchange.reply.result, exchange.reply.label) == ("rejected", "congestion")
    [reject] = [message for message in back.told if isinstance(message, AttachReject)]
    assert reject.cause is EmmCause.CONGESTION
    assert reject.t3346_s is not None
    assert network.config.t3346_s <= reject.t3346_s <= 2 * network.config.t3346_s
    assert back.context().emm is EmmState.REGISTERED
    assert back.context().security is not None


def test_a_service_request_is_served(network: Network, request: pytest.FixtureRequest) -> None:
    back = attached(network)
    request.getfixturevalue("congested")
    assert back.comes(back.service_request()).reply.label == "service request"


def test_an_emergency_attach_is_read_to_the_end(network: Network, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("congested")
    talk = network.ue(network.subscribe(), profile=Profile(plmn=PLMN, attach_type=AttachType.EMERGENCY))
    assert talk.post().reply.label != "congestion"


def test_an_enb_that_comes_during_an_overload_is_told_with_its_setup(network: Network) -> None:
    item = Item(
        id=f"{OTHER_ENB}/late-setup/1",
        enb=OTHER_ENB,
        epoch="late",
        s1ap=network._cell(int(OTHER_ENB.partition("-")[2], 16)).setup_request().octets,
        downlink_url=DOWNLINK_URL,
    )
    runtime = network.runtime("mme-enb")
    reply, _, _ = runtime.work(item, Load(reduction=60, number=7))
    answer, start = [s1ap.decode(d.s1ap) for d in reply.downlink]
    assert isinstance(answer, S1SetupResponse)
    assert start == OverloadStart("reject-rrc-cr-signalling", 60)
    assert [d.ue for d in reply.downlink] == [None, None]
    assert [d.order for d in reply.downlink] == [None, 7]
    assert runtime.work(item)[0] == reply, "a copy is told the same"
    anew = msgspec.structs.replace(item, id=f"{OTHER_ENB}/late-setup/2", epoch="later")
    assert [type(s1ap.decode(d.s1ap)) for d in runtime.work(anew)[0].downlink] == [S1SetupResponse]


def overload(network: Network, reduction: object, number: object = 1) -> Exchange:
    command = {"action": "overload", "reduction": reduction, "number": number}
    return network.send("mme-downlink", Item(id=f"operator/overload/{number}", command=command))


def test_two_decisions_that_arrive_the_wrong_way_round_end_in_the_later(network: Network) -> None:
    """The invocation that carries START is overtaken by the one of STOP: pushes of two keep no order."""
    overload(network, 0, 2)
    overload(network, 60, 1)
    radio = RadioAccess(Random(1))
    for downlink in network.pushes.taken:
        radio.hear(s1ap.decode(downlink.s1ap), downlink.order)
    assert (radio.stops, radio.starts, radio.overtaken, radio.overloaded) == (1, 0, 1, False)


def test_the_word_of_the_ticker_reaches_enbs_with_the_number_of_its_decision(network: Network) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            [item] = envelope.decode_request(self.rfile.read(int(self.headers["Content-Length"]))).items
            answer = envelope.encode(envelope.Response([network.send("mme-downlink", item).reply]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        assert HttpTell(f"http://127.0.0.1:{server.server_port}", bytes(32))("operator/overload/9-30", 30, 9)
        serving.join(60)
    [told] = network.pushes.taken
    assert (s1ap.decode(told.s1ap), told.order) == (OverloadStart("reject-rrc-cr-signalling", 30), 9)


def test_a_number_that_is_none_is_refused(network: Network) -> None:
    assert overload(network, 60, "7").reply.result == "rejected"
    assert overload(network, 60, None).reply.result == "done"
    assert [d.order for d in network.pushes.taken] == [None]


def test_overload_start_and_stop_reach_every_enb(network: Network) -> None:
    network.set_up("there", enb=OTHER_ENB)
    assert overload(network, 60).reply.label == "taken by 2 of 2 eNBs"
    assert {d.enb for d in network.pushes.taken} == {ENB, OTHER_ENB}
    for downlink in network.pushes.taken:
        assert downlink.ue is None
        assert s1ap.decode(downlink.s1ap) == OverloadStart("reject-rrc-cr-signalling", 60)
    network.pushes.taken.clear()
    assert overload(network, 0, 2).reply.result == "done"
    assert [s1ap.decode(d.s1ap) for d in network.pushes.taken] == [OverloadStop(), OverloadStop()]


def test_the_same_overload_again_is_the_same_downlink(network: Network) -> None:
    network.pushes.works = False
    assert overload(network, 60).reply.result == "retry"
    network.pushes.works = True
    assert overload(network, 60).reply.result == "done"
    assert len({ids for _, ids in network.pushes.attempts}) == 1


@pytest.mark.parametrize("reduction", [-1, 100, None, "50", 1.5])
def test_a_reduction_that_no_enb_understands_is_refused(network: Network, reduction: object) -> None:
    refused = overload(network, reduction).reply
    assert (refused.result, network.pushes.attempts) == ("rejected", [])


def test_attach_reject_with_t3346_as_the_specification_has_it() -> None:
    """TS 24.301 8.2.3, TS 24.008 10.5.7.4: IEI 5F, length 1, unit 2 s (000) times 20."""
    octets = bytes.fromhex("0744165f0114")
    assert nas.decode(octets, Direction.DOWNLINK) == AttachReject(EmmCause.CONGESTION, t3346_s=40)
