"""Cases of Magma's s1aptests (BSD-3-Clause) in our groups that have no counterpart here, and those of another name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotTaken:
    """names: as in Magma's list.  because: in one sentence, with the test that holds what it can."""

    names: tuple[str, ...]
    because: str


NOT_TAKEN = (
    NotTaken(
        ("sctp_shutdown_after_auth_req", "sctp_shutdown_after_identity_req", "sctp_shutdown_after_smc"),
        "the functions hear of a lost association by one event, whether by shutdown or abort: `sctp_abort_after_…`",
    ),
    NotTaken(
        (
            "sctp_shutdown_while_mme_is_stopped",
            "enb_partial_reset_multi_ue_with_mme_restart",
            "attach_detach_with_sctpd_restart",
        ),
        "no process holds the state, so there is no restart to play: `tests/mme/runtime/test_killed.py` and "
        "`make chaos` kill functions in every step",
    ),
    NotTaken(
        ("multi_enb_multi_ue_diff_enbtype",),
        "the simulator's eNBs are macro eNBs; identities of every length: `tests/mme/codec/test_round_trip.py`",
    ),
    NotTaken(("multi_enb_multi_ue_diff_plmn",), "one PLMN is served; `s1setup_failure_incorrect_plmn`"),
    NotTaken(
        (
            "send_error_ind_for_erab_setup_req",
            "dedicated_bearer_activation_idle_mode",
            "dedicated_bearer_activation_idle_mode_multi_ue",
            "dedicated_bearer_activation_idle_mode_paging_timer_expiry",
            "ipv6_paging_with_dedicated_bearer",
            "ipv4v6_paging_with_dedicated_bearer",
        ),
        "dedicated bearers are not built",
    ),
    NotTaken(
        (
            "attach_service_with_multi_pdns_and_bearers",
            "attach_service_with_multi_pdns_and_bearers_failure",
            "attach_service_with_multi_pdns_and_bearers_looped",
            "attach_service_with_multi_pdns_and_bearers_mt_data",
            "attach_service_with_multi_pdns_and_bearers_multi_ue",
        ),
        "a UE has one PDN connection; `standalone_pdn_conn_req` asks for another",
    ),
    NotTaken(
        (
            "data_flow_after_service_request",
            "attach_asr",
            "attach_detach_with_pcscf_address",
            "attach_detach_static_ip",
        ),
        "about the gateway: user data, charging, P-CSCF and fixed addresses; ours only gives a session",
    ),
    NotTaken(
        ("attach_without_ips_available",),
        "a case cannot empty the gateway's pool; its refusals: `tests/mme/procedures/test_attach.py`, "
        "`tests/mme/sgw/test_embedded.py`",
    ),
    NotTaken(
        ("attach_esm_info_with_apn_correction",),
        "replacing a wrong APN is a feature of that product; here it is refused: `attach_esm_information_wrong_apn`",
    ),
    NotTaken(
        ("attach_detach_security_algo_eea1_eia1",),
        "SNOW 3G is in no library that is kept (docs/decisions/0010-snow-3g-and-zuc.md)",
    ),
    NotTaken(
        ("attach_detach_flaky_retry_success",),
        "tests the test bench: a flaky test there may be repeated; `attach_detach_looped` repeats the attach",
    ),
    NotTaken(("continuous_random_attach",), "random lives are a program of their own: `enb-app life`"),
    NotTaken(
        ("scalability_attach_detach_multi_ue",), "load is measured, not judged: `enb-app attach --detach`, `make bench`"
    ),
    NotTaken(
        ("gateway_metrics_attach_detach", "service_info"),
        "a case sees the MME from outside; its metrics: `tests/mme/runtime/test_metrics.py`",
    ),
    NotTaken(
        ("agw_offload_idle_active_ue", "agw_offload_mixed_idle_active_multiue"),
        "that product's hand-over of UEs to a second gateway; any function serves any UE here",
    ),
)

OTHERWISE_NAMED = {
    "attach_detach_ICS_Failure": "attach_ics_failure",
    "attach_detach_no_ueContext_release_comp": "attach_detach_no_ue_context_release_comp",
    "outoforder_attach_complete_ICSR": "outoforder_attach_complete_icsr",
    "resync": "attach_auth_resync",
    "attach_detach_security_algo_eea0_eia0": "attach_security_algo_eia0_only",
}
"""Magma's name -> ours."""
