"""An S3 server that gives out objects to whom its logins allow.

Signatures are judged by Amazon S3's API reference, "Authenticating Requests: Using the Authorization Header (AWS
Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\S+), ?SignedHeaders=(\S+), ?Signature=([0-9a-f]{64})"
)


class FakeS3:
    """logins: secret key by access key.  objects: by "/bucket/key".  used: objects given out, by access key.

    refused: requests with a wrong login.  errors: HTTP status and error code by "/bucket/key".
    """

    def __init__(self) -> None:
        self.logins: dict[str, str] = {}
        self.objects: dict[str, bytes] = {}
        self.errors: dict[str, tuple[int, str]] = {}
        self.used: Counter[str] = Counter()
        self.refused = 0
        self.endpoint = ""


@contextmanager
def running() -> Iterator[FakeS3]:
    s3 = FakeS3()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(s3))
    s3.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()


def signature(secret_key: str, scope: str, method: str, target: str, signed: Mapping[str, str]) -> str:
    """In hex.  scope: date/region/service/aws4_request.  target: path and query as sent.  signed: the headers."""
    path, _, query = target.partition("?")
    headers = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    query = "&".join(sorted(query.split("&")))
    request = [method, path, query, headers, ";".join(sorted(signed)), signed["x-amz-content-sha256"]]
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{signed['x-amz-date']}\n{scope}\n{digest}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def _handler(s3: FakeS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            found = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
            if found is None or found[1] not in s3.logins:
                self.refuse("InvalidAccessKeyId")
                return
            signed = {name: self.headers[name] or "" for name in found[3].split(";")}
            wanted = signature(s3.logins[found[1]], found[2], self.command, self.path, signed)
            if not hmac.compare_digest(wanted, found[4]):
                self.refuse("SignatureDoesNotMatch")
                return
            path = self.path.partition("?")[0]
            if path in s3.errors:
                self.fail(*s3.errors[path])
                return
            s3.used[found[1]] += 1
            self.answer(200, s3.objects[path])

        def refuse(self, code: str) -> None:
            s3.refused += 1
            self.fail(403, code)

        def fail(self, status: int, code: str) -> None:
            self.answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

        def answer(self, status: int, octets: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/xml" if status != 200 else "binary/octet-stream")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

    return Handler
