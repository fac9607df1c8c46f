"""What is stored is opened by who has the key and knows what it is bound to, and by nobody else."""

from __future__ import annotations

from trust.sealing import Seal

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
