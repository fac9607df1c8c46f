"""docs/cases.md is the table of a run of the cases that there are."""

from __future__ import annotations

import re
from pathlib import Path

from enb_app import conformance
from enb_app.cases import CASES
from enb_app.conformance import CaseResult

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cases.md"
ROW = re.compile(r"\| `(\w+)` \| [^|]* \| [^|]* \| (pass|fail|skip|deviates)(?:: ([^|]*))? \|")
RENEW = "docs/cases.md is of another time: run the cases again, as docs/enb-app.md says"


def test_the_page_is_of_the_cases_that_there_are() -> None:
    page = PAGE.read_text("utf-8")
    told = {match[1]: (match[2], match[3] or "") for match in ROW.finditer(page)}
    assert set(told) == set(CASES), RENEW
    chosen = conformance.chosen((), everything=True, only=None)
    results = [CaseResult(CASES[name], *told[name], 0.0) for name in chosen]
    assert conformance.markdown(results) == page, RENEW
    assert not [name for name, (outcome, _) in told.items() if outcome == "fail"]
