"""The DRX cycle that a UE has asked for itself (UE specific DRX): read from NAS, told to eNBs in PAGING."""

from __future__ import annotations

_CYCLES = {6: "v32", 7: "v64", 8: "v128", 9: "v256"}


def paging_drx(drx_parameter: bytes) -> str | None:
    """The Paging DRX of S1AP, in radio frames; None: the UE wants the cell's own.

    drx_parameter: 2 octets; the cycle is in bits 5 to 8 of the second, any value but 6 to 9 counts as not specified.
    Which of this and the cell's default is shorter, the eNB sees for itself (TS 36.304 7.1).
    Source: TS 24.008 10.5.5.6; TS 36.413 9.2.1.16.
    """
    return _CYCLES.get(drx_parameter[1] >> 4)
