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
        ("pin secretive", "pin ***"),
        ("the key is told", "the key is told"),
        ("op code", "op code"),
    ],
)
def test_behind_a_space_as_routers_and_osmo_hlr_have_it(line: str, shown: str) -> None:
    """OsmoHLR User Manual, VTY reference: `subscriber … update aud3g milenage k K (op|opc) OP_C`."""
    assert hiding.shown([line]) == [shown]
