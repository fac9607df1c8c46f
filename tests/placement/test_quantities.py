"""Quantities as Kubernetes' documentation has them (Concepts, "Resource Management for Pods and Containers", and the
reference of `Quantity`)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placement.quantities import cpu_m, memory_b, whole


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("0.1", 100), ("100m", 100), ("0.5", 500), ("1", 1000), (2, 2000), ("1.5", 1500), ("250m", 250), (0.25, 250)],
)
def test_cpu(text: object, millicores: int) -> None:
    assert cpu_m(text) == millicores


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        # "the following represent roughly the same value"
        ("128974848", 128974848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("128974848000m", 128974848),
        ("123Mi", 128974848),
        ("64Mi", 67108864),
        ("1Ki", 1024),
        ("1k", 1000),
        ("1.5Gi", 1610612736),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e3", 1000),
        ("2Ei", 2 * 2**60),
        (".5Gi", 2**29),
        ("1.", 1),
        ("+1", 1),
        (0, 0),
    ],
)
def test_memory(text: object, octets: int) -> None:
    assert memory_b(text) == octets


def test_what_is_no_whole_number_is_rounded_up() -> None:
    # "400m" of memory is 0.4 octets: somebody probably meant 400 mebibytes.
    assert (memory_b("400m"), cpu_m("100u"), cpu_m("1n"), whole("1500m")) == (1, 1, 1, 2)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "m", "1 Gi", "1ki", "1K", "1ni", "1Mi5", "1.2.3", "1,5", "0x10", "1e", "1e3Mi", "e3", "--1", "-1"),
        *("-0.5", "NaN", "inf", "１", "1e100", "1x", None, True, False, [], {}),
    ],
)
def test_what_is_no_quantity_is_refused(text: object) -> None:
    for read in (cpu_m, memory_b, whole):
        with pytest.raises(ValueError, match=r"quantity|negative"):
            read(text)


@given(st.integers(0, 10**9))
def test_every_form_of_a_number_is_that_number(number: int) -> None:
    assert cpu_m(f"{number}m") == number
    assert cpu_m(str(number)) == 1000 * number
    assert memory_b(f"{number}Ki") == 1024 * number
    assert memory_b(f"{number}k") == 1000 * number == memory_b(f"{number}e3")
    assert memory_b(f"{number}Mi") == memory_b(f"{1024 * number}Ki")


@given(st.text(max_size=12))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        assert memory_b(text) >= 0
    except ValueError:
        return
