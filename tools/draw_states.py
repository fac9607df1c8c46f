"""Write docs/states.md from the table in mme/fsm.py: `python tools/draw_states.py`; --check: fail when it differs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mme.enums import EmmState, Step
from mme.fsm import (
    ALLOWED,
    ALLOWED_ESM,
    CROSSED,
    EDGES,
    IGNORED_WHILE_LEAVING,
    LATE_ANSWERS,
    STATES,
    State,
)
from mme.messages import AttachRequest

PAGE = Path(__file__).resolve().parents[1] / "docs/states.md"

HEAD = """# States of a UE context

Drawn from `mme/fsm.py` by `tools/draw_states.py`. A state is the EMM main state (TS 24.301 5.1.3.4) and what the
running procedure waits for. Dashed arrows are taken within the same message, when a port answers in line. Not drawn:
from every state to EMM-DEREGISTERED (detach, rejection, superseded, connection lost while attaching), and to
EMM-REGISTERED when a proven UE comes in on a new connection.
"""

KEY = """
## Which message is taken in which state

`+` processed by its procedure. `·` a late answer, or what crosses the network's detach: dropped in silence. `A`
processed where the network's detach requires a re-attach, otherwise as `·`. `S` answered by EMM STATUS #98 (an ESM
message: ESM STATUS #97), nothing changes. `R` processed of a registered UE, otherwise as `S`. First messages of a
proven UE on a new connection (attach, service request, extended service request, tracking area update, detach) are
taken in every state, in EMM-DEREGISTERED an attach alone, by `procedures/connection.py`.
"""


def name(state: State) -> str:
    """The state's name in the diagram."""
    emm, step = state
    return emm.value if emm is not EmmState.COMMON_PROCEDURE_INITIATED and step.value == "none" else step.value


def cell(message: type, allowed: frozenset[State], state: State) -> str:
    """Its mark in that state, as KEY says: what `fsm.verdict` does, which asks in this order too."""
    if state[1] is Step.DETACH and issubclass(message, IGNORED_WHILE_LEAVING):
        return "A" if message is AttachRequest else "·"
    if state in allowed:
        return "+"
    if state in CROSSED.get(message, frozenset()):
        return "R"
    return "·" if issubclass(message, LATE_ANSWERS) else "S"


def page() -> str:
    """The whole page."""
    ids = {state: f"s{n}" for n, state in enumerate(STATES)}
    lines = [HEAD, "```mermaid", "flowchart TD"]
    lines += [f'    {ids[state]}["{name(state)}"]' for state in STATES]
    for edge in EDGES:
        arrow = "-.->" if edge.inline else "-->"
        lines.append(f'    {ids[edge.before]} {arrow}|"{edge.event}"| {ids[edge.after]}')
    lines += ["```", KEY]
    lines.append("| message | " + " | ".join(name(state) for state in STATES) + " |")
    lines.append("| --- |" + " :-: |" * len(STATES))
    for message, allowed in (*ALLOWED.items(), *ALLOWED_ESM.items()):
        cells = " | ".join(cell(message, allowed, state) for state in STATES)
        lines.append(f"| {message.__name__} | {cells} |")
    lines.append("| any other | " + " | ".join("S" for _ in STATES) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it."""
    if "--check" in arguments:
        return 0 if PAGE.read_text() == page() else 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
