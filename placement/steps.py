"""Operations, worked off in short steps: each is one call, and leaves a row from which any replica goes on.

None lasts over about 5 s, however slowly its cluster and S3 answer.  One with helm asks them until helm_timeout_s and
1.5 s, 5.0 s, of which helm has less where they are slow; a look at the pods is then a step of its own.  One that only
looks at pods, or waits for them, asks its cluster for LOOK_WITHIN_S.  Telling a caller on the way takes half a second
at most.

plan -> preview -> (done)                                  dry_run, diff
plan -> helm -> (done)                                     nobody waits
plan -> helm -> reload -> watch -> (done)                  wait; reload where ConfigMaps under reload changed
                helm, watch -> undo -> watch-undo -> (done)  atomic, and it failed
                helm -> mend -> …                          helm was stopped, or the cluster was lost in the middle
                        mend -> helm                       it was stopped for want of a processor
(done) = notify where there is a callback URL, then done.

planning, changing, settling and ending hold the steps; here is how one follows the other.
"""

from __future__ import annotations

import time
import traceback
from functools import partial

from durable.errors import StoreError
from durable.journal import Hand, Held, TakenError, key_of
from placement import logs, manifest, metrics
from placement.api import ApiError, as_told
from placement.changing import Changing
from placement.ending import Ending
from placement.errors import Code, NotNowError, PlacementError
from placement.operation import Answer, Operation, Phase, error_answer
from placement.parts import TRY_AGAIN_S, Next, Parts
from placement.planning import Planning
from placement.request import Request
from placement.settling import Settling
from placement.step_time import Asked, look

INLINE_S = 4.5
"""A synchronous caller is kept no longer; what is not ready then goes on without it."""
INLINE_HELM_S = 0.8
"""A synchronous call begins a step with helm only this early; later it would last too long."""
INLINE_LOOK_S = 5.0
"""Until when a step that was begun for a synchronous caller asks its cluster; it is taken again without one."""
_NEEDS_HELM = (Phase.PREVIEW, Phase.HELM, Phase.UNDO)


class Placer:
    """Accepts calls and works their operations off."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._ending = Ending(parts)
        self.planning = Planning(parts, self._ending)
        self._settling = Settling(parts, self._ending)
        self._changing = Changing(parts, self._settling, self._ending)

    def accept(
        self,
        caller: str,
        call_id: str,
        body: bytes,
        request: Request,
        *,
        create_namespaces: bool,
        callback_url: str = "",
    ) -> Operation:
        """The operation of this call; of an earlier delivery of the same call, if there was one.

        Raises PlacementError call_id_reused, StoreError.
        """
        digest = manifest.digest(body.hex())
        key = key_of(caller, call_id)
        now_ms = self.parts.now_ms()
        operation = Operation(
            key=key,
            caller=caller,
            call_id=call_id,
            digest=digest,
            request=self.parts.sealer.seal(body, key),
            action=request.action,
            namespace=request.run_namespace,
            release=request.function_name,
            phase=Phase.PLAN,
            begun_ms=now_ms,
            callback_url=callback_url,
            create_namespaces=create_namespaces,
            waits=request.waits,
            atomic=request.atomic,
            timeout_s=request.timeout_s,
            answer=Answer("accepted", release=request.function_name),
        )
        held = self.parts.journal.open(operation, due_ms=now_ms)
        if held.call.digest != digest:
            raise PlacementError(Code.CALL_ID_REUSED)
        return held.call

    def work(self, key: str) -> Answer:
        """Go through the steps for as long as a caller may be kept; the answer so far."""
        begun = time.monotonic()
        while True:
            operation = self._held(key).call
            spent_s = time.monotonic() - begun
            late = spent_s > (INLINE_HELM_S if operation.phase in (Phase.PLAN, *_NEEDS_HELM) else INLINE_S)
            if operation.is_done or late:
                return operation.answer
            wait_s = self._advance(key, begun + INLINE_LOOK_S)
            if wait_s is None:
                continue
            if spent_s + wait_s > INLINE_S:
                return self._held(key).call.answer
            time.sleep(min(wait_s, 0.3))  # a caller who waits is told sooner than the ticker would

    def _held(self, key: str) -> Held[Operation]:
        held = self.parts.journal.load(key)
        if held is None:
            raise StoreError("the operation has vanished")
        return held

    def advance(self, key: str) -> float | None:
        """One step for the ticker.  In how many seconds the next is due; None = there is none.  Raises StoreError."""
        again_s = self.parts.helm.free_in_s()
        if again_s:
            held = self.parts.journal.load(key)
            if held is not None and held.call.phase in _NEEDS_HELM:
                return again_s  # it waits in the ticker and not here, and costs its cluster nothing
        return self._advance(key)

    def _advance(self, key: str, kept_until: float | None = None) -> float | None:
        step = partial(self._told_step, kept_until=kept_until)
        return self.parts.journal.advance(key, self.parts.now_ms, step)

    def _told_step(self, hand: Hand[Operation], *, kept_until: float | None) -> Next:
        """A step with its fault as the operation's end, counted and logged."""
        begun = time.monotonic()
        before = hand.call
        try:
            done = self._step(hand, look(kept_until))
        except (NotNowError, TakenError):
            done = Next(hand.call, TRY_AGAIN_S)
        except (ApiError, PlacementError) as e:
            done = self._ending.failed(hand.call, error_answer(as_told(e)))
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  a fault of ours must end this operation, not be met again at every step
            logs.log("error", "fault", call=before.call_id, traceback=traceback.format_exc())
            done = self._ending.finish(hand.call, "failed", error=error_answer(PlacementError(Code.INTERNAL)))
        metrics.STEP_SECONDS.labels(before.phase.value).observe(time.monotonic() - begun)
        logs.log(
            "info",
            "step",
            call=before.call_id,
            caller=before.caller,
            release=f"{before.namespace}/{before.release}",
            cluster=done.call.cluster or None,
            phase=before.phase.value,
            next=done.call.phase.value,
            code=done.call.error.code if done.call.error else None,
            ms=round((time.monotonic() - begun) * 1000),
        )
        return done

    def _step(self, hand: Hand[Operation], asked: Asked) -> Next:
        operation = hand.call
        match operation.phase:
            case Phase.PLAN:
                return self.planning.plan(operation)
            case Phase.PREVIEW:
                return self.planning.preview(operation)
            case Phase.HELM:
                return self._changing.run_helm(hand)
            case Phase.MEND:
                return self._changing.mend(operation, asked)
            case Phase.RELOAD:
                return self._settling.reload(operation, asked)
            case Phase.WATCH | Phase.WATCH_UNDO:
                return self._settling.watch(operation, asked)
            case Phase.UNDO:
                return self._changing.undo(hand)
            case _:
                return self._ending.notify(operation)
