"""`edge subscribers`: add, import, list, generate."""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.progress import Progress
from rich.table import Table as RichTable

from edge.secrets import write_new_private_file
from mme.crypto.milenage import opc_from_op
from mme.errors import ConfigError
from mme.hss import embedded as hss
from mme.hss.embedded import provision
from mme.hss.subscribers import KeyCipher, Keys, Subscriber, decode
from mme.ids import Imsi
from mme.needs import ApnConfiguration, Profile
from mme.store.base import Store, Table
from mme.store.opening import open_store
from trust.secrets import SUBSCRIBER_KEY, read_keys

PROGRESS_AFTER_S: Final = 2.0
_COLUMNS: Final = frozenset(("imsi", "k", "opc", "op", "amf", "apn", "sqn"))
_RATE: Final = re.compile(r"(\d{1,9})([kMG]?)\Z", re.ASCII)
_UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_APN: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,98}[A-Za-z0-9])?\Z")
_MOST_GENERATED: Final = 10_000_000


class BadFieldError(Exception):
    """A field is missing or wrong.  The text names it and never holds its value, which may be a key."""


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    """What a row or a command line says."""

    subscriber: Subscriber
    keys: Keys = field(repr=False)


def _octets(name: str, text: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(text.strip())
    except ValueError:
        value = b""
    if len(value) != size:
        raise BadFieldError(f"{name} must be {2 * size} hex digits") from None
    return value


def _rate(name: str, text: str) -> int:
    match = _RATE.match(text)
    if not match:
        raise BadFieldError(f"{name} must be a number of bit/s, with k, M or G if wanted")
    rate = int(match[1]) * _UNITS[match[2]]
    if not 0 < rate <= 10_000_000_000:
        raise BadFieldError(f"{name} must be from 1 to 10G (TS 36.413 9.2.1.19)")
    return rate


def new_subscriber(fields: Mapping[str, str], *, ambr_dl: str = "100M", ambr_ul: str = "50M") -> NewSubscriber:
    """fields: as the columns of the CSV.  Raises BadFieldError."""
    try:
        imsi = Imsi(fields.get("imsi", ""))
    except ValueError:
        raise BadFieldError("imsi must be 6 to 15 digits") from None
    k = _octets("k", fields.get("k", ""), 16)
    if bool(fields.get("opc")) == bool(fields.get("op")):
        raise BadFieldError("one of opc and op must be given")
    opc = _octets("opc", fields["opc"], 16) if fields.get("opc") else opc_from_op(k, _octets("op", fields["op"], 16))
    sqn = fields.get("sqn") or "0"
    if not sqn.isascii() or not sqn.isdecimal() or len(sqn) > 15 or int(sqn) >= 1 << 48:
        raise BadFieldError("sqn must be a number below 2^48")
    apn = fields.get("apn") or "internet"
    if not _APN.match(apn):
        raise BadFieldError("apn must be letters, digits, hyphens and dots (TS 23.003 9.1)")
    dl, ul = _rate("ambr-dl", ambr_dl), _rate("ambr-ul", ambr_ul)
    try:
        subscriber = Subscriber(
            imsi=imsi,
            sealed=b"",
            amf=_octets("amf", fields.get("amf") or "8000", 2),
            sqn=int(sqn),
            profile=Profile(dl, ul, (ApnConfiguration(apn, 9, 8, dl, ul, (1, 2, 3)),)),
        )
    except ValueError:
        raise BadFieldError("amf must have the separation bit (8000) set") from None
    return NewSubscriber(subscriber, Keys(k, opc))


def _must_exist(url: str) -> None:
    """Opening a SQLite store makes its file; who only looks wants no new one.  Raises ConfigError."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path[1:]))
    if parts.scheme == "sqlite" and len(parts.path) > 1 and not path.is_file():
        raise ConfigError(
            "--store", f"there is no store {path}: check the name, or make one with `edge subscribers import`"
        )


@contextmanager
def _opened(url: str) -> Iterator[Store]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def _from_argument_or_file(text: str | None, path: Path | None) -> str:
    if path is None:
        return text or ""
    if str(path) == "-":
        return sys.stdin.readline().strip()
    try:
        return path.read_text("ascii", errors="replace").strip()
    except OSError as e:
        raise ConfigError(str(path), f"cannot be read ({e.strerror}): name a file with hex text") from e


def add(args: argparse.Namespace) -> int:
    """`edge subscribers add`."""
    fields = {
        "imsi": args.imsi,
        "k": _from_argument_or_file(args.k, args.k_file),
        "opc": _from_argument_or_file(args.opc, args.opc_file),
        "op": _from_argument_or_file(args.op, args.op_file),
        "amf": args.amf,
        "apn": args.apn,
        "sqn": args.sqn,
    }
    try:
        new = new_subscriber(fields, ambr_dl=args.ambr_dl, ambr_ul=args.ambr_ul)
    except BadFieldError as e:
        sys.stderr.write(f"edge: {e}\n")
        return 1
    cipher = KeyCipher(*read_keys(SUBSCRIBER_KEY, args.secrets))
    with _opened(args.store) as store:
        if not provision(store, cipher, new.subscriber, new.keys):
            sys.stderr.write(f"edge: subscriber {args.imsi} is there already, nothing was changed\n")
            return 1
    sys.stdout.write(f"added {args.imsi}\n")
    return 0


def read_rows(path: Path) -> tuple[list[tuple[int, NewSubscriber]], list[tuple[int, str]]]:
    """The good rows, and why the others are bad, each with its line in the file.  Raises ConfigError: no CSV file."""
    good: list[tuple[int, NewSubscriber]] = []
    bad: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", restval="", skipinitialspace=True)
            _check_header(path, reader.fieldnames or ())
            for row in reader:
                line = reader.line_num
                if "" in row:
                    bad.append((line, "more fields than the first row"))
                    continue
                try:
                    new = new_subscriber({name: value.strip() for name, value in row.items()})
                except BadFieldError as e:
                    bad.append((line, str(e)))
                    continue
                imsi = new.subscriber.imsi.digits
                if imsi in seen:
                    bad.append((line, f"the IMSI of line {seen[imsi]} again"))
                    continue
                seen[imsi] = line
                good.append((line, new))
    except OSError as e:
        raise ConfigError(str(path), e.strerror or type(e).__name__) from e
    except (csv.Error, UnicodeDecodeError):
        # Their texts may show what is in the file.
        raise ConfigError(str(path), "is no CSV file") from None
    return good, bad


def _check_header(path: Path, names: Sequence[str]) -> None:
    unknown = set(names) - _COLUMNS
    if unknown or not {"imsi", "k"} <= set(names) or not {"opc", "op"} & set(names) or len(set(names)) < len(names):
        raise ConfigError(str(path), "the first row must name columns: imsi, k, opc or op, and if wanted amf, apn, sqn")


def import_csv(args: argparse.Namespace) -> int:
    """`edge subscribers import`.  Exit 1: a row was bad."""
    cipher = KeyCipher(*read_keys(SUBSCRIBER_KEY, args.secrets))
    good, bad = read_rows(args.csv)
    with _opened(args.store) as store, progress_after(PROGRESS_AFTER_S, "importing", 2 * len(good)) as advance:
        fresh: list[tuple[int, NewSubscriber]] = []
        for line, new in good:
            if store.load(Table.SUBSCRIBER, new.subscriber.imsi.digits) is None:
                fresh.append((line, new))
            else:
                bad.append((line, "the subscriber is there already"))
            advance()
        imported = 0
        if not bad or args.partial:
            for line, new in fresh:
                if provision(store, cipher, new.subscriber, new.keys):
                    imported += 1
                else:
                    bad.append((line, "the subscriber was added by somebody else meanwhile"))
                advance()
    for line, reason in sorted(bad):
        sys.stderr.write(f"{args.csv}:{line}: {reason}\n")
    if bad and not args.partial:
        sys.stderr.write(f"edge: {len(bad)} bad rows, imported {imported}; --partial imports the good ones\n")
    else:
        sys.stdout.write(f"imported {imported}" + (f", {len(bad)} bad rows left out\n" if bad else "\n"))
    return 1 if bad else 0


@contextmanager
def progress_after(
    seconds: float, what: str, total: int, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal's standard error, for those who have waited that long.  Yields: one step is done."""
    begin = clock()
    console = Console(stderr=True)
    done = 0
    bar: Progress | None = None
    task = None

    def advance() -> None:
        nonlocal done, bar, task
        done += 1
        if bar is None and console.is_terminal and clock() - begin > seconds:
            bar = Progress(console=console, transient=True)
            bar.start()
            task = bar.add_task(what, total=total)
        if bar is not None and task is not None:
            bar.update(task, completed=done)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()


def list_all(args: argparse.Namespace) -> int:
    """`edge subscribers list`: everything but keys."""
    table = RichTable("IMSI", "APN", "AMBR down", "AMBR up", "AMF", "SQN")
    _must_exist(args.store)
    with _opened(args.store) as store:
        for key, row in store.scan(Table.SUBSCRIBER):
            subscriber = decode(Imsi(key), row.value)
            profile = subscriber.profile
            table.add_row(
                key,
                " ".join(apn.access_point_name for apn in profile.apns),
                _shown(profile.ue_ambr_dl_bps),
                _shown(profile.ue_ambr_ul_bps),
                subscriber.amf.hex(),
                str(subscriber.sqn),
            )
    table.caption = f"{table.row_count} subscribers"
    # Into a pipe the whole table goes, however narrow the terminal is.
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


def reseal(args: argparse.Namespace) -> int:
    """`edge subscribers reseal`."""
    cipher = KeyCipher(*read_keys(SUBSCRIBER_KEY, args.secrets))
    _must_exist(args.store)
    resealed = 0
    with _opened(args.store) as store:
        imsis = [Imsi(key) for key, _ in store.scan(Table.SUBSCRIBER)]
        with progress_after(PROGRESS_AFTER_S, "resealing", len(imsis)) as advance:
            for imsi in imsis:
                resealed += hss.reseal(store, cipher, imsi)
                advance()
    sys.stdout.write(f"{resealed} of {len(imsis)} subscribers resealed, all are under the key in use\n")
    return 0


def _shown(rate_bps: int) -> str:
    for unit in ("G", "M", "k"):
        if rate_bps % _UNITS[unit] == 0:
            return f"{rate_bps // _UNITS[unit]}{unit}"
    return str(rate_bps)


def generate(args: argparse.Namespace) -> int:
    """`edge subscribers generate`."""
    first = args.start_imsi
    try:
        Imsi(first)
    except ValueError:
        sys.stderr.write("edge: --start-imsi must be 6 to 15 digits\n")
        return 1
    if not 0 < args.count <= _MOST_GENERATED or len(str(int(first) + args.count - 1)) > len(first):
        sys.stderr.write("edge: --count must be positive, and the last IMSI as long as the first\n")
        return 1
    rows = ["imsi,k,opc,amf,apn"]
    for number in range(args.count):
        imsi = str(int(first) + number).zfill(len(first))
        rows.append(f"{imsi},{os.urandom(16).hex()},{os.urandom(16).hex()},8000,internet")
    try:
        write_new_private_file(args.out, "\n".join(rows) + "\n")
    except FileExistsError:
        sys.stderr.write(f"edge: {args.out} is there already, nothing was written\n")
        return 1
    except OSError as e:
        raise ConfigError(str(args.out), f"cannot be written ({e.strerror}): name a file in another folder") from e
    sys.stdout.write(f"wrote {args.count} subscribers to {args.out}\n")
    return 0
