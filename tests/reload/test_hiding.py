"""What is secret in a configuration is struck from what is said of it; what is not stays readable."""

from __future__ import annotations

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
    ],
)
def test_what_is_assigned_to_a_name_of_something_secret_is_struck(text: str, shown: str) -> None:
    assert hiding.without_assigned(text) == shown
