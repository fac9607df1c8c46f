"""The build tree is what `faas-cli build --shrinkwrap` makes."""

from pathlib import Path

import pytest

from localfaas import buildtree, stack
from localfaas.errors import StackError


def tree(project: Path, target: Path) -> buildtree.BuildTree:
    read = stack.load(project / "stack.yml", {})
    return buildtree.assemble(read, read.functions["hello"], target)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def copying(project: Path, *paths: str) -> None:
    with (project / "stack.yml").open("a") as file:
        file.write(f"configuration: {{copy: [{', '.join(paths)}]}}\n")


def test_template_then_handler_then_copies(project: Path, tmp_path: Path) -> None:
    hello = project / "functions" / "hello"
    (hello / "sub").mkdir()
    (hello / "sub" / "data.json").write_text("{}")
    (hello / "build").mkdir()
    (hello / "build" / "left-out").touch()
    (project / "mme" / "codec").mkdir(parents=True)
    (project / "mme" / "codec" / "nas.py").write_text("A = 1\n")
    (project / "lib" / "inner").mkdir(parents=True)
    (project / "lib" / "inner" / "x.py").touch()
    (project / "lib" / "other.py").touch()
    copying(project, "./mme", "lib/inner")
    made = tree(project, tmp_path / "build")
    assert made.folder == tmp_path / "build" / "hello"
    assert made.fprocess == "python index.py"
    assert files(made.folder) == {
        "Dockerfile",
        "index.py",
        "requirements.txt",
        "requirements-kubernetes.txt",
        "template.yml",
        "function/handler.py",
        "function/sub/data.json",
        "function/mme/codec/nas.py",
        "function/lib/inner/x.py",
    }
    assert made.function_folder / "handler.py" == made.folder / "function" / "handler.py"
    assert (made.function_folder / "handler.py").read_text() == (hello / "handler.py").read_text()


def test_a_second_time_leaves_nothing_of_the_first(project: Path, tmp_path: Path) -> None:
    tree(project, tmp_path / "build")
    (tmp_path / "build" / "hello" / "function" / "old.py").touch()
    assert "function/old.py" not in files(tree(project, tmp_path / "build").folder)


def test_compiled_files_stay_out_and_symlinks_become_files(project: Path, tmp_path: Path) -> None:
    hello = project / "functions" / "hello"
    (hello / "__pycache__").mkdir()
    (hello / "__pycache__" / "handler.pyc").touch()
    (hello / "stale.pyc").touch()
    (hello / "link.py").symlink_to(hello / "handler.py")
    made = tree(project, tmp_path / "build")
    assert not [name for name in files(made.folder) if name.endswith(".pyc")]
    assert not (made.function_folder / "link.py").is_symlink()


@pytest.mark.parametrize(
    ("path", "told"),
    [("..", "outside"), (".", "outside"), ("../project-secret", "outside"), ("nothing", "is not in")],
)
def test_copy_stays_inside_the_root(project: Path, tmp_path: Path, path: str, told: str) -> None:
    (project.parent / "project-secret").mkdir()
    copying(project, path)
    with pytest.raises(StackError, match=told):
        tree(project, tmp_path / "build")


def test_missing_template_and_handler_are_named(project: Path, tmp_path: Path) -> None:
    text = (project / "stack.yml").read_text()
    (project / "stack.yml").write_text(text.replace("./functions/hello", "./functions/other"))
    with pytest.raises(StackError, match="handler folder functions/other is not in"):
        tree(project, tmp_path / "build")
    (project / "stack.yml").write_text(text.replace("python3-flask-edge", "golang"))
    with pytest.raises(StackError, match=r"no template/golang/template\.yml"):
        tree(project, tmp_path / "build")
