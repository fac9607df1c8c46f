"""docs/cases.md is the table of a run of the cases that there are."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from enb_app import conformance
from enb_app.cases import CASES
from enb_app.conformance import CaseResult

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cases.md"
ROW = re.compile(r"\| `(\w+)` \| [^|]* \| [^|]* \| (pass|fail|skip|deviates)(?:: ([^|]*))? \|")
HEAD = re.compile(r"^Made by `(.+)`; do not edit\.\nLast run, (\S+): ", re.M)
RENEW = "docs/cases.md is of another time: run the cases again, as docs/enb-app.md says"


def test_the_page_is_of_the_cases_that_there_are() -> None:
    page = PAGE.read_text("utf-8")
    told = {match[1]: (match[2], match[3] or "") for match in ROW.finditer(page)}
    assert set(told) == set(CASES), RENEW
    chosen = conformance.chosen((), everything=True, only=None)
    results = [CaseResult(CASES[name], *told[name], 0.0) for name in chosen]
    made = HEAD.search(page)
    assert made, RENEW
    assert conformance.markdown(results, made[1], date.fromisoformat(made[2])) == page, RENEW
    assert "--all" in made[1]
    assert "--only" not in made[1]
    assert not [name for name, (outcome, _) in told.items() if outcome == "fail"]
