"""No key and no whole IMSI in anything that is written while UEs attach, are refused and go wrong."""

from __future__ import annotations

import pytest

from edge.secrets import EMPTY
from enb_app.options import Fault, Mode
from tests.e2e.conftest import Core

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-core")]

FUNCTIONS = ("mme-enb", "mme-initial-ue", "mme-uplink-nas", "mme-ue-context", "mme-answer", "mme-timer")


def test_logs_hold_no_secret(core: Core) -> None:
    first = core.used
    core.attach(ues=3, mode=Mode.SYNC)
    for fault in (Fault.WRONG_KEY, Fault.WRONG_RES, Fault.UNKNOWN_IMSI):
        core.attach(ues=1, fault=fault)
    core.gateway.invoke("mme-uplink-nas", b"no JSON")
    written = {name: "\n".join(line["text"] for line in core.gateway.logs(name)) for name in FUNCTIONS}
    assert "item" in written["mme-uplink-nas"]
    for file in (core.site.state / "gateway.log", core.site.folder / "ticker.log"):
        written[file.name] = file.read_text(errors="replace")
    nothing_yet = {text.strip() for text in EMPTY.values()}  # no clusters, no policy
    files = [path.read_text().strip() for path in core.site.secrets.iterdir()]
    keys = [text for text in files if text not in nothing_yet]
    for subscriber in core.subscribers(first, core.used - first):
        keys += [subscriber.k.hex(), subscriber.opc.hex(), subscriber.imsi.digits]
    assert all(len(key) >= 14 for key in keys)
    for name, text in written.items():
        lower = text.lower()
        found = [number for number, key in enumerate(keys) if key.lower() in lower]
        assert not found, f"{name} holds {len(found)} of {len(keys)} secrets"
