"""Logins are replaced without a restart: what is read from a secret is what its file holds now."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from placement.cluster import Cluster
from placement.errors import Code, PlacementError
from placement.settings import CREDENTIALS, KUBECONFIGS, POLICY, RegistrySettings, Secrets, number
from tests.lab.authority import Authority
from trust.errors import ConfigError

HOST = "registry.example:5000"


def replaced(directory: Path, name: str, text: str) -> None:
    """As the kubelet does: a new file in the place of the old one."""
    new = directory / f".{name}"
    new.write_text(text)
    new.replace(directory / name)


def credentials_file(password: str, secret_key: str) -> str:
    registry = {"host": HOST, "username": "u", "password": password}
    s3 = {"endpoint": "https://s3.example", "access_key": "a", "secret_key": secret_key, "region": "here"}
    return yaml.safe_dump({"registries": [registry], "s3": s3})


def kubeconfig(token: str) -> str:
    return json.dumps(
        {
            "clusters": [
                {"name": "a", "cluster": {"server": "https://a.example", "certificate-authority-data": "YQ=="}}
            ],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "u"}}],
            "current-context": "a",
        }
    )


def test_logins_of_registry_and_s3_are_those_of_the_file_now(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    replaced(tmp_path, CREDENTIALS, credentials_file("first", "one"))
    registry, client = secrets.registry(f"oci://{HOST}/charts/x"), secrets.object_store()
    assert registry is not None
    assert registry.password == "first"
    assert secrets.object_store() is client
    replaced(tmp_path, CREDENTIALS, credentials_file("other", "two"))
    registry = secrets.registry(f"oci://{HOST}/charts/x")
    assert registry is not None
    assert registry.password == "other"
    assert secrets.object_store() is not client
    assert secrets.secret_words() == {"other", "two"}


def test_a_clusters_login_and_the_policy_are_those_of_the_file_now(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    cluster = Cluster(name="a", location="here", secret=KUBECONFIGS, context="a")
    for token in ("first", "other"):
        replaced(tmp_path, KUBECONFIGS, kubeconfig(token))
        assert secrets.kubeconfig(cluster).token == token
    for caller in ("operator/alice", "operator/bob"):
        grant = {"locations": ["*"], "namespaces": ["lab"], "repositories": ["*"]}
        replaced(tmp_path, POLICY, yaml.safe_dump({"callers": {caller: grant}}))
        assert set(secrets.grants()) == {caller}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"ca": "no certificate"}, "ca of registry.example:5000 holds no certificates as PEM"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nhidden\n"}, "ca of registry.example:5000 holds no certificates as PEM"),
        ({"ca": "é"}, "ca of registry.example:5000 holds no certificates as PEM"),
    ],
)
def test_a_ca_that_is_none_is_said(tmp_path: Path, entry: dict[str, object], said: str) -> None:
    replaced(tmp_path, CREDENTIALS, yaml.safe_dump({"registries": [{"host": HOST, **entry}]}))
    with pytest.raises(PlacementError, match=said) as refused:
        Secrets(tmp_path).registry(f"oci://{HOST}/charts/x")
    assert refused.value.code is Code.CONFIGURATION
    assert "hidden" not in repr(refused.value)


def test_a_password_is_for_its_own_registry_only(tmp_path: Path) -> None:
    replaced(tmp_path, CREDENTIALS, credentials_file("first", "one"))
    for other in ("oci://registry.example/charts/x", "oci://evil.example:5000/charts/x", "oci://5000/charts/x"):
        assert Secrets(tmp_path).registry(other) is None


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "", "..", "sub/kubeconfig"])
def test_a_kubeconfig_is_a_file_among_the_secrets(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text(kubeconfig("hidden"))
    (tmp_path / "secrets" / "sub").mkdir(parents=True)
    (tmp_path / "secrets" / "sub" / "kubeconfig").write_text(kubeconfig("hidden"))
    with pytest.raises(PlacementError) as refused:
        Secrets(tmp_path / "secrets").kubeconfig(Cluster(name="a", location="here", secret=name))
    assert refused.value.code is Code.CLUSTER_CREDENTIALS


def test_a_file_is_read_anew_also_where_only_its_time_or_its_place_is_another(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    replaced(tmp_path, CREDENTIALS, credentials_file("first", "one"))
    assert secrets.secret_words() == {"first", "one"}
    time = (tmp_path / CREDENTIALS).stat().st_mtime_ns
    replaced(tmp_path, CREDENTIALS, credentials_file("other", "two"))
    os.utime(tmp_path / CREDENTIALS, ns=(time, time))
    assert secrets.secret_words() == {"other", "two"}
    (tmp_path / CREDENTIALS).write_text(credentials_file("third", "six"))
    os.utime(tmp_path / CREDENTIALS, ns=(time + 1, time + 1))
    assert secrets.secret_words() == {"third", "six"}


def test_settings_are_never_shown_with_passwords(tmp_path: Path) -> None:
    replaced(tmp_path, CREDENTIALS, credentials_file("hidden", "hidden"))
    secrets = Secrets(tmp_path)
    assert "hidden" not in repr(secrets.registry(f"oci://{HOST}/charts/x"))
    assert "hidden" not in repr(RegistrySettings(HOST, "u", "hidden"))


@pytest.mark.parametrize("text", ["0", "-1", "3601", "many", "nan", "inf"])
def test_a_number_has_bounds(text: str) -> None:
    with pytest.raises(ConfigError, match="signature_window_s"):
        number({"signature_window_s": text}, "signature_window_s", 180, most=3600)
    assert number({"signature_window_s": "3600"}, "signature_window_s", 180, most=3600) == 3600
    assert number({}, "signature_window_s", 180, most=3600) == 180


def test_a_ca_goes_with_tls_only(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca", "some").certificate.read_text()
    replaced(tmp_path, CREDENTIALS, yaml.safe_dump({"registries": [{"host": HOST, "ca": ca, "plain_http": True}]}))
    with pytest.raises(PlacementError, match="goes with TLS, not with plain_http"):
        Secrets(tmp_path).registry(f"oci://{HOST}/charts/x")


def test_a_file_that_is_gone_or_broken_is_said_without_its_content(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    replaced(tmp_path, CREDENTIALS, credentials_file("first", "one"))
    assert secrets.registry(f"oci://{HOST}/charts/x") is not None
    for text in ("registries: [{password: hidden", "registries: [{host: h, password: [hidden]}]"):
        replaced(tmp_path, CREDENTIALS, text)
        with pytest.raises(PlacementError) as refused:
            secrets.object_store()
        assert refused.value.code is Code.CONFIGURATION
        assert "hidden" not in repr(refused.value)
    (tmp_path / CREDENTIALS).unlink()
    with pytest.raises(PlacementError, match="cannot be read"):
        secrets.object_store()
