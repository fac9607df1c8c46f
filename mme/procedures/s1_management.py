"""Management of the S1 interface besides its setup (TS 36.413 8.7.1, 8.7.4): reset, eNB configuration update."""

from __future__ import annotations

from mme.config import MmeConfig
from mme.enb_context import EnbContext
from mme.messages import (
    EnbConfigurationUpdate,
    EnbConfigurationUpdateAcknowledge,
    EnbConfigurationUpdateFailure,
    MmeConfigurationUpdate,
    OverloadStart,
    OverloadStop,
    Reset,
    ResetAcknowledge,
    S1apMessage,
)
from mme.outcome import Env
from mme.procedures.s1_setup import fault_of_tracking_areas, served_gummeis
from mme.procedures.sending import s1ap_cause
from mme.replacing import replace


def mme_configuration_update(config: MmeConfig) -> MmeConfigurationUpdate:
    """What S1 SETUP RESPONSE would say now, for the eNBs that are set up already.  Source: 8.7.5.1."""
    return MmeConfigurationUpdate(config.mme_name, served_gummeis(config), config.relative_mme_capacity)


def overload(reduction: int) -> S1apMessage:
    """OVERLOAD START: eNBs are to reject so many per cent (1 to 99) of new signalling connections; 0: OVERLOAD STOP.

    What serves a call, an emergency or a page is let through.  Source: 8.7.6, 8.7.7, 9.2.3.20.
    """
    return OverloadStart("reject-rrc-cr-signalling", reduction) if reduction else OverloadStop()


def on_reset(enb: EnbContext, msg: Reset, count: int | None = None) -> tuple[EnbContext, S1apMessage]:
    """(the eNB's row, the answer).  The whole interface: every connection so far is void, by one count in the row.

    count: resets of this association with this one, as the eNB's side counts them, None = it does not.
    Part of it: the connections are listed in the answer, known or not, in the same order; each is ended on its own, or,
    where the eNB's id alone names it, noted in the row.
    Source: 8.7.1.2.1, 8.7.1.3.2.
    """
    if msg.connections is None:
        resets = enb.resets + 1 if count is None else max(enb.resets, count)
        return replace(enb, resets=resets, voided=()), ResetAcknowledge()
    nameless = tuple(
        ids.enb_ue_s1ap_id for ids in msg.connections if ids.mme_ue_s1ap_id is None and ids.enb_ue_s1ap_id is not None
    )
    return enb.without(nameless), ResetAcknowledge(msg.connections)


def on_enb_configuration_update(
    enb: EnbContext, msg: EnbConfigurationUpdate, env: Env
) -> tuple[EnbContext, S1apMessage]:
    """(the eNB's row, the answer).  Tracking areas without one of ours: failure with time to wait, nothing changes.

    Source: 8.7.4.1.2, 8.7.4.1.3.
    """
    if msg.supported_tas is not None:
        fault = fault_of_tracking_areas(msg.supported_tas, env.config)
        if fault is not None:
            failure = EnbConfigurationUpdateFailure(s1ap_cause(fault), env.config.s1_setup_time_to_wait_s)
            return enb, failure
    changed = replace(
        enb,
        name=msg.enb_name if msg.enb_name is not None else enb.name,
        supported_tas=msg.supported_tas if msg.supported_tas is not None else enb.supported_tas,
        default_paging_drx=msg.default_paging_drx or enb.default_paging_drx,
    )
    return changed, EnbConfigurationUpdateAcknowledge()
