"""Building what the cache lacks: modules come while something else compiles, and a fault is told by the build."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lab import artefacts
from tests.lab.artefacts import GoPrograms
from tests.lab.errors import LabError


@dataclass(frozen=True)
class Programs(GoPrograms):
    """Stands for programs that take long.  waits: what has to be fetched before it is built.  fault: of both."""

    waits: Programs | None = None
    fault: str = ""
    fetched: threading.Event = field(default_factory=threading.Event)

    def digest(self) -> str:
        return "0"

    def fetch(self) -> None:
        if self.fault:
            raise LabError(self.fault)
        self.fetched.set()

    def make(self, into: Path) -> None:
        if self.fault:
            raise LabError(self.fault)
        if self.waits is not None and not self.waits.fetched.wait(60):
            raise LabError(f"{self.waits.name} was not fetched meanwhile")
        (into / "bin").mkdir()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    return tmp_path


def test_modules_of_what_comes_later_are_fetched_while_the_first_is_built(cache: Path) -> None:
    later = Programs("later", (), "1 s")
    artefacts.provide((Programs("first", (), "1 s", waits=later), later))
    assert sorted(path.name for path in cache.iterdir()) == ["first-0", "later-0"]


def test_what_is_there_is_neither_built_nor_fetched(cache: Path) -> None:
    (cache / "there-0").mkdir()
    there = Programs("there", (), "1 s", fault="it was asked for")
    artefacts.provide((there,))
    assert list((cache / "there-0").iterdir()) == []


def test_modules_that_cannot_be_had_are_told_by_the_build_and_leave_nothing(cache: Path) -> None:
    with pytest.raises(LabError, match="no network"):
        artefacts.provide((Programs("first", (), "1 s"), Programs("lost", (), "1 s", fault="no network")))
    assert [path.name for path in cache.iterdir()] == ["first-0"]
