"""What the images are made of: their Dockerfiles, the folders they are built from, and what the builder is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.lab.python_layers import kept_asn1_modules
from tests.layout.test_import_direction import imports_of
from tools import images

REPO = Path(__file__).resolve().parents[2]
DOCKERFILES = (REPO / "template/python3-flask-edge/Dockerfile", REPO / "images/edge-tools/Dockerfile")
LABELS = {"title", "version", "revision", "source", "licenses"}
BUILDER = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
[ "$1" != run ] || printf '{"installed": [{}, {}]}'
[ "$1" != "$BREAKS" ] || { echo "no such base image" >&2; exit 1; }
"""


def instructions(path: Path) -> list[tuple[str, str]]:
    """(instruction, its words), with lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.M).replace("\\\n", " ")
    return [(line.split()[0], " ".join(line.split()[1:])) for line in text.splitlines() if line.strip()]


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.parent.name)
def dockerfile(request: pytest.FixtureRequest) -> list[tuple[str, str]]:
    return instructions(request.param)


def test_base_images_are_arguments_with_pinned_defaults(dockerfile: list[tuple[str, str]]) -> None:
    arguments = dict(words.partition("=")[::2] for name, words in dockerfile if name == "ARG")
    bases = [words.split()[0] for name, words in dockerfile if name == "FROM"]
    assert bases
    for base in bases:
        assert (found := re.fullmatch(r"\$\{(\w+)\}", base)), base
        assert re.fullmatch(
            r"[a-z0-9./-]+:[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*(@sha256:[0-9a-f]{64})?", arguments[found[1]]
        )
    assert "@sha256:" in arguments["PYTHON_IMAGE"]


def test_functions_and_programs_have_one_python() -> None:
    told = [words for path in DOCKERFILES for name, words in instructions(path) if words.startswith("PYTHON_IMAGE=")]
    assert len(told) == 2
    assert len(set(told)) == 1


def test_it_runs_as_a_user_who_is_not_root(dockerfile: list[tuple[str, str]]) -> None:
    at = [number for number, (name, _) in enumerate(dockerfile) if name == "USER"]
    assert dockerfile[at[-1]][1] == "1000:1000"
    assert not [name for name, _ in dockerfile[at[-1] :] if name in ("RUN", "COPY", "ADD")]


def test_packages_are_hashed_and_what_is_installed_is_written_down(dockerfile: list[tuple[str, str]]) -> None:
    runs = [words for name, words in dockerfile if name == "RUN"]
    installs = [words for words in runs if "pip install" in words]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "--no-cache-dir" in installs[0]
    assert [words for words in runs if "pip inspect --local > inventory.json" in words]
    assert not [words for words in runs if re.search(r"curl|wget|apt|apk", words)]
    assert not [name for name, _ in dockerfile if name == "ADD"]


def test_of_pycrate_s_asn1_modules_those_stay_that_our_programs_import(dockerfile: list[tuple[str, str]]) -> None:
    (install,) = [words for name, words in dockerfile if name == "RUN" and "pip install" in words]
    kept = kept_asn1_modules(install) - {"__init__"}
    code = (
        "import importlib, pkgutil, sys\n"
        "for package in sys.argv[1:]:\n"
        "    path = importlib.import_module(package).__path__\n"
        "    for module in pkgutil.walk_packages(path, package + '.'):\n"
        "        if not module.name.endswith('__main__'):\n"
        "            importlib.import_module(module.name)\n"
        "print(*(name.split('.')[1] for name in sys.modules if name.startswith('pycrate_asn1dir.')))"
    )
    command = [sys.executable, "-c", code, "mme", "edge", "placement", "reload", "durable", "trust"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=100, check=True)
    imported = set(done.stdout.split())
    assert "S1AP" in imported
    assert imported <= kept


def test_it_is_labelled(dockerfile: list[tuple[str, str]]) -> None:
    (labels,) = [words for name, words in dockerfile if name == "LABEL"]
    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels)) == LABELS


def test_the_watchdog_leaves_log_lines_as_they_are() -> None:
    settings = " ".join(words for name, words in instructions(DOCKERFILES[0]) if name == "ENV")
    assert "prefix_logs=false" in settings.split()  # of-watchdog's own default is true
    assert "log_buffer_size=1048576" in settings.split()  # its own is 65536, and a longer line is its last


def test_every_function_of_the_stack_asks_for_a_read_only_root() -> None:
    functions = yaml.safe_load((REPO / "stack.yml").read_text())["functions"]
    assert [name for name, function in functions.items() if function.get("readonly_root_filesystem") is not True] == []


def test_kubernetes_client_is_in_those_images_only_whose_code_can_import_it() -> None:
    functions = yaml.safe_load((REPO / "stack.yml").read_text())["functions"]
    reaching = {name for name in functions if "kubernetes" in reached(REPO / f"functions/{name}/handler.py")}
    told = {name: function.get("build_args", {}).get("REQUIREMENTS") for name, function in functions.items()}
    assert reaching == {"config-reload"}
    assert {name: file for name, file in told.items() if file} == {"config-reload": "requirements-kubernetes.txt"}
    for program in ("edge/cli.py", "mme/ticker.py", "placement/ticker.py"):  # what the chart starts of edge-tools
        assert "kubernetes" not in reached(REPO / program)
    requirements = sorted((*REPO.glob("template/*/requirements*.txt"), *REPO.glob("images/*/requirements.txt")))
    with_client = [path.name for path in requirements if re.search("^kubernetes==", path.read_text(), re.M)]
    assert len(requirements) == 3
    assert with_client == ["requirements-kubernetes.txt"]


def reached(path: Path) -> set[str]:
    """Every module that a file imports, at any time, and those that our own among them import."""
    found: set[str] = set()
    left = [path]
    while left:
        for module in imports_of(left.pop()) - found:
            found.add(module)
            parts = [REPO.joinpath(*module.split(".")[:n]) for n in range(1, module.count(".") + 2)]
            ours = [part.with_suffix(".py") for part in parts] + [part / "__init__.py" for part in parts]
            left += [file for file in ours if file.is_file()]
    return found


@pytest.mark.parametrize(
    "name",
    [
        "template/python3-flask-edge/requirements.txt",
        "template/python3-flask-edge/requirements-kubernetes.txt",
        "images/edge-tools/requirements.txt",
    ],
)
def test_requirements_are_hashed_and_name_no_address(name: str) -> None:
    text = (REPO / name).read_text()
    pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pinned
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert "://" not in text


def test_every_function_and_the_tools_have_a_folder(tmp_path: Path) -> None:
    made = images.laid_out("registry.example:5000", "1.2", tmp_path)
    functions = yaml.safe_load((REPO / "stack.yml").read_text())["functions"]
    assert {image.reference for image in made} == {f"registry.example:5000/{n}:1.2" for n in (*functions, images.TOOLS)}
    for image in made:
        assert (image.folder / "Dockerfile").is_file()
        assert (image.folder / "requirements.txt").is_file()
    assert not list(tmp_path.rglob("__pycache__"))


def test_another_stack_has_a_folder_for_each_image(tmp_path: Path) -> None:
    made = images.laid_out("r.example", "7", tmp_path, REPO / "tests/contract/stack/stack.yml")
    assert {image.name: image.reference for image in made} == {
        "echo": "r.example/contract-echo:7",
        "behave": "r.example/contract-behave:7",  # hasty and single are the same with other settings
    }
    assert (tmp_path / "echo/function/handler.py").is_file()


def test_the_tools_run_from_their_folder_alone(tmp_path: Path) -> None:
    """Everything that the chart starts in edge-tools is there, and asks nothing of the repository."""
    images.laid_out("r", "t", tmp_path)
    folder = tmp_path / images.TOOLS / "packages"
    code = (
        "import sys\n"
        "ours = [p for p in sys.path if p.startswith(sys.argv[2]) and 'site-packages' not in p]\n"
        "sys.path = [sys.argv[1], *(p for p in sys.path if p not in ours)]\n"
        "import edge.cli, mme.ticker, placement.ticker\n"
        "files = [getattr(m, '__file__', None) or '' for m in list(sys.modules.values())]\n"
        "foreign = [f for f in files if f.startswith(sys.argv[2]) and 'site-packages' not in f]\n"
        "assert not foreign, foreign\n"
        "assert edge.cli.__file__.startswith(sys.argv[1])\n"
        "edge.cli.main(['--help'])"
    )
    command = [sys.executable, "-P", "-c", code, str(folder), str(REPO)]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "subscribers" in done.stdout


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that writes down how it is called; the file."""
    (tmp_path / "builder").write_text(BUILDER)
    (tmp_path / "builder").chmod(0o755)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("BREAKS", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "calls"


def test_the_builder_is_told_all_and_inventories_are_kept(
    builder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = "PYTHON_IMAGE=registry.example/python@sha256:00"
    told = ["--registry", "r.example", "--tag", "7", "--only", "mme-enb", "--only", "edge-tools", "--push"]
    assert images.main([*told, "--builder", str(tmp_path / "builder"), "--build-arg", base]) == 0
    calls = builder.read_text().splitlines()
    for number, name in enumerate(("mme-enb", "edge-tools")):
        build, run, push = calls[3 * number : 3 * number + 3]
        assert build.startswith(f"build --build-arg TITLE={name} --build-arg VERSION=7 --build-arg REVISION=")
        assert build.endswith(f"--build-arg {base} --tag r.example/{name}:7 build/images/{name}")
        assert run == f"run --rm --network none --entrypoint cat r.example/{name}:7 {images.INVENTORY}"
        assert push == f"push r.example/{name}:7"
        assert len(json.loads((tmp_path / f"build/inventories/{name}.json").read_text())["installed"]) == 2
    assert len(calls) == 6
    assert "[1/2] r.example/mme-enb:7" in capsys.readouterr().out


def test_a_function_s_own_build_arguments_come_before_those_of_the_caller(builder: Path, tmp_path: Path) -> None:
    told = ["--only", "config-reload", "--build-arg", "PIP_OPTIONS=--no-index"]
    assert images.main([*told, "--builder", str(tmp_path / "builder")]) == 0
    own = "--build-arg REQUIREMENTS=requirements-kubernetes.txt --build-arg PIP_OPTIONS=--no-index --tag "
    assert own in builder.read_text().splitlines()[0]


@pytest.mark.parametrize("breaks", ["build", "run", "push"])
def test_what_the_builder_says_last_is_shown(
    builder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    monkeypatch.setenv("BREAKS", breaks)
    assert images.main(["--only", "mme-enb", "--push", "--builder", str(tmp_path / "builder")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"images: builder {breaks} ")
    assert told.endswith("failed: no such base image\n")


def test_a_missing_builder_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert images.main(["--builder", "no-such-builder"]) == 2
    assert "no no-such-builder on PATH" in capsys.readouterr().err
