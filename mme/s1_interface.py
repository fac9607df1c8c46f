"""An eNB's S1 interface: setup, configuration update, reset, loss (TS 36.413 8.7).  One row for each eNB."""

from __future__ import annotations

from collections.abc import Callable

from mme.codec.envelope import Reply
from mme.enb_context import EnbContext
from mme.enums import ItemResult, S1apCause
from mme.messages import EnbConfigurationUpdate, ErrorIndication, Reset, S1apMessage, S1SetupRequest
from mme.outcome import Env
from mme.procedures import s1_management, s1_setup
from mme.procedures.sending import s1ap_cause
from mme.replies import plain_reply
from mme.rows import change_enb, load_enb, set_up_enb
from mme.store.base import Store
from mme.work import Work


class S1Interface:
    """may_reach: the allow-list of downlink URLs."""

    def __init__(self, store: Store, may_reach: Callable[[str], bool]) -> None:
        self._store = store
        self._may_reach = may_reach

    def set_up(self, job: Work, message: S1SetupRequest, env: Env) -> Reply:
        """S1 SETUP REQUEST; only the eNB whose key signed it may name itself so."""
        item = job.item
        if str(message.global_enb_id) != item.enb:
            return Reply(
                item.id, ItemResult.REJECTED.value, label="other eNB", error="the Global eNB ID is not this key's eNB"
            )
        if item.downlink_url is not None and not self._may_reach(item.downlink_url):
            return Reply(
                item.id, ItemResult.REJECTED.value, label="downlink_url", error="the downlink URL is not allowed"
            )
        enb, answer = s1_setup.on_s1_setup_request(message, item.epoch, item.downlink_url, env)
        result = ItemResult.REJECTED
        if enb is not None:
            set_up_enb(self._store, item.enb, enb, job)
            result = ItemResult.DONE
        return plain_reply(job, result, [answer], label=type(answer).__name__)

    def update(self, job: Work, message: EnbConfigurationUpdate, env: Env) -> Reply:
        """ENB CONFIGURATION UPDATE."""
        return self._change(job, lambda enb: s1_management.on_enb_configuration_update(enb, message, env))

    def reset(self, job: Work, message: Reset) -> Reply:
        """RESET; the connections of a partial one are ended by the caller first."""
        return self._change(job, lambda enb: s1_management.on_reset(enb, message))

    def _change(self, job: Work, change: Callable[[EnbContext], tuple[EnbContext, S1apMessage]]) -> Reply:
        answers: list[S1apMessage] = []

        def run(enb: EnbContext) -> EnbContext | None:
            changed, answer = change(enb)
            answers[:] = [answer]
            return None if changed == enb else changed

        change_enb(self._store, job.item.enb, job.item.epoch, run, job)
        if not answers:
            return no_setup(job)
        return plain_reply(job, ItemResult.DONE, answers, label=type(answers[0]).__name__)

    def load(self, job: Work) -> EnbContext | None:
        """The eNB that calls, None = it has no S1 Setup in this epoch.  The job learns its connections' epoch."""
        enb = load_enb(self._store, job.item.enb)
        if enb is None or enb.epoch != job.item.epoch:
            return None
        job.epoch = enb.connection_epoch
        return enb


def no_setup(job: Work, enb_ue_s1ap_id: int | None = None) -> Reply:
    """Before S1 Setup nothing is served.  Source: TS 36.413 8.7.3.1, 10.4."""
    indication = ErrorIndication(None, enb_ue_s1ap_id, s1ap_cause(S1apCause.MESSAGE_NOT_COMPATIBLE))
    return plain_reply(job, ItemResult.REJECTED, [indication], label="no S1 Setup", ue=enb_ue_s1ap_id)
