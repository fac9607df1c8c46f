"""What can go wrong with a placement: each has a code, one sentence, and a hint what to do next.

PlacementError   the call is answered with it; docs/errors.md lists every code, held to TELLS by a test
StoreError       the placement's own store could not do what was asked: code store_down
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The `code` of an answer's `error`."""

    BAD_REQUEST = "bad_request"
    BAD_NAME = "bad_name"
    NOT_ALLOWED = "not_allowed"
    CALL_ID_REUSED = "call_id_reused"
    UNKNOWN_CLUSTER = "unknown_cluster"
    NO_CLUSTER_FITS = "no_cluster_fits"
    PLACED_ELSEWHERE = "placed_elsewhere"
    CLUSTER_DOWN = "cluster_down"
    CLUSTER_REFUSED = "cluster_refused"
    CLUSTER_CREDENTIALS = "cluster_credentials"
    NAMESPACE_MISSING = "namespace_missing"
    NO_SUCH_CHART = "no_such_chart"
    REGISTRY_DOWN = "registry_down"
    REGISTRY_REFUSED = "registry_refused"
    BAD_VALUES = "bad_values"
    VALUES_MISSING = "values_missing"
    VALUES_TOO_LARGE = "values_too_large"
    VALUES_STORE_DOWN = "values_store_down"
    VALUES_STORE_REFUSED = "values_store_refused"
    RENDER_FAILED = "render_failed"
    APPLY_FAILED = "apply_failed"
    BUSY = "busy"
    TIMEOUT = "timeout"
    LEASE_LOST = "lease_lost"
    NOT_READY = "not_ready"
    PODS_CRASH = "pods_crash"
    CONFIG_REJECTED = "config_rejected"
    CONFIG_NOT_TAKEN = "config_not_taken"
    NO_SUCH_RELEASE = "no_such_release"
    NO_SUCH_REVISION = "no_such_revision"
    STORE_DOWN = "store_down"
    CONFIGURATION = "configuration"
    INTERNAL = "internal"


TELLS: dict[Code, tuple[str, str]] = {
    Code.BAD_REQUEST: ("The body is not a placement request.", "compare it with docs/placement.md"),
    Code.BAD_NAME: (
        "A name is no DNS label: lower-case letters, digits and hyphens, at most 63 (a release 53).",
        "rename it, for example upf-1",
    ),
    Code.NOT_ALLOWED: (
        "The policy does not let this caller do that.",
        "ask the operator to widen the secret placement-policy",
    ),
    Code.CALL_ID_REUSED: ("The call id was used with another request.", "send a new id with a new request"),
    Code.UNKNOWN_CLUSTER: ("No cluster of that name is registered.", "`edge clusters list` shows them"),
    Code.NO_CLUSTER_FITS: ("No registered cluster fits the request.", "`why` tells what each one lacks"),
    Code.PLACED_ELSEWHERE: (
        "The release is placed on a cluster that the request does not allow.",
        "uninstall it there first, or ask for that cluster",
    ),
    Code.CLUSTER_DOWN: ("The cluster's API server does not answer.", "try again; `edge clusters check` shows why"),
    Code.CLUSTER_REFUSED: (
        "The cluster refused the placement's service account.",
        "install charts/placement-target with this namespace among its namespaces",
    ),
    Code.CLUSTER_CREDENTIALS: (
        "The cluster's kubeconfig cannot be used.",
        "`edge clusters check` shows what is wrong with the secret",
    ),
    Code.NAMESPACE_MISSING: (
        "The namespace does not exist on the cluster.",
        "make it with charts/placement-target, or let the policy grant create_namespaces",
    ),
    Code.NO_SUCH_CHART: ("The registry has no such chart or version.", "check chart_repository and chart_version"),
    Code.REGISTRY_DOWN: ("The chart registry does not answer.", "try again when it is up"),
    Code.REGISTRY_REFUSED: (
        "The chart registry refused the credentials.",
        "correct its entry in the secret placement-credentials",
    ),
    Code.BAD_VALUES: ("The values are not a YAML mapping.", "correct the file, or `values`"),
    Code.VALUES_MISSING: ("The values file is not in the bucket.", "check values_yaml_file"),
    Code.VALUES_TOO_LARGE: ("The values file is too large.", "keep it below 256 KiB"),
    Code.VALUES_STORE_DOWN: ("The S3 server does not answer.", "try again when it is up"),
    Code.VALUES_STORE_REFUSED: (
        "The S3 server refused the credentials.",
        "correct s3 in the secret placement-credentials",
    ),
    Code.RENDER_FAILED: ("The chart does not render with these values.", "the message names the template or field"),
    Code.APPLY_FAILED: ("The cluster did not take the chart's objects.", "the message names the object"),
    Code.BUSY: ("Another call works on this release.", "try again when it has ended"),
    Code.TIMEOUT: ("Helm did not end in time and was stopped.", "`left` tells what it had begun; apply again"),
    Code.LEASE_LOST: ("The lease on the release could not be renewed; helm was stopped.", "apply again"),
    Code.NOT_READY: ("The pods did not become ready in time.", "`pods` shows where they are"),
    Code.PODS_CRASH: ("Pods of the release crash or cannot start.", "`pods` shows which; look at their logs"),
    Code.CONFIG_REJECTED: (
        "Pods refused the new configuration and run on their last good one.",
        "correct the value that the message names, and apply again",
    ),
    Code.CONFIG_NOT_TAKEN: (
        "Pods have not confirmed the new configuration in time.",
        "ask again by action status; their reload agents' logs tell more",
    ),
    Code.NO_SUCH_RELEASE: ("There is no such release there.", "action list shows what is placed"),
    Code.NO_SUCH_REVISION: ("The release has no such revision.", "action status shows the revisions"),
    Code.STORE_DOWN: ("The placement's store does not answer.", "try again"),
    Code.CONFIGURATION: ("A secret or setting of the placement function is wrong.", "the message names it"),
    Code.INTERNAL: ("The placement function has a fault.", "look for the call's id in its log"),
}
"""What each code says, and what to do next."""


class PlacementError(Exception):
    """A refusal or failure that the caller is told.

    detail: replaces the code's own sentence.  left: what is left half-done on the cluster, "" = nothing.
    Nothing secret may be in detail or left.
    """

    def __init__(self, code: Code, detail: str = "", *, left: str = "") -> None:
        self.code = code
        self.detail = detail or TELLS[code][0]
        self.left = left
        super().__init__(f"{code.value}: {self.detail}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return TELLS[self.code][1]


class StoreError(Exception):
    """The placement's store did not answer, or not in time."""
