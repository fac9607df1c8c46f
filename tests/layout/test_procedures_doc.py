"""docs/procedures.md names tests that there are, and every deviation that the code admits."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "procedures.md"
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
ROW = re.compile(r"\| ([^|]*) \| ([^|]+) \| ([^|]+) \|")
WHY = ("DEVIATES: ", "not built: ", "open: ")
MARK = re.compile(r"DEVIATES: (TS [\d.]+ [\w.]+)")


def rows() -> list[tuple[str, str, str]]:
    lines = PAGE.read_text("utf-8").splitlines()
    table = [line for line in lines if line.startswith("|") and not line.startswith(("| clause", "| ---"))]
    matches = [ROW.fullmatch(line.replace("| |", "|  |")) for line in table]
    assert all(matches), [line for line, match in zip(table, matches, strict=True) if not match]
    return [(match[1].strip(), match[2], match[3]) for match in matches if match]


def named() -> list[tuple[str, str]]:
    return sorted(set(TEST.findall(PAGE.read_text("utf-8"))))


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("path", "name"), named(), ids=lambda part: part)
def test_a_test_that_the_page_names_is_there(path: str, name: str) -> None:
    assert name in functions_of(ROOT / "tests" / path)


def test_every_row_has_a_test_or_says_why_not() -> None:
    for clause, branch, held in rows():
        if held.startswith(WHY):
            assert len(held.split()) > 4, (clause, branch)
        else:
            assert TEST.sub("", held).strip(" ,") == "", (clause, branch, held)


def test_no_row_stands_there_twice() -> None:
    pairs = [(clause, branch) for clause, branch, _ in rows()]
    assert len(pairs) == len(set(pairs)) > 90


def deviations() -> list[tuple[str, str]]:
    """(file, clause) of each `DEVIATES: TS … ` in the MME; one without a clause is found as such."""
    found = []
    for path in sorted((ROOT / "mme").rglob("*.py")):
        text = path.read_text("utf-8")
        marks = MARK.findall(text)
        assert len(marks) == text.count("DEVIATES"), (
            f"{path}: a deviation names its clause: DEVIATES: TS <number> <clause>"
        )
        found += [(str(path.relative_to(ROOT)), mark) for mark in marks]
    return found


def test_there_are_deviations_to_look_for() -> None:
    assert deviations()


@pytest.mark.parametrize(("path", "clause"), deviations())
def test_a_deviation_in_the_code_has_its_row(path: str, clause: str) -> None:
    short = clause.removeprefix("TS 24.301 ")
    assert any(short in row and held.startswith("DEVIATES: ") for row, _, held in rows()), f"{path}: {clause}"
