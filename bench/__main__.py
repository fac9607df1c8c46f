"""`python -m bench [--store cassandra] [--only NAME] [--quick] [--out DIR]`, from the root: see the package's text."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, summary
from bench.bench import QUICK_SIZES, Bench, Sizes
from bench.database import database
from bench.section import Section
from bench.sections import CASSANDRA_SECTIONS, SECTIONS
from cassandra_lab.jars import LabError
from enb_app.attach import RunBrokeError
from localfaas.errors import LocalfaasError
from mme.errors import StoreError

RESULTS = Path(__file__).resolve().parent / "results"
IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write figures and a summary.")
    p.add_argument(
        "--store",
        choices=("sqlite", "cassandra"),
        default="sqlite",
        help="cassandra: its own sections, on the cluster at CASSANDRA_HOSTS or a node started here (%(default)s)",
    )
    p.add_argument(
        "--only",
        choices=sorted({**SECTIONS, **CASSANDRA_SECTIONS}),
        action="append",
        help="only this section; repeatable (default: all of the store's)",
    )
    p.add_argument("--quick", action="store_true", help="few samples, to see that everything runs")
    p.add_argument(
        "--out", type=Path, metavar="DIR", help="where figures go (default: bench/results, quick: none kept)"
    )
    sizes = p.add_argument_group("sizes, with --store cassandra")
    usual = Sizes()
    sizes.add_argument("--operations", type=int, metavar="N", help=f"of each kind that is timed ({usual.operations})")
    sizes.add_argument(
        "--rows", type=_ascending, metavar="N,N...", help=f"rows there meanwhile ({_listed(usual.rows)})"
    )
    sizes.add_argument(
        "--resident",
        type=_ascending,
        metavar="N,N...",
        help=f"UE contexts there while UEs attach ({_listed(usual.resident)})",
    )
    sizes.add_argument("--attaches", type=int, metavar="N", help=f"timed at each of these sizes ({usual.attaches})")
    return p


def _ascending(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if sorted(numbers) != list(numbers):
        raise ValueError
    return numbers


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run -> exit status: 0 = measured, whatever the figures; 2 = a section broke."""
    options = parser().parse_args(arguments)
    cassandra = options.store == "cassandra"
    sections = CASSANDRA_SECTIONS if cassandra else SECTIONS
    chosen = [section for name, section in sections.items() if options.only is None or name in options.only]
    if not chosen:
        sys.stderr.write(f"bench: with --store {options.store} the sections are {', '.join(sections)}\n")
        return 2
    folder = options.out or (Path("build") / "bench-quick" if options.quick else RESULTS) / (
        "cassandra" if cassandra else ""
    )
    folder.mkdir(parents=True, exist_ok=True)
    given = {name: value for name in _SIZES if (value := getattr(options, name)) is not None}
    sizes = replace(QUICK_SIZES if options.quick else Sizes(), **given)
    command = f"python -m bench --store {options.store}" if cassandra else "python -m bench"
    try:
        with database(_say) if cassandra else contextlib.nullcontext() as found:
            bench = Bench(options.quick, sizes, found)
            for number, section in enumerate(chosen, start=1):
                _say(f"[{number}/{len(chosen)}] {section.name}: {section.title}")
                _run(section, bench, folder, command)
    except (RunBrokeError, LocalfaasError, LabError, StoreError, RuntimeError) as e:
        sys.stderr.write(f"bench: {e}\n")
        return 2
    images = IMAGES if folder.is_relative_to(RESULTS) else None
    made = "make bench STORE=cassandra" if cassandra else "make bench"
    _say(f"summary: {summary.write(folder, sections, made, images)}")
    return 0


_SIZES = tuple(one.name for one in fields(Sizes))


def _run(section: Section, bench: Bench, folder: Path, command: str) -> None:
    started, begin, before = datetime.now(UTC), time.monotonic(), machine.load()
    measured = section.measure(bench)
    took_s = time.monotonic() - begin
    quick = " --quick" if bench.quick else ""
    raw = {
        "section": section.name,
        "command": f"{command} --only {section.name}{quick}",
        "quick": bench.quick,
        "sizes": None if bench.database is None else asdict(bench.sizes),
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "took_s": round(took_s, 1),
        "machine": machine.describe(),
        "load": {"before": before, "after": machine.load()},
        "targets": [{**asdict(target), "reached": target.reached} for target in measured.targets],
        "figures": measured.figures,
    }
    (folder / f"{section.name}.json").write_text(json.dumps(raw, indent=1) + "\n")
    if measured.samples:
        octets = json.dumps(measured.samples, separators=(",", ":")).encode()
        (folder / f"{section.name}.samples.json.gz").write_bytes(gzip.compress(octets, mtime=0))
    for target in measured.targets:
        _say(f"  {target}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
