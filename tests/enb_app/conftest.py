from __future__ import annotations

import csv
from pathlib import Path

import pytest

from enb_app.usim import Subscriber
from mme.ids import Imsi
from tests.enb_app.fake_gateway import MASTER


@pytest.fixture
def subscribers() -> dict[str, Subscriber]:
    """Twenty, by IMSI."""
    imsis = [f"00101{number:010d}" for number in range(1, 21)]
    return {imsi: Subscriber(Imsi(imsi), imsi[:16].encode().ljust(16), bytes(16)) for imsi in imsis}


@pytest.fixture
def lab(tmp_path: Path, subscribers: dict[str, Subscriber]) -> Path:
    """A directory with subscribers.csv and secrets/edge-signing-key."""
    with (tmp_path / "subscribers.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("imsi", "k", "opc"))
        rows.writerows((imsi, card.k.hex(), card.opc.hex()) for imsi, card in subscribers.items())
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "edge-signing-key").write_text(MASTER.hex() + "\n")
    return tmp_path
