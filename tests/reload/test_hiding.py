"""What is secret in a configuration is struck from what is said of it; what is not stays readable."""

from __future__ import annotations

import time

import pytest

from trust import hiding

CONFIGURATION = """\
amf:
  passphrase: correct horse
  credential: geheim-2
  uri: mongodb://amf:geheim-3@db/open5gs
  tls:
    private_key: |
      -----BEGIN PRIVATE KEY-----
      geheim-4
      -----END PRIVATE KEY-----
    port: 7777
passwords:
- geheim-5
- user: geheim-6
tac: 7
shared-secret geheim-7
  enable password 8 geheim-8
username amf secret geheim-9
-----BEGIN RSA PRIVATE KEY-----
geheim-10
-----END RSA PRIVATE KEY-----
greeting: one
# the secret: in the vault
  indented: yes
location / { proxy_pass http://127.0.0.1:8080/a@b; }
<password>geheim-11</password>
"""
SHOWN = """\
amf:
  passphrase: ***
  credential: ***
  uri: mongodb://amf:***@db/open5gs
  tls:
    private_key: ***
***
***
***-----END PRIVATE KEY-----
    port: 7777
passwords:
***
***
tac: 7
shared-secret ***
  enable password ***
username amf secret ***
-----BEGIN RSA PRIVATE KEY-----
***
***-----END RSA PRIVATE KEY-----
greeting: one
# the secret: ***
  indented: yes
location / { proxy_pass http://127.0.0.1:8080/a@b; }
<password>***
"""


def test_a_configuration_is_shown_without_its_secrets_line_by_line() -> None:
    assert hiding.shown(CONFIGURATION.splitlines()) == SHOWN.splitlines()


def test_the_words_that_a_configuration_gives_to_secrets() -> None:
    assert {"geheim-2", "geheim-3", "geheim-7", "geheim-8", "geheim-9"} <= hiding.assigned(CONFIGURATION)
    assert hiding.assigned("tac: 7\npassword: abc\nsecret: true\n# the secret is here\n") == frozenset()


def test_a_word_within_another_leaves_no_rest() -> None:
    assert hiding.without("bad value hunter22", {"hunter2", "hunter22"}) == "bad value ***"


def test_words_that_overlap_or_are_cut_off_leave_no_rest() -> None:
    assert hiding.without("bad: 46 5b 5c e8 here", {"46 5b 5c", "5b 5c e8"}) == "bad: *** here"
    assert hiding.without("bad value hunt", {"hunter2"}) == "bad value ***"
    assert hiding.without("bad value hun", {"hunter2"}) == "bad value hun"
    assert hiding.without("bad hunt here", {"hunter2"}) == "bad hunt here"


@pytest.mark.parametrize(
    ("configuration", "said", "told"),
    [
        ("passphrase: correct horse staple", 'no word "correct horse staple"', 'no word "***"'),
        ("passphrase: correct horse staple", 'no word "horse"', 'no word "***"'),
        ("passphrase: correct horse staple", 'no word "horse staple", line 3', 'no word "***", line 3'),
        ('passphrase = "correct horse, staple";', 'no word "horse"', 'no word "***"'),
        ("passphrase: !!str &p 'correct horse'", "no word horse, no correct horse", "no word ***, no ***"),
        ("passphrase: &p abcd", "no word abcd", "no word ***"),
        ("enable password 8 correct horse", "% horse is no type", "% *** is no type"),
        ("<password>correct horse</password><host>localhost</host>", "localhost: no horse", "localhost: no ***"),
        # A list, a mapping and a text below the name, as YAML and as JSON have them.
        ("passwords:\n- correct horse\n- hunter2\n", "no horse, no hunter2", "no ***, no ***"),
        ("secrets:\n  amf:\n    user: staple\n", "user staple of amf", "user *** of amf"),
        ("secret: |\n  correct horse\n  staple\nname: amf-one\n", "amf-one: horse staple", "amf-one: *** ***"),
        ("secrets: {user: correct horse, 'b': [hunter2]}", "user horse, hunter2", "user ***, ***"),
        ('{"tokens": ["correct horse", "x"], "host": "localhost"}', "localhost: horse", "localhost: ***"),
        ('{"password":"hunter2","host":"localhost"}', "localhost: hunter2", "localhost: ***"),
        ("{password: hunter2, host: localhost}", "localhost: hunter2", "localhost: ***"),
        ('"tokens": [\n  "correct horse", "hunter2"\n],\n"host": "localhost"\n', "localhost: horse", "localhost: ***"),
        ('"tokens": [\n  "correct horse", "hunter2"\n]\n', "no hunter2", "no ***"),
        # A key in groups.
        ("k: 465b5ce8 b199b49f aa5f0a2e e238a6bc", "bad digits: b199b49f", "bad digits: ***"),
        ("k: 46 5b 5c e8 b1 99 b4 9f", "bad digits: 5b 5c e8 b1 xx", "bad digits: *** xx"),
        # A key that begins and ends within a line.
        (
            r'{"cert": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG\n-----END PRIVATE KEY-----\n"}',
            "no base64: BgkqhkiG; a PRIVATE KEY is wanted",
            "no base64: ***; a PRIVATE KEY is wanted",
        ),
        # Words that any sentence has are no secret's, nor is what is said about one.
        ("passphrase: here is the line", "in the file is a line", "in the file is a line"),
        ("password: hunter2  # unknown to the operator", "unknown operator", "unknown operator"),
        ("passwords:\n  # unknown to the operator\n  - hunter2\n", "unknown operator", "unknown operator"),
    ],
)
def test_a_part_of_a_secret_is_struck_from_what_is_said_of_its_configuration(
    configuration: str, said: str, told: str
) -> None:
    assert hiding.without(said, hiding.assigned(configuration)) == told


