"""One list of names: what is secret among values is secret in a configuration's text, and in a sentence about it."""

from __future__ import annotations

import pytest

from placement import masking
from trust import hiding

WORD = "465b5ce8b199b49f"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "db_passwd", "PASSPHRASE", "dbPass", "pw", "dbPwd", "clientSecret", "accessToken", "credentials"),
        *("apikey", "api-key-id", "privateKeyPem", "authkey", "snmpCommunity", "wpa-psk", "sim_psk"),
        # as redis.conf, slapd.conf(5) and ldap.conf(5) name them
        *("requirepass", "masterauth", "rootpw", "bindpw"),
        # what a subscriber is authenticated with: TS 33.102, TS 35.206
        *("k", "Ki", "op", "OPc", "usim_opc", "opc_hex", "usimOpc", "subscriberK", "amf_op", "kasme"),
        *("adm", "adm1", "simADM", "PIN", "pin1", "pin2", "puk", "puk1", "PUK2"),
    ],
)
def test_a_name_of_something_secret_is_one_everywhere(name: str) -> None:
    assert masking.secret_words({"amf": [{name: WORD}]}) == {WORD}
    for line in (f"  {name}: {WORD}", f"{name} = {WORD}", f'"{name}": "{WORD}"', f"<{name}>{WORD}</{name}>"):
        assert WORD in hiding.assigned(line)
        assert WORD not in "".join(hiding.shown([line]))
    assert WORD in hiding.assigned(f"  subscriber {name} {WORD}")
    assert WORD not in "".join(hiding.shown([f"  subscriber {name} {WORD}"]))
    for sentence in (f"no digits: {name}={WORD}", f'bad line "{name}: {WORD}"'):
        assert WORD not in hiding.without_assigned(sentence)
        assert hiding.without_assigned(sentence).startswith(sentence[:8])


@pytest.mark.parametrize(
    "name",
    [
        "kind",
        "operator",
        "opt",
        "mask",
        "kilo",
        "tac",
        "keyboard",
        "block",
        "pinned",
        "topics",
        "OpenAPI",
        "k8s",
        "admin",
    ],
)
def test_one_that_only_looks_alike_is_none_anywhere(name: str) -> None:
    assert masking.secret_words({name: WORD}) == set()
    line = f"{name}: {WORD}"
    assert hiding.assigned(line) == frozenset()
    assert hiding.shown([line]) == [line]
    assert hiding.without_assigned(line) == line


@pytest.mark.parametrize("name", ["certificate", "tlsCert", "authorization", "basicAuth", "authority"])
def test_among_values_alone_what_a_sentence_is_about_without_telling_it_is_secret(name: str) -> None:
    assert masking.secret_words({name: WORD}) == {WORD}
    said = f"tls: failed to verify {name}: x509: signed by unknown authority"
    assert hiding.without_assigned(said) == said


def test_a_key_in_a_file_without_signs_is_struck() -> None:
    """As interfaces(5) and ipsec.secrets(5) have it."""
    assert hiding.shown([f"    wpa-psk {WORD}", f': PSK "{WORD}"']) == ["    wpa-psk ***", ": PSK ***"]
    assert WORD in hiding.assigned(f': PSK "{WORD}"')


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "aud3g milenage k 465b5ce8b199b49faa5f0a2ee238a6bc opc cd63cb71954a9f4e48a5994e37a02baf",
            "aud3g milenage k ***",
        ),
        (" neighbor 10.0.0.1 password key 7 0822455D0A16", " neighbor 10.0.0.1 password ***"),
        ("key 7 0822455D0A16", "key ***"),
        ("requirepass hunter2secret", "requirepass ***"),
        ("masterauth hunter2secret", "masterauth ***"),
        ("rootpw {SSHA}c2VjcmV0", "rootpw ***"),
        ("proxy_pass http://backend:80;", "proxy_pass http://backend:80;"),
        ("pin secretive", "pin ***"),
        ("the key is told", "the key is told"),
        ("op code", "op code"),
    ],
)
def test_behind_a_space_as_routers_and_osmo_hlr_have_it(line: str, shown: str) -> None:
    """OsmoHLR User Manual, VTY reference: `subscriber … update aud3g milenage k K (op|opc) OP_C`."""
    assert hiding.shown([line]) == [shown]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        # RFC 7617, 2: Aladdin and his password
        ('set Authorization "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";', 'set Authorization "Basic ***";'),
        ("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Authorization: Basic ***"),
        # RFC 6750, 2.1
        ("Proxy-Authorization: Bearer mF_9.B5f-4.1JqM", "Proxy-Authorization: Bearer ***"),
        ('{"authorization": "bearer mF_9.B5f-4.1JqM", "tac": 7}', '{"authorization": "bearer ***", "tac": 7}'),
        ("default bearer 5 of the subscriber", "default bearer 5 of the subscriber"),
        ("authorization: enabled", "authorization: enabled"),
    ],
)
def test_the_credentials_of_a_header_are_secret_and_its_name_alone_tells_nothing(line: str, shown: str) -> None:
    assert hiding.shown([line]) == [shown]
    assert hiding.without_assigned(line) == shown
    struck = "*" in shown
    for credential in ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "mF_9.B5f-4.1JqM"):
        assert (credential in hiding.assigned(line)) is (struck and credential in line)
