"""What the images are made of: their Dockerfiles, the folders they are built from, and what the builder is told."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
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
case "$*" in
run*.json) printf '{"installed": [{}, {}]}' ;;
run*.tsv) printf 'dpkg\\t1\\tamd64\\tdpkg\\t1\\n' ;;
esac
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


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no Debian")
def test_debian_s_packages_are_written_down_with_their_sources(
    dockerfile: list[tuple[str, str]], tmp_path: Path
) -> None:
    """As this machine's shell runs the Dockerfile's own line."""
    (line,) = [words for name, words in dockerfile if name == "RUN" and "dpkg-query" in words]
    script = line.rpartition(" && ")[2]
    subprocess.run(["/bin/sh", "-ec", script], cwd=tmp_path, check=True, timeout=60)
    rows = [row.split("\t") for row in (tmp_path / "system.tsv").read_text().splitlines()]
    assert {len(row) for row in rows} == {5}
    assert ("libc6", "glibc") in {(row[0], row[3]) for row in rows}


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


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("https://git.example/edge/functions.git", "https://git.example/edge/functions.git"),
        ("https://someone:secret@git.example:8443/edge/functions.git", "https://git.example:8443/edge/functions.git"),
        ("git@git.example:edge/functions.git", "https://git.example/edge/functions.git"),
        ("ssh://git@git.example:2222/edge/functions.git", "https://git.example/edge/functions.git"),
        ("/srv/git/functions.git", ""),
        ("file:///srv/git/functions.git", ""),
        ("../functions", ""),
        ("https://git.example:port/x", ""),
        ("", ""),
    ],
)
def test_the_source_that_a_label_names_is_an_address_without_a_login(remote: str, told: str) -> None:
    assert images.address(remote) == told


def test_every_source_that_is_copied_is_in_the_folder_it_is_built_from(tmp_path: Path) -> None:
    """Of a COPY with several, one with a wildcard may match nothing: wheels/, where a site brings none."""
    for image in images.laid_out("r", "t", tmp_path):
        read = instructions(image.folder / "Dockerfile")
        stages = {words.split()[-1] for name, words in read if name == "FROM" and " AS " in words}
        copied: set[Path] = set()
        for words in [words.split() for name, words in read if name == "COPY"]:
            options = [word for word in words if word.startswith("--")]
            *sources, _ = [word for word in words if word not in options]
            if stage := [option.removeprefix("--from=") for option in options if option.startswith("--from=")]:
                assert set(stage) <= stages
                continue
            found = [list(image.folder.glob(source)) for source in sources]
            assert all(paths or source.endswith("*") for paths, source in zip(found, sources, strict=True)), image.name
            assert any(found), image.name
            copied |= {path for paths in found for path in paths}
        arguments = dict(words.partition("=")[::2] for name, words in read if name == "ARG")
        arguments |= dict(argument.split("=", 1) for argument in image.arguments)
        assert image.folder / arguments.get("REQUIREMENTS", "requirements.txt") in copied, image.name
        left = {path.name for path in image.folder.iterdir()} - {path.name for path in copied}
        assert left <= {"Dockerfile", "template.yml"}, image.name


CODE_BYTES = 2_000_000
"""Of our own, in one image: 1.4 MB are there."""


def test_no_image_is_built_from_tests_caches_or_what_is_hidden(tmp_path: Path) -> None:
    unwanted = re.compile(
        r"(^|/)(tests?|__pycache__|build|template|\.[^/]*)/|(^|/)(test_[^/]*|[^/]*_test\.py|\.[^/]*)$|\.pyc$"
    )
    for image in images.laid_out("r", "t", tmp_path):
        files = {path.relative_to(image.folder): path for path in image.folder.rglob("*") if path.is_file()}
        assert [str(name) for name in files if unwanted.search(str(name))] == [], image.name
        ours = [path for name, path in files.items() if name.parts[0] != "wheels" and path.name != "helm"]
        assert sum(path.stat().st_size for path in ours) < CODE_BYTES, image.name


# Bytes of what is installed, without what Python compiles of it: 59.7, 154.2 and 65.9 million on 23 November 2026, and
# a tenth for new releases.
INSTALLED_BYTES = {
    "template/python3-flask-edge/requirements.txt": 66_000_000,
    "template/python3-flask-edge/requirements-kubernetes.txt": 170_000_000,
    "images/edge-tools/requirements.txt": 73_000_000,
}


@pytest.mark.parametrize("name", INSTALLED_BYTES)
def test_what_an_image_installs_stays_small(name: str) -> None:
    """By the packages of this environment, which has the same releases, less what the Dockerfile deletes."""
    wanted = re.findall(r"^([\w.-]+)==([^ ;\\]+)", (REPO / name).read_text(), re.M)  # some differ by Python's version
    (install,) = [
        words
        for did, words in instructions((REPO / name).with_name("Dockerfile"))
        if did == "RUN" and "pip install" in words
    ]
    kept = re.findall("! -name '([^']+)'", install) if "-delete" in install else ["*"]
    total = 0
    for package in {package for package, _ in wanted}:
        found = importlib.metadata.distribution(package)
        assert (package, found.version) in wanted
        for file in found.files or []:
            asn1 = file.parts[0] == "pycrate_asn1dir"
            if file.suffix == ".pyc" or (asn1 and not any(fnmatch(file.name, pattern) for pattern in kept)):
                continue
            total += Path(str(file.locate())).stat().st_size
    assert 40_000_000 < total <= INSTALLED_BYTES[name]


def environment_of_functions() -> dict[str, str]:
    """What the template's image sets."""
    words = " ".join(words for name, words in instructions(DOCKERFILES[0]) if name == "ENV")
    return dict(word.split("=", 1) for word in shlex.split(words))


