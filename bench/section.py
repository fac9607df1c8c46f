"""What a section is, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.bench import Bench

Figures = dict[str, Any]
"""JSON: names, numbers, lists and maps of them."""


@dataclass(frozen=True, slots=True)
class Target:
    """A number that is to be kept.  value None: it could not be measured, which counts as missed."""

    what: str
    value: float | None
    limit: float
    unit: str

    @property
    def reached(self) -> bool:
        return self.value is not None and self.value <= self.limit

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.4g}{self.unit}"
        return f"{'reached' if self.reached else 'MISSED ':<7} {self.what}: {value}, at most {self.limit:g}{self.unit}"


@dataclass(frozen=True, slots=True)
class Measured:
    """figures: what the summary shows and all it was computed from.  targets: with their values.

    samples: raw figures, many of them, which are kept in a compressed file beside.
    """

    figures: Figures
    targets: tuple[Target, ...]
    samples: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """name: for --only.  measure: runs it.  markdown: the figures as lines of the summary."""

    name: str
    title: str
    measure: Callable[[Bench], Measured]
    markdown: Callable[[Figures], list[str]]
