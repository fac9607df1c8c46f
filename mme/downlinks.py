"""Typed downlinks to octets: protect NAS in order, encode S1AP, number the messages of each connection."""

from __future__ import annotations

import time

from mme import nas_transport
from mme.codec import s1ap
from mme.codec.envelope import Downlink
from mme.context import UeContext
from mme.messages import ErabToBeSetup, InitialContextSetupRequest, Paging, S1apMessage, Secured
from mme.replacing import replace
from mme.work import Work


def protected(job: Work, ctx: UeContext, messages: tuple[S1apMessage, ...]) -> tuple[UeContext, list[Downlink]]:
    """Protect and encode downlinks in order, and number them on their connections."""
    downlinks = []
    begin = time.perf_counter()
    for n, message in enumerate(messages):
        if isinstance(message, Paging):
            continue  # not to one eNB: the transaction multiplies it
        connection = ctx.listed(getattr(message, "mme_ue_s1ap_id", -1))
        if connection is not None and connection.enb == job.item.enb and job.epoch not in ("", connection.epoch):
            continue  # of an older association of the caller, whose UE ids mean other UEs now
        ctx, ready = _with_nas(ctx, message)
        downlinks.append(
            Downlink(
                id=f"{job.item.id}/d{n}",
                enb=connection.enb if connection is not None else job.item.enb,
                stream=job.item.stream,
                s1ap=s1ap.encode(ready),
                ue=connection.enb_ue_s1ap_id if connection is not None else None,
                order=connection.order if connection is not None else None,
            )
        )
        if connection is not None:
            counted = replace(connection, order=connection.order + 1)
            ctx = replace(ctx, connections=tuple(counted if c == connection else c for c in ctx.connections))
    job.spent.codec_ms += (time.perf_counter() - begin) * 1000
    return ctx, downlinks


def encoded(job: Work, message: S1apMessage) -> bytes:
    """Encode a message that no context stands behind."""
    begin = time.perf_counter()
    try:
        return s1ap.encode(message)
    finally:
        job.spent.codec_ms += (time.perf_counter() - begin) * 1000


def _with_nas(ctx: UeContext, message: S1apMessage) -> tuple[UeContext, S1apMessage]:
    """The message with its NAS PDUs protected, and the context with its NAS COUNTs moved on."""
    if isinstance(message, InitialContextSetupRequest):
        e_rabs: list[ErabToBeSetup] = []
        for erab in message.e_rabs:
            if isinstance(erab.nas_pdu, Secured):
                octets, ctx = nas_transport.protect(ctx, erab.nas_pdu)
                e_rabs.append(replace(erab, nas_pdu=octets))
            else:
                e_rabs.append(erab)
        return ctx, replace(message, e_rabs=tuple(e_rabs))
    pdu = getattr(message, "nas_pdu", None)
    if isinstance(pdu, Secured):
        octets, ctx = nas_transport.protect(ctx, pdu)
        return ctx, replace(message, nas_pdu=octets)  # type: ignore[call-arg]  # only messages with a nas_pdu come here
    return ctx, message
