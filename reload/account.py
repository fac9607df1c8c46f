"""As whom an API server is asked: the account that a kubeconfig's user may name in `as`.

`as` is Kubernetes' own field: the calls are made with the rights of that user, and not of the token's.  Here it may
hold `{namespace}`, so that each namespace has an account of its own, as charts/placement-target makes them: whoever is
let into one namespace reaches no other, whatever a chart renders.
"""

from __future__ import annotations

from collections.abc import Mapping

HEADER = "Impersonate-User"
NAMESPACE = "{namespace}"
UNUSABLE = ("as-uid", "as-groups", "as-user-extra")
"""What would widen an account beyond its name."""


def account_of(acts_as: str, namespace: str) -> str:
    """The account for a namespace, "" = the token's own.  namespace: "" = what is asked is in none."""
    if NAMESPACE not in acts_as:
        return acts_as
    return acts_as.replace(NAMESPACE, namespace) if namespace else ""


def headers_of(acts_as: str, namespace: str) -> Mapping[str, str]:
    """As HTTP has it."""
    account = account_of(acts_as, namespace)
    return {HEADER: account} if account else {}
