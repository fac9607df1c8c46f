"""Stored requests while edge-signing-key is replaced."""

from __future__ import annotations

import pytest

from placement.errors import PlacementError
from placement.sealing import Sealer

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def test_a_request_that_was_sealed_under_the_key_of_before_opens_until_that_is_dropped() -> None:
    text = Sealer(OLD).seal(b"values", "operation")
    assert Sealer(OLD, NEW).open(text, "operation") == b"values"
    assert Sealer(NEW, OLD).open(text, "operation") == b"values"
    with pytest.raises(PlacementError, match="edge-signing-key has changed"):
        Sealer(NEW).open(text, "operation")


def test_the_key_in_use_seals() -> None:
    text = Sealer(NEW, OLD).seal(b"values", "operation")
    assert Sealer(NEW).open(text, "operation") == b"values"


def test_another_operations_request_does_not_open_under_any_key() -> None:
    text = Sealer(OLD).seal(b"values", "operation")
    with pytest.raises(PlacementError, match="call again"):
        Sealer(NEW, OLD).open(text, "another")
