"""Every command of the pages, in a block or in a sentence, is run by a test, or named here with what it needs."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.lab.documented import OPERATIONS, ROOT, WALK, Shell, between, block, blocks, fenced, quoted
from tests.lab.errors import LabError

PAGES = {"OPERATIONS": OPERATIONS, "WALK": WALK}
WHOLE = {
    OPERATIONS: {"sh": "tests/e2e/test_operations.py", "cql": "tests/cassandra/test_access.py"},
    WALK: {},
}
"""Languages of which a test runs every block, whatever is in it."""
LEFT = {OPERATIONS: (), WALK: ("helm upgrade --install openfaas ",)}
"""OpenFaaS' chart is in no registry that tests could take it from."""
ELSEWHERE = ("make venv", "make lab-test")
"""What sentences name besides: what runs the tests themselves."""
PROGRAMS = (
    "cqlsh ctr curl docker edge enb-app faas-cli helm kubectl localfaas make nodetool pip python sed spgw-hss-stub"
)
A_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(PROGRAMS.split())}) .+")


def asked_for() -> dict[Path, list[str]]:
    """Which blocks of each page the tests take to run them.

    They ask for them by `block` and `between` of tests/lab/documented.py, with words that stand in the call.
    """
    found: dict[Path, list[str]] = {page: [] for page in PAGES.values()}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name in ("documented.py", "test_documented.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("block", "between"):
                name, *words = node.args
                assert isinstance(name, ast.Name), f"{path}:{node.lineno}: of which page?"
                said = [ast.literal_eval(word) for word in words]
                more = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
                page = PAGES[name.id]
                found[page] += between(page, *said, **more) if node.func.id == "between" else [block(page, *said)]
    return found


def left_out(page: Path) -> list[str]:
    """The page's blocks that no test runs."""
    run = asked_for()[page]
    lines = {
        line
        for one in (OPERATIONS, WALK)
        for language, text in fenced(one)
        if language in WHOLE[one]
        for line in text.splitlines()
    }
    return [
        text
        for language, text in fenced(page)
        if language not in WHOLE[page] and text not in run and not set(text.splitlines()) <= lines
    ]


@pytest.mark.parametrize("page", list(LEFT), ids=lambda page: page.name)
def test_every_block_is_run_by_a_test_or_named_as_left(page: Path) -> None:
    assert [text for text in left_out(page) if not any(words in text for words in LEFT[page])] == []
    for words in LEFT[page]:
        assert block(page, words) in left_out(page)


@pytest.mark.parametrize("page", list(LEFT), ids=lambda page: page.name)
def test_a_sentence_names_no_command_that_no_block_has(page: Path) -> None:
    """Nobody would run it: what is to be done stands in a block, and sentences speak of that."""
    lines = [" ".join(line.split()) for one in LEFT for _, text in fenced(one) for line in text.splitlines()]
    named = [one for one in quoted(page) if A_COMMAND.fullmatch(one) and one not in ELSEWHERE]
    assert named
    assert [one for one in named if not any(one in line for line in lines)] == []


def test_files_that_run_whole_languages_do_so() -> None:
    for page, languages in WHOLE.items():
        for language, path in languages.items():
            text = (ROOT / path).read_text()
            assert f"^```{language}\\n(.*?)^```$" in text
            assert page.name in text


@pytest.mark.parametrize("page", list(LEFT), ids=lambda page: page.name)
def test_a_deployment_of_functions_says_all_that_they_are_to_have(page: Path) -> None:
    """It replaces what they have: without these, images of no registry, and callbacks to nobody but themselves."""
    lines = [line for one in blocks(page) for line in one.splitlines() if "faas-cli deploy" in line]
    assert lines
    for line in lines:
        told = dict(word.split("=", 1) for word in shlex.split(line.partition(" faas-cli")[0]))
        assert {"REGISTRY", "TAG", "CALLBACK_ALLOW"} <= told.keys(), line


def test_a_job_begun_by_hand_has_another_name_each_time() -> None:
    """A second one of the same name is refused, and its caller would wait for the first."""
    made = [one for one in blocks(OPERATIONS) if "create job" in one]
    assert len(made) == 2
    for one in made:
        name = re.search(r"^(\w+)=[a-z-]+-\$\(date \+%s\)$", one, re.M)
        assert name is not None
        assert one.count(f"${name[1]}") == 3


def test_openfaas_comes_from_a_place_that_is_named_in_a_release_that_is_pinned() -> None:
    """Unpinned it would be one that deploys only images that can be pulled without a login."""
    commands = block(WALK, "helm upgrade --install openfaas ")
    assert "helm repo add openfaas https://" in commands
    release = re.search(r"^helm upgrade --install openfaas .*--version (\d+\.\d+\.\d+) ", commands, re.M)
    assert release is not None
    assert f"OpenFaaS chart itself, {release[1]}:" in (WALK.parent / "openfaas-values.yaml").read_text()


def test_a_gateway_that_is_replaced_goes_on_for_longer_than_a_call_may_take() -> None:
    values = yaml.safe_load((WALK.parent / "openfaas-values.yaml").read_text())
    pod = yaml.safe_load((WALK.parent / "gateway-drain.yaml").read_text())["spec"]["template"]["spec"]
    goes_on_s = {one["name"]: one["lifecycle"]["preStop"]["sleep"]["seconds"] for one in pod["containers"]}
    assert set(goes_on_s) == {"gateway", "faas-netes"}  # the one calls functions by the other
    call_s = int(values["gateway"]["upstreamTimeout"].removesuffix("s"))
    for seconds in goes_on_s.values():
        assert call_s < seconds < pod["terminationGracePeriodSeconds"]


def test_a_gateway_is_reached_and_logged_in_to_before_faas_cli_is_given_anything_to_do() -> None:
    commands = "".join(blocks(WALK))
    order = ("port-forward svc/gateway", "faas-cli login", "faas-cli secret create", "faas-cli deploy")
    assert sorted(order, key=commands.index) == list(order)


def test_a_block_is_without_its_indent_and_found_once() -> None:
    assert block(WALK, "svc/cassandra") == "kubectl -n edge port-forward svc/cassandra 9042\n"
    assert len(blocks(OPERATIONS)) >= 12
    with pytest.raises(LabError, match=r"README.md has 0 blocks with 'nothing like it'"):
        block(WALK, "nothing like it")


def test_words_of_the_page_are_replaced_and_have_to_be_there(tmp_path: Path) -> None:
    one = Shell(tmp_path, {"NAME": "x"})
    assert one.run('pwd\necho "$NAME" -n edge', {"-n edge": "-n mine"}) == f"{tmp_path}\nx -n mine\n"
    with pytest.raises(LabError, match="the page has no '-n edge' any more"):
        one.run("true", {"-n edge": "-n mine"})
    with pytest.raises(LabError, match="ended with 1"):
        one.run("false | true\ntrue")


STAND_IN = """#!/bin/sh
command="$(basename "$0") $*"
echo "$command" >> "$LOG"
case "$command" in
  *"$FAILS"*) exit 1;;
  *"nodetool status"*) [ "$(grep -c 'nodetool status' "$LOG")" -gt 1 ] && echo "DN  10.0.0.7  1 GiB  ?  lost  rack1";;
esac
"""


@pytest.mark.parametrize(
    ("words", "fails", "left"),
    [
        ("ALTER KEYSPACE edge", "cassandra-0 -- nodetool repair", "datacenter1': 3"),
        ("ALTER KEYSPACE edge", "cassandra-2 -- nodetool repair", "datacenter1': 3"),
        ("ALTER KEYSPACE edge", "ALTER KEYSPACE", "nodetool repair"),
        ("nodetool removenode", "nodetool repair", "nodetool removenode"),
        ("edge subscribers reseal", "edge subscribers reseal", "edge secrets drop-keys"),
        ("config view --flatten", "kubectl config view", "mv keys/together"),
    ],
)
def test_nothing_is_lost_by_what_comes_after_a_command_that_failed(
    tmp_path: Path, words: str, fails: str, left: str
) -> None:
    """Whoever copies a block has an interactive shell, which goes on after a command that failed.

    The stand-in of each program writes down how it was called; a node is lost from the second look on.
    """
    commands = block(OPERATIONS, words)
    assert left.partition(":")[0] in commands
    programs, log = tmp_path / "programs", tmp_path / "log"
    for folder in (programs, tmp_path / "keys"):
        folder.mkdir()
    for name in ("kubectl", "edge", "mv", "sleep"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "LOG": str(log), "STORE_URL": "sqlite:///x"}
    for failing in (fails, "nothing"):
        log.write_text("")
        argv = ["/bin/bash", "-c", commands]
        subprocess.run(argv, check=False, cwd=tmp_path, env=environment | {"FAILS": failing}, timeout=60)
        called = log.read_text().splitlines()
        assert any(left in one for one in called) == (failing != fails)
        if failing == fails:
            assert fails in called[-1]


KEYS = ("edge-signing-key", "subscriber-key", "m-tmsi-key")


@pytest.mark.parametrize("page", list(LEFT), ids=lambda page: page.name)
@pytest.mark.parametrize("missing", ["exit 1", "exit 0"], ids=["no secret", "a secret without it"])
def test_a_key_that_cannot_be_had_leaves_the_file_of_it_as_it_was(tmp_path: Path, page: Path, missing: str) -> None:
    """An empty one would be handed out to the cluster by the next command."""
    programs, keys = tmp_path / "programs", tmp_path / "keys"
    for folder in (programs, keys):
        folder.mkdir()
    for name in KEYS:
        (keys / name).write_text("old")
    kubectl = programs / "kubectl"
    kubectl.write_text(f'#!/bin/sh\ncase "$*" in *subscriber-key*) {missing};; *) printf bmV3;; esac\n')
    kubectl.chmod(0o755)
    argv = ["/bin/bash", "-c", block(page, "get secret $name")]
    subprocess.run(argv, check=False, cwd=tmp_path, env={"PATH": f"{programs}:/usr/bin:/bin"}, timeout=60)
    assert [(keys / name).read_text() for name in KEYS] == ["new", "old", "old"]
