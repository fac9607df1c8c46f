"""What helm's words on stderr mean, as one of our codes.  Pure; the words are those of helm 3.16 and 3.22."""

from __future__ import annotations

import re
from collections.abc import Iterable

from placement.errors import Code, PlacementError
from placement.masking import strike

_REGISTRY = r"(?:/v2/|failed to do request|registry|pull access)"
_MEANINGS: tuple[tuple[Code, tuple[str, ...]], ...] = (
    (
        Code.REGISTRY_REFUSED,
        (
            r"pull access denied",
            r"authorization failed",
            r"credential not found",
            rf"{_REGISTRY}.*\b(?:401|403|unauthorized|denied)\b",
            r"\b(?:401|403|unauthorized|denied)\b.*/v2/",
        ),
    ),
    (
        Code.CLUSTER_DOWN,
        (r"Kubernetes cluster unreachable", r"etcdserver", r"ServiceUnavail"),
    ),
    (
        Code.REGISTRY_DOWN,
        (
            rf"{_REGISTRY}.*(?:refused|no such host|timeout|deadline|unreachable|EOF|reset|server gave HTTP|TLS)",
            rf"{_REGISTRY}.*certificate",
            rf"{_REGISTRY}.*\b5\d\d\b",
        ),
    ),
    (
        Code.NO_SUCH_CHART,
        (
            r"Unable to locate any tags",
            r"manifest unknown",
            r"improper constraint",
            r"could not download",
            r"^Error: \S+: not found",
            r"on source: \S+: not found",
            r"(?:/v2/|manifests/|oci://).*not found",
        ),
    ),
    (
        Code.BUSY,
        (r"another operation .* is in progress", r"release: already exists", r"cannot re-use a name that is still"),
    ),
    (Code.NO_SUCH_REVISION, (r"release has no \d+ version", r"revision .* not found")),
    (Code.NO_SUCH_RELEASE, (r"release: not found", r"Release not loaded")),
    (Code.CLUSTER_REFUSED, (r"is forbidden", r"Unauthorized", r"must be logged in", r"system:anonymous")),
    (Code.NAMESPACE_MISSING, (r'namespaces "[^"]*" not found',)),
    (
        Code.RENDER_FAILED,
        (
            r"values don't meet the specifications",
            r"template: ",
            r"execution error",
            r"parse error",
            r"error converting YAML",
            r"unable to build kubernetes objects",
            r"error validating",
            r"no matches for kind",
            r"chart requires kubeVersion",
            r"cannot unmarshal",
        ),
    ),
    (Code.TIMEOUT, (r"context deadline exceeded", r"timed out waiting", r"context canceled")),
    (
        Code.CLUSTER_DOWN,
        (
            r"connection refused",
            r"i/o timeout",
            r"no route to host",
            r"connection reset",
            r"EOF",
            r"TLS handshake",
        ),
    ),
)
_COMPILED = tuple((code, [re.compile(form, re.IGNORECASE) for form in forms]) for code, forms in _MEANINGS)
_NOISE = re.compile(r"(?:WARNING|Pulled|Digest|coalesce\.go|W\d{4}|I\d{4}|E\d{4})\b")


def meaning(stderr: str, words: Iterable[str] = ()) -> PlacementError:
    """The error to answer.  words: never shown.  What is not known is apply_failed, with helm's own last sentence."""
    lines = [line for line in stderr.splitlines() if line.strip() and not _NOISE.match(line.strip())]
    text = " ".join(lines) or stderr.strip()
    code = next((code for code, forms in _COMPILED if any(f.search(text) for f in forms)), Code.APPLY_FAILED)
    shown = strike(_sentence(lines), words)
    if code in (Code.RENDER_FAILED, Code.APPLY_FAILED, Code.CLUSTER_REFUSED) and shown:
        return PlacementError(code, f"Helm says: {shown.rstrip('.')}.")
    return PlacementError(code)


def _sentence(lines: list[str]) -> str:
    errors = [n for n, line in enumerate(lines) if line.startswith("Error:")]
    return " ".join(line.strip() for line in lines[errors[0] if errors else -1 :]).removeprefix("Error: ")
