"""What a caller of config-reload says, and what it is told."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from reload.errors import ReloadError
from trust.envelope import ID_CHARACTERS, is_call_id

LONGEST_WAIT_S = 1800
Action = Literal["apply", "diff", "history", "rollback", "status"]
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_FILE = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call.

    release or configmap: which one is meant; a release with one ConfigMap under reload needs no configmap.
    set: values by `file.yaml:path.to.key`.  files: whole files by name, null removes one.  create: add what is missing.
    wait: for the pods; at most `reload.service.IN_LINE_S` in the call, and with a callback URL until timeout_s after it
    began.
    revision: rollback to before it; default the newest.
    call: id of this call; a repeat with the same id writes nothing twice.
    """

    cluster: str
    namespace: str
    action: Action = "apply"
    release: str = ""
    configmap: str = ""
    set: dict[str, object] = {}
    files: dict[str, str | None] = {}
    create: bool = False
    wait: bool = True
    timeout_s: int = 120
    revision: int | None = None
    call: str = ""

    @property
    def changes(self) -> bool:
        """Whether it writes."""
        return self.action in ("apply", "rollback")


def parse(body: bytes) -> Request:
    """Raises ReloadError request_invalid with the field that is wrong."""
    try:
        request = msgspec.json.decode(body, type=Request)
    except (msgspec.MsgspecError, RecursionError) as e:
        raise ReloadError("request_invalid", f"the body is not a request: {e}"[:300], "docs/reload.md shows one") from e
    for field in ("cluster", "namespace", "release", "configmap"):
        text = getattr(request, field)
        if (text or field in ("cluster", "namespace")) and not _NAME.match(text):
            raise ReloadError("request_invalid", f"{field} is no DNS label")
    if not (request.release or request.configmap):
        raise ReloadError("request_invalid", "neither release nor configmap is given")
    if request.action in ("apply", "diff") and not (request.set or request.files):
        raise ReloadError("request_invalid", "neither set nor files is given")
    if request.action not in ("apply", "diff") and (request.set or request.files):
        raise ReloadError("request_invalid", f"{request.action} takes neither set nor files")
    wrong = next((name for name in request.files if not _FILE.match(name) or name in (".", "..")), None)
    if wrong is not None:
        raise ReloadError("request_invalid", f"{wrong[:100]!r} is no file name that a ConfigMap can hold")
    if not 1 <= request.timeout_s <= LONGEST_WAIT_S:
        raise ReloadError("request_invalid", f"timeout_s is 1 to {LONGEST_WAIT_S}")
    if request.call and not is_call_id(request.call):
        raise ReloadError("request_invalid", f"call has {ID_CHARACTERS}", "or leave it out")
    return request
