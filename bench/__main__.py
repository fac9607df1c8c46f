"""`python -m bench [--only NAME] [--quick] [--out DIR]`, from the root: see the package's text."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, summary
from bench.bench import Bench
from bench.section import Section
from bench.sections import SECTIONS
from enb_app.attach import RunBrokeError
from localfaas.errors import LocalfaasError

RESULTS = Path(__file__).resolve().parent / "results"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write figures and a summary.")
    p.add_argument(
        "--only", choices=sorted(SECTIONS), action="append", help="only this section; repeatable (default: all)"
    )
    p.add_argument("--quick", action="store_true", help="few samples, to see that everything runs")
    p.add_argument(
        "--out", type=Path, metavar="DIR", help="where figures go (default: bench/results, quick: none kept)"
    )
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run -> exit status: 0 = measured, whatever the figures; 2 = a section broke."""
    options = parser().parse_args(arguments)
    chosen = [section for name, section in SECTIONS.items() if options.only is None or name in options.only]
    folder = options.out or (Path("build") / "bench-quick" if options.quick else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    for number, section in enumerate(chosen, start=1):
        _say(f"[{number}/{len(chosen)}] {section.name}: {section.title}")
        try:
            _run(section, Bench(options.quick), folder)
        except (RunBrokeError, LocalfaasError, RuntimeError) as e:
            sys.stderr.write(f"bench: {section.name} broke: {e}\n")
            return 2
    _say(f"summary: {summary.write(folder)}")
    return 0


def _run(section: Section, bench: Bench, folder: Path) -> None:
    started, begin, before = datetime.now(UTC), time.monotonic(), machine.load()
    measured = section.measure(bench)
    took_s = time.monotonic() - begin
    quick = " --quick" if bench.quick else ""
    raw = {
        "section": section.name,
        "command": f"python -m bench --only {section.name}{quick}",
        "quick": bench.quick,
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "took_s": round(took_s, 1),
        "machine": machine.describe(),
        "load": {"before": before, "after": machine.load()},
        "targets": [{**asdict(target), "reached": target.reached} for target in measured.targets],
        "figures": measured.figures,
    }
    (folder / f"{section.name}.json").write_text(json.dumps(raw, indent=1) + "\n")
    for target in measured.targets:
        _say(f"  {target}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
