"""What can go wrong with a placement: each has a code, one sentence, and a hint what to do next.

PlacementError   the call is answered with it; docs/errors.md lists every code, held to Code by a test
NotNowError      nobody is told: the step is tried again a little later
durable.errors.StoreError: the placement's own store could not do what was asked: code store_down
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """The `code` of an answer's `error`; what it says; what to do next."""

    says: str
    hint: str

    def __new__(cls, value: str, says: str, hint: str) -> Self:
        """A member whose value is the code alone."""
        made = str.__new__(cls, value)
        made._value_ = value
        made.says = says
        made.hint = hint
        return made

    BAD_REQUEST = ("bad_request", "The body is not a placement request.", "compare it with docs/placement.md")
    BAD_NAME = (
        "bad_name",
        "A name is no DNS label: lower-case letters, digits and hyphens, at most 63 (a release 53).",
        "rename it, for example upf-1",
    )
    NOT_AUTHENTICATED = (
        "not_authenticated",
        "The call is not signed as its caller's calls have to be.",
        "sign it as docs/envelope.md says",
    )
    TOO_LARGE = ("too_large", "The body is larger than a function takes.", "put the values into a file in S3")
    NOT_ALLOWED = (
        "not_allowed",
        "The policy does not let this caller do that.",
        "ask the operator to widen the secret placement-policy",
    )
    CALL_ID_REUSED = (
        "call_id_reused",
        "The call id was used with another request.",
        "send a new id with a new request",
    )
    UNKNOWN_CLUSTER = ("unknown_cluster", "No cluster of that name is registered.", "`edge clusters list` shows them")
    NO_CLUSTER_FITS = ("no_cluster_fits", "No registered cluster fits the request.", "`why` tells what each one lacks")
    PLACED_ELSEWHERE = (
        "placed_elsewhere",
        "The release is placed on a cluster that the request does not allow.",
        "uninstall it there first, or ask for that cluster",
    )
    CLUSTER_DOWN = (
        "cluster_down",
        "The cluster's API server does not answer.",
        "try again; `edge clusters check` shows why",
    )
    CLUSTER_REFUSED = (
        "cluster_refused",
        "The cluster refused the placement's service account.",
        "install charts/placement-target with this namespace among its namespaces",
    )
    CLUSTER_CREDENTIALS = (
        "cluster_credentials",
        "The cluster's kubeconfig cannot be used.",
        "`edge clusters check` shows what is wrong with the secret",
    )
    NAMESPACE_MISSING = (
        "namespace_missing",
        "The namespace does not exist on the cluster.",
        "make it with charts/placement-target, or let the policy grant create_namespaces",
    )
    NO_SUCH_CHART = (
        "no_such_chart",
        "The registry has no such chart or version.",
        "check chart_repository and chart_version",
    )
    REGISTRY_DOWN = ("registry_down", "The chart registry does not answer.", "try again when it is up")
    REGISTRY_REFUSED = (
        "registry_refused",
        "The chart registry refused the credentials.",
        "correct its entry in the secret placement-credentials",
    )
    BAD_VALUES = ("bad_values", "The values are not a YAML mapping.", "correct the file, or `values`")
    VALUES_MISSING = ("values_missing", "The values file is not in the bucket.", "check values_yaml_file")
    VALUES_TOO_LARGE = ("values_too_large", "The values file is too large.", "keep it below 256 KiB")
    VALUES_STORE_DOWN = ("values_store_down", "The S3 server does not answer.", "try again when it is up")
    VALUES_STORE_REFUSED = (
        "values_store_refused",
        "The S3 server refused the credentials.",
        "correct s3 in the secret placement-credentials",
    )
    RENDER_FAILED = (
        "render_failed",
        "The chart does not render with these values.",
        "the message names the template or field",
    )
    APPLY_FAILED = ("apply_failed", "The cluster did not take the chart's objects.", "the message names the object")
    BUSY = (
        "busy",
        "Another call works on this release.",
        "try again when it has ended; what a killed helm of somebody else left is taken over after 15 minutes",
    )
    TIMEOUT = (
        "timeout",
        "Helm did not end in time and was stopped.",
        "the message tells what it had begun; apply again",
    )
    LEASE_LOST = ("lease_lost", "The lease on the release could not be renewed; helm was stopped.", "apply again")
    NOT_READY = ("not_ready", "The pods did not become ready in time.", "`pods` shows where they are")
    PODS_CRASH = ("pods_crash", "Pods of the release crash or cannot start.", "`pods` shows which; look at their logs")
    CONFIG_REJECTED = (
        "config_rejected",
        "Pods refused the new configuration and run on their last good one.",
        "correct the value that the message names, and apply again",
    )
    CONFIG_NOT_TAKEN = (
        "config_not_taken",
        "Pods have not confirmed the new configuration in time.",
        "ask again by action status; their reload agents' logs tell more",
    )
    NO_SUCH_RELEASE = ("no_such_release", "There is no such release there.", "action list shows what is placed")
    NO_SUCH_REVISION = ("no_such_revision", "The release has no such revision.", "action list shows its history")
    STORE_DOWN = ("store_down", "The placement's store does not answer.", "try again")
    CONFIGURATION = ("configuration", "A secret or setting of the placement function is wrong.", "the message names it")
    INTERNAL = ("internal", "The placement function has a fault.", "look for the call's id in its log")


class PlacementError(Exception):
    """A refusal or failure that the caller is told.

    detail: replaces the code's own sentence.  left: what is left half-done on the cluster, "" = nothing.
    Nothing secret may be in detail or left.
    """

    def __init__(self, code: Code, detail: str = "", *, left: str = "") -> None:
        self.code = code
        self.detail = detail or code.says
        self.left = left
        super().__init__(f"{code.value}: {self.detail}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return self.code.hint


class NotNowError(Exception):
    """Nothing was done: another run of helm is under way, an earlier one of this operation still holds the lease, or
    other plans came first too often."""
