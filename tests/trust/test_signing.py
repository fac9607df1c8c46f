"""What a signature covers, and what is never signed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trust import signing
from trust.signing import Signed, Way

KEY = bytes(range(32))
WHOLE = Signed("operator/alice", "1700000000", Way.UP, "placement", "http://127.0.0.1/", b"body")


@pytest.mark.parametrize(
    "changed",
    [
        {"key_name": "operator/bob"},
        {"timestamp": "1700000001"},
        {"way": Way.DOWN},
        {"function": "config-reload"},
        {"url": ""},
        {"body": b"other"},
    ],
)
def test_every_field_counts(changed: dict[str, object]) -> None:
    signature = signing.sign(KEY, WHOLE)
    assert signing.verify(KEY, WHOLE, signature)
    assert not signing.verify(KEY, replace(WHOLE, **changed), signature)  # type: ignore[arg-type]
    assert not signing.verify(bytes(32), WHOLE, signature)


@pytest.mark.parametrize("signature", ["", "é", "0" * 64, "x"])
def test_what_is_no_signature_does_not_fit(signature: str) -> None:
    assert not signing.verify(KEY, WHOLE, signature)


@pytest.mark.parametrize("field", ["key_name", "timestamp", "function", "url"])
def test_a_line_feed_in_a_field_could_be_another_field_and_is_never_signed(field: str) -> None:
    split = replace(WHOLE, **{field: f"{getattr(WHOLE, field)}\nup"})
    with pytest.raises(ValueError, match="line feed"):
        signing.sign(KEY, split)
    assert not signing.verify(KEY, split, signing.sign(KEY, WHOLE))


def test_each_party_has_a_key_of_its_own_and_a_short_master_gives_none() -> None:
    keys = {signing.derive_key(KEY, name) for name in ("operator/alice", "operator/bob", "ticker")}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 3
    with pytest.raises(ValueError, match="shorter than 32 octets"):
        signing.derive_key(KEY[:31], "operator/alice")
