"""Answers the way Go's net/http and gorilla/mux write them, which is what callers of OpenFaaS see."""

import html
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from multidict import CIMultiDict

TEXT = "text/plain; charset=utf-8"


@dataclass(slots=True)
class Answer:
    """Status, headers and body of a response. cut: the connection is dropped instead."""

    status: int
    body: bytes = b""
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    cut: bool = False


def empty(status: int) -> Answer:
    """Give w.WriteHeader(status) and nothing else."""
    return Answer(status)


def written(status: int, text: str) -> Answer:
    """Give w.WriteHeader(status); w.Write(text): the type is sniffed."""
    body = text.encode()
    return Answer(status, body, CIMultiDict({"Content-Type": sniff(body)}) if body else CIMultiDict())


def error(status: int, text: str) -> Answer:
    """Give http.Error(w, text, status): one newline more, and nosniff."""
    return Answer(
        status, text.encode() + b"\n", CIMultiDict({"Content-Type": TEXT, "X-Content-Type-Options": "nosniff"})
    )


def json(status: int, value: Any) -> Answer:
    """Give a JSON body without spaces, as json.Marshal writes it."""
    return Answer(status, msgspec.json.encode(value), CIMultiDict({"Content-Type": "application/json"}))


def not_found() -> Answer:
    """Give mux's answer to a path it does not know."""
    return error(404, "404 page not found")


def moved(location: str, *, with_body: bool = False) -> Answer:
    """Give a 301; http.RedirectHandler writes a link, mux's path cleaning does not."""
    answer = Answer(301, headers=CIMultiDict({"Location": location}))
    if with_body:
        answer.body = f'<a href="{html.escape(location)}">Moved Permanently</a>.\n\n'.encode()
        answer.headers["Content-Type"] = "text/html; charset=utf-8"
    return answer


def clean_path(path: str) -> str:
    """Clean a path as mux does: no "//", "." or ".."; a slash at the end stays."""
    if not path:
        return "/"
    if "//" not in path and "/." not in path:
        return path
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


_MARKUP = re.compile(
    rb"[\t\n\x0c\r ]*<(?:(!--)|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)"
    rb"[ >]|(\?xml))",
    re.IGNORECASE,
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def sniff(body: bytes) -> str:
    """Guess a Content-Type as http.DetectContentType does, for text, HTML, XML and PDF; the rest is octet-stream.

    The watchdog's server does this to a body whose function named no type. Media signatures are left out.
    """
    head = body[:512]
    if markup := _MARKUP.match(head):
        return "text/xml; charset=utf-8" if markup[2] else "text/html; charset=utf-8"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return "application/octet-stream" if _BINARY.search(head) else TEXT


class UrlError(ValueError):
    """Text of the error that Go's url.Parse gives."""


def check_url(url: str) -> None:
    """Refuse what Go's url.Parse refuses.   Raises: UrlError with its text."""

    def refuse(why: str) -> UrlError:
        quoted = url.encode("unicode_escape").decode().replace('"', '\\"')
        return UrlError(f'parse "{quoted}": {why}')

    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in url):
        raise refuse("net/url: invalid control character in URL")
    rest, _, _ = url.partition("#")
    if rest.startswith(":"):
        raise refuse("missing protocol scheme")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", rest)
    if scheme is None and ":" in rest.split("?", 1)[0].split("/", 1)[0]:
        raise refuse("first path segment in URL cannot contain colon")
    rest = rest[scheme.end() :] if scheme else rest
    rest, _, _ = rest.partition("?")
    host = ""
    if rest.startswith("//"):
        host, _, rest = rest[2:].partition("/")
        host = host.rpartition("@")[2]
        if host.startswith("["):
            if "]" not in host:
                raise refuse("missing ']' in host")
            port = host.rpartition("]")[2]
        else:
            port = ":" + host.partition(":")[2] if ":" in host else ""
        if port and not re.fullmatch(r":[0-9]*", port):
            raise refuse(f'invalid port "{port}" after host')
    for part in (host, rest):
        if bad := re.search(r"%(?![0-9A-Fa-f]{2}).{0,2}", part):
            raise refuse(f'invalid URL escape "{bad[0]}"')
    if " " in host:
        raise refuse('invalid character " " in host name')
