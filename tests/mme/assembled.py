"""Functions with all their parts as containers would have them: settings, secrets, embedded ports, SQLite."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from enb_app.enb import Cell
from mme.codec import envelope
from mme.codec.envelope import Item, Request, Response
from mme.function import Function, build
from mme.hss.subscribers import KeyCipher, Keys, Subscriber, encode
from mme.ids import GlobalEnbId, Imsi, Plmn
from mme.store.base import Table
from mme.store.sqlite import SqliteStore
from tests.mme.runtime.pair import OPC, PROFILE, K
from trust import signing
from trust.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, Signed, Way

MASTER = bytes(range(1, 33))
SUBSCRIBER_KEY = bytes(range(33, 65))
ENB = "00101-0019b"
OTHER_ENB = "00101-0019c"
IMSI = "001010123456780"  # the UE of lab-facts.md
EPOCH = "e1"
NAMES = ("mme-enb", "mme-initial-ue", "mme-uplink-nas", "mme-ue-context", "mme-timer", "mme-answer")
ALLOW = "http://127.0.0.1,http://enb.example:8080"
# lab-facts.md: captured between a real eNB and an MME.
SETUP = bytes.fromhex(
    "0011002d000004003b00080000f110000019b0003c400a0380737273656e62303100400007000001c000f1100089400140"
)
INITIAL = bytes.fromhex(
    "000c403e000005000800020001001a00161507417108091010103254760802f07000040201d011004300060000f1100007"
    "006440080000f1100019b0100086400130"
)


@dataclass
class Event:
    """What the template hands over."""

    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass
class Answered:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def response(self) -> Response:
        return envelope.decode_response(self.body)


class Assembled:
    """All functions of the MME over one store.  secrets must be where EDGE_SECRETS_DIR says."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'edge.db'}"
        opened = time.time()  # and it stays: on a slow machine, too, no row ends between two looks
        self.store = SqliteStore(folder / "edge.db", clock=lambda: opened)
        environment = {"store_url": self.url, "callback_allow": ALLOW}
        self.functions: dict[str, Function] = {name: build(name, environment) for name in NAMES}
        self.cell = Cell(GlobalEnbId(Plmn("00101"), 0x19B), 7, "srsenb01")
        identity = Imsi(IMSI)
        sealed = KeyCipher(SUBSCRIBER_KEY).seal(identity, Keys(K, OPC))
        self.store.save(
            Table.SUBSCRIBER,
            IMSI,
            encode(Subscriber(imsi=identity, sealed=sealed, profile=PROFILE)),
            expect=None,
            writer="test",
        )
        self.set_up = self.call("mme-enb", [Item(id=f"{ENB}/setup/1", enb=ENB, epoch=EPOCH, s1ap=SETUP)])

    def close(self) -> None:
        self.store.close()
        for function in self.functions.values():
            function._runtime._store.close()

    def call(self, name: str, items: list[Item] | bytes, **signed: object) -> Answered:
        body = items if isinstance(items, bytes) else envelope.encode(Request(items))
        return self.post(name, Event(body, headers(name, body, **signed)))  # type: ignore[arg-type]

    def post(self, name: str, event: Event) -> Answered:
        body, status, answer_headers = self.functions[name].handle(event)
        return Answered(status, body, answer_headers)

    def stored(self) -> dict[str, list[tuple[str, bytes, int]]]:
        """Everything but timers, which only a context's change brings with it, and the figures of the load."""
        return {
            t.value: [(key, row.value, row.version) for key, row in self.store.scan(t)]
            for t in Table
            if t is not Table.LOAD
        }


def headers(
    name: str,
    body: bytes,
    *,
    party: str = ENB,
    age_s: float = 0,
    timestamp: str | None = None,
    callback: str | None = None,
    signed_callback: str | None = None,
    signed_body: bytes | None = None,
    signed_function: str | None = None,
    way: Way = Way.UP,
    master: bytes = MASTER,
    key_name: str | None = None,
) -> dict[str, str]:
    """Headers of a request; what is signed may differ from what is sent."""
    stamp = timestamp if timestamp is not None else str(int(time.time() - age_s))
    url = signed_callback if signed_callback is not None else (callback or "")
    signed = Signed(party, stamp, way, signed_function or name, url, signed_body if signed_body is not None else body)
    sent = {
        KEY_HEADER: key_name or party,
        TIMESTAMP_HEADER: stamp,
        SIGNATURE_HEADER: signing.sign(signing.derive_key(master, party), signed),
    }
    return sent | ({"X-Callback-Url": callback} if callback is not None else {})


def initial_item(run: str = "r1", number: int = 1, **changes: object) -> Item:
    item = Item(id=f"{ENB}/{run}/{number}", enb=ENB, epoch=EPOCH, stream=1, s1ap=INITIAL)
    return msgspec.structs.replace(item, **changes)


def write_secrets(folder: Path) -> None:
    """The three secrets as OpenFaaS mounts them."""
    folder.mkdir(exist_ok=True)
    for name, octets in (
        ("edge-signing-key", MASTER),
        ("subscriber-key", SUBSCRIBER_KEY),
        ("m-tmsi-key", bytes(range(65, 97))),
    ):
        (folder / name).write_text(octets.hex())
