"""Edits of files: what changes, and that nothing else does."""

from __future__ import annotations

import difflib

import pytest
import yaml

from placement import values
from placement.errors import PlacementError
from reload.edits import edited, require_parsable, split_target
from reload.errors import ReloadError

AMF = b"""\
# AMF of the lab
amf:
    sbi:
      server:
        - address: 127.0.0.5   # loopback
          port: 7777
    guami:
      - plmn_id: {mcc: 999, mnc: '070'}
        amf_id:
          region: 2
    tai:
      - plmn_id:
          mcc: "001"
          mnc: "01"
        tac: 7    # hex 0x7

    "key.with.dots": on
    log: &level info
    copy: *level
    text: |
      one
      two
"""


def change(target: str, value: object, content: bytes = AMF, *, create: bool = False) -> bytes:
    file, path = split_target(target)
    return edited(file, content, {path: value}, create=create)


def lines_changed(after: bytes) -> list[str]:
    lines = difflib.ndiff(AMF.decode().splitlines(), after.decode().splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_a_number_changes_where_it_stands() -> None:
    assert lines_changed(change("amf.yaml:amf.tai[0].tac", 12)) == [
        "-         tac: 7    # hex 0x7",
        "+         tac: 12    # hex 0x7",
    ]


@pytest.mark.parametrize(
    ("target", "value", "line"),
    [
        ("amf.yaml:amf.tai[0].plmn_id.mnc", "001", '          mnc: "001"'),
        ("amf.yaml:amf.guami[0].plmn_id.mnc", "001", "      - plmn_id: {mcc: 999, mnc: '001'}"),
        ("amf.yaml:amf.sbi.server[0].address", "10.0.0.1", '        - address: "10.0.0.1"   # loopback'),
        ("amf.yaml:amf.sbi.server[0].address", "amf.core.svc", "        - address: amf.core.svc   # loopback"),
        ("amf.yaml:amf.sbi.server[0].address", "no", '        - address: "no"   # loopback'),
        ("amf.yaml:amf.sbi.server[0].address", "a: b # c", '        - address: "a: b # c"   # loopback'),
    ],
)
def test_text_keeps_its_quotes_and_never_becomes_a_number(target: str, value: str, line: str) -> None:
    after = change(target, value)
    changed = lines_changed(after)
    assert changed[1] == "+ " + line
    assert len(changed) == 2
    # YAML 1.1, another parser than the one that edits: it would read an unquoted 001 as 1, and no as False.
    holder = yaml.safe_load(after)
    for step in split_target(target)[1]:
        holder = holder[step]
    assert holder == value


def test_a_list_or_a_new_key_keeps_the_comments() -> None:
    slices = [{"sst": 1, "sd": "000001"}]
    after = change("amf.yaml:amf.slices", slices, create=True)
    assert yaml.safe_load(after)["amf"]["slices"] == slices
    for comment in (b"# AMF of the lab", b"# loopback", b"# hex 0x7"):
        assert comment in after


def test_new_text_is_text_for_every_parser() -> None:
    """YAML 1.1, "Resolution" of !!bool, !!int and !!float: a parser of 1.2 would not have to quote these."""
    texts = ["no", "On", "y", "0777", "1_000", "12:30:45", "0b1", "1e3", "~", "=", "000001"]
    after = change("amf.yaml:amf.slices", {"names": texts, "one": "off"}, create=True)
    assert yaml.safe_load(after)["amf"]["slices"] == {"names": texts, "one": "off"}
    after = change("amf.yaml:amf.slice", "off", create=True)
    assert yaml.safe_load(after)["amf"]["slice"] == "off"


def test_what_else_is_in_a_file_that_is_written_anew_keeps_its_quotes_and_lines() -> None:
    motto = b"motto: " + b"a word and " * 20 + b"one more\n"
    after = change("amf.yaml:amf.slices", [1], motto + AMF, create=True)
    assert motto in after
    for kept in (b'mcc: "001"', b"mnc: '070'", b'"key.with.dots": on'):
        assert kept in after


@pytest.mark.parametrize("value", ["one", "one\ntwo", "with 'quotes' and \"more\"", "\t\x07", "#", ""])
@pytest.mark.parametrize("path", ["guami[0].plmn_id.mnc", "tai[0].plmn_id.mnc", "sbi.server[0].address", "text"])
def test_any_text_can_stand_where_any_text_stood(path: str, value: str) -> None:
    target = f"amf.yaml:amf.{path}"
    holder = yaml.safe_load(change(target, value))
    for step in split_target(target)[1]:
        holder = holder[step]
    assert holder == value


@pytest.mark.parametrize("block", ["|", ">", "|-"])
def test_a_block_of_lines_is_replaced_whole(block: str) -> None:
    text = f"a: {block}\n  one\n  two\nb: 1\n"
    assert yaml.safe_load(change("a.yaml:a", "three", text.encode())) == {"a": "three", "b": 1}
    assert yaml.safe_load(change("a.yaml:b", 2, text.encode()))["b"] == 2


def test_what_is_null_may_become_anything_and_anything_null() -> None:
    text = b"a: null\nb: ~\nc: 1\n"
    assert change("a.yaml:a", 5, text) == b"a: 5\nb: ~\nc: 1\n"
    assert yaml.safe_load(change("a.yaml:b", "x", text))["b"] == "x"
    assert change("a.yaml:c", None, text) == b"a: null\nb: ~\nc: null\n"


@pytest.mark.parametrize(
    "text", ["a:\n- 1\n- 2\nb:\n- x: 1\n  y: [1, 2]\n", "a:\n  - 1\n  - 2\nb:\n  - x: 1\n    y: [1, 2]\n"]
)
def test_lists_keep_their_indentation(text: str) -> None:
    after = change("a.yaml:c", [7], text.encode(), create=True).decode()
    assert after.startswith(text)
    assert yaml.safe_load(after)["c"] == [7]


def test_a_number_that_is_a_key_is_found_by_its_text() -> None:
    text = b"sessions:\n  1: {limit: 5}   # the first\n  2: {limit: 6}\n"
    after = change("a.yaml:sessions.1.limit", 7, text)
    assert after == text.replace(b"limit: 5", b"limit: 7")
    after = change("a.yaml:sessions.1.burst", 8, text, create=True)
    assert yaml.safe_load(after) == {"sessions": {1: {"limit": 5, "burst": 8}, 2: {"limit": 6}}}


def test_only_a_last_key_is_added() -> None:
    for create in (False, True):
        with pytest.raises(ReloadError, match=r"a.yaml has no a\.x") as refused:
            edited("a.yaml", b"a: {b: 1}\n", {("a", "x", "y"): 1}, create=create)
        assert refused.value.code == "path_unknown"
    with pytest.raises(ReloadError, match=r"a.yaml has no a\[1\]"):
        edited("a.yaml", b"a: [1]\n", {("a", 1): 2}, create=True)


def test_a_path_has_32_steps_at_most() -> None:
    assert len(split_target("a.yaml:" + ".".join("a" * 32))[1]) == 32
    with pytest.raises(ReloadError, match="not file:path"):
        split_target("a.yaml:" + ".".join("a" * 33))


@pytest.mark.parametrize(
    ("target", "value", "code"),
    [
        ("amf.yaml:amf.tai[0].plmn_id.mnc", 1, "values_invalid"),
        ("amf.yaml:amf.tai[0].tac", "7", "values_invalid"),
        ("amf.yaml:amf.tai", {}, "values_invalid"),
        ("amf.yaml:amf.tai[1].tac", 7, "path_unknown"),
        ("amf.yaml:amf.tai.tac", 7, "path_unknown"),
        ("amf.yaml:amf.nothing", 7, "path_unknown"),
        ("amf.yaml:amf.log", "debug", "values_invalid"),
        ("app.ini:a.b", 1, "values_invalid"),
    ],
)
def test_what_would_change_more_or_other_than_asked_is_refused(target: str, value: object, code: str) -> None:
    with pytest.raises(ReloadError) as refused:
        change(target, value)
    assert refused.value.code == code


SHARED = "usual: &usual {tac: 7}\nberlin: *usual\nmunich: {<<: *usual, name: m}\nnumber: &n 1\nagain: *n\n"


@pytest.mark.parametrize("path", [("berlin", "tac"), ("usual", "tac"), ("again",), ("number",)])
def test_a_value_that_stands_in_two_places_is_not_changed_in_one(path: tuple[str, ...]) -> None:
    with pytest.raises(ReloadError, match="anchor"):
        edited("a.yaml", SHARED.encode(), {path: 8})


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("usual: &usual {tac: 7}\nberlin: *usual\n", ("usual", "tac")),
        ("usual: &usual {tac: 7}\nberlin: *usual\n", ("berlin", "tac")),
        ("usual: &usual [7]\nberlin: *usual\n", ("berlin", 0)),
    ],
)
def test_nor_where_a_whole_mapping_or_list_is_the_same(text: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(ReloadError, match="anchor"):
        edited("a.yaml", text.encode(), {path: 8})


def test_beside_an_anchor_everything_can_be_changed() -> None:
    after = edited("a.yaml", SHARED.encode(), {("munich", "name"): "two"})
    assert after.decode() == SHARED.replace("name: m", "name: two")
    own = yaml.safe_load(edited("a.yaml", SHARED.encode(), {("munich", "tac"): 8}))
    assert (own["munich"]["tac"], own["usual"]["tac"], own["berlin"]["tac"]) == (8, 7, 7)


def bomb(first: str, each: str) -> str:
    """Twelve lines of nine aliases each to the line before.  each: with {} for those nine."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {each.format(', '.join([f'*a{n - 1}'] * 9))}" for n in range(1, 13)]
    return "\n".join((*lines, "tac: 7\n"))


BOMBS = [bomb("[x, x]", "[{}]"), bomb("{k: v}", "{{<<: [{}]}}"), "a: &a [*a]\ntac: 7\n"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", BOMBS, ids=["list", "merge", "endless"])
def test_aliases_that_stand_for_too_much_are_refused_at_once(text: str) -> None:
    with pytest.raises(ReloadError, match="aliases written out"):
        edited("a.yaml", text.encode(), {("tac",): 8})
    with pytest.raises(ReloadError, match="aliases written out"):
        require_parsable("a.yaml", text.encode())
    with pytest.raises(PlacementError, match="aliases written out"):
        values.parse(text, "a.yaml")


@pytest.mark.parametrize("order", [1, -1])
def test_several_values_are_changed_at_once_also_one_within_another(order: int) -> None:
    text = b"one: 1 # first\ntwo: {a: 1, b: 2}\nthree: 3\n"
    changes = {("three",): 4, ("two",): {"a": 5, "b": 6}, ("two", "b"): 7, ("one",): 2}
    after = edited("a.yaml", text, dict(list(changes.items())[::order]))
    two = {"a": 5, "b": 7 if order == 1 else 6}
    assert yaml.safe_load(after) == {"one": 2, "two": two, "three": 4}
    assert b"one: 2 # first" in after


def test_a_key_with_dots() -> None:
    assert split_target('amf.yaml:amf["key.with.dots"]') == ("amf.yaml", ("amf", "key.with.dots"))


@pytest.mark.parametrize(
    "target",
    [
        *("", "amf.yaml", "amf.yaml:", ":a", "a.yaml:.a", "a.yaml:a[", "a.yaml:a[x]", "a:b..c"),
        *(r'a.yaml:["\x"]', r'a.yaml:a["\u12"]', 'a.yaml:["line\nbreak"]', r'a.yaml:["\ud800"]'),
    ],
)
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ReloadError, match="is not file:path") as refused:
        split_target(target)
    assert refused.value.code == "request_invalid"


def test_json_keeps_its_indentation_and_order() -> None:
    before = b'{\n   "z": 1,\n   "a": {"mnc": "001"}\n}\n'
    assert change("c.json:a.mnc", "002", before) == b'{\n   "z": 1,\n   "a": {\n      "mnc": "002"\n   }\n}\n'


@pytest.mark.parametrize(
    "lost",
    [
        b"1e400",
        b"-1e400",
        b"NaN",
        b"Infinity",
        b"0.12345678901234567890",
        b"1e-400",
        b"1e-99999999999999999999",
        b'{"b": 1, "b": 2}',
    ],
)
def test_json_that_would_not_be_the_same_when_it_is_written_is_refused(lost: bytes) -> None:
    before = b'{"a": 1, "c": %s}\n' % lost
    with pytest.raises(ReloadError) as refused:
        change("c.json:a", 2, before)
    assert refused.value.code == "values_invalid"
    assert refused.value.detail.startswith("c.json has a key twice, or a number")


@pytest.mark.parametrize("kept", [b"0.1", b"-0.0", b"1e+300", b"123456789012345678901234567890", b'{"b": {"b": 1}}'])
def test_json_that_stays_the_same_is_written(kept: bytes) -> None:
    assert change("c.json:a", 2, b'{"a": 1, "c": %s}' % kept) == b'{"a": 2, "c": %s}' % kept


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", b"a: ["),
        ("a.json", b"{"),
        ("a.yaml", b"a: " + b"[" * 3000),
        ("a.json", b"[" * 100_000),
        ("a.yml", b"a: 1\n b: 2\n"),
        ("a.json", b"\xff"),
    ],
)
def test_a_broken_file_is_refused_without_its_content(name: str, content: bytes) -> None:
    with pytest.raises(ReloadError) as refused:
        require_parsable(name, content)
    assert refused.value.code == "values_invalid"
    with pytest.raises(ReloadError):
        edited(name, content, {("a",): 1})


def test_two_documents_in_one_file_are_refused() -> None:
    with pytest.raises(ReloadError, match="parsed"):
        change("a.yaml:a", 2, b"a: 1\n---\na: 2\n")
