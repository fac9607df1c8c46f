"""Checklist items 15-20 and 33: /function, time limits, /healthz."""

import http.client
import re
import socket
import threading
import uuid
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from localfaas.client import Client, Response
from localfaas.process import Running
from tests.contract.recorder import Recorder

pytestmark = [pytest.mark.contract, pytest.mark.e2e]


def test_15_unknown_function_is_404(gateway: Client) -> None:
    answer = gateway.invoke("nobody")
    assert answer.status == 404
    assert answer.body == (
        b"error finding function nobody.openfaas-fn: "
        b"server returned non-200 status code (404) for function, nobody, body: "
    )
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not {"X-Call-Id", "X-Start-Time", "X-Served-By"} & set(answer.headers)


def test_other_namespace_is_404(gateway: Client) -> None:
    answer = gateway.invoke("echo.elsewhere")
    assert answer.status == 404
    assert answer.body.startswith(
        b"error finding function echo.elsewhere: server returned non-200 status code (400) for function, echo, body: "
    )


@pytest.mark.localfaas_only("needs scale_from_zero=false")
def test_16_no_endpoint_is_503(hurried: Running) -> None:
    answer = hurried.invoke("nobody")
    assert (answer.status, answer.body) == (503, b"No endpoints available for: nobody.\n")
    assert answer.headers["X-OpenFaaS-Internal"] == "proxy"
    assert "X-Call-Id" in answer.headers


@pytest.mark.localfaas_only("needs a short upstream timeout")
def test_17_upstream_timeout_is_502(hurried: Running) -> None:
    answer = hurried.invoke("behave", path="?sleep=4")
    assert (answer.status, answer.body) == (502, b"")


def test_18_exec_timeout_is_504(gateway: Client) -> None:
    answer = gateway.invoke("hasty", path="?sleep=2")
    assert (answer.status, answer.body) == (504, b"")
    assert re.fullmatch(r"\d+\.\d{6}", answer.headers["X-Duration-Seconds"])


def test_19_max_inflight_is_429(gateway: Client, recorder: Recorder) -> None:
    begun = f"/{uuid.uuid4().hex}"
    answers: list[Response] = []
    first = threading.Thread(
        target=lambda: answers.append(gateway.invoke("single", path=f"?sleep=0.5&tell={recorder.url}{begun}"))
    )
    first.start()
    recorder.wait(begun)
    second = gateway.invoke("single")
    first.join()
    assert (second.status, second.body) == (
        429,
        b"Concurrent request limit exceeded. Max concurrent requests: 1\n",
    )
    assert second.headers["X-OpenFaaS-Internal"] == "faas-middleware"
    assert answers[0].status == 200


def test_20_content_type_falls_back_to_the_requests(gateway: Client) -> None:
    # An empty body: with any other the watchdog's HTTP server guesses a type before the provider looks.
    def types(path: str, **headers: str) -> str:
        return gateway.invoke("behave", path=path, headers=headers).headers["Content-Type"]

    assert types("", **{"Content-Type": "application/x-mine"}) == "application/x-mine"
    assert types("") == "text/plain"
    assert types("?type=a/b", **{"Content-Type": "application/x-mine"}) == "a/b"


def test_bytes_come_back_as_they_went(gateway: Client) -> None:
    body = bytes(range(256)) * 4
    answer = gateway.invoke("behave", body, headers={"Content-Type": "application/octet-stream"})
    assert answer.body == body
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_handlers_exception_is_500_without_its_text(gateway: Client) -> None:
    answer = gateway.invoke("behave", path="?raise")
    assert (answer.status, answer.body) == (500, b"")


def test_33_healthz(gateway: Client) -> None:
    assert [(a.status, a.body) for a in (gateway.request("GET", "/healthz"), gateway.request("HEAD", "/healthz"))] == [
        (200, b""),
        (405, b""),
    ]


def test_redirects_and_unknown_paths(gateway: Client) -> None:
    cleaned = gateway.request("GET", "/function//echo?x=1")
    assert (cleaned.status, cleaned.headers["Location"]) == (301, "/function/echo?x=1")
    front = gateway.request("GET", "/")
    assert (front.status, front.headers["Location"]) == (301, "/ui/")
    unknown = gateway.request("GET", "/nowhere")
    assert (unknown.status, unknown.body) == (404, b"404 page not found\n")


def test_expect_is_answered_by_100_continue(gateway: Client) -> None:
    # Go's server answers 100 by itself; a handler that does not would cost curl a second per large body.
    with socket.create_connection((urlsplit(gateway.url).hostname, urlsplit(gateway.url).port), timeout=10) as raw:
        raw.sendall(
            b"POST /function/behave HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        stream = raw.makefile("rb")
        assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        raw.sendall(b"hi")
        assert stream.read().endswith(b"\r\n\r\nhi")
        stream.close()


def test_encoded_slash_is_part_of_the_name(gateway: Client) -> None:
    # Its router takes it for the name's end, its scaler not: nobody can deploy such a name.
    with closing(http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)) as connection:
        connection.request("GET", "/function/echo%2Fa%20b?x=1")
        answer = connection.getresponse()
        status, body = answer.status, answer.read()
    assert status == 404
    assert body == (
        b"error finding function echo%2Fa%20b.openfaas-fn: server returned non-200 status code (404) for function, "
        b"echo%2Fa%20b, body: 404 page not found\n"
    )
