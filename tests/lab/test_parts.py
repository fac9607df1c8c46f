"""Each test of the lab runs in one of the two parts, and a red part is told."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.documented import ROOT
from tests.lab.parts import CLUSTERS, PARTS, Part, run

COLLECT = """
import pytest, sys

class Names:
    def pytest_collection_finish(self, session):
        for item in session.items:
            marker = item.get_closest_marker("beside")
            print("found", number, marker.kwargs["cluster"] if marker else "-", item.nodeid)

for number, chosen in enumerate(sys.argv[1:]):
    code = pytest.main(["--collect-only", "-qq", "-m", chosen, "tests/lab"], [Names()])
    assert code == 0, code
"""
"""In one process, for what takes its time is to import."""


def collected(*parts: Part) -> list[list[tuple[str, str]]]:
    """Each part's tests: name, and the cluster that its marker names."""
    argv = [sys.executable, "-c", COLLECT, *(part.chosen for part in parts)]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=250).stdout
    lines = [line.split(maxsplit=3)[1:] for line in said.splitlines() if line.startswith("found ")]
    return [[(name, cluster) for number, cluster, name in lines if int(number) == each] for each in range(len(parts))]


@pytest.mark.timeout(300)
def test_every_test_of_the_lab_is_in_one_part_with_all_of_its_file() -> None:
    whole, *in_parts = collected(Part("all", "lab"), *PARTS)
    assert len(whole) > 100
    assert Counter(test for some in in_parts for test in some) == Counter(whole)
    alone, beside = ({(name.partition("::")[0], cluster) for name, cluster in some} for some in in_parts)
    assert {cluster for _, cluster in alone} == {"-"}
    # Two files on one cluster would run on it at once.
    assert sorted(cluster for _, cluster in beside) == sorted(CLUSTERS)
    files = [name for name, _ in (*alone, *beside)]
    assert len(files) == len(set(files))


def test_there_is_a_worker_for_each_cluster_and_the_makefile_runs_the_parts() -> None:
    (beside,) = (part for part in PARTS if part.how)
    assert beside.how[beside.how.index("--dist") + 1] == "loadfile"
    assert int(beside.how[beside.how.index("-n") + 1]) == len(CLUSTERS)
    assert "$(BIN)/python -m tests.lab test\n" in (ROOT / "Makefile").read_text()


@dataclass(frozen=True)
class Ends(Part):
    """A program in pytest's place: says this, and ends so."""

    code: int = 0

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-I", "-c", f"print('...', {words!r}); print('== {self.chosen} =='); exit({self.code})"]


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 1), (5, 0), (0, 5), (2, 1)])
def test_both_parts_run_and_the_last_lines_tell_of_each(codes: tuple[int, int]) -> None:
    """With 5 pytest ends that has found no test."""
    said: list[str] = []
    parts = [Ends(name, f"{name} passed", code=code) for name, code in zip(("one", "two"), codes, strict=True)]
    assert run(["tests/x"], parts, said.append) == int(codes != (0, 0))
    lines = "".join(said).splitlines()
    assert lines.count("... ('tests/x',)") == 2
    for line, part in zip(lines[-2:], parts, strict=True):
        how = "green" if part.code == 0 else rf"RED \(pytest ended with {part.code}\)"
        assert re.fullmatch(rf"== {part.name}: {how}, \d+ s: {part.name} passed", line)


@dataclass(frozen=True)
class Interrupts(Part):
    """One that ends as pytest does by Ctrl-C, which whoever runs it gets, too."""

    def argv(self, *words: str) -> list[str]:
        program = "import os, signal; os.kill(os.getppid(), signal.SIGINT); print('cleared up'); exit(2)"
        return [sys.executable, "-I", "-c", program, *words]


def test_after_an_interrupt_the_part_clears_up_and_no_other_one_begins() -> None:
    said: list[str] = []
    assert run([], [Interrupts("one", ""), Ends("two", "two passed")], said.append) == 1
    first, second = "".join(said).splitlines()[-2:]
    assert re.fullmatch(r"== one: RED \(pytest ended with 2\), \d+ s: cleared up", first)
    assert second == "== two: not run"


@dataclass(frozen=True)
class Waits(Part):
    """One that goes on once its dot has been seen; chosen: the file that says so."""

    def argv(self, *words: str) -> list[str]:
        program = "import pathlib, sys, time\nprint('.', end='', flush=True)\n"
        program += "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)"
        return [sys.executable, "-I", "-c", program, self.chosen, *words]


@pytest.mark.timeout(20)
def test_a_dot_is_told_before_its_line_ends(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def write(text: str) -> None:
        if text == ".":
            seen.touch()

    assert run([], [Waits("one", str(seen))], write) == 0
