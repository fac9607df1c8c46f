"""The conformance cases, one module for each group of docs/cases.md; importing this package registers them all."""

from __future__ import annotations

from enb_app.cases import attach, emergency, esm, s1, security, service, tracking_area, waiting
from enb_app.cases.case import CASES, GROUPS, Case, SkipError, Stage

__all__ = ["CASES", "GROUPS", "Case", "SkipError", "Stage", "attach", "emergency", "esm", "s1", "security", "service"]
__all__ += ["tracking_area", "waiting"]
