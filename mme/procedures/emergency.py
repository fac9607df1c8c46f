"""Emergency bearer services (TS 23.401 4.3.12; TS 33.401 15): who gets them without proof, and what they are."""

from __future__ import annotations

from mme.config import EmergencyAttach, MmeConfig
from mme.context import UeContext
from mme.enums import EmmCause, PdnType
from mme.needs import ApnConfiguration, Profile


def configuration_data(config: MmeConfig) -> Profile:
    """The MME Emergency Configuration Data in the form of a subscription, which is not asked for.

    Source: TS 23.401 5.3.2.1 step 12, 5.7.2 (MME Emergency Configuration Data).
    """
    rate = config.emergency_ambr_bps
    apn = ApnConfiguration(
        config.emergency_access_point_name,
        config.emergency_qci,
        config.emergency_priority_level,
        rate,
        rate,
        pdn_types=(PdnType.IPV4V6,),
        preemption_capable=True,
        preemption_vulnerable=False,
    )
    return Profile(rate, rate, (apn,))


def needs_no_proof(ctx: UeContext, config: MmeConfig) -> bool:
    """Whether the UE is served even if it cannot be authenticated.

    Source: TS 23.401 4.3.12.1 (IMSI required, authentication optional; all UEs); TS 24.301 5.4.2.5, 5.4.2.7.
    """
    if not ctx.emergency:
        return False
    policy = config.emergency_policy
    return policy is EmergencyAttach.ALL or (policy is EmergencyAttach.IMSI_REQUIRED and ctx.imsi is not None)


def refusal(ctx: UeContext) -> EmmCause:
    """#5 for a UE that has shown an IMEI, or no identity at all; #35 for the others, which keeps their USIM valid.

    Source: TS 24.301 5.5.1.1, 5.5.1.2.5A.
    """
    if ctx.imsi is None and (ctx.attaching is not None or ctx.imeisv is not None):
        return EmmCause.IMEI_NOT_ACCEPTED
    return EmmCause.REQUESTED_SERVICE_OPTION_NOT_AUTHORIZED
