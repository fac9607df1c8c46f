"""The UE specific DRX cycle (TS 24.008 10.5.5.6), by the table that Wireshark has of it.

`tshark -G values`, gsm_a.gm.gmm.cn_spec_drx_cycle_len_coef: 6 "T = 32", 7 "T = 64", 8 "T = 128", 9 "T = 256", 0 to 5
and 10 to 15 "value not specified by the MS".
"""

from __future__ import annotations

import pytest

from mme.paging_drx import paging_drx

WIRESHARK = {6: "v32", 7: "v64", 8: "v128", 9: "v256"}


@pytest.mark.parametrize("value", range(16))
@pytest.mark.parametrize("rest", [0x0, 0xF])
def test_the_cycle_is_in_the_upper_half_of_the_second_octet(value: int, rest: int) -> None:
    assert paging_drx(bytes((0x0A, value << 4 | rest))) == WIRESHARK.get(value)


def test_what_phones_send_who_want_the_cells_cycle() -> None:
    """0a00, as in the captures of Open5GS and pcapr (tests/vectors)."""
    assert paging_drx(bytes.fromhex("0a00")) is None
