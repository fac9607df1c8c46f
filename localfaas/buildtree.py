"""Assemble what `faas-cli build --shrinkwrap` makes, without faas-cli.

The tree is the one of a clean checkout: compiled files beside the sources, which faas-cli would take along, are left
out.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from localfaas.errors import StackError
from localfaas.stack import Function, Stack

_COMPILED = ("__pycache__", "*.pyc")


@dataclass(frozen=True, slots=True)
class BuildTree:
    """One function's Docker context. folder: with index.py; fprocess: how the watchdog would start it."""

    folder: Path
    fprocess: str

    @property
    def function_folder(self) -> Path:
        """The folder of handler.py and of the copied packages: the PYTHONPATH."""
        return self.folder / "function"


def _lay_over(source: Path, target: Path, skip: Iterable[str] = ()) -> None:
    """Copy a file or folder's content over target; symlinks become what they point to."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
        return
    compiled = shutil.ignore_patterns(*_COMPILED)

    def ignore(folder: str, names: list[str]) -> set[str]:
        top = set(skip) if Path(folder) == source else set()
        return compiled(folder, names) | (top & set(names))

    shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True)


def _template_keys(template: Path) -> dict[str, str]:
    raw = yaml.safe_load((template / "template.yml").read_text())
    return raw if isinstance(raw, dict) else {}


def assemble(stack: Stack, function: Function, build_dir: Path) -> BuildTree:
    """Make build_dir/<name> anew: template, handler folder over its function/, then configuration.copy into function/.

    Raises: StackError when template, handler folder or a copied path is missing or lies outside of the root.
    Source: style part B, 2-5 (faas-cli's CreateBuildContext).
    """
    template = stack.root / "template" / function.lang
    if not (template / "template.yml").is_file():
        raise StackError(
            f"function {function.name}: no template/{function.lang}/template.yml in {stack.root}; commit the template"
        )
    handler = stack.root / function.handler
    if not handler.is_dir():
        raise StackError(f"function {function.name}: handler folder {function.handler} is not in {stack.root}")
    folder = build_dir / function.name
    shutil.rmtree(folder, ignore_errors=True)
    _lay_over(template, folder)
    keys = _template_keys(template)
    _lay_over(handler, folder / keys.get("handler_folder", "function"), skip=("build", "template"))
    for extra in stack.copy:
        source = (stack.root / extra).resolve()
        if source == stack.root or not source.is_relative_to(stack.root):
            raise StackError(f"configuration.copy: {extra} is the root itself or outside of it; name a folder inside")
        if not source.exists():
            raise StackError(f"configuration.copy: {extra} is not in {stack.root}")
        _lay_over(source, folder / "function" / source.relative_to(stack.root))
    return BuildTree(folder, function.fprocess or keys.get("fprocess", "python index.py"))
