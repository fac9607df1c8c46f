"""stack.yml is read as faas-cli reads it."""

from pathlib import Path

import pytest

from localfaas import stack
from localfaas.errors import StackError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "a"),
        ("x${A}y${A}", "xaya"),
        ("${NONE}", ""),
        ("${NONE:-d}", "d"),
        ("${NONE-d}", "d"),
        ("${NONE:=d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${A:-d}", "a"),
        ("${NONE:-http://h:1/p}", "http://h:1/p"),
        ("$A {A}", "$A {A}"),
        # What `faas-cli generate` (0.17.4) makes of the same text.
        ("${NONE:-${A}}", "a"),
        ("${NONE:-${EMPTY:-5}}z", "5z"),
        ("${A:-${NONE:-5}}", "a"),
        ("${NONE:-x${A}y${NONE:-d}}}", "xayd}"),
        ("${NONE:-{x}}", "{x}"),
    ],
)
def test_substitution(text: str, expected: str) -> None:
    assert stack.substitute(text, {"A": "a", "EMPTY": ""}) == expected


@pytest.mark.parametrize("text", ["${A:?must}", "${}", "${1A}"])
def test_unknown_expression_is_refused(text: str) -> None:
    with pytest.raises(StackError, match=r"is not understood; use \$\{NAME\}"):
        stack.substitute(text, {"A": "a"})


@pytest.mark.parametrize("text", ["${A", "x: ${A/y:${B:-dev}\nz: 1"])
def test_a_reference_that_nothing_closes_is_refused(text: str) -> None:
    with pytest.raises(StackError, match=r"\$\{A.* has no closing brace"):
        stack.substitute(text, {"A": "a"})


def test_values_stay_text(project: Path) -> None:
    with (project / "stack.yml").open("a") as file:
        file.write(
            "    environment: {plmn: 00101, flag: true, t: 30s, empty: '', who: \"${WHO:-me}\"}\n"
            "    environment_file: [more.yml]\n"
            "    labels: {com.openfaas.scale.min: 2}\n"
            "    annotations: {topic: a}\n"
            "    secrets: [one, two]\n"
            "    build_args: {REQUIREMENTS: more.txt}\n"
            "    unknown_key: 1\n"
            "configuration: {copy: [./mme]}\n"
        )
    (project / "more.yml").write_text("environment: {t: 40s}\n")
    read = stack.load(project / "stack.yml", {"WHO": "you"})
    hello = read.functions["hello"]
    # The file wins over the entry, as in faas-cli.
    assert hello.environment == {"plmn": "00101", "flag": "true", "t": "40s", "empty": "", "who": "you"}
    assert hello.labels == {"com.openfaas.scale.min": "2"}
    assert hello.annotations == {"topic": "a"}
    assert hello.secrets == ("one", "two")
    assert hello.build_args == {"REQUIREMENTS": "more.txt"}
    assert read.copy == ("./mme",)
    assert read.root == project


def test_root_is_the_nearest_folder_with_the_template(project: Path) -> None:
    deep = project / "tests" / "stack"
    deep.mkdir(parents=True)
    (project / "stack.yml").rename(deep / "stack.yml")
    assert stack.load(deep / "stack.yml", {}).root == project


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "not YAML"),
        ("- a", "must be a map"),
        ("functions: {}", "has no functions"),
        ("functions: {a: b}", "function a must be a map"),
        ("functions: {a: {handler: x, image: y}}", "function a needs lang:"),
        ("functions: {a: {lang: x, image: y}}", "function a needs handler:"),
        ("functions: {a: {lang: x, handler: y, image: z, environment: [1]}}", "a.environment must be a map"),
        ("functions: {a: {lang: x, handler: y, image: z, secrets: s}}", "a.secrets must be a list"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "stack.yml").write_text(text)
    with pytest.raises(StackError, match=told):
        stack.load(tmp_path / "stack.yml", {})


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"No such file.*name the stack file with -f"):
        stack.load(tmp_path / "none.yml", {})


@pytest.mark.parametrize("what", ["min", "max", "factor"])
def test_scaling_is_told_to_all_functions_of_the_stack_or_to_one(what: str) -> None:
    def labels(told: dict[str, str]) -> dict[str, str]:
        functions = stack.load(Path(__file__).resolve().parents[2] / "stack.yml", told).functions
        return {name: function.labels[f"com.openfaas.scale.{what}"] for name, function in functions.items()}

    every = f"SCALE_{what.upper()}"
    before = labels({})
    assert len(set(before.values())) == 1
    assert labels({every: "17"}) == dict.fromkeys(before, "17")
    for name in before:
        one = f"{name.upper().replace('-', '_')}_{every}"
        assert labels({one: "19"}) == before | {name: "19"}
        assert labels({one: "19", every: "17"}) == dict.fromkeys(before, "17") | {name: "19"}
