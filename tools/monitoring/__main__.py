"""`python -m tools.monitoring [--check]`: see the package's text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tools.monitoring import thresholds
from tools.monitoring.dashboards import DASHBOARDS
from tools.monitoring.panels import to_json

FOLDER = Path(__file__).resolve().parents[2] / "k8s/monitoring"
CHART = FOLDER.parents[1] / "charts/edge-platform/files"
COPIED = ("rules/scaling.yml", "rules/health.yml", "rules/backups.yml", "thresholds.yaml", "alertmanager.yml")
"""A chart reads no file outside of itself."""


def made() -> dict[Path, str]:
    """Every file that is made, and what it holds."""
    rules = {FOLDER / "rules/thresholds.yml": thresholds.rules(thresholds.load(FOLDER / "thresholds.yaml"))}
    shown = {f"dashboards/{name}.json": to_json(each) for name, each in DASHBOARDS.items()}
    copies = {CHART / Path(name).name: (FOLDER / name).read_text() for name in COPIED}
    boards = {folder / name: text for folder in (FOLDER, CHART) for name, text in shown.items()}
    return rules | copies | boards


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; with --check, name those that differ -> exit status."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    different = [path for path, text in made().items() if not path.is_file() or path.read_text() != text]
    for path in different:
        name = path.relative_to(FOLDER.parents[1])
        if check:
            sys.stderr.write(f"{name} is not what is made from its source; run: python -m tools.monitoring\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made()[path])
            sys.stdout.write(f"wrote {name}\n")
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
