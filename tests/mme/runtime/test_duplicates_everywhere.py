"""Every function, and each kind of item it takes: the same item at once, after the next one, and when all is over.

At once it gets the same bytes; later nothing is changed and nobody is told anything.  A function without a row here
fails the first test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import yaml

from mme.codec import envelope, s1ap
from mme.codec.envelope import Item
from mme.enums import CauseGroup
from mme.messages import (
    Cause,
    EnbConfigurationUpdate,
    InitialUeMessage,
    MmeConfigurationUpdateAcknowledge,
    Reset,
    SupportedTa,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UplinkNasTransport,
)
from mme.needs import NeedSession, NeedVector
from mme.store.base import Table
from tests.mme.runtime.pair import IMSI, PLMN, Exchange, Network, Talk

ROOT = Path(__file__).resolve().parents[3]
FAILURE = Cause(CauseGroup.MISC, "hardware-failure")
_numbers = count(1)


@dataclass
class Scene:
    """first: what came of the item.  then: the next item of the same UE or eNB.  end: the last there will be of it."""

    network: Network
    first: Exchange
    then: Callable[[], object]
    end: Callable[[], object]


def attached(network: Network) -> Talk:
    talk = network.ue(network.subscribe())
    talk.run()
    return talk


def leave(talk: Talk) -> None:
    """It detaches, and its context is a stub."""
    talk.detach()
    talk.flow()


def forget(network: Network) -> None:
    """Every UE's context is gone, without a stub."""
    for key, row in network.database.scan(Table.UE_CONTEXT):
        network.database.save(Table.UE_CONTEXT, key, None, expect=row.version, writer="test")


def the(talk: Talk, message: type, nas: str | None = None) -> Scene:
    """The item of a UE's attach that carried that message."""
    while talk.queue:
        octets = talk.queue[0].octets
        if isinstance(s1ap.decode(octets), message) and (nas is None or talk.queue[0].nas == nas):
            break
        talk.step()
    first = talk.post()

    def then() -> None:
        talk.take(first)
        talk.run()

    return Scene(talk.network, first, then, lambda: leave(talk))


def initial_ue(network: Network) -> Scene:
    return the(network.ue(network.subscribe()), InitialUeMessage)


def initial_ue_refused(network: Network) -> Scene:
    """The subscriber is not known: the attach is rejected, and its context released by the eNB."""
    talk = network.ue(network.subscribe())
    row = network.database.load(Table.SUBSCRIBER, IMSI)
    assert row is not None
    network.database.save(Table.SUBSCRIBER, IMSI, None, expect=row.version, writer="test")
    first = talk.post()

    def then() -> None:
        talk.take(first)
        talk.flow()

    return Scene(network, first, then, lambda: None)


def uplink_nas(network: Network) -> Scene:
    return the(network.ue(network.subscribe()), UplinkNasTransport, "Security Mode Complete")


def detach(network: Network) -> Scene:
    talk = attached(network)
    talk.detach()
    first = talk.post()
    return Scene(network, first, lambda: (talk.take(first), talk.flow()), lambda: forget(network))


def release_complete(network: Network) -> Scene:
    talk = attached(network)
    talk.detach()
    talk.step()
    assert isinstance(s1ap.decode(talk.queue[0].octets), UeContextReleaseComplete)
    first = talk.post()
    return Scene(network, first, lambda: None, lambda: forget(network))


def release_request(network: Network) -> Scene:
    talk = attached(network)
    ids = (network.context(talk).connections[0].mme_ue_s1ap_id, talk.number)
    request = UeContextReleaseRequest(*ids, Cause(CauseGroup.RADIO_NETWORK, "user-inactivity"))
    first = network.s1ap(s1ap.encode(request), run=talk.run_name, number=90)
    complete = s1ap.encode(UeContextReleaseComplete(*ids))
    return Scene(network, first, lambda: network.s1ap(complete, run=talk.run_name, number=91), lambda: forget(network))


def setup(network: Network) -> Scene:
    """The association is followed by another one, whose UEs a late copy must not make idle."""
    first = network.set_up("before")
    return Scene(network, first, lambda: network.set_up("after"), lambda: network.event("association-lost"))


def enb_configuration_update(network: Network) -> Scene:
    def update(tac: int) -> Exchange:
        message = EnbConfigurationUpdate(supported_tas=(SupportedTa(tac, (PLMN,)), SupportedTa(7, (PLMN,))))
        return network.s1ap(s1ap.encode(message), run="update", number=next(_numbers))

    return Scene(network, update(8), lambda: update(9), lambda: network.event("association-lost"))


def reset(network: Network) -> Scene:
    """UEs that came after the reset are not touched by a late copy of it."""
    message = s1ap.encode(Reset(FAILURE, None))
    first = network.s1ap(message, run="reset", number=1)
    return Scene(
        network,
        first,
        lambda: (attached(network), network.s1ap(message, run="reset", number=2)),
        lambda: network.event("association-lost"),
    )