def test_the_watchdog_leaves_log_lines_as_they_are() -> None:
    settings = environment_of_functions()
    assert settings["prefix_logs"] == "false"  # of-watchdog's own default is true
    assert settings["log_buffer_size"] == "1048576"  # its own is 65536, and a longer line is its last


def test_a_replica_is_ready_by_index_py_s_lock_and_by_no_other() -> None:
    """The watchdog's own comes before Python listens, and calls are lost; none at all, and kubelet kills after 6 s."""
    settings = environment_of_functions()
    assert settings["suppress_lock"] == "true"  # of-watchdog's own default is false
    assert 0 < float(settings["READY_WITHIN_S"]) < 6  # index.py's own is 0: never early
    index = (REPO / "template/python3-flask-edge/index.py").read_text()
    asked = re.findall(r"environ\.get\(\"(\w+)\"", index)
    assert {"READY_WITHIN_S", "DRAIN_DELAY_S", "DRAIN_TIMEOUT_S"} <= set(asked)


def test_python_accepts_calls_for_longer_than_the_watchdog_sends_them() -> None:
    """Those that it sends after SIGTERM, for healthcheck_interval, would be lost: async calls are never sent again."""
    settings = environment_of_functions()
    interval = re.fullmatch(r"([0-9]+)s", settings["healthcheck_interval"])
    assert interval
    assert float(settings["DRAIN_DELAY_S"]) > float(interval[1])


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
        build, run, system, push = calls[4 * number : 4 * number + 4]
        assert build.startswith(f"build --build-arg TITLE={name} --build-arg VERSION=7 --build-arg REVISION=")
        assert build.count("--build-arg SOURCE=") == 1
        assert build.endswith(f"--build-arg {base} --tag r.example/{name}:7 build/images/{name}")
        assert run == f"run --rm --network none --entrypoint cat r.example/{name}:7 {images.INVENTORY}"
        assert system == run.replace(images.INVENTORY, images.SYSTEM)
        assert push == f"push r.example/{name}:7"
        assert len(json.loads((tmp_path / f"build/inventories/{name}.json").read_text())["installed"]) == 2
        assert (tmp_path / f"build/inventories/{name}.tsv").read_text() == "dpkg\t1\tamd64\tdpkg\t1\n"
    assert len(calls) == 8
    told = capsys.readouterr().out
    assert "[1/2] r.example/mme-enb:7" in told
    assert "  2 Python packages, 1 of Debian, " in told


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
