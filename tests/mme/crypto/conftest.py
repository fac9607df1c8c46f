"""Run a test once per entry of a vector list: the name of its argument says which list."""

import json
from pathlib import Path

import pytest

VECTORS = Path(__file__).parents[2] / "vectors" / "crypto"
LISTS = {
    "milenage_set": ("milenage.json", "sets"),
    "eutran_entry": ("aka.json", "eutran_vector"),
    "auts_entry": ("aka.json", "auts"),
    "k_asme_entry": ("kdf.json", "k_asme"),
    "nas_key_entry": ("kdf.json", "nas_key"),
    "k_enb_entry": ("kdf.json", "k_enb"),
    "nh_entry": ("kdf.json", "nh"),
    "k_enb_star_entry": ("kdf.json", "k_enb_star"),
    "eea2_set": ("nas_security.json", "eea2"),
    "eia2_set": ("nas_security.json", "eia2"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, (file, key) in LISTS.items():
        if name in metafunc.fixturenames:
            entries = json.loads((VECTORS / file).read_text(encoding="utf-8"))[key]
            metafunc.parametrize(name, entries, ids=[str(entry.get("set", at)) for at, entry in enumerate(entries)])
