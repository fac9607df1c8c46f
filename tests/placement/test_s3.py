"""Values files on an S3 server: what it gives, and what each of its refusals is.

Error codes: Amazon S3's API reference, "Error responses", "List of error codes".
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from placement.errors import Code, PlacementError
from placement.request import Request
from placement.values import MAX_OCTETS, S3, S3Settings, gather
from tests.placement import fake_s3
from tests.placement.fake_s3 import FakeS3

KEY = "s3cret-of-the-store"


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with fake_s3.running() as s3:
        s3.logins["reader"] = KEY
        s3.objects["/bucket/values.yaml"] = b"tac: '0007'\n"
        yield s3


def store(server: FakeS3, access_key: str = "reader", secret_key: str = KEY) -> S3:
    return S3(S3Settings(server.endpoint, access_key, secret_key))


def refused(store: S3, key: str = "values.yaml", bucket: str = "bucket") -> PlacementError:
    with pytest.raises(PlacementError) as caught:
        store.read(bucket, key)
    assert KEY not in str(caught.value)
    return caught.value


def test_an_object_is_read_anew_each_time(server: FakeS3) -> None:
    reading = store(server)
    assert reading.read("bucket", "values.yaml") == b"tac: '0007'\n"
    server.objects["/bucket/values.yaml"] = b"tac: '0008'\n"
    assert reading.read("bucket", "values.yaml") == b"tac: '0008'\n"


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket"])
def test_what_is_not_there_is_told_by_its_name(server: FakeS3, code: str) -> None:
    server.errors["/bucket/values.yaml"] = (404, code)
    error = refused(store(server))
    assert (error.code, error.detail) == (Code.VALUES_MISSING, "There is no s3://bucket/values.yaml.")


@pytest.mark.parametrize(("access_key", "secret_key"), [("reader", "wrong"), ("nobody", KEY)])
def test_a_wrong_login_is_told_apart(server: FakeS3, access_key: str, secret_key: str) -> None:
    assert refused(store(server, access_key, secret_key)).code is Code.VALUES_STORE_REFUSED


def test_a_login_that_may_not_read_it_is_told_apart(server: FakeS3) -> None:
    server.errors["/bucket/values.yaml"] = (403, "AccessDenied")
    assert refused(store(server)).code is Code.VALUES_STORE_REFUSED


@pytest.mark.parametrize("error", [(503, "SlowDown"), (500, "InternalError")])
def test_a_server_in_trouble_counts_as_down(server: FakeS3, error: tuple[int, str]) -> None:
    server.errors["/bucket/values.yaml"] = error
    told = refused(store(server))
    assert (told.code, told.detail) == (Code.VALUES_STORE_DOWN, f"The S3 server answers {error[1]}.")


def test_a_server_that_is_not_there_is_down() -> None:
    assert refused(S3(S3Settings("http://127.0.0.1:1", "reader", KEY))).code is Code.VALUES_STORE_DOWN


def test_a_server_is_asked_by_tls_unless_its_endpoint_says_otherwise(server: FakeS3) -> None:
    for endpoint in (server.endpoint.replace("http://", "https://"), server.endpoint.removeprefix("http://")):
        assert refused(S3(S3Settings(endpoint, "reader", KEY))).code is Code.VALUES_STORE_DOWN
    assert server.used == {}


def test_a_file_of_the_most_octets_is_taken_and_one_more_refused(server: FakeS3) -> None:
    server.objects["/bucket/values.yaml"] = b"#" * MAX_OCTETS
    assert len(store(server).read("bucket", "values.yaml")) == 256 * 1024
    server.objects["/bucket/values.yaml"] = b"#" * (MAX_OCTETS + 1)
    error = refused(store(server))
    assert (error.code, error.detail) == (Code.VALUES_TOO_LARGE, "s3://bucket/values.yaml has more than 256 KiB.")


def test_a_name_that_s3_does_not_take_is_the_callers_fault(server: FakeS3) -> None:
    assert refused(store(server), bucket="a..b").code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"\xff", "is no UTF-8 text."),
        (b"- a\n", "is no YAML mapping."),
        (b"a: 1\nb: [hidden", "is no YAML at line "),
        (b"a: 2020-13-45\n", "holds a value that YAML does not allow."),
        (
            b"a: &a [x, x]\n"
            + b"".join(
                b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (98 + n, 98 + n, *[97 + n] * 9) for n in range(7)
            ),
            "has more than 100000 values, aliases written out.",
        ),
    ],
)
def test_a_file_that_is_no_values_is_told_without_its_content(server: FakeS3, octets: bytes, said: str) -> None:
    server.objects["/bucket/values.yaml"] = octets
    request = Request("upf", "lab", "oci://r.test/c", "1.0.0", values_yaml_file="s3://bucket/values.yaml")
    with pytest.raises(PlacementError) as caught:
        gather(request, store(server))
    assert caught.value.code is Code.BAD_VALUES
    assert f"s3://bucket/values.yaml {said}" in caught.value.detail
    assert "hidden" not in caught.value.detail


def test_the_file_goes_to_helm_as_it_is_and_counts_for_the_digest(server: FakeS3) -> None:
    request = Request("upf", "lab", "oci://r.test/c", "1.0.0", None, values_yaml_file="s3://bucket/values.yaml")
    first = gather(request, store(server))
    assert (first.file, json.loads(first.inline)) == ("tac: '0007'\n", {})
    server.objects["/bucket/values.yaml"] = b"tac: '0008'\n"
    assert gather(request, store(server)).digest != first.digest
    server.objects["/bucket/values.yaml"] = b'# the same\ntac: "0007"\n'
    assert gather(request, store(server)).digest == first.digest
    server.objects["/bucket/values.yaml"] = b"\n"
    assert gather(request, store(server)).parsed == ({}, {})
    assert "0007" not in repr(first)
    inline = gather(Request("upf", "lab", "oci://r.test/c", "1.0.0", values={"password": "hidden"}), None)
    assert "hidden" in inline.inline
    assert "hidden" not in repr(inline)


def test_without_a_server_a_file_cannot_be_named() -> None:
    request = Request("upf", "lab", "oci://r.test/c", "1.0.0", values_yaml_file="s3://bucket/values.yaml")
    with pytest.raises(PlacementError, match="names no s3") as caught:
        gather(request, None)
    assert caught.value.code is Code.CONFIGURATION


def test_settings_are_never_shown_with_keys(server: FakeS3) -> None:
    assert KEY not in repr(S3Settings(server.endpoint, "reader", KEY))
