"""A site whose functions run elsewhere: their keys, their store, and subscribers of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.secrets import create_secrets
from enb_app.subscribers import load
from laptop.elsewhere import provisioned
from localfaas.errors import StartError
from mme.store.base import Table
from mme.store.opening import open_store
from trust.secrets import NAMES


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    create_secrets(tmp_path / "keys")
    return {"OPENFAAS_STORE_URL": f"sqlite:///{tmp_path / 'edge.db'}", "OPENFAAS_SECRETS": str(tmp_path / "keys")}


def test_runs_one_after_the_other_share_keys_and_store_but_no_subscriber(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    sites = [provisioned(tmp_path / name, 2, environment) for name in ("first", "second")]
    for site in sites:
        for name in NAMES:
            assert (site.secrets / name).read_bytes() == (tmp_path / "keys" / name).read_bytes()
            assert (site.secrets / name).stat().st_mode & 0o777 == 0o600
    imsis = {one.imsi.digits for site in sites for one in load(site.subscribers, 2)}
    assert len(imsis) == 4
    store = open_store(environment["OPENFAAS_STORE_URL"])
    try:
        assert {key for key, _ in store.scan(Table.SUBSCRIBER)} == imsis
    finally:
        store.close()


@pytest.mark.parametrize("name", ["OPENFAAS_STORE_URL", "OPENFAAS_SECRETS"])
def test_what_is_not_set_is_named(tmp_path: Path, environment: dict[str, str], name: str) -> None:
    del environment[name]
    with pytest.raises(StartError, match=f"{name} not"):
        provisioned(tmp_path / "site", 1, environment)


def test_a_key_that_is_not_there_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "keys/m-tmsi-key").unlink()
    with pytest.raises(StartError, match="no readable m-tmsi-key: No such file"):
        provisioned(tmp_path / "site", 1, environment)