def association_lost(network: Network) -> Scene:
    first = network.event("association-lost")
    return Scene(network, first, lambda: (network.set_up("after"), attached(network)), lambda: forget(network))


def acknowledge(network: Network) -> Scene:
    message = s1ap.encode(MmeConfigurationUpdateAcknowledge())
    first = network.s1ap(message, run="acknowledge", number=1)
    return Scene(network, first, lambda: attached(network), lambda: forget(network))


def release_event(network: Network) -> Scene:
    talk = attached(network)
    mme_id = network.context(talk).connections[0].mme_ue_s1ap_id
    first = network.event("release-ue", mme_ue_s1ap_id=mme_id, run="give-up")
    return Scene(network, first, lambda: None, lambda: forget(network))


def timer(network: Network) -> Scene:
    talk = network.ue(network.subscribe())
    talk.step()
    network.wait(6.5)
    [first] = [e for e in network.fired if e.reply.result == "done"]

    def then() -> None:
        talk.flow()

    return Scene(network, first, then, lambda: leave(talk))


def late_answer(network: Network) -> Scene:
    network.hss.late = (NeedVector,)
    talk = network.ue(network.subscribe())
    talk.flow()
    network.hss.late = ()
    [(need, answer)] = network.hss.held
    first = network.answer(need, answer)

    def then() -> None:
        network.deliver()
        talk.flow()

    return Scene(network, first, then, lambda: leave(talk))


def late_session(network: Network) -> Scene:
    network.gateway.late = (NeedSession,)
    talk = network.ue(network.subscribe())
    talk.flow()
    network.gateway.late = ()
    [(need, answer)] = network.gateway.held
    first = network.answer(need, answer)

    def then() -> None:
        network.deliver()
        talk.flow()

    return Scene(network, first, then, lambda: leave(talk))


def command(network: Network) -> Scene:
    def order(action: str) -> Exchange:
        item = Item(id=f"operator/cli/{next(_numbers)}", command={"action": action, "imsi": IMSI})
        return network.send("mme-downlink", item)

    talk = attached(network)
    first = order("reallocate-guti")

    def then() -> None:
        network.deliver()
        talk.flow()

    return Scene(network, first, then, lambda: leave(talk))


ROWS: list[tuple[str, Callable[[Network], Scene]]] = [
    ("mme-enb", setup),
    ("mme-enb", enb_configuration_update),
    ("mme-enb", reset),
    ("mme-enb", association_lost),
    ("mme-enb", acknowledge),
    ("mme-initial-ue", initial_ue),
    ("mme-initial-ue", initial_ue_refused),
    ("mme-uplink-nas", uplink_nas),
    ("mme-uplink-nas", detach),
    ("mme-ue-context", release_request),
    ("mme-ue-context", release_complete),
    ("mme-ue-context", release_event),
    ("mme-timer", timer),
    ("mme-answer", late_answer),
    ("mme-answer", late_session),
    ("mme-downlink", command),
]
each = pytest.mark.parametrize("scene", [make for _, make in ROWS], ids=[f"{f}:{make.__name__}" for f, make in ROWS])


def stored(network: Network) -> dict[str, object]:
    """Everything but timer rows: a copy that starts anew may write one more, which its context does not wait for."""
    return {table: rows for table, rows in network.snapshot().items() if table != "timer"}


def test_every_function_has_a_row() -> None:
    functions = yaml.safe_load((ROOT / "stack.yml").read_text())["functions"]
    assert {function for function, _ in ROWS} == {name for name in functions if name.startswith("mme-")}


@each
def test_at_once_it_gets_the_same_bytes(network: Network, scene: Callable[[Network], Scene]) -> None:
    made = scene(network)
    before, pushed = stored(network), len(network.pushes.attempts)
    again = network.again(made.first)
    assert envelope.encode(again.reply) == envelope.encode(made.first.reply)
    assert (stored(network), len(network.pushes.attempts)) == (before, pushed)


@each
@pytest.mark.parametrize("when", ["after the next", "when it is over"])
def test_later_it_changes_nothing(network: Network, scene: Callable[[Network], Scene], when: str) -> None:
    made = scene(network)
    made.then()
    if when == "when it is over":
        made.end()
    network.deliver()
    before, pushed = stored(network), len(network.pushes.attempts)
    again = network.again(made.first)
    assert (stored(network), len(network.pushes.attempts)) == (before, pushed)
    known = again.reply.result in ("duplicate", "stale", made.first.reply.result)
    assert known or again.reply.label == "no S1 Setup"
    if again.reply.result == made.first.reply.result:
        assert envelope.encode(again.reply) == envelope.encode(made.first.reply)
    else:
        assert {type(s1ap.decode(d.s1ap)).__name__ for d in again.reply.downlink} <= {"ErrorIndication"}
