"""The fake cluster tells of its own faults, and not of clients that leave."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.placement.fake_cluster import running, wait_for


def test_a_client_that_leaves_before_it_is_answered_is_no_noise(capsys: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())
    with running() as [cluster]:
        cluster.stall = ("GET", "/version")
        with socket.create_connection(("127.0.0.1", cluster.port)) as client:
            client.sendall(b"GET /version HTTP/1.1\r\n\r\n")
            wait_for(cluster.stalled.is_set, "the call")
        cluster.go_on.set()
    wait_for(lambda: set(threading.enumerate()) <= before, "the end of its answer")
    assert capsys.readouterr().err == ""


def test_a_fault_of_its_own_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with running() as [cluster], socket.create_connection(("127.0.0.1", cluster.port)) as client:
        client.sendall(b"POST /api/v1/namespaces/lab/secrets HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        assert client.recv(1) == b""
    assert "KeyError: 'metadata'" in capsys.readouterr().err
