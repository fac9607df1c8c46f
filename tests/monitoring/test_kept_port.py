"""A port that is kept for a program: nobody gets it by chance, and the program does."""

from __future__ import annotations

import socket
import struct

import pytest
from prometheus_client import start_http_server

from bench.stub import kept_port

_IP_LOCAL_PORT_RANGE = 51
"""include/uapi/linux/in.h, since Linux 6.3: the first port in the lower 16 bits, the last one in the upper."""


def chooses_from(port: int) -> socket.socket:
    """A socket for which the system has that port alone to choose."""
    made = socket.socket()
    try:
        made.setsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, struct.pack("I", port << 16 | port))
    except OSError:
        made.close()
        pytest.skip("this kernel chooses from one range for all")
    return made


def test_who_asks_for_it_by_number_gets_it_again_and_again() -> None:
    with kept_port() as port:
        for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104  as the tickers do
            server, thread = start_http_server(port, addr=address)
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.mark.parametrize("reuse", [0, 1])
def test_no_listener_gets_it_by_chance(reuse: int) -> None:
    with kept_port() as port, chooses_from(port) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", 0))


def test_no_connection_gets_it_by_chance() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        kept_port() as port,
        chooses_from(port) as other,
        pytest.raises(OSError, match="assign"),
    ):
        other.connect(server.getsockname())
