"""Values: the file from S3 and those in the call, checked here and merged by helm, the call's over the file's.

Helm gets the file as it is: YAML that is parsed and written again could turn "001" into a number or `on` into true.
It gets the call's values as JSON, for the same reason: what YAML 1.1 leaves unquoted as text, helm's reader takes for a
number ("0009", "1e3").
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, Protocol
from xml.etree import ElementTree

import msgspec
import urllib3
import yaml
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError

from placement import manifest
from placement.errors import Code, PlacementError
from placement.receiving import received
from placement.request import Request, values_file
from reload.aliases import MOST_NODES, are_too_many

MAX_OCTETS = 256 * 1024
CONNECT_S = 1.0
READ_S = 2.0
"""For all of a file, with what it takes to connect."""
_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchUpload"})
_NOT_PLAIN = re.compile(r"[^\x20-\x7e\U00010000-\U0010ffff]")
_REFUSED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AllAccessDisabled"})


class ObjectStore(Protocol):
    """Where values files are."""

    def read(self, bucket: str, key: str) -> bytes:
        """The object, at most MAX_OCTETS.  Raises PlacementError."""


class S3Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """endpoint: https://host:port, or http:// in a lab.  Without keys the server is asked as nobody."""

    endpoint: str = "https://s3.amazonaws.com"
    access_key: str | None = None
    secret_key: str | None = None
    region: str = "us-east-1"

    def __repr__(self) -> str:
        """Without keys."""
        return f"S3Settings({self.endpoint})"


class S3:
    """One S3 server, kept open between calls.  Each read asks anew: a changed file counts at once."""

    def __init__(self, settings: S3Settings) -> None:
        host = settings.endpoint.removeprefix("https://").removeprefix("http://").rstrip("/")
        timeout = urllib3.Timeout(connect=CONNECT_S, total=READ_S)
        pool = urllib3.PoolManager(timeout=timeout, retries=False)
        try:
            self._client = Minio(
                host,
                access_key=settings.access_key,
                secret_key=settings.secret_key,
                secure=not settings.endpoint.startswith("http://"),
                region=settings.region,
                http_client=pool,
            )
        except ValueError as e:
            raise PlacementError(
                Code.CONFIGURATION, "The S3 endpoint in the secret placement-credentials cannot be used."
            ) from e

    def read(self, bucket: str, key: str) -> bytes:
        """See ObjectStore."""
        until = time.monotonic() + READ_S
        try:
            answer = self._client.get_object(bucket_name=bucket, object_name=key)
            octets = received(answer, until, MAX_OCTETS)
        except S3Error as e:
            if e.code in _MISSING:
                raise PlacementError(Code.VALUES_MISSING, f"There is no s3://{bucket}/{key}.") from e
            if e.code in _REFUSED:
                raise PlacementError(Code.VALUES_STORE_REFUSED) from e
            raise PlacementError(Code.VALUES_STORE_DOWN, f"The S3 server answers {e.code}.") from e
        except (UnicodeDecodeError, ElementTree.ParseError) as e:  # of an error that is none of S3's
            raise PlacementError(Code.VALUES_STORE_DOWN, "The S3 server answers what S3 does not.") from e
        except ValueError as e:
            raise PlacementError(Code.BAD_REQUEST, "values_yaml_file is no bucket and key that S3 takes.") from e
        except (HTTPError, ServerError, InvalidResponseError, OSError) as e:
            raise PlacementError(Code.VALUES_STORE_DOWN, f"The S3 server does not answer ({type(e).__name__}).") from e
        if len(octets) > MAX_OCTETS:
            raise PlacementError(Code.VALUES_TOO_LARGE, f"s3://{bucket}/{key} has more than {MAX_OCTETS // 1024} KiB.")
        return octets


class Values(msgspec.Struct, frozen=True):
    """What helm is given.  file: text of the S3 file, None = none.  inline: the call's, as JSON.  parsed: both."""

    file: str | None
    inline: str
    parsed: tuple[Any, ...]

    @property
    def digest(self) -> str:
        """Of the content, whatever its layout."""
        return manifest.digest(self.parsed)

    def __repr__(self) -> str:
        """Without values."""
        return "Values(…)"


def gather(request: Request, store: ObjectStore | None) -> Values:
    """The values of a call.  Raises PlacementError: bad_values, values_missing and its like, configuration."""
    text: str | None = None
    parsed: dict[str, Any] = {}
    if request.values_yaml_file is not None:
        bucket, key = values_file(request.values_yaml_file)
        if store is None:
            raise PlacementError(Code.CONFIGURATION, "The secret placement-credentials names no s3.")
        text = decode(store.read(bucket, key), request.values_yaml_file)
        parsed = parse(text, request.values_yaml_file)
    inline = request.values or {}
    return Values(text, as_json(inline), (parsed, inline))


def as_json(inline: dict[str, Any]) -> str:
    """JSON that is the same read as YAML: no pair of surrogates, and no character that YAML refuses or folds."""
    text = json.dumps(inline, ensure_ascii=False)
    return _NOT_PLAIN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def decode(octets: bytes, name: str) -> str:
    """Raises PlacementError bad_values."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PlacementError(Code.BAD_VALUES, f"{name} is no UTF-8 text.") from None


def parse(text: str, name: str) -> dict[str, Any]:
    """A values file as a mapping; an empty one is {}.  Raises PlacementError bad_values, with the line, no content."""
    try:
        if "*" in text and are_too_many(yaml.compose(text, yaml.SafeLoader)):
            raise PlacementError(Code.BAD_VALUES, f"{name} has more than {MOST_NODES} values, aliases written out.")
        found = yaml.safe_load(text)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise PlacementError(Code.BAD_VALUES, f"{name} is no YAML{where}.") from None
    except (ValueError, RecursionError, OverflowError):
        raise PlacementError(Code.BAD_VALUES, f"{name} holds a value that YAML does not allow.") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise PlacementError(Code.BAD_VALUES, f"{name} is no YAML mapping.")
    return found
