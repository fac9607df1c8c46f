"""Idle UEs: paging over the eNBs of the TAI list, mobile reachable and implicit detach, and what a return costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mme.codec import s1ap
from mme.codec.envelope import Item
from mme.config import MmeConfig
from mme.enums import EmmCause, EmmState, S1apCause
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    AttachComplete,
    Cause,
    EmmMessage,
    Paging,
    Reset,
    ServiceReject,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
    UeContextReleaseRequest,
)
from mme.routing import DOWNLINK
from tests.mme.runtime.pair import ENB, IMSI, M_TMSI_KEY, OTHER_ENB, Exchange, Network
from tests.mme.runtime.returning import Returning, attached, idle
from tests.mme.runtime.test_budget import spent
from tests.mme.runtime.test_known_ue import plain_nas

THIRD_ENB = "00101-0019d"
SHORT = MmeConfig(m_tmsi_key=M_TMSI_KEY, t3412_s=60, implicit_detach_s=30.0)
REACHABLE_S = 60 + 240


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Network]:
    """T3412 is a minute: mobile reachable 5 minutes, then half a minute to the implicit detach."""
    made = Network(tmp_path, config=SHORT)
    yield made
    made.close()


def page(network: Network, number: int = 1) -> Exchange:
    return network.send(DOWNLINK, Item(id=f"operator/ana/{number}", command={"action": "page", "imsi": IMSI}))


def paged(network: Network) -> list[str]:
    """The eNBs that were told to page since, in order."""
    taken, network.pushes.taken = network.pushes.taken, []
    assert all(isinstance(s1ap.decode(d.s1ap), Paging) for d in taken)
    assert all(d.ue is None for d in taken)
    return [d.enb for d in taken]


# --------------------------------------------------------------------------- paging


def test_every_enb_of_the_tai_list_pages(network: Network) -> None:
    for enb in (OTHER_ENB, THIRD_ENB):
        network.set_up("there", enb=enb)
    idle(network)
    page(network)
    assert sorted(paged(network)) == [ENB, OTHER_ENB, THIRD_ENB]


def test_an_enb_of_another_area_does_not(network: Network) -> None:
    cell = replace(network._cell(0x19C), tac=9)
    network.cells[OTHER_ENB] = cell
    network.config = replace(network.config, tacs=(7,))
    idle(network)
    network.config = replace(network.config, tacs=(7, 9))
    network.set_up("there", enb=OTHER_ENB)
    page(network)
    assert paged(network) == [ENB]


def test_an_enb_whose_association_is_lost_is_left_out(network: Network) -> None:
    network.set_up("there", enb=OTHER_ENB)
    idle(network)
    network.event("association-lost", enb=OTHER_ENB)
    page(network)
    assert paged(network) == [ENB]


def test_an_enb_that_is_back_by_a_new_association_is_paged_in_it(network: Network) -> None:
    back = idle(network)
    network.event("association-lost")
    page(network)
    assert paged(network) == []
    network.set_up("epoch-2")
    network.wait(7)
    assert network.pushes.attempts, "T3413 pages again, and this time there is an eNB"
    assert back.context().outbox == ()


def test_t3413_pages_three_times_in_all_and_the_ue_stays_registered(network: Network) -> None:
    back = idle(network)
    page(network)
    network.wait(60)
    assert [enb for enb, _ in network.pushes.attempts] == [ENB] * 3
    assert back.context().emm is EmmState.REGISTERED
    assert "T3413" not in back.context().timers
    page(network, 2)
    assert len(network.pushes.attempts) == 4, "a new trigger pages anew"


def test_a_page_that_an_enb_does_not_take_waits_in_the_outbox_and_goes_again(network: Network) -> None:
    back = idle(network)
    network.pushes.works = False
    page(network)
    assert [entry.enb for entry in back.context().outbox] == [ENB]
    (first,) = back.context().outbox
    network.pushes.works = True
    network.wait(3)
    assert network.pushes.attempts[-1] == (ENB, (first.id,)), "the same id again, so that the eNB can drop a copy"
    assert back.context().outbox == ()


def test_a_page_that_one_enb_takes_is_tried_again_at_the_other_only(network: Network) -> None:
    network.set_up("there", enb=OTHER_ENB)
    idle(network)
    taken = network.pushes.push

    def only_here(url: str, enb: str, key: bytes, item_id: str, downlinks: list[object]) -> bool:
        network.pushes.works = enb == ENB
        return taken(url, enb, key, item_id, downlinks)  # type: ignore[arg-type]

    network.pushes.push = only_here  # type: ignore[method-assign,assignment]
    page(network)
    network.pushes.push = taken  # type: ignore[method-assign]
    network.pushes.works = True
    network.wait(3)
    tries = [enb for enb, _ in network.pushes.attempts]
    assert (tries.count(ENB), tries.count(OTHER_ENB)) == (1, 2)


def test_a_page_for_an_association_that_is_gone_meanwhile_is_dropped(network: Network) -> None:
    back = idle(network)
    network.pushes.works = False
    page(network)
    network.pushes.works = True
    network.set_up("epoch-2")
    network.pushes.attempts.clear()
    network.wait(4)
    assert network.pushes.attempts == []
    assert back.context().outbox == ()


# --------------------------------------------------------------------------- reachable, or gone


def test_an_idle_ue_that_is_silent_is_not_reachable_and_then_gone(short: Network) -> None:
    back = idle(short)
    short.wait(REACHABLE_S - 5, step_s=10)
    assert page(short).reply.label == "paging"
    short.wait(20, step_s=1)
    assert page(short, 2).reply.label == "not reachable"
    short.wait(40, step_s=1)
    assert back.context().emm is EmmState.DEREGISTERED
    assert short.sessions() == []


@pytest.mark.parametrize("kind", ["service request", "tracking area update"])
def test_a_ue_that_was_detached_implicitly_is_told_10(short: Network, kind: str) -> None:
    """TS 24.301 5.5.3.2.5, 5.6.1.5."""
    back = idle(short)
    short.wait(REACHABLE_S + 60, step_s=5)
    assert back.context().emm is EmmState.DEREGISTERED
    octets = back.service_request() if kind == "service request" else back.sealed(back.update_request())
    told = plain_nas(back.comes(octets))
    assert told in (ServiceReject(EmmCause.IMPLICITLY_DETACHED), TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED))


@pytest.mark.parametrize("after_s", [100, REACHABLE_S + 10])
def test_a_ue_that_returns_in_time_is_watched_anew(short: Network, after_s: int) -> None:
    back = idle(short)
    short.wait(after_s, step_s=5)
    back.comes(back.sealed(back.update_request(update_type=3)))
    back.says(TrackingAreaUpdateComplete())
    back.release_complete()
    back.guti = back.context().guti
    short.wait(REACHABLE_S - 10, step_s=5)
    assert back.context().emm is EmmState.REGISTERED
    assert page(short).reply.label == "paging"


def test_a_connected_ue_is_never_detached_for_silence(short: Network) -> None:
    back = idle(short)
    back.comes(back.service_request())
    back.set_up()
    short.wait(4 * REACHABLE_S, step_s=10)
    assert back.context().emm is EmmState.REGISTERED
    assert "mobile-reachable" in back.context().timers


def test_a_ue_whose_association_was_lost_after_a_service_request_is_gone_in_the_end(short: Network) -> None:
    back = idle(short)
    back.comes(back.service_request())
    back.set_up()
    short.event("association-lost")
    short.wait(2 * REACHABLE_S + 60, step_s=10)
    assert [c.emm for c in short.contexts() if c.emm is EmmState.REGISTERED] == []
    assert short.sessions() == []
    assert short.pushes.attempts == []


def test_a_ue_whose_association_was_lost_right_after_its_attach_is_gone_in_the_end(short: Network) -> None:
    """Nobody told the MME that this UE is idle: the watch has to run from the attach on."""
    attached(short)
    short.event("association-lost")
    short.wait(2 * REACHABLE_S + 60, step_s=10)
    assert [c.emm for c in short.contexts() if c.emm is EmmState.REGISTERED] == []
    assert short.sessions() == []


@pytest.mark.parametrize("loss", ["association lost", "reset"])
def test_a_ue_that_became_idle_by_a_lost_association_has_its_time_in_full(short: Network, loss: str) -> None:
    """TS 24.301 5.3.5: its T3412 began with the loss, not with the connection, and it may page until then."""
    back = attached(short)
    short.wait(REACHABLE_S - 10, step_s=10)
    if loss == "reset":
        short.s1ap(s1ap.encode(Reset(Cause(*S1apCause.MISC_UNSPECIFIED.value))), run="reset")
    else:
        short.event("association-lost")
    short.wait(REACHABLE_S - 20, step_s=10)
    assert back.context().emm is EmmState.REGISTERED
    if loss == "association lost":
        short.set_up("epoch-2")
    assert page(short).reply.label == "paging"
    assert back.comes(back.service_request()).reply.label == "service request"


@pytest.mark.parametrize("message", ["update", "reallocation"])
def test_a_radio_link_lost_in_the_middle_leaves_the_ue_registered(network: Network, message: str) -> None:
    """TS 24.301 5.4.1.6 a, 5.5.3.2.7 a."""
    back = attached(network) if message == "reallocation" else idle(network)
    if message == "update":
        back.comes(back.sealed(back.update_request()))
    else:
        network.send(DOWNLINK, Item(id="operator/ana/1", command={"action": "reallocate-guti", "imsi": IMSI}))
        back.pushed()
    cause = Cause(*S1apCause.RADIO_CONNECTION_WITH_UE_LOST.value)
    assert back.mme_id is not None
    back.sends(UeContextReleaseRequest(back.mme_id, back.number, cause))
    ctx = back.context()
    assert (ctx.emm, ctx.connection) == (EmmState.REGISTERED, None)
    assert back.comes(back.service_request()).reply.label == "service request"


# --------------------------------------------------------------------------- store budget

Budget = dict[str, tuple[int, int, int]]
# Message to (reads, plain writes, conditional writes); beside those of docs/store-budget.md.
RETURN: Budget = {
    "Service Request": (2, 2, 1),
    "Initial Context Setup Response": (2, 0, 2),
    "UE Context Release Request": (2, 1, 2),
    "UE Context Release Complete": (1, 0, 1),
}
UPDATE: Budget = {
    "Tracking Area Update Request": (2, 2, 1),
    "Tracking Area Update Complete": (1, 1, 1),
    "UE Context Release Complete": (1, 0, 1),
}
KNOWN_ATTACH: Budget = {
    "Attach Request": (4, 4, 5),
    "Initial Context Setup Response": (1, 0, 1),
    "Attach Complete": (2, 1, 2),
}
REFUSED: Budget = {
    "Service Request with a wrong MAC": (3, 0, 1),
    "Service Request of an unknown UE": (3, 0, 1),
}


def test_cost_of_service_request_and_release(network: Network) -> None:
    back = idle(network)
    found = {
        "Service Request": spent(back.comes(back.service_request())),
        "Initial Context Setup Response": spent(back.set_up()),
    }
    assert back.mme_id is not None
    request = UeContextReleaseRequest(back.mme_id, back.number, Cause(*S1apCause.USER_INACTIVITY.value))
    found["UE Context Release Request"] = spent(back.sends(request))
    found["UE Context Release Complete"] = spent(back.release_complete())
    assert found == RETURN


def test_cost_of_a_tracking_area_update(network: Network) -> None:
    back = idle(network)
    found = {
        "Tracking Area Update Request": spent(back.comes(back.sealed(back.update_request()))),
        "Tracking Area Update Complete": spent(back.says(TrackingAreaUpdateComplete())),
        "UE Context Release Complete": spent(back.release_complete()),
    }
    assert found == UPDATE


def test_cost_of_an_attach_by_known_guti(network: Network) -> None:
    back = idle(network)
    complete: EmmMessage = AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0))
    found = {
        "Attach Request": spent(back.comes(back.sealed(back.attach_request()))),
        "Initial Context Setup Response": spent(back.set_up()),
        "Attach Complete": spent(back.says(complete)),
    }
    assert found == KNOWN_ATTACH


def test_cost_of_refusals(network: Network) -> None:
    back = idle(network)
    found = {"Service Request with a wrong MAC": spent(back.comes(back.service_request(wrong=True)))}
    back.guti = replace(back.guti, m_tmsi=back.guti.m_tmsi ^ 1)
    found["Service Request of an unknown UE"] = spent(back.comes(back.service_request()))
    assert found == REFUSED


def test_cost_of_a_page_grows_with_the_enbs_alone(network: Network) -> None:
    """Two reads and nothing else for each eNB: its row to know its association, and again to push."""
    Returning(network, idle(network).talk)
    one = spent(page(network))
    network.wait(20)
    network.set_up("there", enb=OTHER_ENB)
    two = spent(page(network, 2))
    assert (two[0] - one[0], two[1] - one[1], two[2] - one[2]) == (2, 0, 0)
