"""A gateway that somebody else runs is found in the environment."""

from pathlib import Path

import pytest

from localfaas.errors import StartError
from localfaas.remote import from_environment


def test_without_a_url_there_is_none() -> None:
    assert from_environment({"OPENFAAS_PASSWORD_FILE": "/nowhere"}) is None


def test_what_is_named_is_taken(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    found = from_environment(
        {
            "OPENFAAS_URL": "http://192.0.2.1:8080/",
            "OPENFAAS_USER": "someone",
            "OPENFAAS_PASSWORD_FILE": str(tmp_path / "password"),
            "OPENFAAS_METRICS_URL": "http://192.0.2.1:8082/metrics",
            "OPENFAAS_CALLBACK_HOST": "192.0.2.9",
        }
    )
    assert found is not None
    assert (found.url, found.auth) == ("http://192.0.2.1:8080", ("someone", "secret"))
    assert (found.metrics_url, found.callback_host) == ("http://192.0.2.1:8082/metrics", "192.0.2.9")


def test_the_rest_has_defaults() -> None:
    found = from_environment({"OPENFAAS_URL": "http://192.0.2.1:8080"})
    assert found is not None
    assert (found.auth, found.metrics_url, found.callback_host) == (None, "", "127.0.0.1")


def test_a_password_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"OPENFAAS_PASSWORD_FILE=.*: No such file"):
        from_environment({"OPENFAAS_URL": "http://192.0.2.1", "OPENFAAS_PASSWORD_FILE": str(tmp_path / "none")})