@pytest.mark.parametrize(
    "line",
    [
        "k: " * 60_000,
        "{" + '"key":"a",' * 16_000,
        "<key>ab c</key>" * 12_000,
        '"a" ' * 40_000,
        "secret: " + "a b " * 40_000,
        "usim_k-" * 30_000,
        "authorization " * 15_000,
    ],
    ids=["names", "mapping", "markup", "quotes", "words", "parts of names", "headers"],
)
def test_a_long_line_takes_no_long_time(line: str) -> None:
    hiding.assigned(f"tokens:\n{line}")
    hiding.assigned(f"tokens:\n  {line}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2", "password=***"),
        ('{"db_password": "a b", "tac": 7}', '{"db_password": ***, "tac": 7}'),
        ("k: 465b5ce8, opc = cd63", "k: ***, opc = ***"),
        ("check: the block is fine", "check: the block is fine"),
        ("tokens are 3", "tokens are 3"),
        ('line 3: unknown keyword "retrun" for token', 'line 3: unknown keyword "retrun" for token'),
        ("cannot reach mongodb://amf:hunter2@db/x", "cannot reach mongodb://amf:***@db/x"),
        ("cannot reach http://db:8080/a@b", "cannot reach http://db:8080/a@b"),
        (
            "bad -----BEGIN X KEY-----\\nMII\\n-----END X KEY----- here",
            "bad -----BEGIN X KEY-----***-----END X KEY----- here",
        ),
        ("pass" * 50_000, "pass" * 50_000),
        ("k_" * 50_000, "k_" * 50_000),
    ],
)
def test_what_is_assigned_to_a_name_of_something_secret_is_struck(text: str, shown: str) -> None:
    assert hiding.without_assigned(text) == shown


@pytest.mark.parametrize(
    "line",
    [
        'key: ["' + '\\"' * 60_000,
        "{" + "key:&," * 30_000,
        "key: [" * 30_000,
        "key: [" + "it's, " * 30_000,
    ],
    ids=["escaped quotes", "anchors", "brackets", "apostrophes"],
)
def test_a_long_line_of_signs_takes_no_longer_than_its_length(line: str) -> None:
    """A second at most here; by the square of its length it would be a minute."""
    before = time.process_time()
    hiding.assigned(line)
    assert time.process_time() - before < 15


def test_a_word_that_begins_and_ends_within_another_uncovers_nothing_of_it() -> None:
    words = {"correct-horse-battery-staple", "horse", "battery"}
    assert hiding.without("it is correct-horse-battery-staple here", words) == "it is *** here"


def test_the_lines_of_a_pem_block_are_words_whatever_they_stand_under() -> None:
    """RFC 7468, 2: a label, lines of base64, and the label again."""
    text = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\nByqGSM49AgEG\n-----END PRIVATE KEY-----\ntac: 7\n"
    assert hiding.assigned(text) == {"MIGHAgEAMBMG", "ByqGSM49AgEG"}


def test_names_and_comments_in_a_list_are_no_words() -> None:
    assert hiding.assigned('secret: {"username": "alice-wonder", realm: berlin-north}') >= {"alice-wonder"}
    for name in ("username", "realm"):
        assert name not in hiding.assigned('secret: {"username": "alice-wonder", realm: berlin-north}')
    assert "explained" not in " ".join(hiding.assigned('secrets: ["alice-wonder", # explained further below'))
