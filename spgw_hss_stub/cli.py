"""`spgw-hss-stub`: serve the subscribers and addresses of a store to an MME in another process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from aiohttp import web

from mme import logs
from mme.errors import ConfigError
from mme.hss.embedded import EmbeddedHss
from mme.needs import Refusal
from mme.sgw.embedded import EmbeddedGateway
from mme.store.opening import open_store
from spgw_hss_stub.behaviour import Behaviour
from spgw_hss_stub.lines import of_need
from spgw_hss_stub.server import Stub, application
from trust.lines import Lines
from trust.secrets import SIGNING_KEY, SUBSCRIBER_KEY, read_keys_file


def _between(low: float, high: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = high + 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}")
        return number

    return parse


def _refusal(text: str) -> tuple[Refusal, float]:
    reason, _, share = text.partition(":")
    known = ", ".join(refusal.value for refusal in Refusal)
    try:
        refusal = Refusal(reason)
    except ValueError:
        raise argparse.ArgumentTypeError(f"the reason must be one of {known}") from None
    return refusal, _between(0, 1, float)(share) if share else 1.0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="spgw-hss-stub", description=__doc__)
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    p.add_argument("--port", type=_between(0, 65535, int), default=8490, help="0: any free one, printed")
    p.add_argument("--store", required=True, metavar="URL", help="sqlite:///file.db or cassandra://host/keyspace")
    p.add_argument("--subscriber-key", required=True, type=Path, metavar="FILE", help="secret that K and OPc are under")
    p.add_argument("--signing-key", type=Path, metavar="FILE", help="master key: sign answers, ask for signed needs")
    p.add_argument(
        "--answer-url", action="append", default=[], metavar="URL", help="where answers may go (default: loopback)"
    )
    p.add_argument("--delay-ms", type=_between(0, 10_000, int), default=0, help="until the answer, 0 to 1000 usually")
    p.add_argument("--delay-share", type=_between(0, 1, float), default=1.0, help="of the UEs, by a hash of the IMSI")
    p.add_argument("--loss", type=_between(0, 1, float), default=0.0, help="share of the needs that get no answer")
    p.add_argument("--refuse", type=_refusal, metavar="REASON[:SHARE]", help="refuse that share of the UEs")
    p.add_argument("--seed", type=int, help="of the losses")
    p.add_argument("--pool", type=IPv4Network, default=IPv4Network("10.45.0.0/16"), help="addresses for UEs")
    p.add_argument("--sgw-address", type=IPv4Address, default=IPv4Address("127.0.0.1"), help="S1-U address")
    p.add_argument("--dns", type=IPv4Address, action="append", default=[], help="name server for UEs, twice at most")
    p.add_argument("--mtu", type=_between(68, 65535, int), default=1400, help="octets of a UE's IPv4 packet")
    return p


async def _serve(stub: Stub, host: str, port: int) -> None:
    runner = web.AppRunner(application(stub), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        sys.stdout.write(f"spgw-hss-stub listens on http://{address[0]}:{address[1]} (/hss, /sgw)\n")
        sys.stdout.flush()
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await stopped.wait()
    finally:
        await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0: stopped by a signal; 1: a setting is wrong; 2: the command line is."""
    args = parser().parse_args(arguments)
    logging.basicConfig(handlers=[Lines(logs.log, of_need)], level=logging.INFO)
    refuse, refuse_share = args.refuse or (None, 1.0)
    try:
        subscriber_keys = read_keys_file(args.subscriber_key, SUBSCRIBER_KEY)
        masters = read_keys_file(args.signing_key, SIGNING_KEY) if args.signing_key else ()
        store = open_store(args.store)
        try:
            stub = Stub(
                ports={
                    "hss": EmbeddedHss(store, *subscriber_keys),
                    "sgw": EmbeddedGateway(store, args.pool, args.sgw_address, args.dns, args.mtu),
                },
                behaviour=Behaviour(args.delay_ms, args.delay_share, args.loss, refuse, refuse_share, args.seed),
                signing_masters=masters,
                answer_urls=frozenset(args.answer_url),
            )
            asyncio.run(_serve(stub, args.host, args.port))
        finally:
            store.close()
    except (ConfigError, ValueError, OSError) as e:
        sys.stderr.write(f"spgw-hss-stub: {e}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
