"""What each function of stack.yml asks a node for, and what it may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from localfaas import stack
from placement.quantities import cpu_m, memory_b

REPO = Path(__file__).resolve().parents[2]


def functions(**environment: str) -> dict[str, dict[str, Any]]:
    """The entries, as faas-cli reads them with these variables."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(stack.substitute((REPO / "stack.yml").read_text(), environment))[
        "functions"
    ]
    return found


@pytest.mark.parametrize("name", functions())
def test_memory_is_asked_for_and_bounded_and_cpu_is_never_throttled(name: str) -> None:
    told = functions()[name]
    assert set(told["requests"]) == {"memory", "cpu"}
    assert set(told["limits"]) == {"memory"}
    asked, most = (memory_b(told[kind]["memory"]) for kind in ("requests", "limits"))
    assert 64 * 2**20 <= asked < most <= 512 * 2**20
    assert 10 <= cpu_m(told["requests"]["cpu"]) <= 250


def test_all_functions_once_fit_on_a_laptop() -> None:
    """k8s/README.md names both sums."""
    asked = [told["requests"] for told in functions().values()]
    memory = sum(memory_b(each["memory"]) for each in asked) / 2**20
    cpu = sum(cpu_m(each["cpu"]) for each in asked)
    page = (REPO / "k8s/README.md").read_text()
    assert f"{memory:.0f} MiB and {cpu:.0f}m of CPU" in page


def test_they_are_values() -> None:
    told = functions(
        MME_MEMORY_LIMIT="1Gi", MME_MEMORY_REQUEST="300Mi", MME_CPU_REQUEST="1", PLACEMENT_CPU_REQUEST="9m"
    )
    for name, each in told.items():
        of_mme = name.startswith("mme-")
        assert (each["limits"]["memory"] == "1Gi") is of_mme, name
        assert (each["requests"]["memory"] == "300Mi") is of_mme, name
        assert (str(each["requests"]["cpu"]) == "1") is of_mme, name
    assert told["placement"]["requests"]["cpu"] == "9m"


def test_localfaas_takes_the_stack_and_bounds_nothing() -> None:
    """Its functions are processes: what they may take is for a cluster to say (docs/localfaas.md)."""
    read = stack.load(REPO / "stack.yml", {"MME_MEMORY_LIMIT": "1Mi"})
    assert set(read.functions) == set(functions())
