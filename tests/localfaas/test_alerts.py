"""The alert step. Vectors: contract section 5, from the gateway's own alerthandler_test.go."""

import pytest

from localfaas.alerts import BadScalingFactorError, Scaling, replicas_after, split_name
from localfaas.options import EDITIONS


@pytest.mark.parametrize(
    ("status", "current", "most", "least", "factor", "expected"),
    [
        ("firing", 1, 5, 1, 10, 2),
        ("firing", 4, 5, 1, 25, 5),
        ("firing", 5, 5, 1, 10, 5),
        ("firing", 19, 5, 1, 10, 5),
        ("firing", 1, 10, 1, 100, 5),
        ("resolved", 8, 5, 1, 10, 1),
        ("firing", 1, 5, 1, 0, 1),
        ("firing", 1, 5, 0, 0, 0),
        ("firing", 1, 5, 1, 30, 3),
        ("firing", 1, 4, 1, 1, 2),
        ("pending", 4, 5, 2, 10, 2),
    ],
)
def test_vectors(*, status: str, current: int, most: int, least: int, factor: int, expected: int) -> None:
    assert replicas_after(status, current, most, least, factor, cap=5) == expected


def test_classic_edition_has_its_own_cap() -> None:
    assert replicas_after("firing", 1, 20, 1, 20, cap=20) == 5
    assert replicas_after("firing", 19, 50, 1, 20, cap=20) == 20


def test_labels_have_defaults_and_nonsense_falls_back_to_them() -> None:
    assert Scaling.of({}, EDITIONS["ce"]) == Scaling(least=1, most=5, factor=10)
    assert Scaling.of({}, EDITIONS["classic"]) == Scaling(least=1, most=20, factor=20)
    labels = {f"com.openfaas.scale.{name}": "many" for name in ("min", "max", "factor")}
    assert Scaling.of(labels, EDITIONS["ce"]) == Scaling(least=1, most=5, factor=10)


@pytest.mark.parametrize("factor", ["0", "101", "-1"])
def test_factor_out_of_range_is_an_error(factor: str) -> None:
    with pytest.raises(BadScalingFactorError, match=r"is not in range of \[0 - 100\]"):
        Scaling.of({"com.openfaas.scale.factor": factor}, EDITIONS["ce"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", ("a", "openfaas-fn")), ("a.b", ("a", "b")), ("a.b.c", ("a.b", "c")), (".b", (".b", "openfaas-fn"))],
)
def test_name_is_split_at_the_last_dot(name: str, expected: tuple[str, str]) -> None:
    assert split_name(name) == expected
