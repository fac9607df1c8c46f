"""`edge`: the operator's command line."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from durable.errors import StoreError as JournalStoreError
from edge import clusters, placements, store, subscribers, ue
from edge.secrets import add_key, create_secrets, drop_keys, use_key
from mme.errors import ConfigError, StoreError
from placement.errors import PlacementError
from trust.secrets import (
    DEFAULT_DIRECTORY,
    DIRECTORY_VARIABLE,
    M_TMSI_KEY,
    NAMES,
    SIGNING_KEY,
    SUBSCRIBER_KEY,
    read_keys,
    secrets_directory,
)
from trust.signing import derive_key

_ENB_NAME = re.compile(r"\d{5,6}-[0-9a-f]{5,7}\Z")
_ON_ARGV = "hex; visible in process lists and shell history: prefer the -file form, or import CSV"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="edge", description="Operate the telco edge functions.")
    groups = p.add_subparsers(dest="group", required=True, metavar="GROUP")
    _add_subscribers(groups.add_parser("subscribers", help="who may attach"))
    _add_store_commands(groups.add_parser("store", help="the database: its tables, backup and restore"))
    _add_enbs(groups.add_parser("enbs", help="eNBs that may speak to the functions"))
    _add_ue(groups.add_parser("ue", help="what the network asks of a UE"))
    clusters.add_commands(groups.add_parser("clusters", help="where workloads may be placed"))
    placements.add_commands(groups.add_parser("placements", help="what is placed where"))
    _add_secrets(groups.add_parser("secrets", help="keys of the installation"))
    _add_decode(groups.add_parser("decode", help="show the S1AP and NAS messages of a function's answer"))
    return p


def _add_store(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--store", metavar="URL", help="sqlite:///file.db or cassandra://host/keyspace (default: variable STORE_URL)"
    )


def _add_store_commands(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    p = commands.add_parser(
        "migrate",
        help="make the tables, or bring them up to date",
        epilog="May be run again, and by several at once.  Functions may run meanwhile: a migration only adds.",
    )
    _add_store(p)
    p.set_defaults(run=store.migrate)
    p = commands.add_parser("status", help="which migrations the store has had; exit 1: one is missing")
    _add_store(p)
    p.set_defaults(run=store.status)
    p = commands.add_parser(
        "backup",
        help="write every row to files in a new directory",
        epilog="A row is as it was when it was read: stop the functions for one moment's picture."
        "  The files hold keys.",
    )
    p.add_argument("directory", type=Path, metavar="DIR", help="made if it is not there; must be empty")
    _add_store(p)
    p.set_defaults(run=store.backup)
    p = commands.add_parser(
        "restore",
        help="write a backup's rows into an empty store",
        epilog="Checksums are verified first.  Rows that have expired since are left out.  No ticker may run then.",
    )
    p.add_argument("directory", type=Path, metavar="DIR", help="what `edge store backup` has made")
    _add_store(p)
    p.set_defaults(run=store.restore)


def _add_secrets_directory(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--secrets",
        type=Path,
        metavar="DIR",
        help=f"directory of the secrets (default: variable {DIRECTORY_VARIABLE}, or {DEFAULT_DIRECTORY})",
    )


def _add_subscribers(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = commands.add_parser("add", help="add one subscriber", epilog="K and OPc are stored encrypted.")
    p.add_argument("--imsi", required=True, help="6 to 15 digits")
    k = p.add_mutually_exclusive_group(required=True)
    k.add_argument("--k", metavar="HEX", help=f"16 octets, {_ON_ARGV}")
    k.add_argument("--k-file", type=Path, metavar="FILE", help="K as hex text; - reads it from the standard input")
    op = p.add_mutually_exclusive_group(required=True)
    op.add_argument("--opc", metavar="HEX", help=f"16 octets, {_ON_ARGV}")
    op.add_argument("--opc-file", type=Path, metavar="FILE", help="OPc as hex text")
    op.add_argument("--op", metavar="HEX", help=f"the operator's OP instead of OPc: 16 octets, {_ON_ARGV}")
    op.add_argument("--op-file", type=Path, metavar="FILE", help="OP as hex text")
    p.add_argument("--amf", default="8000", metavar="HEX", help="2 octets (default: 8000)")
    p.add_argument("--sqn", default="0", help="SQN of the vector given last, a number (default: 0)")
    p.add_argument("--apn", default="internet", help="access point name (default: internet)")
    p.add_argument("--ambr-dl", default="100M", metavar="RATE", help="bit/s downlink, with k, M or G (default: 100M)")
    p.add_argument("--ambr-ul", default="50M", metavar="RATE", help="bit/s uplink (default: 50M)")
    _add_store(p)
    _add_secrets_directory(p)
    p.set_defaults(run=subscribers.add)

    p = commands.add_parser(
        "import",
        help="add the subscribers of a CSV file",
        epilog="Columns, named in the first row: imsi, k, and opc or op; if wanted amf, apn, sqn.  Nothing is imported "
        "when a row is bad.",
    )
    p.add_argument("csv", type=Path, metavar="CSV")
    p.add_argument("--partial", action="store_true", help="import the good rows when others are bad")
    _add_store(p)
    _add_secrets_directory(p)
    p.set_defaults(run=subscribers.import_csv)

    p = commands.add_parser(
        "reseal",
        help="encrypt every subscriber's keys under the subscriber-key in use",
        epilog="After `edge secrets use-key subscriber-key`; may be run while functions run, and again.",
    )
    _add_store(p)
    _add_secrets_directory(p)
    p.set_defaults(run=subscribers.reseal)

    p = commands.add_parser("list", help="show subscribers, without keys")
    _add_store(p)
    p.set_defaults(run=subscribers.list_all)

    p = commands.add_parser("generate", help="write a CSV of subscribers with random keys, for labs")
    p.add_argument("--count", type=int, required=True, metavar="N")
    p.add_argument("--start-imsi", required=True, metavar="IMSI", help="the first one; the others follow")
    p.add_argument("--out", type=Path, required=True, metavar="CSV", help="a new file; it holds keys in clear")
    p.set_defaults(run=subscribers.generate)


def _add_enbs(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    p = commands.add_parser(
        "key",
        help="print an eNB's signing key, derived from the master key",
        epilog="Several lines while the master key is replaced: the eNB's gateway signs with the first, and takes"
        " replies and pushes that are signed with any.",
    )
    p.add_argument("name", help="PLMN and eNB id in hex, for example 00101-0019b")
    _add_secrets_directory(p)
    p.set_defaults(run=_enb_key)
    p = commands.add_parser("configuration-update", help="tell every eNB the MME's name, GUMMEIs and capacity")
    p.add_argument("--gateway", default="http://127.0.0.1:8080", metavar="URL", help="(default: %(default)s)")
    _add_secrets_directory(p)
    p.set_defaults(run=ue.run, action="configuration-update", imsi=None)
    p = commands.add_parser(
        "sign",
        help="print the headers that sign a body, one a line",
        epilog="For curl: edge enbs sign NAME --function mme-enb --body FILE > headers; "
        "curl -H @headers --data-binary @FILE URL",
    )
    p.add_argument("name", help="PLMN and eNB id in hex, for example 00101-0019b")
    p.add_argument("--function", required=True, help="the function that is called, for example mme-enb")
    p.add_argument("--body", required=True, type=Path, metavar="FILE", help="the body, exactly as it is sent")
    p.add_argument("--callback-url", default="", metavar="URL", help="the X-Callback-Url of an asynchronous call")
    _add_secrets_directory(p)
    p.set_defaults(run=_sign)


def _add_secrets(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(dest="command", required=True, metavar="COMMAND")
    p = commands.add_parser("init", help="make the keys of a new installation")
    p.add_argument("directory", type=Path, metavar="DIR", help="made if it is not there; no file is overwritten")
    p.set_defaults(run=_secrets_init)
    for command, what, run in (
        ("add-key", "replace a key, step 1: a new one is accepted beside the one in use", _add_key),
        ("use-key", "step 2: the new one is in use, the one before is still accepted", _use_key),
        ("drop-keys", "step 3: only the one in use is accepted", _drop_keys),
    ):
        p = commands.add_parser(
            command,
            help=what,
            epilog="After each step give the file to all that have it, and start them anew, before the next"
            " (docs/operations.md, Replace a key).",
        )
        p.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
        _add_secrets_directory(p)
        p.set_defaults(run=run)


def _add_ue(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, what in ue.ACTIONS.items():
        p = commands.add_parser(action, help=what)
        p.add_argument("imsi", help="6 to 15 digits")
        p.add_argument("--gateway", default="http://127.0.0.1:8080", metavar="URL", help="(default: %(default)s)")
        _add_secrets_directory(p)
        p.set_defaults(run=ue.run)


def _add_decode(p: argparse.ArgumentParser) -> None:
    p.add_argument("answer", type=Path, metavar="FILE", help="the response's body; - reads the standard input")
    p.set_defaults(run=_decode)


def _sign(args: argparse.Namespace) -> int:
    from edge import wire  # noqa: PLC0415  it loads the ASN.1 of S1AP, which other commands need not wait for

    return wire.sign(args)


def _decode(args: argparse.Namespace) -> int:
    from edge import wire  # noqa: PLC0415  as above

    return wire.decode(args)


def _enb_key(args: argparse.Namespace) -> int:
    if not _ENB_NAME.match(args.name):
        raise ConfigError("eNB name", "must be like 00101-0019b: PLMN digits, hyphen, 5 to 7 hex digits in lower case")
    for master in read_keys(SIGNING_KEY, args.secrets):
        sys.stdout.write(derive_key(master, args.name).hex() + "\n")
    return 0


def _secrets_init(args: argparse.Namespace) -> int:
    for path in create_secrets(args.directory):
        sys.stdout.write(f"made {path}\n")
    return 0


_EVERYBODY = {
    SIGNING_KEY: "functions, tickers, eNB gateways (`edge enbs key` prints each theirs), ports and operators",
    SUBSCRIBER_KEY: "functions and whoever adds subscribers",
    M_TMSI_KEY: "functions",
}


def _add_key(args: argparse.Namespace) -> int:
    keys = add_key(args.secrets or secrets_directory(), args.name)
    sys.stdout.write(f"{args.name} has {keys} keys, the first is in use\n")
    sys.stdout.write(f"next: give it to {_EVERYBODY[args.name]}; then `edge secrets use-key {args.name}`\n")
    return 0


def _use_key(args: argparse.Namespace) -> int:
    use_key(args.secrets or secrets_directory(), args.name)
    before = {
        SUBSCRIBER_KEY: "; then `edge subscribers reseal`",
        M_TMSI_KEY: "; wait until each UE has a new GUTI: T3412 and as long as it is kept when it is silent",
    }.get(args.name, "")
    sys.stdout.write(f"the new key of {args.name} is in use\n")
    sys.stdout.write(f"next: give it to {_EVERYBODY[args.name]}{before}; then `edge secrets drop-keys {args.name}`\n")
    return 0


def _drop_keys(args: argparse.Namespace) -> int:
    dropped = drop_keys(args.secrets or secrets_directory(), args.name)
    sys.stdout.write(f"{args.name} has one key, {dropped} dropped\n")
    if dropped:
        sys.stdout.write(f"next: give it to {_EVERYBODY[args.name]}\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0: done; 1: not done, one sentence says why; 2: the command line is wrong."""
    args = parser().parse_args(arguments)
    if "store" in args:
        args.store = args.store or os.environ.get("STORE_URL")
        if not args.store:
            sys.stderr.write("edge: no store: give --store URL or set STORE_URL\n")
            return 2
    try:
        code: int = args.run(args)
    except (ConfigError, StoreError, PlacementError, JournalStoreError, OSError) as e:
        sys.stderr.write(f"edge: {e}\n")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
