"""RESET of the whole interface and of some connections (TS 36.413 8.7.1)."""

from __future__ import annotations

from mme.codec import s1ap
from mme.codec.envelope import Item
from mme.enums import CauseGroup, EmmState
from mme.messages import (
    Cause,
    EmmStatus,
    EnbConfigurationUpdate,
    EnbConfigurationUpdateAcknowledge,
    EnbConfigurationUpdateFailure,
    ErrorIndication,
    InitialContextSetupRequest,
    Paging,
    Reset,
    ResetAcknowledge,
    S1apMessage,
    SupportedTa,
    UeS1apIds,
)
from mme.needs import ModifySession
from mme.routing import DOWNLINK
from mme.rows import load_enb
from tests.mme.runtime.pair import DOWNLINK_URL, ENB, IMSI, OTHER_ENB, PLMN, Exchange, Network
from tests.mme.runtime.returning import Returning, attached

FAILURE = Cause(CauseGroup.MISC, "hardware-failure")
OTHER_IMSI = "001010123456781"


def reset(network: Network, *ids: UeS1apIds, number: int = 1, enb: str = ENB, whole: bool = False) -> Exchange:
    message = Reset(FAILURE, None if whole else ids)
    return network.s1ap(s1ap.encode(message), run="reset", number=number, enb=enb)


def answers(exchange: Exchange) -> list[S1apMessage]:
    return [s1ap.decode(d.s1ap) for d in exchange.reply.downlink]


def test_partial_reset_makes_idle_those_that_are_named_and_lists_all(network: Network) -> None:
    """Known, unknown, the eNB's id alone, and a UE of another eNB: one answer with the same list (8.7.1.2.1)."""
    network.set_up("there", enb=OTHER_ENB)
    first = attached(network)
    second = attached(network, OTHER_IMSI)
    stranger = attached(network, "001010123456782", enb=OTHER_ENB)
    kept = [second.context(), stranger.context()]
    ids = (
        UeS1apIds(first.mme_id, first.number),
        UeS1apIds(0x7FFFFFF0, 9),
        UeS1apIds(None, second.number),
        UeS1apIds(stranger.mme_id, None),
    )
    exchange = reset(network, *ids)
    assert answers(exchange) == [ResetAcknowledge(ids)]
    assert exchange.reply.downlink[0].ue is None
    gone = first.context()
    assert (gone.emm, gone.connections) == (EmmState.REGISTERED, ())
    assert gone.bearer is not None
    assert gone.bearer.enb_teid is None
    assert [second.context(), stranger.context()] == kept
    told = [n for n in network.gateway.asked if isinstance(n, ModifySession) and n.enb_teid is None]
    assert [n.owner for n in told] == [gone.key]
    assert network.pushes.attempts == []


def test_a_ue_that_was_reset_comes_back_and_can_be_paged(network: Network) -> None:
    back = attached(network)
    reset(network, UeS1apIds(back.mme_id, back.number))
    network.send(DOWNLINK, Item(id="operator/ana/1", command={"action": "page", "imsi": IMSI}))
    assert [type(s1ap.decode(d.s1ap)) for d in network.pushes.taken] == [Paging]
    back.comes(back.service_request())
    assert [type(m) for m in back.heard] == [InitialContextSetupRequest]


def test_the_same_reset_again_has_the_same_answer_and_changes_nothing(network: Network) -> None:
    back = attached(network)
    first = reset(network, UeS1apIds(back.mme_id, back.number), UeS1apIds(0x7FFFFFF0, 9))
    before = network.snapshot()
    assert network.again(first).reply == first.reply
    assert network.snapshot() == before


