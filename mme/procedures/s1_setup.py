"""S1 Setup (TS 36.413 8.7.3): an eNB introduces itself."""

from __future__ import annotations

from mme.config import MmeConfig
from mme.enb_context import EnbContext
from mme.enums import S1apCause
from mme.messages import S1apMessage, S1SetupFailure, S1SetupRequest, S1SetupResponse, ServedGummei, SupportedTa
from mme.outcome import Env
from mme.procedures.sending import s1ap_cause


def fault_of_tracking_areas(supported_tas: tuple[SupportedTa, ...], config: MmeConfig) -> S1apCause | None:
    """Why an eNB with these areas cannot be served: no PLMN of ours, or no TAC of ours; None = it can."""
    with_our_plmn = [ta for ta in supported_tas if config.plmn in ta.plmns]
    if not with_our_plmn:
        return S1apCause.UNKNOWN_PLMN
    return None if any(ta.tac in config.tacs for ta in with_our_plmn) else S1apCause.MISC_UNSPECIFIED


def served_gummeis(config: MmeConfig) -> tuple[ServedGummei, ...]:
    """What an eNB is told of the GUMMEIs served here (9.2.3.10)."""
    return (ServedGummei((config.plmn,), (config.mme_group_id,), (config.mme_code,)),)


def on_s1_setup_request(
    msg: S1SetupRequest, epoch: str, downlink_url: str | None, env: Env
) -> tuple[EnbContext | None, S1apMessage]:
    """(the eNB's row, None = nothing is stored; the answer).

    No broadcast PLMN is ours: S1 SETUP FAILURE "unknown PLMN" with time to wait.  No TAC of ours among those:
    "unspecified" (misc; the ASN.1 has no cause for it).  The same request again has the same answer.
    Source: 8.7.3.2 to 8.7.3.4.
    """
    config = env.config
    failure = fault_of_tracking_areas(msg.supported_tas, config)
    if failure is not None:
        return None, S1SetupFailure(s1ap_cause(failure), time_to_wait_s=config.s1_setup_time_to_wait_s)
    enb = EnbContext(
        global_enb_id=msg.global_enb_id,
        epoch=epoch,
        supported_tas=msg.supported_tas,
        name=msg.enb_name,
        default_paging_drx=msg.default_paging_drx,
        downlink_url=downlink_url,
    )
    return enb, S1SetupResponse(served_gummeis(config), config.relative_mme_capacity, config.mme_name)
