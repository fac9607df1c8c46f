"""A changed copy of a frozen value, held to `dataclasses.replace`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mme.context import Connection, SecurityContext, UeContext
from mme.enums import EmmState, Step
from mme.hss.subscribers import Subscriber
from mme.ids import Ecgi, Imsi, Plmn, Tai
from mme.outcome import Outcome
from mme.replacing import replace

PLMN = Plmn("00101")
CONNECTION = Connection(4711, "00101-0019b", "e1", 1, Tai(PLMN, 7), Ecgi(PLMN, 0x19B01))
SECURITY = SecurityContext(0, bytes(32), 2, 2, bytes(16), bytes(16))
CONTEXT = UeContext(key=5, imsi=Imsi("001010123456780"), connections=(CONNECTION,), security=SECURITY)
CHANGES: list[tuple[Any, dict[str, Any]]] = [
    (CONTEXT, {}),
    (CONTEXT, {"step": Step.VECTOR}),
    (CONTEXT, {"emm": EmmState.REGISTERED, "security": None, "timers": {}, "last_reply": b"{}"}),
    (CONNECTION, {"order": 3, "releasing": True}),
    (SECURITY, {"ul_count": 1}),
    (Outcome(CONTEXT), {"stop": (), "label": "late"}),
    (Tai(PLMN, 7), {"tac": 8}),
    (PLMN, {"digits": "310410"}),
]


@pytest.mark.parametrize(("value", "changes"), CHANGES, ids=lambda part: type(part).__name__)
def test_the_copy_is_as_the_standard_librarys(value: Any, changes: dict[str, Any]) -> None:
    before = repr(value)
    changed, expected = replace(value, **changes), dataclasses.replace(value, **changes)
    assert type(changed) is type(value)
    assert changed == expected
    assert repr(changed) == repr(expected)
    assert hash(type(changed)) == hash(type(expected))
    assert repr(value) == before
    assert changed is not value


def test_a_copy_is_as_frozen_as_its_original_and_apart_from_it() -> None:
    for value in (CONTEXT, CONNECTION):
        changed = replace(value)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(changed, dataclasses.fields(value)[0].name, 1)
    again = replace(replace(CONTEXT, generation=1), generation=2)
    assert (CONTEXT.generation, again.generation) == (0, 2)


@pytest.mark.parametrize("value", [CONTEXT, CONNECTION, PLMN], ids=lambda value: type(value).__name__)
def test_a_field_that_is_not_there_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no_such_field"):
        replace(value, no_such_field=1)


def test_what_a_class_checks_is_checked_of_a_changed_value_too() -> None:
    with pytest.raises(ValueError, match="decimal digits"):
        replace(PLMN, digits="1")
    with pytest.raises(ValueError, match="48 bits"):
        replace(Subscriber(Imsi("001010123456780"), bytes(60)), sqn=1 << 48)


def test_only_dataclasses_are_taken() -> None:
    with pytest.raises(TypeError, match="no dataclass"):
        replace(5)  # type: ignore[type-var]
