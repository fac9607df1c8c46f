"""M-TMSI as a keyed permutation: what it must keep for the GUTIs that are out, and what it must not show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mme.m_tmsi import GENERATIONS, KEY_BITS, context_of, m_tmsi, pending_key

SECRET = bytes(range(32))
SECRETS = st.binary(min_size=32, max_size=32)
KEYS = st.integers(0, (1 << KEY_BITS) - 1)
GENERATION = st.integers(0, GENERATIONS - 1)


@given(SECRETS, KEYS, GENERATION)
def test_context_of_is_the_inverse_of_m_tmsi(secret: bytes, key: int, generation: int) -> None:
    tmsi = m_tmsi(secret, key, generation)
    assert 0 <= tmsi < 1 << 32
    assert context_of(secret, tmsi) == (key, generation)


@given(SECRETS, st.integers(0, (1 << 32) - 1))
def test_m_tmsi_is_the_inverse_of_context_of_so_every_32_bits_are_an_m_tmsi(secret: bytes, tmsi: int) -> None:
    key, generation = context_of(secret, tmsi)
    assert 0 <= key < 1 << KEY_BITS
    assert 0 <= generation < GENERATIONS
    assert m_tmsi(secret, key, generation) == tmsi


def test_no_two_contexts_or_generations_have_the_same_m_tmsi() -> None:
    keys = (*range(256), *range(0xFFFFF00, 0x10000000))
    tmsis = {m_tmsi(SECRET, key, generation) for key in keys for generation in range(GENERATIONS)}
    assert len(tmsis) == len(keys) * GENERATIONS


def test_another_secret_gives_other_values() -> None:
    other = bytes((*SECRET[:31], SECRET[31] ^ 1))
    pairs = [(key, generation) for key in range(64) for generation in range(GENERATIONS)]
    same = [pair for pair in pairs if m_tmsi(SECRET, *pair) == m_tmsi(other, *pair)]
    assert same == []
    assert all(context_of(other, m_tmsi(SECRET, *pair)) != pair for pair in pairs)


def test_successive_gutis_of_a_ue_share_no_half() -> None:
    """What is not keyed would show: three rounds leave a half that depends on little, none leaves the key itself."""
    for key in (0, 1, 0xABCDEF):
        tmsis = [m_tmsi(SECRET, key, generation) for generation in range(GENERATIONS)]
        assert len({tmsi >> 16 for tmsi in tmsis}) == GENERATIONS
        assert len({tmsi & 0xFFFF for tmsi in tmsis}) == GENERATIONS


@pytest.mark.parametrize(("key", "generation"), [(-1, 0), (1 << KEY_BITS, 0), (0, -1), (0, GENERATIONS)])
def test_what_does_not_fit_is_refused(key: int, generation: int) -> None:
    with pytest.raises(ValueError, match="28 bits"):
        m_tmsi(SECRET, key, generation)


def test_values_stay_as_they_are_so_that_a_guti_given_out_is_found_by_the_next_release() -> None:
    # Computed apart from the module, after its description: four rounds of HMAC-SHA256 over (round, half).
    assert (m_tmsi(SECRET, 0, 0), m_tmsi(SECRET, 0xABCDEF, 3)) == (0xFB7B1D54, 0x5FBAACCE)


@given(st.text("abc0-", max_size=8), st.text("abc0/", max_size=8), st.integers(0, 3))
def test_a_pending_key_is_28_bits_and_the_same_for_a_duplicate(enb: str, item: str, attempt: int) -> None:
    key = pending_key(SECRET, enb, item, attempt)
    assert 0 <= key < 1 << KEY_BITS
    assert pending_key(SECRET, enb, item, attempt) == key


def test_a_pending_key_depends_on_secret_enb_item_and_attempt() -> None:
    keys = {
        pending_key(SECRET, "enb1", "item1", 0),
        pending_key(bytes(32), "enb1", "item1", 0),
        pending_key(SECRET, "enb2", "item1", 0),
        pending_key(SECRET, "enb1", "item2", 0),
        pending_key(SECRET, "enb1", "item1", 1),
    }
    assert len(keys) == 5
