"""What is stored is opened by who has the key and knows what it is bound to, and by nobody else."""

from __future__ import annotations

import pytest

from trust import signing
from trust.sealing import Seal
from trust.signing import Signed, Way

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


def test_a_text_opens_under_its_key_and_binding_only() -> None:
    sealed = Seal(KEY).seal(b"text", b"row-1")
    assert len(sealed) == 12 + 4 + 16
    assert Seal(KEY).open(sealed, b"row-1") == (b"text", False)
    assert Seal(OTHER, KEY).open(sealed, b"row-1") == (b"text", True)
    assert Seal(OTHER).open(sealed, b"row-1") is None
    assert Seal(KEY).open(sealed, b"row-2") is None


def test_two_texts_alike_are_sealed_apart() -> None:
    """NIST SP 800-38D, 8: no nonce is used twice with one key."""
    assert Seal(KEY).seal(b"text", b"") != Seal(KEY).seal(b"text", b"")


def test_what_is_altered_or_cut_off_anywhere_does_not_open() -> None:
    sealed = Seal(KEY).seal(b"text", b"row-1")
    for n in range(len(sealed)):
        assert Seal(KEY).open(sealed[:n], b"row-1") is None
        altered = bytes(octet ^ (at == n) for at, octet in enumerate(sealed))
        assert Seal(KEY).open(altered, b"row-1") is None


@pytest.mark.parametrize("field", ["key_name", "timestamp", "function", "url"])
def test_a_line_feed_in_a_field_could_be_another_field_and_is_never_signed(field: str) -> None:
    fields = {"key_name": "operator/alice", "timestamp": "1", "function": "placement", "url": ""}
    whole = Signed(**fields, way=Way.UP, body=b"")
    signature = signing.sign(KEY, whole)
    assert signing.verify(KEY, whole, signature)
    split = Signed(**(fields | {field: f"{fields[field]}\nup"}), way=Way.UP, body=b"")
    with pytest.raises(ValueError, match="line feed"):
        signing.sign(KEY, split)
    assert not signing.verify(KEY, split, signature)
