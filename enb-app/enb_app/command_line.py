"""Pieces of the command line that several commands share."""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from pathlib import Path

from enb_app.lab import LabOptions
from enb_app.options import DEFAULT_GATEWAY, DEFAULT_SUBSCRIBERS, Mode, default_secrets
from mme.errors import ConfigError
from mme.ids import GlobalEnbId, Plmn


def plmn(text: str) -> Plmn:
    """For argparse."""
    try:
        return Plmn(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def number(text: str) -> int:
    """Decimal, or 0x and hex digits."""
    try:
        return int(text, 0)
    except ValueError as e:
        raise argparse.ArgumentTypeError("must be a whole number, as 411 or 0x19b") from e


def positive(text: str) -> int:
    """For argparse."""
    try:
        found = int(text)
    except ValueError:
        found = 0
    if found < 1:
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return found


def positive_real(text: str) -> float:
    """For argparse."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not (found > 0 and math.isfinite(found)):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return found


def check_outputs(arguments: argparse.Namespace) -> None:
    """Can what a run leaves be written?  Makes the report's folder.  Raises ConfigError that names the option."""
    for name in ("json", "markdown", "pcap", "log"):
        path: Path | None = getattr(arguments, name, None)
        if path is not None:
            _check_file(f"--{name}", path)
    folder: Path | None = getattr(arguments, "report", None)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            detail = f"cannot make the folder {folder} ({e.strerror}): name a folder that you may write to"
            raise ConfigError("--report", detail) from e
        _check_file("--report", folder / "index.html")


def _check_file(option: str, path: Path) -> None:
    folder = path.parent
    if path.is_dir():
        raise ConfigError(option, f"{path} is a folder: name a file in it")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise ConfigError(option, f"{path} may not be written: name another file, or change its permissions")
        return
    if not folder.is_dir():
        raise ConfigError(option, f"cannot write {path}, there is no folder {folder}: make it or name another one")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        detail = f"cannot write {path} ({e.strerror}): name a place in a folder that you may write to"
        raise ConfigError(option, detail) from e


def add_lab(command: argparse.ArgumentParser, *, enb_id: int, mode: Mode) -> None:
    """Where the MME is, who may speak to it, and as which eNBs."""
    network = command.add_argument_group("network, keys and subscribers")
    network.add_argument("--gateway", default=DEFAULT_GATEWAY, metavar="URL", help="OpenFaaS gateway (%(default)s)")
    network.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        default=mode.value,
        help="async: /async-function with a callback to this process; sync: /function (%(default)s)",
    )
    network.add_argument("--plmn", type=plmn, default=Plmn("00101"), metavar="DIGITS", help="PLMN (00101)")
    network.add_argument("--enb-id", type=number, default=enb_id, metavar="ID", help=f"the first eNB ({enb_id:#x})")
    network.add_argument("--tac", type=number, default=7, metavar="TAC", help="tracking area (%(default)s)")
    network.add_argument(
        "--secrets",
        type=Path,
        default=None,
        metavar="DIR",
        help="with edge-signing-key, the master of all keys ($EDGE_SECRETS_DIR, else .localfaas/secrets)",
    )
    network.add_argument(
        "--subscribers", type=Path, default=DEFAULT_SUBSCRIBERS, metavar="CSV", help="columns imsi,k,opc (%(default)s)"
    )
    network.add_argument("--callback-host", default="127.0.0.1", metavar="HOST", help="where the gateway reaches us")
    network.add_argument("--callback-port", type=int, default=0, metavar="PORT", help="its port (any free one)")


def lab_options(arguments: argparse.Namespace, *, seed: int | None = None) -> LabOptions:
    """Raises ConfigError for what cannot be."""
    if not arguments.gateway.startswith(("http://", "https://")):
        raise ConfigError("--gateway", "must begin with http:// or https://")
    if not 0 <= arguments.tac <= 0xFFFF:
        raise ConfigError("--tac", "must be 0 to 65535")
    return LabOptions(
        gateway=arguments.gateway,
        mode=Mode(arguments.mode),
        enb=GlobalEnbId(arguments.plmn, arguments.enb_id),
        tac=arguments.tac,
        secrets=arguments.secrets or default_secrets(),
        subscribers=arguments.subscribers,
        callback_host=arguments.callback_host,
        callback_port=arguments.callback_port,
        seed=seed,
    )
