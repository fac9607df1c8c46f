"""UE and eNB together against the fake MME: when a run is over and what became of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest

from enb_app.association import GAP, RELEASE, Association, Leave, Plan
from enb_app.effects import AttachAnswered, Done, Effect, SendS1ap, StartTimer, StopTimer, Verdict
from enb_app.enb import Cell, EnbUe
from enb_app.ue import T3410, Profile, Ue
from enb_app.usim import Subscriber, Usim
from mme.codec import s1ap
from mme.codec.envelope import Downlink, Item
from mme.ids import GlobalEnbId
from mme.messages import ErrorIndication, UeContextReleaseCommand
from tests.enb_app.fake_mme import PLMN, RELEASED, SUBSCRIBER, FakeMme

CELL = Cell(GlobalEnbId(PLMN, 0x19B), 7, "enb")
MOST_MESSAGES = 40
STAY = Plan()


@dataclass
class Run:
    """One UE against the MME, one message at a time, no time passing."""

    association: Association
    mme: FakeMme
    sent: list[SendS1ap] = field(default_factory=list)
    timers: set[str] = field(default_factory=set)
    effects: list[Effect] = field(default_factory=list)
    waiting: deque[SendS1ap] = field(default_factory=deque)

    def perform(self, effects: list[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case SendS1ap():
                    self.waiting.append(effect)
                case StartTimer(name=name):
                    self.timers.add(name)
                case StopTimer(name=name):
                    self.timers.discard(name)
                case _:
                    pass

    def go(self, most: int = MOST_MESSAGES) -> Done | None:
        """Until nothing more happens by itself, or `most` messages were answered."""
        if not self.effects:
            self.perform(self.association.start())
        for _ in range(most):
            if not self.waiting:
                return self.done
            message = self.waiting.popleft()
            self.sent.append(message)
            reply = self.mme.work(Item(f"{CELL.enb}/r-1/{len(self.sent)}", CELL.enb, "e", 1, message.octets))
            for downlink in reply.downlink:
                self.perform(self.association.downlink(downlink))
            self.perform(self.association.answered(message, reply.result, reply.label))
        assert most < MOST_MESSAGES, "the two talk without end"
        return self.done

    @property
    def done(self) -> Done | None:
        found = [effect for effect in self.effects if isinstance(effect, Done)]
        assert len(found) < 2
        return found[0] if found else None

    @property
    def names(self) -> list[str]:
        return [message.nas or message.name for message in self.sent]


def run(
    subscriber: Subscriber = SUBSCRIBER, plan: Plan = STAY, known: Subscriber | None = SUBSCRIBER, **profile: object
) -> Run:
    mme = FakeMme({known.imsi.digits: known} if known else {})
    ue = Ue(Usim(subscriber), Profile(PLMN, **profile))  # type: ignore[arg-type]
    return Run(Association(ue, EnbUe(CELL, 1), plan), mme)


ATTACH = [
    "Attach Request",
    "Authentication Response",
    "Security Mode Complete",
    "UECapabilityInfoIndication",
    "InitialContextSetupResponse",
    "Attach Complete",
]


def test_attach_takes_six_messages() -> None:
    subject = run()
    assert subject.go() == Done(Verdict.ATTACHED, "attached")
    assert subject.names == ATTACH
    assert any(isinstance(effect, AttachAnswered) for effect in subject.effects)
    assert subject.timers == set()


@pytest.mark.parametrize("leave", [Leave.DETACH, Leave.SWITCH_OFF])
def test_detach(leave: Leave) -> None:
    subject = run(plan=Plan(leave))
    done = subject.go()
    assert done
    assert (done.verdict, done.detached) == (Verdict.ATTACHED, True)
    assert subject.names == [*ATTACH, "Detach Request", "UEContextReleaseComplete"]
    assert subject.timers == set()


def test_wrong_key_ends_in_authentication_reject_after_an_identity_check() -> None:
    other = Subscriber(SUBSCRIBER.imsi, bytes(16), SUBSCRIBER.opc)
    subject = run(subscriber=other)
    done = subject.go()
    assert done
    assert (done.verdict, done.cause) == (Verdict.REJECTED, "Authentication Reject")
    assert subject.names == [
        "Attach Request",
        "Authentication Failure",
        "Identity Response",
        "UEContextReleaseComplete",
    ]


def test_wrong_res_ends_in_authentication_reject() -> None:
    subject = run(wrong_res=True)
    done = subject.go()
    assert done
    assert done.cause == "Authentication Reject"
    assert subject.names[-1] == "UEContextReleaseComplete"


def test_unknown_imsi_ends_in_attach_reject() -> None:
    subject = run(known=None)
    done = subject.go()
    assert done
    assert (done.cause, done.emm_cause) == ("Attach Reject #8", 8)


def test_each_protected_message_is_replayed_once_and_its_copy_discarded() -> None:
    subject = run(plan=Plan(replay=True))
    done = subject.go()
    assert done
    assert done.verdict is Verdict.ATTACHED
    copied = [message.nas for message in subject.sent if message.copy]
    assert copied == ["Security Mode Complete", "Attach Complete"]
    assert subject.association.copies == {"discarded": 2}


def test_esm_information() -> None:
    subject = run(esm_information=True)
    subject.mme.esm_information = True
    assert subject.go() == Done(Verdict.ATTACHED, "attached")
    assert "ESM Information Response" in subject.names


def test_gives_up_with_t3410_and_asks_for_the_release() -> None:
    subject = run()
    subject.go(1)
    lost = subject.waiting.popleft()
    assert lost.nas == "Authentication Response"
    subject.perform(subject.association.expire(T3410))
    assert subject.waiting[-1].name == "UEContextReleaseRequest"
    assert subject.done is None
    subject.perform(subject.association.lost(lost, "no answer"))
    subject.go()
    assert subject.done
    assert subject.done.verdict is Verdict.FAILED
    assert "T3410" in subject.done.cause


def test_silence_from_the_first_message_on_ends_at_once_there_is_nothing_to_release() -> None:
    subject = run()
    subject.perform(subject.association.start())
    subject.perform(subject.association.lost(subject.waiting.popleft(), "mme-initial-ue: no answer, 8 times sent"))
    assert subject.done == Done(Verdict.FAILED, "mme-initial-ue: no answer, 8 times sent")


def test_a_release_that_never_comes_is_asked_for_once_and_then_given_up() -> None:
    subject = run(wrong_res=True)
    subject.mme._release = lambda ue: ErrorIndication(ue + 1000, ue, RELEASED)  # type: ignore[method-assign]
    assert subject.go() is None
    assert RELEASE in subject.timers
    subject.perform(subject.association.expire(RELEASE))
    assert subject.go() is None
    assert subject.names[-1] == "UEContextReleaseRequest"
    subject.perform(subject.association.expire(RELEASE))
    assert subject.done
    assert subject.done.verdict is Verdict.REJECTED


def test_a_refused_attach_complete_is_no_attach() -> None:
    subject = run()
    subject.go(5)
    complete = subject.waiting.popleft()
    assert complete.nas == "Attach Complete"
    subject.perform(subject.association.answered(complete, "discarded", "MAC failed"))
    subject.go()
    assert subject.done
    assert (subject.done.verdict, subject.done.cause) == (Verdict.FAILED, "Attach Complete was discarded: MAC failed")


def test_downlinks_out_of_order_wait_for_the_gap_and_repeats_are_dropped() -> None:
    subject = run()
    subject.perform(subject.association.start())
    subject.association.side.mme_ue_s1ap_id = 1001
    release = s1ap.encode(UeContextReleaseCommand(1001, 1, RELEASED))
    early = Downlink("d2", CELL.enb, 1, release, 1, 1)
    subject.perform(subject.association.downlink(early))
    subject.perform(subject.association.downlink(early))
    assert not subject.association.side.released
    assert GAP in subject.timers
    subject.perform(subject.association.expire(GAP))
    assert subject.association.side.released
    assert (subject.association.ordering.gaps, subject.association.ordering.repeats) == (1, 1)


def test_a_release_of_an_older_connection_does_not_disturb() -> None:
    subject = run()
    subject.perform(subject.association.start())
    subject.association.side.mme_ue_s1ap_id = 1001
    old = s1ap.encode(UeContextReleaseCommand(999, 1, RELEASED))
    subject.perform(subject.association.downlink(Downlink("old", CELL.enb, 1, old, 1, 7)))
    assert not subject.association.side.released
    assert not subject.association.ordering.waiting
    assert subject.waiting[-1].name == "ErrorIndication"


def test_the_run_is_not_over_while_a_message_is_unanswered() -> None:
    subject = run()
    subject.go(3)
    capability, response, complete = subject.waiting
    subject.perform(subject.association.answered(complete, "done", None))
    assert any(isinstance(effect, AttachAnswered) for effect in subject.effects)
    assert subject.done is None
    subject.perform(subject.association.answered(response, "done", None))
    assert subject.done is None
    subject.perform(subject.association.answered(capability, "done", None))
    assert subject.done == Done(Verdict.ATTACHED, "attached")
