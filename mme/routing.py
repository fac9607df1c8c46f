"""Which function takes which S1AP message: callers see the procedure code, never a ciphered NAS message.

A gateway or simulator that only reads the procedure code uses the same map.
"""

from __future__ import annotations

ENB = "mme-enb"
INITIAL_UE = "mme-initial-ue"
UPLINK_NAS = "mme-uplink-nas"
UE_CONTEXT = "mme-ue-context"
HANDOVER = "mme-handover"
TIMER = "mme-timer"
ANSWER = "mme-answer"
DOWNLINK = "mme-downlink"

FUNCTION_OF_PROCEDURE_CODE: dict[int, str] = {
    12: INITIAL_UE,  # initialUEMessage
    13: UPLINK_NAS,  # uplinkNASTransport
    16: UPLINK_NAS,  # NASNonDeliveryIndication
    9: UE_CONTEXT,  # InitialContextSetup
    15: UE_CONTEXT,  # ErrorIndication
    18: UE_CONTEXT,  # UEContextReleaseRequest
    21: UE_CONTEXT,  # UEContextModification
    22: UE_CONTEXT,  # UECapabilityInfoIndication
    23: UE_CONTEXT,  # UEContextRelease
}


def function_of(procedure_code: int) -> str:
    """The function for a procedure code; a code without a row goes to `mme-enb`, which answers by its criticality."""
    return FUNCTION_OF_PROCEDURE_CODE.get(procedure_code, ENB)
