"""MME CONFIGURATION UPDATE (TS 36.413 8.7.5): a command, and what each eNB gets."""

from __future__ import annotations

from dataclasses import replace

from mme.codec import s1ap
from mme.codec.envelope import Item
from mme.messages import MmeConfigurationUpdate, MmeConfigurationUpdateAcknowledge
from tests.mme.runtime.pair import Exchange, Network


def ask(network: Network, number: int = 1) -> Exchange:
    item = Item(id=f"operator/ana/{number}", command={"action": "configuration-update"})
    return network.send("mme-downlink", item)


def test_every_enb_that_is_set_up_is_told(network: Network) -> None:
    network.config = replace(network.config, relative_mme_capacity=17, mme_name="mme-b")
    exchange = ask(network)
    assert (exchange.reply.result, exchange.reply.label) == ("done", "taken by 1 of 1 eNBs")
    [downlink] = network.pushes.taken
    message = s1ap.decode(downlink.s1ap)
    assert isinstance(message, MmeConfigurationUpdate)
    assert (message.relative_mme_capacity, message.mme_name) == (17, "mme-b")
    assert downlink.ue is None


def test_an_enb_that_did_not_take_it_gets_it_when_asked_again(network: Network) -> None:
    network.pushes.works = False
    assert ask(network).reply.result == "retry"
    network.pushes.works = True
    assert ask(network, 2).reply.result == "done"
    assert len(network.pushes.taken) == 1


def test_its_acknowledgement_is_taken(network: Network) -> None:
    exchange = network.s1ap(s1ap.encode(MmeConfigurationUpdateAcknowledge()), run="update")
    assert (exchange.reply.result, exchange.reply.downlink) == ("done", [])
