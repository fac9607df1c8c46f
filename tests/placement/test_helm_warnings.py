"""What helm has warned of, by its own words on stderr."""

from __future__ import annotations

import pytest

from placement.helm_warnings import MOST_TOLD, together, warnings
from placement.masking import LONGEST_TEXT

PULLED = """Pulled: registry.test/charts/nf:1.0.0
Digest: sha256:32334c13df67ea44d097406c5f06f72f2387f9fc796776f6f314d8b4147ab586
"""
NEWER = 'I1123 16:55:00.230401   17600 warnings.go:107] "Warning: unknown field \\"spec.foo\\""\n'
OLDER = 'W1123 16:55:00.230401   17600 warnings.go:70] unknown field "spec.foo"\n'
SKIPPED = "coalesce.go:237: warning: skipped value for nf.image: Not a table.\n"
DEPRECATED = "WARNING: This chart is deprecated\n"


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("", ()),
        (PULLED, ()),
        (PULLED + NEWER, ('unknown field "spec.foo"',)),
        (OLDER, ('unknown field "spec.foo"',)),
        (NEWER + NEWER + OLDER, ('unknown field "spec.foo"',)),
        (SKIPPED + DEPRECATED, ("skipped value for nf.image: Not a table.", "This chart is deprecated")),
        ("I1123 16:55:00.230401   17600 request.go:752] Waited for 1.2s due to client-side throttling\n", ()),
        ('Error: INSTALLATION FAILED: unknown field "spec.foo"\n', ()),
        ('W1123 16:55:00.230401   17600 warnings.go:70] "cut off\\\n', ("cut off\\",)),
    ],
)
def test_what_is_warned_of_is_told_once_in_its_own_words(stderr: str, told: tuple[str, ...]) -> None:
    assert warnings(stderr) == told


def test_no_word_that_is_secret_is_in_a_warning() -> None:
    said = 'coalesce.go:289: warning: destination for nf.db is a table. Ignoring non-table value (hush \\"hush\\")\n'
    assert warnings(said, ['hush "hush"']) == ("destination for nf.db is a table. Ignoring non-table value (***)",)
    said = "WARNING: cannot overwrite table with non table for nf.db (map[password:default-hush])\n"
    assert "hush" not in warnings(said)[0]


def test_warnings_are_few_and_short() -> None:
    many = "".join(f"WARNING: number {number}\n" for number in range(MOST_TOLD + 3))
    assert warnings(many) == (*(f"number {number}" for number in range(MOST_TOLD)), "3 more")
    [long] = warnings("WARNING: " + "x" * 5000)
    assert len(long) == LONGEST_TEXT


def test_those_of_two_runs_are_told_together() -> None:
    first = warnings("".join(f"WARNING: number {number}\n" for number in range(MOST_TOLD + 3)))
    assert together((), first) == first
    assert together(("a", "b"), ("b", "c")) == ("a", "b", "c")
    assert together(first, ("another",)) == (*first[:-1], "4 more")
