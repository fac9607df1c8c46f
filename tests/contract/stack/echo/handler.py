"""Answers with what reached it, as JSON, so that a test sees the function's side of a call."""

import base64
import os
from pathlib import Path


def handle(event, _context):
    """Out: method, path, query, headers (a list of pairs), body (base64), instance, environment, secrets by name."""
    folder = Path(os.environ.get("EDGE_SECRETS_DIR", "/var/openfaas/secrets"))
    return {
        "body": {
            "method": event.method,
            "path": event.path,
            "query": event.query.to_dict(flat=False),
            "headers": [[name, value] for name, value in event.headers],
            "body": base64.b64encode(event.body).decode(),
            "instance": os.environ.get("HOSTNAME", ""),
            "environment": {name: value for name, value in os.environ.items() if name.startswith("EDGE_")},
            # Kubernetes keeps names of its own in a mounted secret: ..data, and a folder by the time.
            "secrets": sorted(f.name for f in folder.iterdir() if f.name[:2] != "..") if folder.is_dir() else [],
        },
        "headers": {"X-Echo": "yes"},
    }