def test_a_partial_reset_in_the_middle_of_an_attach_ends_it(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.until("Security Mode Complete")
    mme_id = network.context(talk).connections[0].mme_ue_s1ap_id
    reset(network, UeS1apIds(mme_id, talk.number))
    assert network.context(talk).emm is EmmState.DEREGISTERED
    assert network.sessions() == []
    network.wait(40)
    assert network.pushes.attempts == []


def test_a_reset_before_s1_setup_is_refused(network: Network) -> None:
    exchange = network.s1ap(s1ap.encode(Reset(FAILURE)), run="reset", enb="00101-0019d", epoch="none")
    assert isinstance(answers(exchange)[0], ErrorIndication)
    assert exchange.reply.result == "rejected"


# ------------------------------------------------------------------- by the eNB's id alone (8.7.1.2.1)


def page(network: Network, number: int = 1) -> Exchange:
    return network.send(DOWNLINK, Item(id=f"operator/ana/{number}", command={"action": "page", "imsi": IMSI}))


def test_a_connection_named_by_the_enbs_id_alone_is_known_to_be_gone_where_it_is_asked_about(network: Network) -> None:
    """The id names no context, so none is read; the eNB's row remembers it, and who pages looks there anyway."""
    back = attached(network)
    assert page(network).reply.label == "already connected"
    exchange = reset(network, UeS1apIds(None, back.number))
    assert answers(exchange) == [ResetAcknowledge((UeS1apIds(None, back.number),))]
    assert (exchange.cost.reads, exchange.cost.writes, exchange.cost.conditional_writes) == (1, 0, 1)
    assert page(network, 2).reply.label == "paging"
    assert [type(s1ap.decode(d.s1ap)) for d in network.pushes.taken] == [Paging]
    back.comes(back.service_request())
    assert [type(m) for m in back.heard] == [InitialContextSetupRequest]


def test_the_next_ue_under_that_id_is_another_one(network: Network) -> None:
    """An eNB may give the id again at once."""
    back = attached(network)
    reset(network, UeS1apIds(None, back.number))
    back.comes(back.service_request(), number=back.number)
    back.set_up()
    assert page(network).reply.label == "already connected"


def test_other_connections_and_other_enbs_are_not_affected(network: Network) -> None:
    network.set_up("there", enb=OTHER_ENB)
    back = attached(network)
    reset(network, UeS1apIds(None, back.number + 1))
    reset(network, UeS1apIds(None, back.number), enb=OTHER_ENB)
    assert page(network).reply.label == "already connected"


def test_the_row_remembers_the_latest_256_of_them(network: Network) -> None:
    """One RESET can name no more (TS 36.413 9.1.8.1); what is forgotten is found out by the UE's own timers."""
    back = attached(network)
    reset(network, UeS1apIds(None, back.number))
    reset(network, *(UeS1apIds(None, 1000 + n) for n in range(255)), number=2)
    assert page(network).reply.label == "paging"
    reset(network, UeS1apIds(None, 2000), number=3)
    row = load_enb(network.database, ENB)
    assert row is not None
    assert len(row.voided) == 256
    assert back.number not in [enb_ue_s1ap_id for enb_ue_s1ap_id, _ in row.voided]


# ----------------------------------------------------------------- callers that count resets (docs/envelope.md)


def counting(network: Network, count: int) -> None:
    network.epochs[ENB] = f"counted#{count}"


def set_up_again(network: Network, epoch: str, number: int) -> Exchange:
    """S1 Setup under an id of its own."""
    octets = network.cells[ENB].setup_request().octets
    item = Item(id=f"{ENB}/setup-again/{number}", enb=ENB, epoch=epoch, s1ap=octets, downlink_url=DOWNLINK_URL)
    return network.send("mme-enb", item)


def test_an_uplink_on_a_connection_that_a_reset_has_voided_is_stale_without_another_read(network: Network) -> None:
    network.set_up("counted#0")
    back = attached(network)
    before = back.context()
    counting(network, 1)
    reset(network, whole=True)
    exchange = back.says(EmmStatus(111))
    assert exchange.reply.result == "stale"
    (indication,) = answers(exchange)
    assert isinstance(indication, ErrorIndication)
    assert indication.cause == Cause(CauseGroup.RADIO_NETWORK, "unknown-mme-ue-s1ap-id")
    assert (exchange.cost.reads, exchange.cost.conditional_writes) == (1, 0)
    assert back.context() == before
    back.comes(back.service_request())
    back.set_up()
    assert back.context().connection.epoch == "counted#1"
    assert back.says(EmmStatus(111)).reply.result == "done"


def test_a_second_s1_setup_in_the_same_association_voids_as_a_reset_does(network: Network) -> None:
    """TS 36.413 8.7.3.1; the same S1 Setup again, with the same count, voids nothing."""
    network.set_up("counted#0")
    back = attached(network)
    set_up_again(network, "counted#0", 1)
    assert back.says(EmmStatus(111)).reply.result == "done"
    set_up_again(network, "counted#1", 2)
    counting(network, 1)
    assert back.says(EmmStatus(111)).reply.result == "stale"
    assert page(network).reply.label == "paging"


def test_a_reset_that_is_told_twice_counts_once(network: Network) -> None:
    network.set_up("counted#0")
    counting(network, 1)
    reset(network, whole=True, number=1)
    back = attached(network)
    reset(network, whole=True, number=2)
    assert page(network).reply.label == "already connected"
    assert back.says(EmmStatus(111)).reply.result == "done"


def test_an_initial_message_from_before_the_reset_is_idle_from_the_start(network: Network) -> None:
    network.set_up("counted#0")
    counting(network, 1)
    reset(network, whole=True)
    counting(network, 0)
    attached(network)
    assert page(network).reply.label == "paging"


# --------------------------------------------------------------------------- the whole interface


def test_a_full_reset_is_one_write_however_many_ues_there_are(network: Network) -> None:
    for n in range(3):
        attached(network, f"00101012345678{n}")
    exchange = reset(network, whole=True)
    assert answers(exchange) == [ResetAcknowledge()]
    assert exchange.cost.conditional_writes == 1
    assert exchange.cost.reads <= 2


def test_after_a_full_reset_a_ue_is_idle_and_nothing_is_pushed_for_its_old_connection(network: Network) -> None:
    """Its timers go on, but what they would send has nobody to hear it: the id may be another UE's by now."""
    talk = network.ue(network.subscribe())
    talk.until("UECapabilityInfoIndication")  # ATTACH ACCEPT is out: T3450 and the context setup guard run
    talk.queue.clear()
    reset(network, whole=True)
    network.wait(60)
    assert network.pushes.attempts == []
    assert network.context(talk).outbox == ()


def test_after_a_full_reset_a_registered_ue_is_paged_and_comes_back(network: Network) -> None:
    back = attached(network)
    old = Returning(network, back.talk)
    reset(network, whole=True)
    network.send(DOWNLINK, Item(id="operator/ana/1", command={"action": "page", "imsi": IMSI}))
    assert [type(s1ap.decode(d.s1ap)) for d in network.pushes.taken] == [Paging]
    exchange = back.comes(back.service_request())
    assert [type(m) for m in answers(exchange)] == [InitialContextSetupRequest], "no release of what the eNB has reset"
    back.set_up()
    assert back.context().connection.epoch == f"{network.epochs[ENB]}#1"
    assert old.mme_id != back.mme_id


def test_a_detach_by_the_network_after_a_full_reset_pages_first(network: Network) -> None:
    attached(network)
    reset(network, whole=True)
    exchange = network.send(DOWNLINK, Item(id="operator/ana/1", command={"action": "detach", "imsi": IMSI}))
    assert exchange.reply.label == "paging"


def test_each_full_reset_is_one_of_its_own(network: Network) -> None:
    back = attached(network)
    for n in range(3):
        reset(network, whole=True, number=n + 1)
        back.comes(back.service_request())
        back.set_up()
        assert back.context().connection.epoch.endswith(f"#{n + 1}")
        assert len([c for c in back.context().connections if not c.releasing]) == 1


def test_s1_setup_again_on_the_same_association_does_not_bring_connections_back(network: Network) -> None:
    attached(network)
    reset(network, whole=True)
    network.set_up()
    exchange = network.send(DOWNLINK, Item(id="operator/ana/1", command={"action": "page", "imsi": IMSI}))
    assert exchange.reply.label == "paging"


# --------------------------------------------------------------------------- eNB configuration update


def update(network: Network, message: EnbConfigurationUpdate, number: int = 1) -> list[S1apMessage]:
    return answers(network.s1ap(s1ap.encode(message), run="update", number=number))


def test_a_configuration_update_is_stored_and_heard_by_paging(network: Network) -> None:
    assert update(network, EnbConfigurationUpdate("new name", (SupportedTa(7, (PLMN,)),), "v64")) == [
        EnbConfigurationUpdateAcknowledge()
    ]
    attached(network)


def test_one_that_would_leave_none_of_our_areas_is_refused_and_changes_nothing(network: Network) -> None:
    before = network.snapshot()
    (answer,) = update(network, EnbConfigurationUpdate("new", (SupportedTa(8, (PLMN,)),)))
    assert answer == EnbConfigurationUpdateFailure(Cause(CauseGroup.MISC, "unspecified"), 10)
    assert network.snapshot() == before


def test_an_update_leaves_the_connections_alone(network: Network) -> None:
    back = attached(network)
    update(network, EnbConfigurationUpdate("new name"))
    exchange = network.send(DOWNLINK, Item(id="operator/ana/1", command={"action": "page", "imsi": IMSI}))
    assert exchange.reply.label == "already connected"
    assert back.context().connection is not None
