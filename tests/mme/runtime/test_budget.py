"""The committed budget of store operations: what each message costs, here and in docs/store-budget.md."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from enb_app.association import Leave
from enb_app.ue import Profile
from mme.enums import S1apCause
from mme.ids import Imsi
from tests.mme.runtime.pair import PLMN, Exchange, Network

Budget = dict[str, tuple[int, int, int]]
"""Message to (reads, plain writes, conditional writes), with the embedded HSS and gateway."""

PAGE = Path(__file__).parents[3] / "docs" / "store-budget.md"

S1_SETUP: Budget = {"S1 Setup Request": (2, 0, 2), "S1 Setup Request, again": (2, 0, 0)}
ATTACH: Budget = {
    "Attach Request": (3, 1, 2),
    "Authentication Response": (1, 1, 1),
    "Security Mode Complete": (3, 3, 4),
    "UE Capability Info Indication": (1, 0, 1),
    "Initial Context Setup Response": (1, 0, 1),
    "Attach Complete": (2, 1, 2),
}
ESM_INFORMATION: Budget = ATTACH | {
    "Security Mode Complete": (2, 1, 2),
    "ESM Information Response": (2, 3, 3),
}
RE_ATTACH: Budget = ATTACH | {
    # The old context: its row, its session and address; then what is pushed is taken out of its outbox.
    "Security Mode Complete": (7, 4, 8),
    "UE Capability Info Indication": (2, 0, 1),
}
DETACH: Budget = {"Detach Request": (2, 0, 3), "UE Context Release Complete": (1, 0, 1)}
RELEASE: Budget = {"UE Context Release Request": (2, 1, 2), "UE Context Release Complete": (1, 0, 1)}
REFUSED: Budget = {
    "Attach Request of an unknown IMSI": (3, 0, 1),
    "Authentication Response with a wrong RES": (1, 0, 1),
    "Uplink on an unknown connection": (1, 0, 0),
    "Uplink with a wrong MAC": (1, 0, 0),
}
TABLES = {
    "S1 Setup": S1_SETUP,
    "Attach": ATTACH,
    "Attach with ESM information": ESM_INFORMATION,
    "Attach of a registered UE": RE_ATTACH,
    "Detach": DETACH,
    "Release by the eNB": RELEASE,
    "Refusals": REFUSED,
}
NAMES = {
    "UECapabilityInfoIndication": "UE Capability Info Indication",
    "InitialContextSetupResponse": "Initial Context Setup Response",
    "UEContextReleaseComplete": "UE Context Release Complete",
    "UEContextReleaseRequest": "UE Context Release Request",
}


def spent(exchange: Exchange) -> tuple[int, int, int]:
    return exchange.cost.reads, exchange.cost.writes, exchange.cost.conditional_writes


def costs(names: list[str], exchanges: list[Exchange]) -> Budget:
    return {NAMES.get(name, name): spent(exchange) for name, exchange in zip(names, exchanges, strict=True)}


def test_s1_setup(network: Network) -> None:
    first = network.exchanges[0]
    again = network.again(first)
    assert {"S1 Setup Request": spent(first), "S1 Setup Request, again": spent(again)} == S1_SETUP


def test_attach_and_detach(network: Network) -> None:
    talk = network.ue(network.subscribe(), leave=Leave.DETACH)
    exchanges = talk.flow()
    assert costs(talk.names, exchanges) == ATTACH | DETACH


def test_esm_information(network: Network) -> None:
    profile = Profile(plmn=PLMN, esm_information=True, access_point_name="internet")
    talk = network.ue(network.subscribe(), profile=profile)
    exchanges = talk.flow()
    assert costs(talk.names, exchanges) == ESM_INFORMATION


def test_attach_of_a_registered_ue(network: Network) -> None:
    sim = network.subscribe()
    old = network.ue(sim)
    old.run()
    new = network.ue(sim, usim=old.ue.usim)
    exchanges = new.flow()
    assert costs(new.names, exchanges) == RE_ATTACH


def test_release_by_the_enb(network: Network) -> None:
    talk = network.ue(network.subscribe())
    talk.run()
    request = talk.side.request_release(S1apCause.USER_INACTIVITY)
    assert request is not None
    talk.queue.append(request)
    exchanges = talk.flow()
    assert costs(talk.names[-2:], exchanges) == RELEASE


def test_refusals(network: Network) -> None:
    stranger = network.ue(replace(network.subscribe("001010000000005"), imsi=Imsi("001010000000006")))
    wrong_res = network.ue(network.subscribe(), profile=Profile(plmn=PLMN, wrong_res=True))
    wrong_res.step()
    nobody = network.ue(network.subscribe("001010000000007"))
    nobody.until("Security Mode Complete")
    octets = nobody.queue[0].octets
    found = {
        "Attach Request of an unknown IMSI": spent(stranger.step()),
        "Authentication Response with a wrong RES": spent(wrong_res.step()),
        "Uplink on an unknown connection": spent(network.s1ap(_elsewhere(octets), run="nobody")),
        "Uplink with a wrong MAC": spent(network.s1ap(_broken(octets), run="broken")),
    }
    assert found == REFUSED


def _elsewhere(octets: bytes) -> bytes:
    """The same uplink with an MME-UE-S1AP-ID that nobody has (id 0, criticality reject, 5 octets at most)."""
    place = octets.index(bytes.fromhex("00000005"))
    return octets[: place + 7] + bytes((octets[place + 7] ^ 0x5A,)) + octets[place + 8 :]


def _broken(octets: bytes) -> bytes:
    place = octets.index(b"\x47", 20)
    return octets[: place + 1] + bytes((octets[place + 1] ^ 1,)) + octets[place + 2 :]


def test_plain_uplink_is_one_read_and_one_conditional_write() -> None:
    """design.md: and one plain insert where a timer starts."""
    assert ATTACH["UE Capability Info Indication"] == ATTACH["Initial Context Setup Response"] == (1, 0, 1)
    assert ATTACH["Authentication Response"] == (1, 1, 1)


def test_the_page_says_the_same() -> None:
    """docs/store-budget.md holds these tables, row by row."""
    found: dict[str, Budget] = {}
    title = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        cells = re.fullmatch(r"\| ([^|]+?) \| (\d+) \| (\d+) \| (\d+) \|", line)
        if cells:
            found.setdefault(title, {})[cells[1]] = (int(cells[2]), int(cells[3]), int(cells[4]))
    assert found == TABLES


@pytest.mark.parametrize("replicas", [1, 3])
def test_costs_do_not_depend_on_how_many_ues_are_there(network: Network, replicas: int) -> None:
    for number in range(replicas):
        network.ue(network.subscribe(f"00101000001000{number}")).run()
    test_attach_and_detach(network)
