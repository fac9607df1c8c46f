"""What is secret is struck, whatever it stands in; what is not stays readable."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from placement import differences
from placement.masking import LONGEST_TEXT, all_words, masked, secret_words, strike, words_of_files

WORD = "correct-horse-battery"


@pytest.mark.parametrize(
    "values",
    [
        {"password": WORD},
        {"db": {"passwd": WORD}},
        {"PASSPHRASE": WORD},
        {"auth": {"tokens": [WORD, "another-word"]}},
        {"subscribers": [{"imsi": "001010000000001", "k": WORD, "opc": WORD}]},
        {"tls": {"privateKey": f"-----BEGIN-----\n{WORD}\n-----END-----"}},
        {"apiKey": WORD},
        {"s3": {"secret": {"any": {"thing": WORD}}}},
    ],
)
def test_scalars_below_a_name_of_something_secret_are_secret_words(values: dict[str, Any]) -> None:
    assert WORD in secret_words(values)


@pytest.mark.parametrize(
    "name",
    [
        *("password", "passwd", "passphrase", "pass", "clientSecret", "accessToken", "credentials", "apikey"),
        *("api_key_old", "api-key-id", "privateKeyPem", "private_key_file", "authorization", "basicAuth"),
        # what a subscriber is authenticated with: TS 33.102, TS 35.206
        *("k", "K", "ki", "Ki", "op", "OP", "opc", "OPc", "usim_opc", "opc_hex", "usimOpc", "subscriberK", "amf_op"),
        *("adm1", "PIN", "puk1", "sim-psk", "kasme", "dbPwd", "snmpCommunity"),
        *("tlsCert", "certificate", "wrapping_key", "signingKey"),
    ],
)
def test_each_of_these_names_something_secret(name: str) -> None:
    assert secret_words({"amf": [{name: WORD}]}) == {WORD}
    assert WORD not in json.dumps(masked({"kind": "Thing", "spec": {name: WORD}}))


@pytest.mark.parametrize(
    "name",
    ["kind", "operator", "opt", "mask", "kilo", "tac", "keyboard", "block", "pinned", "topics", "OpenAPI"],
)
def test_others_that_look_alike_do_not(name: str) -> None:
    assert secret_words({name: WORD}) == set()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        # YAML 1.2, 7.3.2: a quote within single quotes is two
        ("it's-hidden", "password: 'it''s-hidden'"),
        # JSON, RFC 8259, 7
        ('say "hidden"', r'{"password": "say \"hidden\""}'),
        ("geheim-für-alle", r'{"password": "geheim-f\u00fcr-alle"}'),
        # in a Secret: RFC 4648, 4
        (WORD, "data: {password: Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5}"),
    ],
)
def test_a_word_is_struck_in_the_forms_that_documents_give_it(word: str, text: str) -> None:
    shown = strike(text, {word})
    assert "***" in shown
    assert "hidden" not in shown
    assert "geheim" not in shown
    assert "Y29y" not in shown


def test_a_number_of_any_length_may_be_a_value() -> None:
    assert strike("tac 1234567 or 1,234,567 or 1.234567e+06", {"1234567"}) == "tac *** or *** or ***"
    digits = "7" * 5000
    assert strike(f"x {digits}", all_words({"n": digits})) == "x ***"


def test_other_values_flags_and_short_words_are_not() -> None:
    values = {"tac": "0007", "image": "registry.test/nf:1", "password": "abc", "tokenAuth": True, "secret": None}
    assert secret_words(values) == set()
    assert secret_words({"pin_token": 123456}) == {"123456"}


def test_all_words_are_the_longer_texts_of_values_line_by_line_numbers_and_short_texts_in_quotes() -> None:
    values = {"file": "first line\nhi\n  second line  ", "n": 12345678, "list": ["also this one", "short"], "few": 7}
    assert all_words(values) == {"first line", "second line", "also this one", "12345678", "'short'", '"short"'}
    assert all_words({"password": "hunter2"}) >= {"hunter2"}


def test_words_that_overlap_or_are_cut_off_at_the_end_leave_no_rest() -> None:
    words = ["horse", "horse-battery", "battery-staple"]
    assert strike("x horse-battery-staple horse y", words) == "x *** *** y"
    assert strike("cut off at corre", [WORD]) == "cut off at ***"
    for _ in range(5):  # a set has no order
        text = strike("horse-battery", set(words))
        assert text == "***"


def test_a_text_is_shortened() -> None:
    shown = strike("x" * 1000, ())
    assert len(shown) == LONGEST_TEXT
    assert shown.endswith("…")
    assert strike("x" * LONGEST_TEXT, ()) == "x" * LONGEST_TEXT


@pytest.mark.parametrize("part", ["data", "stringData"])
def test_a_secret_is_shown_by_its_names_only(part: str) -> None:
    encoded = base64.b64encode(WORD.encode()).decode()
    shown = masked({"kind": "Secret", "metadata": {"name": "s"}, part: {"anything": encoded}})
    assert shown == {"kind": "Secret", "metadata": {"name": "s"}, part: {"anything": "***"}}


@pytest.mark.parametrize(
    "thing",
    [
        {"kind": "ConfigMap", "data": {"admin-password": WORD}},
        {"kind": "Pod", "spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": WORD}]}]}},
        {"kind": "Thing", "spec": {"tokens": [WORD, "and-another"]}},
        {"kind": "Thing", "spec": {"password": 12345678}},
        {"kind": "Thing", "spec": [{"credentials": {"user": "me", "secret": WORD}}]},
    ],
)
def test_fields_and_variables_with_secret_names_are_masked(thing: dict[str, Any]) -> None:
    shown = json.dumps(masked(thing))
    assert WORD not in shown
    assert "12345678" not in shown
    assert "***" in shown


def test_names_of_secrets_and_other_fields_stay() -> None:
    thing = {
        "kind": "Deployment",
        "metadata": {"name": "password-manager", "labels": {"app": "upf"}},
        "spec": {
            "replicas": 2,
            "volumes": [{"name": "v", "secret": {"secretName": "tls", "optional": True}}],
            "imagePullSecrets": [{"name": "pull"}],
            "automountServiceAccountToken": False,
            "env": [{"name": "TAC", "value": "7"}],
        },
    }
    assert masked(thing) == thing


def test_a_diff_strikes_words_that_stand_in_the_middle_of_a_file() -> None:
    def config(text: str) -> list[dict[str, Any]]:
        return [{"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"app.conf": text}}]

    words = secret_words({"password": WORD, "token": "correct-horse"})
    lines = "\n".join(differences.between(config(f"login {WORD} tac=7"), config(f"login {WORD} tac=8"), words))
    assert "login *** tac=7" in lines
    assert "login *** tac=8" in lines
    assert "battery" not in lines


def test_a_diff_strikes_numbers_and_what_a_file_assigns_to_names_of_secrets() -> None:
    def thing(port: int, line: str) -> list[dict[str, Any]]:
        return [{"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"n": port, "app.conf": line}}]

    before, after = thing(12345678, "password=hidden-1\ntac=7"), thing(12345678, "password=hidden-2\ntac=8")
    lines = "\n".join(differences.between(before, after, {"12345678"}))
    assert "tac=8" in lines
    assert "n: '***'" in lines
    for hidden in ("12345678", "hidden"):
        assert hidden not in lines


def test_a_diff_shows_texts_as_configurations_and_no_octets() -> None:
    def thing(kind: str, **fields: Any) -> list[dict[str, Any]]:
        return [{"kind": kind, "metadata": {"name": "c"}, **fields}]

    several = f"passphrase: {WORD} staple\nmtu=1\n"
    lines = "\n".join(differences.between([], thing("Thing", spec={"text": several})))
    assert "passphrase: ***" in lines
    assert "mtu=1" in lines
    assert "staple" not in lines
    one = f"enable password 8 {WORD}"
    assert WORD not in "\n".join(differences.between([], thing("ConfigMap", data={"c": one})))
    octets = base64.b64encode(several.encode()).decode()
    lines = "\n".join(differences.between([], thing("ConfigMap", binaryData={"c": octets})))
    assert "c: '***'" in lines
    assert octets not in lines


def test_the_words_of_files_are_those_of_configmaps_texts_and_octets() -> None:
    octets = base64.b64encode(b"secret: geheim-2\n").decode()
    config = {"kind": "ConfigMap", "data": {"a": f"password {WORD}\ntac=77777"}, "binaryData": {"b": octets, "c": "Y"}}
    other = {"kind": "Thing", "data": {"a": "password: geheim-3"}}
    assert words_of_files([config, other, {"kind": "ConfigMap"}]) == {WORD, "geheim-2"}


def test_a_changed_secret_is_told_and_not_shown() -> None:
    one, two = ({"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": text}} for text in ("YQ==", "Yg=="))
    assert differences.between([one], [two]) == ["--- a/Secret/s", "+++ b/Secret/s", " (secret content changed)"]


def test_a_long_diff_is_cut() -> None:
    after = [{"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {f"n{i}": "x" for i in range(3000)}}]
    lines = differences.between([], after)
    assert len(lines) == differences.MOST_LINES + 1
    assert lines[-1].endswith("more lines")
