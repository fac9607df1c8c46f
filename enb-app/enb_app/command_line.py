"""Pieces of the command line that several commands share."""

from __future__ import annotations

import argparse
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
    return int(text, 0)


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
