"""An eNB's S1 interface: setup, configuration update, reset, loss (TS 36.413 8.7).  One row for each eNB."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mme import epoch as epochs
from mme.codec import envelope
from mme.codec.envelope import Reply
from mme.enb_context import EnbContext
from mme.enums import ItemResult, S1apCause
from mme.memory import remembering, repeated
from mme.messages import EnbConfigurationUpdate, ErrorIndication, Reset, S1apMessage, S1SetupRequest
from mme.outcome import Env
from mme.procedures import s1_management, s1_setup
from mme.procedures.sending import s1ap_cause
from mme.replacing import replace
from mme.replies import plain_reply
from mme.rows import change_enb, list_enb, load_enb, set_up_enb
from mme.store.base import Store
from mme.work import Work


class S1Interface:
    """may_reach: the allow-list of downlink URLs.  duplicates_s: how long an eNB's own items are remembered."""

    def __init__(self, store: Store, may_reach: Callable[[str], bool], duplicates_s: int) -> None:
        self._store = store
        self._may_reach = may_reach
        self._duplicates_s = duplicates_s

    def set_up(self, job: Work, message: S1SetupRequest, env: Env) -> Reply:
        """S1 SETUP REQUEST; only the eNB whose key signed it may name itself so.

        During an overload OVERLOAD START comes with the answer: the eNB was not there when the others were told.
        """
        item = job.item
        if str(message.global_enb_id) != item.enb:
            return Reply(
                item.id, ItemResult.REJECTED.value, label="other eNB", error="the Global eNB ID is not this key's eNB"
            )
        if item.downlink_url is not None and not self._may_reach(item.downlink_url):
            return Reply(
                item.id, ItemResult.REJECTED.value, label="downlink_url", error="the downlink URL is not allowed"
            )
        association, resets = epochs.association(item.epoch), epochs.resets(item.epoch) or 0
        enb, answer = s1_setup.on_s1_setup_request(message, association, item.downlink_url, env)
        result = ItemResult.REJECTED if enb is None else ItemResult.DONE
        answers: list[S1apMessage] = [answer]
        if enb is not None and job.load.reduction:
            answers.append(s1_management.overload(job.load.reduction))
        reply = plain_reply(job, result, answers, label=type(answer).__name__)
        if enb is None:
            return reply
        if len(answers) > 1:
            setup, start = reply.downlink
            numbered = msgspec.structs.replace(start, order=job.load.number)
            reply = msgspec.structs.replace(reply, downlink=[setup, numbered])
        told = reply
        enb = replace(enb, resets=resets)

        def remember(enb: EnbContext) -> EnbContext | None:
            nonlocal told
            known = repeated(enb.recent, enb.last_reply, job)
            told = known or reply
            return self._remembering(enb, job, reply) if known is None else None

        set_up_enb(self._store, item.enb, enb, remember, job)
        if told.result != ItemResult.DUPLICATE.value:
            # Also for an immediate duplicate: the first may have been killed before it came to this.
            list_enb(self._store, item.enb, enb, job)
        return told

    def update(self, job: Work, message: EnbConfigurationUpdate, env: Env) -> Reply:
        """ENB CONFIGURATION UPDATE."""
        return self._change(job, lambda enb: s1_management.on_enb_configuration_update(enb, message, env))

    def reset(self, job: Work, message: Reset) -> Reply:
        """RESET; the connections of a partial one are ended by the caller first."""
        return self._change(job, lambda enb: s1_management.on_reset(enb, message, epochs.resets(job.item.epoch)))

    def _change(self, job: Work, change: Callable[[EnbContext], tuple[EnbContext, S1apMessage]]) -> Reply:
        told: Reply | None = None

        def run(enb: EnbContext) -> EnbContext | None:
            nonlocal told
            told = repeated(enb.recent, enb.last_reply, job)
            if told is not None:
                return None
            changed, answer = change(enb)
            told = plain_reply(job, ItemResult.DONE, [answer], label=type(answer).__name__)
            return None if changed == enb else self._remembering(changed, job, told)

        change_enb(self._store, job.item.enb, epochs.association(job.item.epoch), run, job)
        return no_setup(job) if told is None else told

    def _remembering(self, enb: EnbContext, job: Work, reply: Reply) -> EnbContext:
        recent = remembering(enb.recent, job, self._duplicates_s)
        return replace(enb, recent=recent, last_reply=envelope.encode(reply))

    def load(self, job: Work) -> EnbContext | None:
        """The eNB that calls, None = it has no S1 Setup in this epoch.  The job learns what its connections carry."""
        enb = load_enb(self._store, job.item.enb)
        if enb is None or enb.epoch != epochs.association(job.item.epoch):
            return None
        count = epochs.resets(job.item.epoch)
        job.epoch = enb.connection_epoch if count is None else epochs.named(enb.epoch, count)
        job.since = enb.id_resets
        return enb


def no_setup(job: Work, enb_ue_s1ap_id: int | None = None) -> Reply:
    """Before S1 Setup nothing is served.  Source: TS 36.413 8.7.3.1, 10.4."""
    indication = ErrorIndication(None, enb_ue_s1ap_id, s1ap_cause(S1apCause.MESSAGE_NOT_COMPATIBLE))
    return plain_reply(job, ItemResult.REJECTED, [indication], label="no S1 Setup", ue=enb_ue_s1ap_id)
