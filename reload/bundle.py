"""Make the single-file `auto-reload`: the agent with the libraries that its schemas need, all pure Python.

python -m reload.bundle auto-reload       the same input gives the same bytes
"""

from __future__ import annotations

import importlib.metadata
import io
import stat
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = b"import sys\n\nfrom reload.agent.run import main\n\nsys.exit(main())\n"
LIBRARIES = {"PyYAML": "yaml", "fastjsonschema": "fastjsonschema"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def bundle() -> bytes:
    """The file's octets.  Raises importlib.metadata.PackageNotFoundError where a library is not installed."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in sorted(_files()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(entry, content)
    return SHEBANG + archive.getvalue()


def _files() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", MAIN
    agent = Path(__file__).with_name("agent")
    yield "reload/__init__.py", b""
    for path in agent.glob("*.py"):
        yield f"reload/agent/{path.name}", path.read_bytes()
    for distribution, package in LIBRARIES.items():
        for file in importlib.metadata.files(distribution) or []:
            ours = file.suffix == ".py" and file.parts[0] == package
            licence = "LICENSE" in file.name.upper()
            if ours or licence:
                yield (str(file) if ours else f"licences/{distribution}"), file.read_binary()


def write(path: Path) -> None:
    """Write it, executable."""
    path.write_bytes(bundle())
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def main(arguments: Sequence[str]) -> int:
    """Exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m reload.bundle FILE\n")
        return 2
    write(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
