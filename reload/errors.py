"""What can go wrong with a reload, each with a code of its own, one sentence, and what to do next.

code                    status  when
request_invalid         400     the body is not a request
values_invalid          400     what `set` or `files` would write is refused before anything is written
path_unknown            404     `set` names a path that is not in the file, without `create`
file_unknown            404     the ConfigMap has no such file, without `create`
cluster_unknown         404     no such cluster
configmap_missing       404     no such ConfigMap, or the release has none (or several, and none is named)
revision_unknown        404     the history has no such revision
namespace_not_allowed   403     the caller, or the cluster's registry entry, does not have that namespace
cluster_denied          403     the cluster's service account may not do that
conflict                409     somebody else kept writing the ConfigMap
superseded              200     while pods were waited for, the ConfigMap was changed again
too_large               413     beyond what a ConfigMap may hold
cluster_unreachable     503     the API server did not answer in time
store_down              503     a call without an id of its own, and nobody can tell whether it was made before
cluster_failed          502     the API server answered with a fault of its own
"""

from __future__ import annotations

from typing import Final

STATUS: Final = {
    "request_invalid": 400,
    "values_invalid": 400,
    "path_unknown": 404,
    "file_unknown": 404,
    "cluster_unknown": 404,
    "configmap_missing": 404,
    "revision_unknown": 404,
    "namespace_not_allowed": 403,
    "cluster_denied": 403,
    "conflict": 409,
    "superseded": 200,
    "too_large": 413,
    "cluster_unreachable": 503,
    "store_down": 503,
    "cluster_failed": 502,
}


class ReloadError(Exception):
    """code: a key of STATUS.  detail: one sentence, without secrets and file contents.  hint: what to do next."""

    def __init__(self, code: str, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.hint = hint

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    def as_json(self) -> dict[str, str]:
        """An answer's `error`."""
        return {"code": self.code, "message": self.detail, "hint": self.hint}


class StaleVersionError(Exception):
    """The object has another resourceVersion by now: nothing was written."""
