"""Cassandra's jars, by Maven from the pinned pom.xml beside this file; they stay in Maven's own cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

POM: Final = Path(__file__).resolve().parent / "pom.xml"
JAVA_MAJOR: Final = 17
_RESOLVE_S: Final = 600
_CURE: Final = "on Debian, apt-get install openjdk-17-jre-headless maven"


class LabError(Exception):
    """Cassandra cannot be started or stopped here; the text says why, and the cure."""


def version() -> str:
    """The version of Cassandra in pom.xml."""
    found = re.search(r"<artifactId>cassandra-all</artifactId>\s*<version>([^<]+)<", POM.read_text())
    if found is None:
        raise LabError(f"{POM.name} names no version of cassandra-all")
    return found[1]


def java() -> str:
    """The Java to run: JAVA_HOME's, or the one on PATH.  Raises LabError unless it is Java 17."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if path is None:
        raise LabError(f"Java {JAVA_MAJOR} is missing: {_CURE}")
    run = subprocess.run([path, "-version"], check=False, capture_output=True, text=True, timeout=60)
    found = re.search(r'version "(\d+)', run.stderr)
    if found is None or int(found[1]) != JAVA_MAJOR:
        have = found[1] if found else "unknown"
        raise LabError(f"Java {JAVA_MAJOR} is missing, {path} is version {have}: {_CURE}, and set JAVA_HOME")
    return path


def check() -> None:
    """Raises LabError with one line when Java 17 or Maven is missing."""
    java()
    if shutil.which("mvn") is None:
        raise LabError(f"Maven is missing: {_CURE}")


def classpath(cache: Path, say: Callable[[str], None]) -> str:
    """The class path, resolved once per version and kept in `cache`.  Raises LabError."""
    listing = cache / f"cassandra-{version()}.classpath"
    if listing.is_file():
        known = listing.read_text().strip()
        if known and all(Path(jar).is_file() for jar in known.split(":")):
            return known
    mvn = shutil.which("mvn")
    if mvn is None:
        raise LabError(f"Maven is missing: {_CURE}")
    say(f"resolving Cassandra {version()} by Maven, about 66 MB the first time")
    cache.mkdir(parents=True, exist_ok=True)
    fresh = listing.with_suffix(f".{os.getpid()}")
    command = [mvn, "-q", "-B", "-f", str(POM), "dependency:build-classpath", f"-Dmdep.outputFile={fresh.resolve()}"]
    try:
        run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_RESOLVE_S)
    except subprocess.TimeoutExpired:
        raise LabError(f"Maven took more than {_RESOLVE_S} s: is its repository within reach?") from None
    if run.returncode or not fresh.is_file():
        last = [line for line in run.stdout.splitlines() if "ERROR" in line][:1]
        raise LabError(f"Maven could not resolve Cassandra {version()}: {' '.join(last) or 'see `mvn -version`'}")
    fresh.replace(listing)
    return listing.read_text().strip()
