"""One UE on one eNB: what the two machines say to each other, when the run is over, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from enb_app.effects import (
    AreaUpdated,
    AttachAnswered,
    BearersUp,
    DeliverNas,
    Detached,
    DetachedByNetwork,
    Done,
    Effect,
    EnbEffect,
    Ended,
    GutiTaken,
    Registered,
    Released,
    S1apReceived,
    SendNas,
    SendS1ap,
    ServiceGranted,
    StartTimer,
    StopTimer,
    UeEffect,
    Verdict,
)
from enb_app.enb import EnbUe
from enb_app.ordering import GAP_S, Ordering
from enb_app.ue import Ue
from mme.codec.envelope import Downlink
from mme.enums import ItemResult, S1apCause
from mme.messages import S1apMessage

GAP = "gap"
RELEASE = "release"
RELEASE_S = 2.0
_TAKEN = frozenset({ItemResult.DONE.value, ItemResult.DUPLICATE.value})


class Leave(Enum):
    """What a UE does once it is attached."""

    STAY = "stay"
    DETACH = "detach"
    SWITCH_OFF = "switch off"


@dataclass(frozen=True, slots=True)
class Plan:
    """replay: every protected NAS message goes out a second time, as a message of its own."""

    leave: Leave = Leave.STAY
    replay: bool = False


class Association:
    """Pure: downlinks, answers and expiries in, effects out.

    Every SendS1ap among the effects counts as outstanding until `answered` or `lost` is called for it.  The run is
    Done when the UE is at its goal, or has ended and is released, and nothing is outstanding.
    """

    def __init__(self, ue: Ue, side: EnbUe, plan: Plan) -> None:
        self.ue = ue
        self.side = side
        self.plan = plan
        self.ordering: Ordering[tuple[bytes, S1apMessage]] = Ordering()
        self.copies: dict[str, int] = {}
        self._outstanding = 0
        self._ended: Ended | None = None
        self._attached = False
        self._detached = False
        self._asked_for_release = False
        self._release_given_up = False
        self._done = False
        self._last_refusal = ""

    def start(self) -> list[Effect]:
        return self._settle(self._from_ue(self.ue.attach()))

    def downlink(self, downlink: Downlink) -> list[Effect]:
        """One came, in whatever order."""
        message = self.side.read(downlink.s1ap)
        if isinstance(message, list):
            return self._settle(self._from_enb(message))
        return self._settle(self._ordered(self.ordering.take(downlink.id, downlink.order, (downlink.s1ap, message))))

    def expire(self, timer: str) -> list[Effect]:
        if self._done:
            return []
        if timer == GAP:
            return self._settle(self._ordered(self.ordering.give_up_gap()))
        if timer == RELEASE:
            return self._settle(self._on_release_silence())
        return self._settle(self._from_ue(self.ue.expire(timer)))

    def answered(self, message: SendS1ap, result: str, label: str | None) -> list[Effect]:
        """The MME's judgement of one message.  Call it after the downlinks that came with it."""
        self._outstanding -= 1
        if message.copy:
            self.copies[result] = self.copies.get(result, 0) + 1
            return self._settle([])
        effects: list[Effect] = []
        if result not in _TAKEN:
            self._last_refusal = f"{message.nas or message.name} was {result}" + (f": {label}" if label else "")
        if message.nas == "Attach Complete" and not self._attached and self._ended is None:
            effects = self._on_attach_complete_answered(result)
        return self._settle(effects)

    def lost(self, message: SendS1ap, why: str) -> list[Effect]:
        """The message found no answer however often it was sent: to the UE a radio link failure."""
        self._outstanding -= 1
        if message.copy or self._ended is not None:
            self._release_given_up = self._release_given_up or self._ended is not None
            return self._settle([])
        return self._settle(self._on_ended(Ended(Verdict.FAILED, why, connection_lost=True)))

    # ------------------------------------------------------------------ between the two machines

    def _ordered(self, messages: list[tuple[bytes, S1apMessage]]) -> list[Effect]:
        effects: list[Effect] = []
        for octets, message in messages:
            effects += self._from_enb(self.side.receive(octets, message))
        effects.append(StartTimer(GAP, GAP_S) if self.ordering.waiting else StopTimer(GAP))
        return effects

    def _from_ue(self, happened: list[UeEffect]) -> list[Effect]:
        effects: list[Effect] = []
        for effect in happened:
            match effect:
                case SendNas():
                    if not self.side.released:
                        effects += self._send(self.side.uplink(effect))
                case Ended():
                    effects += self._on_ended(effect)
                case Detached():
                    self._detached = True
                    effects += self._on_ended(Ended(Verdict.ATTACHED, "attached, then detached"))
                case Registered() | ServiceGranted() | AreaUpdated() | GutiTaken() | DetachedByNetwork():
                    pass
                case _:
                    effects.append(effect)
        return effects

    def _from_enb(self, happened: list[EnbEffect]) -> list[Effect]:
        effects: list[Effect] = []
        for effect in happened:
            match effect:
                case DeliverNas():
                    effects += self._from_ue(self.ue.receive(effect.octets))
                case BearersUp():
                    effects += self._from_ue(self.ue.bearers_established(effect.k_enb))
                case Released():
                    effects += self._from_ue(self.ue.connection_released(effect.cause))
                    effects += self._on_released(effect)
                case SendS1ap():
                    effects += self._send(effect)
                case S1apReceived():
                    effects.append(effect)
        return effects

    def _send(self, message: SendS1ap) -> list[Effect]:
        sent: list[Effect] = [message]
        if self.plan.replay and message.protected:
            sent.append(replace(message, copy=True))
        self._outstanding += len(sent)
        return sent

    # ------------------------------------------------------------------ endings

    def _on_attach_complete_answered(self, result: str) -> list[Effect]:
        if result not in _TAKEN:
            return self._on_ended(Ended(Verdict.FAILED, self._last_refusal, connection_lost=True))
        self._attached = True
        effects: list[Effect] = [AttachAnswered()]
        if self.plan.leave is not Leave.STAY:
            effects += self._from_ue(self.ue.detach(switch_off=self.plan.leave is Leave.SWITCH_OFF))
        return effects

    def _on_ended(self, ended: Ended) -> list[Effect]:
        if self._ended is not None:
            return []
        if ended.verdict is Verdict.FAILED and self._last_refusal and self._last_refusal not in ended.cause:
            ended = replace(ended, cause=f"{ended.cause}; {self._last_refusal}")
        self._ended = ended
        if self.side.released:
            return []
        effects: list[Effect] = [StartTimer(RELEASE, RELEASE_S)]
        if ended.connection_lost:
            effects += self._ask_for_release(S1apCause.RADIO_CONNECTION_WITH_UE_LOST)
        return effects

    def _on_released(self, released: Released) -> list[Effect]:
        if self._ended is None:
            verdict = Verdict.FAILED
            self._ended = Ended(verdict, f"released by the network ({released.cause})")
        return [StopTimer(RELEASE)]

    def _ask_for_release(self, cause: S1apCause) -> list[Effect]:
        self._asked_for_release = True
        request = self.side.request_release(cause)
        if request is None:
            self._release_given_up = True
            return []
        return self._send(request)

    def _on_release_silence(self) -> list[Effect]:
        """The MME forgot the release: the eNB asks once, then lets go."""
        if self._asked_for_release:
            self._release_given_up = True
            return []
        return [*self._ask_for_release(S1apCause.USER_INACTIVITY), StartTimer(RELEASE, RELEASE_S)]

    def _settle(self, effects: list[Effect]) -> list[Effect]:
        """Append Done once the run is over."""
        if self._done or self._outstanding:
            return effects
        ended = self._ended
        if ended is not None and (self.side.released or self._release_given_up):
            self._done = True
            attached_before = ended.verdict is Verdict.FAILED and self._attached
            cause = f"attached, but then: {ended.cause}" if attached_before else ended.cause
            return [*effects, Done(ended.verdict, cause, ended.emm_cause, self._detached)]
        if ended is None and self._attached and self.plan.leave is Leave.STAY:
            self._done = True
            return [*effects, Done(Verdict.ATTACHED, "attached")]
        return effects
