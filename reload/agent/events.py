"""Kubernetes events about the pod, by its own service account; needs `create` on events and nothing else."""

from __future__ import annotations

import json
import ssl
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from reload.agent.core import Report, Verdict
from reload.agent.settings import SettingsError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 5.0
_WORDS = {
    Verdict.APPLIED: ("Normal", "ConfigApplied", "runs with configuration"),
    Verdict.REJECTED: ("Warning", "ConfigRejected", "keeps its last good configuration, refused"),
    Verdict.FAILED: ("Warning", "ConfigFailed", "went back to its last good configuration from"),
    Verdict.WAITING: ("Warning", "ConfigWaiting", "could not be told about configuration"),
}


@dataclass(frozen=True)
class Writer:
    """Where events go, and about which pod."""

    url: str
    token: Path
    authority: Optional[Path]
    namespace: str
    pod: str
    uid: str

    @classmethod
    def from_pod(cls, environment: Mapping[str, str], account: Path = ACCOUNT) -> Writer:
        """From what Kubernetes puts into a pod.  Raises SettingsError."""
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        pod, uid = environment.get("POD_NAME"), environment.get("POD_UID")
        if not (host and pod and uid):
            raise SettingsError(
                "--events needs KUBERNETES_SERVICE_HOST, and POD_NAME and POD_UID from the downward API"
            )
        try:
            namespace = (account / "namespace").read_text().strip()
        except OSError:
            raise SettingsError(f"--events needs a service account token in {account}") from None
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", account / "token", account / "ca.crt", namespace, pod, uid)

    def write(self, report: Report, number: int) -> bool:
        """Whether the API server has taken it within TIMEOUT_S.  number: makes the event's name unique."""
        context = ssl.create_default_context(cafile=str(self.authority)) if self.authority else None
        try:
            request = urllib.request.Request(  # noqa: S310  the URL is the API server's
                f"{self.url}/api/v1/namespaces/{self.namespace}/events",
                data=json.dumps(self.body(report, number, datetime.now(timezone.utc))).encode(),
                headers={
                    # Read each time: a projected token is replaced within the hour.
                    "Authorization": f"Bearer {self.token.read_text().strip()}",
                    "Content-Type": "application/json",
                },
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310
                return bool(200 <= answer.status < 300)
        except (OSError, ValueError):
            return False

    def body(self, report: Report, number: int, now: datetime) -> Dict[str, Any]:
        """The event as JSON (core/v1)."""
        kind, reason, words = _WORDS[report.verdict]
        at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = report.digest[:12] or "that could not be read"
        message = f"{self.pod} {words} {digest}" + (f": {report.reason}" if report.reason else "")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{self.pod}.{int(now.timestamp() * 1e6):x}.{number}", "namespace": self.namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": self.pod,
                "namespace": self.namespace,
                "uid": self.uid,
            },
            "type": kind,
            "reason": reason,
            "message": message[:1000],
            "source": {"component": "auto-reload"},
            "reportingComponent": "auto-reload",
            "reportingInstance": self.pod,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
