"""NAS NON DELIVERY INDICATION through the whole MME: NAS COUNTs, duplicates, old copies, and the end by the timer."""

from __future__ import annotations

import pytest

from mme.codec import nas, s1ap
from mme.enums import CauseGroup, EmmState
from mme.messages import (
    AuthenticationRequest,
    Cause,
    DownlinkNasTransport,
    NasNonDeliveryIndication,
    SecurityModeCommand,
)
from tests.mme.runtime.pair import Exchange, Network, Talk, assert_no_count_used_twice

CHALLENGE, COMMAND = "Authentication Response", "Security Mode Complete"
UNSPECIFIED = Cause(CauseGroup.RADIO_NETWORK, "unspecified")
HANDOVER = Cause(CauseGroup.RADIO_NETWORK, "x2-handover-triggered")


def waiting(network: Network, answer: str) -> Talk:
    """The UE has not answered; what it would have said is forgotten."""
    talk = network.ue(network.subscribe())
    talk.until(answer)
    talk.queue.clear()
    return talk


def last_pdu(talk: Talk) -> bytes:
    message = talk.messages()[-1]
    assert isinstance(message, DownlinkNasTransport)
    assert isinstance(message.nas_pdu, bytes)
    return message.nas_pdu


def report(talk: Talk, pdu: bytes, number: int, cause: Cause = UNSPECIFIED) -> Exchange:
    mme_id = talk.side.mme_ue_s1ap_id
    assert mme_id is not None
    octets = s1ap.encode(NasNonDeliveryIndication(mme_id, talk.number, pdu, cause))
    exchange = talk.network.s1ap(octets, run="report", number=number)
    for downlink in exchange.reply.downlink:
        talk.hear(downlink)
    return exchange


@pytest.mark.parametrize(("answer", "kind"), [(CHALLENGE, AuthenticationRequest), (COMMAND, SecurityModeCommand)])
def test_it_is_sent_again_in_the_reply_and_its_answer_completes(network: Network, answer: str, kind: type) -> None:
    talk = waiting(network, answer)
    exchange = report(talk, last_pdu(talk), 1)
    assert exchange.reply.result == "done"
    assert len(exchange.reply.downlink) == 1
    pdu = last_pdu(talk)
    assert isinstance(nas.decode(pdu[6:] if kind is SecurityModeCommand else pdu, 1), kind)
    talk.flow()
    assert network.context(talk).emm is EmmState.REGISTERED
    assert_no_count_used_twice(talk)


def test_the_same_report_twice_and_another_one_send_nothing_more(network: Network) -> None:
    talk = waiting(network, COMMAND)
    first = report(talk, last_pdu(talk), 1)
    assert network.again(first).reply == first.reply
    assert report(talk, last_pdu(talk), 2).reply.downlink == []


def test_an_old_copy_is_known_by_its_sequence_number(network: Network) -> None:
    talk = waiting(network, COMMAND)
    old = last_pdu(talk)
    network.wait(7)
    talk.queue.clear()
    assert last_pdu(talk) != old
    assert report(talk, old, 1).reply.downlink == []
    assert len(report(talk, last_pdu(talk), 2).reply.downlink) == 1


def test_handed_over_it_is_t3460_that_sends_again(network: Network) -> None:
    talk = waiting(network, CHALLENGE)
    assert report(talk, last_pdu(talk), 1, HANDOVER).reply.downlink == []
    network.wait(7)
    talk.flow()
    assert network.context(talk).emm is EmmState.REGISTERED


def test_a_link_that_drops_everything_is_given_up_by_the_fifth_expiry_and_no_sooner(network: Network) -> None:
    talk = waiting(network, COMMAND)
    for number in range(1, 5):
        report(talk, last_pdu(talk), number)
        talk.queue.clear()
        network.wait(6.5)
        talk.queue.clear()
        assert network.context(talk).emm is EmmState.COMMON_PROCEDURE_INITIATED
    network.wait(7)
    assert network.context(talk).emm is EmmState.DEREGISTERED
    assert_no_count_used_twice(talk)
