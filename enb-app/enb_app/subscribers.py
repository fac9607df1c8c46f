"""The subscriber list that the UEs are made from: a CSV with the columns imsi, k, opc."""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random

from enb_app.usim import Subscriber
from mme.errors import ConfigError
from mme.ids import Imsi, Plmn

_COLUMNS = ("imsi", "k", "opc")


def _octets(text: str, name: str, where: str) -> bytes:
    try:
        octets = bytes.fromhex(text.strip())
    except ValueError:
        octets = b""
    if len(octets) != 16:
        raise ConfigError("--subscribers", f"{where}: {name} must be 32 hex digits")
    return octets


def load(path: Path, count: int) -> list[Subscriber]:
    """The first `count` subscribers.  Raises ConfigError; keys never stand in it."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            if not set(_COLUMNS) <= set(reader.fieldnames or ()):
                raise ConfigError("--subscribers", f"{path} needs the columns {','.join(_COLUMNS)}")
            subscribers: list[Subscriber] = []
            for number, row in enumerate(reader, start=2):
                if len(subscribers) == count:
                    break
                where = f"{path} line {number}"
                try:
                    imsi = Imsi((row["imsi"] or "").strip())
                except ValueError as e:
                    raise ConfigError("--subscribers", f"{where}: {e}") from e
                k, opc = (_octets(row[name] or "", name, where) for name in ("k", "opc"))
                subscribers.append(Subscriber(imsi, k, opc))
    except OSError as e:
        detail = f"cannot read {path} ({type(e).__name__}): a CSV with the columns {','.join(_COLUMNS)} is needed"
        raise ConfigError("--subscribers", detail) from e
    except (csv.Error, UnicodeDecodeError):
        # Their texts may show what is in the file, which holds keys: not chained.
        detail = f"{path} is no CSV file in UTF-8: give one with the columns {','.join(_COLUMNS)}"
        raise ConfigError("--subscribers", detail) from None
    if len(subscribers) < count:
        detail = f"{count} UEs need as many subscribers, {path} has {len(subscribers)}: add some or use --ues"
        raise ConfigError("--subscribers", detail)
    return subscribers


def unknown(count: int, plmn: Plmn, random: Random) -> list[Subscriber]:
    """Subscribers whom no HSS knows: the uppermost numbers of the PLMN."""
    digits = 15 - len(plmn.digits)
    top = 10**digits - 1
    return [
        Subscriber(Imsi(f"{plmn.digits}{top - number:0{digits}d}"), random.randbytes(16), random.randbytes(16))
        for number in range(count)
    ]
