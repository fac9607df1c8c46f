"""What goes into a function's image: the tree of `faas-cli build --shrinkwrap`, for every function of stack.yml."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from localfaas import buildtree, stack

REPO = Path(__file__).resolve().parents[2]
STACKS = [path for path in (REPO / "stack.yml", REPO / "tests" / "contract" / "stack" / "stack.yml") if path.exists()]
FUNCTIONS = [(path, name) for path in STACKS for name in stack.load(path, {}).functions]

IMPORT_HANDLER = """
import sys
# An editable install puts the repository itself on the path; the virtual environment may lie below it.
sys.path = [path for path in sys.path if not path.startswith(sys.argv[2]) or "site-packages" in path]
import handler
assert handler.__file__ == sys.argv[1] + "/handler.py", handler.__file__
assert callable(handler.handle)
foreign = sorted(
    name for name, module in sys.modules.items()
    if (getattr(module, "__file__", None) or "").startswith(sys.argv[2])
    and "site-packages" not in module.__file__ and not module.__file__.startswith(sys.argv[1])
)
assert not foreign, f"imported from the repository instead of the image: {foreign}"
"""


@dataclass(frozen=True)
class Built:
    """A function's tree, and how its container would be started."""

    tree: buildtree.BuildTree
    environment: dict[str, str]


@pytest.fixture(params=FUNCTIONS, ids=[f"{path.parent.name}-{name}" for path, name in FUNCTIONS])
def built(request: pytest.FixtureRequest, tmp_path: Path) -> Built:
    """The tree of one function, the environment of its image and stack entry, and secrets of the usual form."""
    path, name = request.param
    read = stack.load(path, {})
    assert read.root == REPO
    function = read.functions[name]
    tree = buildtree.assemble(read, function, tmp_path / "build")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for secret in function.secrets:
        (secrets / secret).write_text("5a" * 32)
    image = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree.function_folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return Built(tree, {**image, **function.environment, "EDGE_SECRETS_DIR": str(secrets)})


def test_tree_holds_what_runs_and_nothing_else(built: Built) -> None:
    folder = built.tree.folder
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"Dockerfile", "index.py", "requirements.txt", "function/handler.py"} <= files
    unwanted = re.compile(r"(^|/)(tests?|__pycache__|build|template)/|(^|/)test_|_test\.py$|\.pyc$|(^|/)\.")
    assert sorted(name for name in files if unwanted.search(name)) == []


def test_handler_is_importable_with_only_the_trees_paths(built: Built) -> None:
    # -P: without the working directory; the environment is the container's, not ours.
    command = [sys.executable, "-P", "-c", IMPORT_HANDLER, str(built.tree.function_folder), str(REPO)]
    done = subprocess.run(
        command, cwd=built.tree.folder, env=built.environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_template_is_committed_and_used_by_all() -> None:
    for path in STACKS:
        for function in stack.load(path, {}).functions.values():
            assert function.lang == "python3-flask-edge", f"{path}: {function.name} has no committed template"
    keys = (REPO / "template" / "python3-flask-edge" / "template.yml").read_text()
    assert "language: python3-flask-edge\n" in keys
    assert "fprocess: python index.py\n" in keys


def test_functions_never_import_by_the_folders_name() -> None:
    # PYTHONPATH is function/ itself; `function.x` beside `x` would make two classes of one.
    found = [
        str(path.relative_to(REPO))
        for folder in ("functions", "mme", "placement", "reload")
        for path in sorted((REPO / folder).rglob("*.py"))
        if re.search(r"^\s*(from|import) function\b", path.read_text(), re.MULTILINE)
    ]
    assert found == []
